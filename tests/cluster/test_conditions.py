"""The conditions as tools read them: kubectl wait, and kstatus (Argo CD, Flux, kubectl's own)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import pytest

from tests.support.product import SECONDS, Product, kstatus
from tests.support.road import MERGE, NAME, Road, calm
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.usefixtures("log_guard"), pytest.mark.timeout(600)]

READINGS = {
    "Pending": "InProgress",
    "Progressing": "InProgress",
    "Waiting": "InProgress",
    "Guarding": "Current",
    "RolledBack": "Failed",
    "Stalled": "Failed",
    "Deleting": "Terminating",
}
"""What kstatus must read in each phase (custom-resource.md)."""
HELD = "tests.veriramp.dev/held"


def test_kstatus_reads_every_phase_of_a_life(product: Product, place: str) -> None:
    readings: defaultdict[str, set[str]] = defaultdict(set)
    pager = {
        "name": "pager",
        "firing": {"alertnames": ["SearchBroken"], "source": "Push"},
        "required": False,
        "onRegression": "KillSwitch",
    }
    spec = calm()
    spec["gates"].append(pager)
    with Road.start(product, place, spec) as road:

        def until(phase: str) -> None:
            wait_for(lambda: _read(road, readings) == phase, SECONDS, f"phase {phase}")

        def kubectl_waits(condition: str) -> None:
            product.cluster.kubectl("wait", f"vr/{NAME}", "-n", place, f"--for=condition={condition}", "--timeout=60s")

        assert kstatus(road.raw()) == "InProgress", "also before the operator has seen it"
        _life(product, road, spec, until, kubectl_waits)
    assert readings == {phase: {reading} for phase, reading in READINGS.items() if phase in readings}
    assert readings.keys() >= {"Progressing", "Waiting", "Guarding", "RolledBack", "Stalled", "Deleting"}


def _life(
    product: Product,
    road: Road,
    spec: dict[str, object],
    until: Callable[[str], None],
    kubectl_waits: Callable[[str], None],
) -> None:
    until("Progressing")
    road.apply({**spec, "paused": True})
    until("Waiting")
    road.apply(spec)
    until("Guarding")
    kubectl_waits("Ready")
    kubectl_waits("PropagationConfirmed")
    road.apply({**spec, "prometheus": "unheard-of"})
    until("Stalled")
    road.apply(spec)
    until("Guarding")
    product.push("SearchBroken", road.namespace, NAME)
    until("RolledBack")
    kubectl_waits("Stalled")
    kubectl_waits("RolledBack")
    # Everything is off, so that the operator lets it go at once: somebody else holds it.
    _write_finalizers(product, road, *_finalizers(road), HELD)
    road.delete()
    until("Deleting")
    wait_for(lambda: _finalizers(road) == [HELD], SECONDS, "the operator to let it go")
    _write_finalizers(product, road)


def _finalizers(road: Road) -> list[str]:
    return list(road.raw()["metadata"]["finalizers"])


def _write_finalizers(product: Product, road: Road, *names: str) -> None:
    body = {"metadata": {"finalizers": list(names)}}
    product.client.patch(road.path, headers=MERGE, json=body).raise_for_status()


def _read(road: Road, readings: defaultdict[str, set[str]]) -> str:
    raw = road.raw()
    status = raw.get("status") or {}
    if status.get("observedGeneration") != raw["metadata"]["generation"] and not raw["metadata"].get(
        "deletionTimestamp"
    ):
        return ""  # an edit that the operator has not seen yet reads InProgress in every phase
    phase = str(status.get("phase", ""))
    if raw["metadata"].get("deletionTimestamp"):
        phase = "Deleting"
    readings[phase].add(kstatus(raw))
    return phase
