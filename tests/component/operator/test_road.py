"""The road of a rollout through the real process: up, down by evidence, by a person and by a push, and edits."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable

import pytest

from tests.support.proxy import Proxy, Request
from tests.support.replica import Operator
from tests.support.site import SECONDS, Site, canary, ladder, off_at, rises, vectors
from tests.support.waiting import wait_for
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.status import Phase, Severity
from veriramp_operator.engine.types import Direction
from veriramp_sdk.contract import Arm, Mode
from veriramp_sdk.flags import Flags

Property = Callable[[str, object], None]
pytestmark = pytest.mark.timeout(600)


def test_the_way_up_ends_in_guarding(site: Site, operator: Operator, consumer: Flags, proxy: Proxy) -> None:
    site.apply(ladder(site.namespace))
    status = site.until_guarding()
    assert status.parameters is not None
    assert (status.parameters.mode, status.parameters.canary_percent) == (Mode.LIVE, 50)
    path = vectors(proxy.documents())
    assert all(lower.is_at_most(higher) for lower, higher in itertools.pairwise(path))
    assert [line.stage for line in status.history if line.direction == Direction.RISE] == ["shadow", "canary", "half"]
    wait_for(lambda: consumer.state().mode is Mode.LIVE, SECONDS, "the client to be live")


def test_a_rise_is_written_as_status_document_status(
    site: Site, operator: Operator, consumer: Flags, proxy: Proxy
) -> None:
    site.apply(canary(site.namespace))
    site.until_guarding()
    writes = [write for write in proxy.writes() if write.kind in {"configmaps", "verificationrollouts/status"}]
    risen = [index for index, write in enumerate(writes) if _direction(write) == Direction.RISE]
    assert risen
    for index in risen:
        revision = int(json.loads(writes[index].body)["metadata"]["annotations"]["veriramp.dev/revision"])
        assert _status(writes[index - 1])["pending"]["revision"] == revision
        assert "pending" not in _status(writes[index + 1])
        assert _status(writes[index + 1])["flags"]["revision"] == revision


@pytest.mark.shows("S1-CAN-05", "S1-ROLL-05")
def test_a_regression_publishes_off_before_it_is_told(
    site: Site, operator: Operator, consumer: Flags, proxy: Proxy
) -> None:
    site.apply(canary(site.namespace))
    site.until_guarding()
    before = len(proxy.writes())
    site.around.says(site.namespace, errors=1.0)
    off_at(consumer)
    status = site.until_reason(Reason.ROLLED_BACK, Reason.REGRESSION)
    assert status.rollback is not None
    assert (status.rollback.gate, status.rollback.severity) == ("errors", Severity.KILL_SWITCH)
    kinds = [write.kind for write in proxy.writes()[before:] if 0 < write.status < 300]
    written = [kind for kind in kinds if kind in {"configmaps", "verificationrollouts/status"}]
    fallen = next(index for index, write in enumerate(proxy.writes()[before:]) if _direction(write) == Direction.FALL)
    told = next(
        index
        for index, write in enumerate(proxy.writes()[before:])
        if write.kind == "verificationrollouts/status" and "rollback" in _status(write)
    )
    assert fallen < told, written
    site.around.says(site.namespace)
    site.until(
        "the fall applied", lambda status: status.rollback is not None and status.rollback.applied_at is not None
    )
    wait_for(lambda: Reason.REGRESSION in site.events(), SECONDS, "the Event")


@pytest.mark.shows("S1-ROLL-04", "S1-RBK-08", "S1-RBK-01", "S1-RBK-07")
def test_an_abort_annotation_is_answered_at_once_and_latches(
    site: Site, operator: Operator, consumer: Flags, proxy: Proxy, record_property: Property
) -> None:
    site.apply(canary(site.namespace, ramp=5))
    site.until_ramping()
    asked = time.time()
    site.annotate(abort="token-1")
    off = off_at(consumer)
    site.until("the latch", lambda status: status.rollback is not None)
    record_property("seconds from the abort to the document", _seconds_to_document(asked, proxy))
    record_property("seconds from the abort to a client that is off", off - asked)
    documents = len(proxy.documents())
    site.annotate(request="retry:canary@token-2")
    site.until_guarding()
    assert len(rises(vectors(proxy.documents()[documents - 1 :]))) >= 3, "the way back has at least three steps"


@pytest.mark.shows("S1-ROLL-06", "S1-ROLL-04")
def test_a_pushed_alert_is_answered_when_the_safe_document_is_written(
    site: Site, operator: Operator, consumer: Flags, proxy: Proxy, record_property: Property
) -> None:
    site.apply(canary(site.namespace))
    site.until_guarding()
    assert operator.push(site.alert(), token="wrong").status_code == 401
    asked = time.time()
    answer = operator.push_until_taken(site.alert())
    published = site.published()
    assert answer.status_code == 200, answer.text
    assert published is not None
    assert published.vector.mode is Mode.SHADOW
    wait_for(lambda: consumer.state().mode is Mode.SHADOW, SECONDS, "the client to be in Shadow")
    record_property("seconds from the push to the document", _seconds_to_document(asked, proxy))
    record_property("seconds from the push to a client in Shadow", time.time() - asked)
    status = site.status()
    assert status.rollback is not None
    assert (status.rollback.gate, status.rollback.severity) == ("pager", Severity.SHADOW)


@pytest.mark.shows("S1-CAN-02")
def test_a_manual_stage_waits_for_a_promote_of_that_stage(
    site: Site, operator: Operator, consumer: Flags, proxy: Proxy
) -> None:
    spec = ladder(site.namespace)
    spec["stages"][1]["promotion"] = "Manual"
    site.apply(spec)
    site.until_reason(Reason.APPROVAL_REQUIRED)
    site.annotate(request="promote:half@token-1")
    site.until("the refusal", lambda status: status.last_handled_request is not None)
    status = site.until_reason(Reason.APPROVAL_REQUIRED)
    assert status.stage is not None
    assert status.stage.name == "canary"
    site.annotate(request="promote:canary@token-2")
    status = site.until_guarding()
    assert status.parameters is not None
    assert status.parameters.canary_percent == 50


@pytest.mark.shows("S1-RBK-02")
def test_a_regression_walks_the_ladder_down_stage_by_stage(
    site: Site, operator: Operator, consumer: Flags, proxy: Proxy
) -> None:
    spec = ladder(site.namespace)
    spec["gates"][0] |= {"onRegression": "PreviousStage", "stepDown": "2s"}
    site.apply(spec)
    site.until_guarding()
    before = len(proxy.documents())
    site.around.says(site.namespace, errors=1.0)
    site.until("the first stage down", lambda status: status.rollback is not None)
    site.around.says(site.namespace)
    off_at(consumer)
    # A client may be off before the proxy has the answer to that write; the status is written after it.
    site.until("Off in the status", lambda status: status.parameters is not None and status.parameters.mode is Mode.OFF)
    path = vectors(proxy.documents()[before:])
    assert [vector.mode for vector in path] == [Mode.LIVE, Mode.SHADOW, Mode.OFF]
    assert (path[0].canary_percent, path[1].sampling_rate) == (5, 0.5)
    status = site.until_reason(Reason.ROLLED_BACK)
    assert status.rollback is not None
    assert status.rollback.severity is Severity.PREVIOUS_STAGE


@pytest.mark.shows("S1-RBK-07")
def test_a_lowered_stage_is_followed_at_once(site: Site, operator: Operator, consumer: Flags) -> None:
    site.apply(canary(site.namespace))
    site.until_guarding()
    site.apply(canary(site.namespace, stages=[_live(percent=20)]))
    status = site.until(
        "the lower percent", lambda status: bool(status.parameters and status.parameters.canary_percent == 20)
    )
    assert status.rollback is None
    assert Reason.ABOVE_TARGET in [line.reason for line in status.history]


def test_paused_freezes_the_ramp_and_not_the_falls(
    site: Site, operator: Operator, consumer: Flags, proxy: Proxy
) -> None:
    site.apply(canary(site.namespace, ramp=5))
    site.until_ramping()
    site.apply(canary(site.namespace, ramp=5, paused=True))
    site.until_reason(Reason.PAUSED)
    documents = proxy.documents()
    site.around.says(site.namespace, errors=1.0)
    site.until("the fall", lambda status: status.rollback is not None)
    assert not rises(vectors(proxy.documents()[len(documents) - 1 :]))


def test_an_edited_list_of_users_is_published_with_the_same_vector(
    site: Site, operator: Operator, consumer: Flags
) -> None:
    site.apply(canary(site.namespace))
    site.until_guarding()
    before = site.published()
    spec = canary(site.namespace)
    spec["flags"]["include"] = [{"attribute": "group", "equals": "staff"}]
    site.apply(spec)
    wait_for(
        lambda: consumer.decide("anybody", "query", {"group": "staff"}).arm is Arm.FORCED, SECONDS, "staff to be forced"
    )
    after = site.published()
    assert before is not None
    assert after is not None
    assert (after.vector, after.revision) == (before.vector, before.revision + 1)
    site.until("its revision confirmed", lambda status: bool(status.flags and status.flags.revision == after.revision))


def test_while_paused_an_exclusion_counts_at_once_and_an_inclusion_waits(
    site: Site, operator: Operator, consumer: Flags
) -> None:
    site.apply(canary(site.namespace))
    site.until_guarding()
    spec = canary(site.namespace, paused=True)
    spec["flags"]["include"] = [{"attribute": "group", "equals": "staff"}]
    spec["flags"]["exclude"] = [{"attribute": "tenant", "equals": "regulated"}]
    site.apply(spec)
    wait_for(
        lambda: consumer.decide("anybody", "query", {"tenant": "regulated"}).arm is Arm.EXCLUDED,
        SECONDS,
        "the tenant to be excluded",
    )
    assert consumer.decide("anybody", "query", {"group": "staff"}).arm is not Arm.FORCED
    spec["paused"] = False
    site.apply(spec)
    wait_for(
        lambda: consumer.decide("anybody", "query", {"group": "staff"}).arm is Arm.FORCED, SECONDS, "staff to be forced"
    )


def test_bad_alert_bodies_are_refused_with_a_sentence(operator: Operator) -> None:
    wait_for(lambda: operator.leads, SECONDS, "the operator to lead")
    answer = operator.push({"version": "3"})
    assert (answer.status_code, "version" in answer.text) == (400, True)
    assert operator.push({"version": "4", "alerts": [{}] * 501}).status_code == 413


def test_metrics_show_the_rollout(site: Site, operator: Operator, consumer: Flags) -> None:
    site.apply(canary(site.namespace))
    status = site.until_guarding()
    assert status.phase is Phase.GUARDING
    percent = rf'veriramp_rollout_canary_percent{{namespace="{site.namespace}",rollout="demo"}}'
    wait_for(lambda: operator.metric(percent) == 50, SECONDS, "the percent in the metrics")
    wait_for(lambda: operator.metric("veriramp_rollouts") >= 1, SECONDS, "the count of rollouts in the metrics")


def _live(percent: float) -> dict[str, object]:
    return {
        "name": "canary",
        "mode": "Live",
        "samplingRate": 1,
        "canaryPercent": percent,
        "rankingWeight": 0.1,
        "bake": "1s",
    }


def _direction(write: Request) -> str:
    if write.kind != "configmaps" or not 0 < write.status < 300:
        return ""
    return str(json.loads(write.body)["metadata"]["annotations"]["veriramp.dev/direction"])


def _status(write: Request) -> dict[str, dict[str, object]]:
    assert write.kind == "verificationrollouts/status", write
    return dict(json.loads(write.body)["status"])


def _seconds_to_document(asked: float, proxy: Proxy) -> float:
    return next(write.at for write in reversed(proxy.writes("configmaps")) if _direction(write)) - asked
