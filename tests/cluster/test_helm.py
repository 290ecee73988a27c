"""The life of the release while a rollout is Live: upgrade, rollback, uninstall, and what stays behind."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.chart.helm import helm
from tests.support.product import SECONDS, Product, kstatus
from tests.support.road import NAME, Road, calm
from tests.support.rollouts import ROOT
from tests.support.waiting import wait_for
from tools.demo.installation import SYSTEM
from tools.toolchain import binary
from veriramp_operator.api.status import Phase

pytestmark = [pytest.mark.usefixtures("log_guard"), pytest.mark.timeout(900)]

LEASE_SECONDS = 30
OFF_SECONDS = 5.0
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/verificationrollouts.veriramp.dev"


def release(product: Product, *arguments: str) -> None:
    """Run helm on the release."""
    place = ("--namespace", SYSTEM, "--kubeconfig", str(product.cluster.kubeconfig))
    helm(*arguments, *place, "--wait", "--timeout", "240s")


def live_while(road: Road, act: Callable[[], None]) -> None:
    """Do something long, and see that search obeys the same flags all the while."""
    with ThreadPoolExecutor(1) as pool:
        doing = pool.submit(act)

        def done() -> bool:
            assert set(road.modes()) == {"Live"}
            return doing.done()

        wait_for(done, 4 * SECONDS, "helm to be done")
        doing.result()


def test_upgrade_and_rollback_of_the_release_leave_the_flags_in_force(product: Product, place: str) -> None:
    # Longer than helm takes on any machine: it is not the lease that is shown here.
    patient = {"leaseSeconds": 600, "propagation": {"quorum": 1, "timeout": "10s"}}
    with Road.start(product, place, calm(flags=patient)) as road:
        guarding = road.until("the guard", lambda status: status.phase is Phase.GUARDING)
        road.until_modes("Live", SECONDS)
        documents, leader = road.watched(), product.holder()

        try:
            live_while(road, lambda: product.install(limits={"maxRankingWeight": 0.05}))
            road.until("the new ceiling", lambda status: status.phase is Phase.STALLED)
            assert kstatus(road.raw()) == "Failed"
            assert product.holder() != leader
        finally:
            live_while(road, lambda: release(product, "rollback", "veriramp"))
        again = road.until("the guard again", lambda status: status.phase is Phase.GUARDING)

        assert again.parameters == guarding.parameters
        assert again.rollback is None
        assert len(road.documents.seen) == documents, "nothing was published anew"


@pytest.mark.shows("S0-02", "S2-OBS-04")
def test_uninstalled_under_a_live_rollout_the_lease_ends_it_and_the_one_liner_lets_it_go(
    product: Product, place: str
) -> None:
    short = {"leaseSeconds": LEASE_SECONDS, "propagation": {"quorum": 1, "timeout": "10s"}}
    with Road.start(product, place, calm(flags=short), search_apart=True) as road:
        road.until_modes("Live", SECONDS)
        try:
            release(product, "uninstall", "veriramp")
            road.until_modes("Off", LEASE_SECONDS + OFF_SECONDS)
            assert product.client.get(CRD).is_success
            assert road.exists()

            product.client.delete(f"/api/v1/namespaces/{place}").raise_for_status()
            wait_for(lambda: _is_stuck(product, place), SECONDS, "the namespace to wait for the rollout's finalizer")
            run_documented_one_liner(product, place)
            gone = f"/api/v1/namespaces/{place}"
            wait_for(lambda: product.client.get(gone).status_code == 404, SECONDS, "the namespace to be gone")
        finally:
            product.install()


def run_documented_one_liner(product: Product, namespace: str) -> None:
    """Run the command of docs/guide/install.md for our rollout."""
    guide = (ROOT / "docs" / "guide" / "install.md").read_text(encoding="utf-8")
    (line,) = [line for line in guide.splitlines() if line.startswith("kubectl") and "finalizers" in line]
    given = shlex.split(line.replace("-n search ", f"-n {namespace} ").replace("search-verification", NAME))
    command = [str(binary("kubectl")), "--kubeconfig", str(product.cluster.kubeconfig), *given[1:]]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


def _is_stuck(product: Product, namespace: str) -> bool:
    conditions = product.client.get(f"/api/v1/namespaces/{namespace}").json()["status"].get("conditions") or ()
    held = [each for each in conditions if each["type"] == "NamespaceFinalizersRemaining" and each["status"] == "True"]
    return any("veriramp.dev/safe-off" in each["message"] for each in held)
