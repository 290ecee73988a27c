"""The snapshot for ``decide``: what is ours, what is missing, and what stalls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.flags import a_document
from veriramp_operator.api.config import Endpoint, OperatorConfig, Profile
from veriramp_operator.api.object import parse_rollout
from veriramp_operator.api.reasons import NoDataReason, Reason
from veriramp_operator.api.vector import OFF, Vector
from veriramp_operator.engine import decide
from veriramp_operator.engine.types import Direction, Published
from veriramp_operator.evidence.types import Failure, Reading, Samples, Series
from veriramp_operator.resources.deployments import deployment_name
from veriramp_operator.runtime.gather import observe, spec_of
from veriramp_operator.runtime.world import ConfigMapSeen, DeploymentSeen, Entry, RefusedDocument
from veriramp_sdk.contract import Mode

NOW = 1_800_000_000.0
LIVE = Vector(mode=Mode.LIVE, sampling_rate=0.5, canary_percent=5, ranking_weight=0.05)
CONFIG = OperatorConfig(
    endpoints={"default": Endpoint(url="http://prometheus")}, profiles={"orchestrator": Profile(image="a")}
)
GATE = {
    "name": "errors",
    "alert": {"expr": "errors > 1", "presence": {"query": "requests", "min": 1}},
    "selector": "requests",
    "onRegression": "KillSwitch",
}
PUBLISHED = Published("5f0c", 7, "hash", LIVE, Direction.RISE, "canary", "a", "b", NOW)


def an_entry(**spec: Any) -> Entry:
    raw = {
        "metadata": {"namespace": "search", "name": "demo", "uid": "5f0c", "generation": 3, "resourceVersion": "1"},
        "spec": {"stages": [{"name": "canary", "mode": "Live", "canaryPercent": 5}], **spec},
    }
    rollout = parse_rollout(raw)
    return Entry(rollout, rollout.status, rollout.status, NOW)


def reasons(entry: Entry, config: OperatorConfig = CONFIG, **samples: Samples) -> list[Reason]:
    return [problem.reason for problem in observe(entry, samples, config, NOW).problems]


def test_a_rollout_without_trouble_has_no_problems() -> None:
    assert reasons(an_entry(gates=[GATE], workers=[{"profile": "orchestrator"}])) == []


def test_requests_and_identity_are_passed_on() -> None:
    entry = an_entry()
    notes = {"veriramp.dev/abort": "now", "veriramp.dev/request": "promote:canary@1"}
    entry.rollout = replace(entry.rollout, annotations=notes, deleting=True)
    seen = observe(entry, {}, CONFIG, NOW)
    assert (seen.requests.abort, seen.requests.request) == ("now", "promote:canary@1")
    assert (seen.namespace, seen.name, seen.uid, seen.generation, seen.deleting) == ("search", "demo", "5f0c", 3, True)


def test_salts_are_fresh_and_of_128_bits() -> None:
    seen = [observe(an_entry(), {}, CONFIG, NOW).salts for _ in range(2)]
    assert len({salt for pair in seen for salt in pair}) == 4
    assert all(len(salt) == 32 for pair in seen for salt in pair)


@pytest.mark.parametrize(("uid", "known"), [("5f0c", True), ("another", False)])
def test_only_the_document_of_this_very_object_counts(uid: str, known: bool) -> None:
    entry = an_entry()
    entry.config_map = ConfigMapSeen("cm", "1", uid, replace(PUBLISHED, uid=uid))
    assert (observe(entry, {}, CONFIG, NOW).published is not None) is known


def test_unknown_names_are_told_with_the_known_ones() -> None:
    entry = an_entry(prometheus="elsewhere", gates=[GATE], workers=[{"profile": "spark"}])
    problems = observe(entry, {}, CONFIG, NOW).problems
    assert [problem.reason for problem in problems] == [Reason.UNKNOWN_ENDPOINT, Reason.UNKNOWN_PROFILE]
    assert "'elsewhere'" in problems[0].message
    assert "write one of: default" in problems[0].message
    assert "spec.workers[0].profile" in problems[1].message
    assert "write one of: orchestrator" in problems[1].message


def test_an_endpoint_that_no_gate_needs_may_be_missing() -> None:
    assert reasons(an_entry(prometheus="elsewhere")) == []


def test_conflicts_and_refusals_stall() -> None:
    entry = an_entry()
    entry.conflicts["ConfigMap demo-flags"] = "another owner"
    entry.refused = RefusedDocument("clients refuse it", entry.rollout.generation, NOW)
    assert reasons(entry) == [Reason.NAME_CONFLICT, Reason.DOCUMENT_REFUSED]


def test_a_worker_that_the_api_server_refuses_stalls_with_its_sentence() -> None:
    entry = an_entry(workers=[{"profile": "orchestrator"}])
    entry.refused_workers["orchestrator"] = "exceeded quota"
    [problem] = observe(entry, {}, CONFIG, NOW).problems
    assert problem.reason is Reason.WORKERS_NOT_READY
    assert problem.message == 'Worker "orchestrator": the API server refuses its Deployment: exceeded quota'


def test_a_query_that_prometheus_refuses_stalls_until_it_is_answered() -> None:
    bad = Reading(NOW, Failure(NoDataReason.BAD_QUERY, "parse error"), None, None)
    slow = Reading(NOW + 1, Failure(NoDataReason.TIMEOUT, "too slow"), None, None)
    entry = an_entry(gates=[GATE])
    assert reasons(entry, errors=Samples((bad,))) == [Reason.QUERY_REFUSED]
    assert reasons(entry, errors=Samples((bad, slow))) == []


def test_a_spec_that_cannot_be_read_asks_for_what_is_in_force() -> None:
    entry = an_entry()
    entry.rollout = replace(entry.rollout, spec=None, spec_error="spec.stages: too short")
    assert reasons(entry) == [Reason.INVALID_SPEC]
    assert spec_of(entry).stages[0].mode is Mode.OFF
    entry.config_map = ConfigMapSeen("cm", "1", "5f0c", PUBLISHED)
    stage = spec_of(entry).stages[0]
    assert (stage.mode, stage.canary_percent, stage.ranking_weight) == (Mode.LIVE, 5, 0.05)
    entry.status = entry.status.model_copy(update={"parameters": OFF})
    assert spec_of(entry).stages[0].mode is Mode.OFF


UNREADABLE = {"stages": [{"name": "canary", "mode": "Later"}]}


def test_what_brings_a_rollout_down_counts_although_the_spec_cannot_be_read() -> None:
    novel = {"name": "novel", "onRegression": "KillSwitch", "selector": ["of", "another", "version"]}
    entry = an_entry(**UNREADABLE, gates=[novel, GATE], workers=[{"profile": "orchestrator"}, {"novel": 1}])
    entry.config_map = ConfigMapSeen("cm", "1", "5f0c", PUBLISHED, a_document(vector=LIVE, lease_seconds=90))
    assert reasons(entry) == [Reason.INVALID_SPEC]
    spec = spec_of(entry)
    assert ([gate.name for gate in spec.gates], spec.kill_switch) == (["errors"], False)
    assert [worker.profile for worker in spec.workers] == ["orchestrator"]
    assert (spec.flags.key, spec.flags.lease_seconds) == ("verification", 90), "clients know no other"

    bad = Samples((Reading(NOW, Series((2.0,)), Series((5.0,)), Series((NOW,))),))
    fall = decide(spec, entry.status, observe(entry, {"errors": bad}, CONFIG, NOW), NOW)
    assert (fall.direction, fall.reason, fall.vector.mode) == (Direction.FALL, Reason.REGRESSION, Mode.OFF)


def test_the_kill_switch_of_a_spec_that_cannot_be_read_is_obeyed() -> None:
    entry = an_entry(**UNREADABLE, killSwitch=True)
    entry.config_map = ConfigMapSeen("cm", "1", "5f0c", PUBLISHED, a_document(vector=LIVE))
    fall = decide(spec_of(entry), entry.status, observe(entry, {}, CONFIG, NOW), NOW)
    assert (fall.direction, fall.reason, fall.vector.mode) == (Direction.FALL, Reason.KILL_SWITCH, Mode.OFF)


def test_what_is_told_of_a_spec_that_cannot_be_read_is_short() -> None:
    [problem] = observe(an_entry(stages={"a": "b" * 100_000}), {}, CONFIG, NOW).problems
    assert problem.message.startswith("spec.stages: ")
    assert len(problem.message) < 300


def test_workers_remember_since_when_they_are_not_ready() -> None:
    entry = an_entry(workers=[{"profile": "orchestrator"}])
    name = deployment_name(entry.rollout, "orchestrator")
    [absent] = observe(entry, {}, CONFIG, NOW).workers
    assert (absent.desired, absent.ready, absent.since) == (None, 0, NOW)
    entry.deployments[name] = DeploymentSeen(name, "d", "1", "5f0c", "orchestrator", "h", desired=2, ready=1)
    [late] = observe(entry, {}, CONFIG, NOW + 5).workers
    assert (late.desired, late.ready, late.since) == (2, 1, NOW)
    entry.deployments[name] = replace(entry.deployments[name], ready=2)
    [ready] = observe(entry, {}, CONFIG, NOW + 9).workers
    assert ready.since is None
    entry.deployments[name] = replace(entry.deployments[name], ready=0)
    [again] = observe(entry, {}, CONFIG, NOW + 10).workers
    assert again.since == NOW + 10
