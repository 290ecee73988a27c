"""Monitoring that fails in every way, and an operator that crash-loops: a healthy rollout waits, and goes on after."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from tests.component.operator.conftest import Replica
from tests.support.proxy import Answer, Delay, Drop, Harm, Proxy, Request, Rewrite
from tests.support.replica import Operator
from tests.support.site import SECONDS, Object, Site, a_stage, ladder, vectors
from tests.support.waiting import wait_for
from veriramp_operator.api.reasons import NoDataReason, Reason
from veriramp_operator.api.status import Phase, RolloutStatus, VerdictKind
from veriramp_sdk.contract import Mode
from veriramp_sdk.flags import Flags

pytestmark = pytest.mark.timeout(600)

HARMED_ANSWERS: Final = 30
"""Questions that go wrong in one outage: two gates ask three and two of them a second."""
HANGING_ANSWERS: Final = 5
"""The same where each question waits for its timeout."""
STEP_SECONDS: Final = 30.0
LIVES: Final = 6


@pytest.fixture
def monitoring(site: Site) -> Iterator[Proxy]:
    """The way to Prometheus."""
    with Proxy(site.around.cluster.prometheus_url, None) as running:
        yield running


@pytest.fixture
def operator_config(site: Site, monitoring: Proxy) -> dict[str, Any]:
    config = site.around.config()
    config["endpoints"]["default"]["url"] = monitoring.url
    return config


def climbing(case: str, *, seconds: float, step: float) -> Object:
    """One Live stage with a ramp, watched by an alert and by a threshold."""
    ramp = {"duration": f"{seconds:g}s", "interval": f"{step:g}s"}
    stage = a_stage("canary", mode="Live", samplingRate=1, canaryPercent=50, rankingWeight=0.1, ramp=ramp)
    alert = ladder(case)["gates"][0]
    errors = {
        "name": "share-of-errors",
        "threshold": {"query": f'sum(test_errors{{case="{case}"}})', "max": 0.5},
        "selector": f'test_errors{{case="{case}"}}',
        "every": "1s",
        "window": "1s",
        "onRegression": "KillSwitch",
    }
    return ladder(case, stages=[stage], gates=[alert, errors])


def every(request: Request) -> bool:
    return "/query" in request.path


def rewritten(change: Callable[[dict[str, Any]], None]) -> Rewrite:
    """An answer of Prometheus with a change."""

    def of(body: bytes) -> bytes:
        answer = json.loads(body)
        change(answer)
        return json.dumps(answer).encode()

    return Rewrite(of)


def empty(answer: dict[str, Any]) -> None:
    answer["data"]["result"] = []


def not_a_number(answer: dict[str, Any]) -> None:
    for series in answer["data"]["result"]:
        series["value"][1] = "NaN"


def partial(answer: dict[str, Any]) -> None:
    answer["warnings"] = ["half of the stores answered"]


FAULTS: Final[dict[str, tuple[Harm, NoDataReason]]] = {
    "reset": (Drop(), NoDataReason.REFUSED),
    "hangs": (Delay(3600), NoDataReason.TIMEOUT),
    "empty": (rewritten(empty), NoDataReason.EMPTY),
    "nan": (rewritten(not_a_number), NoDataReason.NOT_A_NUMBER),
    "error-500": (Answer(500), NoDataReason.SERVER_ERROR),
    "partial": (rewritten(partial), NoDataReason.PARTIAL_RESPONSE),
}


@pytest.mark.shows("S1-ROLL-07", "S1-RAMP-02", "S0-03")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_healthy_ramp_waits_while_monitoring_fails_and_goes_on_after(
    site: Site, operator: Operator, consumer: Flags, monitoring: Proxy, fault: str
) -> None:
    harm, reason = FAULTS[fault]
    site.apply(climbing(site.namespace, seconds=200, step=1))
    site.until_ramping()
    monitoring.fail(every, harm)

    def blind(status: RolloutStatus) -> bool:
        # A ramp step of that very moment is told first, until every process has it.
        return reasons(status).get("share-of-errors") == reason and status.reason == Reason.NO_DATA

    site.until(f"no data: {reason}", blind)
    asked, held = len(monitoring.requests), site.published()
    enough = HANGING_ANSWERS if isinstance(harm, Delay) else HARMED_ANSWERS
    wait_for(lambda: len(monitoring.requests) >= asked + enough, SECONDS, f"{enough} questions without an answer")
    status = site.status()
    assert (status.reason, status.rollback) == (Reason.NO_DATA, None)
    assert held is not None
    assert (after := site.published()) is not None
    assert (after.revision, after.vector) == (held.revision, held.vector)
    assert consumer.state().mode is Mode.LIVE
    monitoring.heal()
    site.until_stage("canary", weight=held.vector.ranking_weight + 0.001)
    assert site.status().rollback is None


@pytest.mark.shows("S0-03", "S1-ROLL-07")
def test_no_stage_begins_on_an_answer_that_is_no_number_or_empty(
    site: Site, operator: Operator, consumer: Flags, proxy: Proxy, monitoring: Proxy
) -> None:
    site.around.says(site.namespace, errors=math.nan)
    site.apply(climbing(site.namespace, seconds=2, step=1))
    site.until("no number", lambda status: reasons(status).get("share-of-errors") == NoDataReason.NOT_A_NUMBER)
    monitoring.fail(every, rewritten(empty))
    site.around.says(site.namespace)
    site.until("nothing", lambda status: reasons(status).get("share-of-errors") == NoDataReason.EMPTY)
    assert {document.vector.mode for document in proxy.documents()} <= {Mode.OFF}
    monitoring.heal()
    site.until_guarding()


@pytest.mark.shows("S1-RAMP-01")
def test_an_operator_that_crash_loops_ramps_no_faster(
    site: Site, replica: Replica, consumer: Flags, proxy: Proxy
) -> None:
    operator = replica("operator").start()
    site.apply(climbing(site.namespace, seconds=10 * STEP_SECONDS, step=STEP_SECONDS))
    site.until_mode(Mode.LIVE)
    for _ in range(LIVES):
        operator.kill()
        site.around.forget_lease()
        operator.start()
        wait_for(lambda: operator.metric("veriramp_reconcile_pass_seconds_count") > 0, SECONDS, "a pass of this life")
    began, documents = proxy.documents()[0].published_at, proxy.documents()
    for document in documents:
        steps = round(document.vector.ranking_weight / 0.01, 6)
        assert steps <= math.floor((document.published_at - began) / STEP_SECONDS), vectors(documents)
    assert site.status().phase is not Phase.ROLLED_BACK


def reasons(status: RolloutStatus) -> dict[str, str]:
    """Why each gate without data has none."""
    return {gate.name: gate.reason or "" for gate in status.gates if gate.verdict is VerdictKind.NO_DATA}
