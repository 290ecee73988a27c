"""Treatment against control through the real process: up on proof, down on a regression, held by a wrong split."""

from __future__ import annotations

import httpx
import pytest

from tests.component.operator.conftest import Replica
from tests.support.replica import Operator
from tests.support.site import NAME, Object, Site, a_stage, canary
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.status import GateStatus, RolloutStatus, Severity, VerdictKind
from veriramp_sdk.contract import Mode
from veriramp_sdk.flags import Flags

pytestmark = pytest.mark.timeout(600)

GATE: Object = {
    "name": "against-control",
    "comparison": {"events": "test_arm_errors_total", "total": "test_arm_requests_total", "tolerance": 0.5},
    "every": "1s",
    "window": "1s",
    "onRegression": "Shadow",
}


class Arms:
    """A pod in the rollout's namespace that counts the requests of both arms."""

    def __init__(self, site: Site) -> None:
        self._url = f"{site.around.exporter(site.namespace)}/arms"
        self.fail()

    def fail(self, treatment: float = 0.05, control: float = 0.05, *, treated: float = 0.5) -> None:
        """Set the share of failed requests of each arm, and the treatment's share of the occupied buckets."""
        query: dict[str, str | float] = {
            "rollout": NAME,
            "treatment": treatment,
            "control": control,
            "treated": treated,
        }
        httpx.post(self._url, params=query, trust_env=False, timeout=10).raise_for_status()


@pytest.fixture
def arms(site: Site) -> Arms:
    return Arms(site)


def rollout(site: Site) -> Object:
    stages = [
        a_stage("shadow", mode="Shadow", samplingRate=0.5),
        a_stage("canary", mode="Live", canaryPercent=50, rankingWeight=0.1, maxBake="1h"),
        a_stage("weight", mode="Live", rankingWeight=0.2, maxBake="1h"),
    ]
    absolute = canary(site.namespace)["gates"][0]  # in Shadow there is nothing to compare
    return canary(site.namespace, stages=stages, gates=[absolute, GATE])


def gate(status: RolloutStatus) -> GateStatus | None:
    return next((gate for gate in status.gates if gate.name == GATE["name"]), None)


@pytest.mark.shows("S1-AB-02")
def test_up_on_proof_and_down_on_a_regression_also_after_a_crash(
    site: Site, arms: Arms, operator: Operator, replica: Replica, consumer: Flags
) -> None:
    site.apply(rollout(site))
    site.until_stage("canary")
    waiting = site.until_reason(Reason.INCONCLUSIVE)
    told = gate(waiting)
    assert told is not None
    assert told.verdict is VerdictKind.INCONCLUSIVE
    site.until_stage("weight")
    site.until("the trial of that stage", lambda status: bool(status.stage and status.stage.began_at))
    operator.kill()
    replica("next").start()
    arms.fail(treatment=0.25)
    fallen = site.until_reason(Reason.ROLLED_BACK)
    assert fallen.rollback is not None
    assert (fallen.rollback.gate, fallen.rollback.severity) == (GATE["name"], Severity.SHADOW)
    assert "test_arm_errors_total per test_arm_requests_total" in fallen.rollback.evidence
    site.until_mode(Mode.SHADOW)


@pytest.mark.shows("S1-AB-02")
def test_a_wrong_split_of_the_users_holds_until_it_is_right(
    site: Site, arms: Arms, operator: Operator, consumer: Flags
) -> None:
    arms.fail(treated=0.4)
    site.apply(rollout(site))
    held = site.until_reason(Reason.SAMPLE_RATIO_MISMATCH)
    assert held.message is not None
    assert "40 % of 4000 occupied buckets are in the treatment, where 50 % are expected" in held.message
    arms.fail()
    site.until_stage("weight")
