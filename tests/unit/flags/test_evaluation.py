"""The decision in a process: off in any doubt, one document at a time, remembered answers that are never stale."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from tests.support.flags import LIVE, OFF, SHADOW, a_document
from veriramp_operator.resources.flags import stamp
from veriramp_sdk.bucket import bucket
from veriramp_sdk.contract import Arm, Mode
from veriramp_sdk.decision import FlagState, WorkerSettings
from veriramp_sdk.document import DocumentError, read_document
from veriramp_sdk.evaluation import Evaluator
from veriramp_sdk.flags import Flags

FAR = 2**40


class Clock:
    def __init__(self) -> None:
        self.now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


def an_evaluator(clock: Clock | None = None, until: int = FAR, **changes: Any) -> Evaluator:
    evaluator = Evaluator("verification", clock or Clock())
    assert evaluator.apply(read_document(stamp(a_document(**changes), until), "verification"))
    return evaluator


@given(st.text(), st.text())
def test_without_a_document_it_is_off(user: str, query: str) -> None:
    decision = Evaluator("verification").decide(user, query)
    assert (decision.mode, decision.arm, decision.verify, decision.weight) == (Mode.OFF, Arm.OFF, False, 0)


@given(st.text(min_size=1), st.text())
def test_the_answer_is_the_documents_also_the_second_time(user: str, query: str) -> None:
    evaluator = an_evaluator()
    first = evaluator.decide(user, query)
    number = bucket(a_document().salt, user)
    assert first.arm is (Arm.TREATMENT if number < 2_500 else Arm.CONTROL)
    assert evaluator.decide(user, query) == first


@pytest.mark.shows("S1-AB-01")
def test_without_a_user_it_is_off() -> None:
    assert an_evaluator().decide("", "q", {"group": "staff"}).mode is Mode.OFF


def test_without_a_query_nothing_is_verified() -> None:
    evaluator = an_evaluator(vector=LIVE.model_copy(update={"sampling_rate": 1.0}))
    assert evaluator.decide("user-1", "q").verify
    assert not evaluator.decide("user-1", "").verify


def test_attributes_decide_before_the_bucket() -> None:
    evaluator = an_evaluator()
    user = next(str(number) for number in range(1000) if evaluator.decide(str(number), "q").arm is Arm.CONTROL)
    assert evaluator.decide(user, "q", {"group": "staff"}).arm is Arm.FORCED
    assert evaluator.decide(user, "q", {"group": "staff", "tenant": "regulated"}).arm is Arm.EXCLUDED
    assert evaluator.decide(user, "q", {"group": "guest", "colour": "red"}).arm is Arm.CONTROL
    assert evaluator.decide(user, "q", {"bucket": 0}).arm is Arm.CONTROL, "the bucket is ours"
    excluded = evaluator.decide(user, "q", {"tenant": "regulated"})
    assert (excluded.mode, excluded.weight, excluded.verify) == (Mode.OFF, 0, False)


def test_the_lease_ends_remembered_answers_too() -> None:
    clock = Clock()
    evaluator = an_evaluator(clock, until=FAR)
    clock.now = FAR - 0.125
    assert evaluator.decide("user-1", "q").mode is Mode.LIVE
    assert evaluator.lease_remaining() == 0.125
    clock.now = FAR
    assert evaluator.decide("user-1", "q").mode is Mode.OFF
    assert evaluator.state() == FlagState("5f0c", 1)
    assert evaluator.settings("orchestrator") == WorkerSettings(
        Mode.OFF, revision=1, values={"maxConcurrentVerifications": 10}
    )


def test_a_new_document_ends_remembered_answers() -> None:
    evaluator = an_evaluator(vector=LIVE.model_copy(update={"canary_percent": 100.0}))
    assert evaluator.decide("user-1", "q").arm is Arm.TREATMENT
    evaluator.apply(read_document(stamp(a_document(revision=2, vector=SHADOW), FAR), "verification"))
    assert (evaluator.decide("user-1", "q").arm, evaluator.decide("user-1", "q").revision) == (Arm.CONTROL, 2)
    evaluator.forget()
    assert evaluator.decide("user-1", "q").mode is Mode.OFF


def test_a_lower_revision_is_refused_unless_the_rollout_is_another() -> None:
    evaluator = an_evaluator(revision=5)
    assert not evaluator.apply(read_document(stamp(a_document(revision=4), FAR), "verification"))
    assert evaluator.apply(read_document(stamp(a_document(revision=5), FAR + 1), "verification"))
    assert evaluator.apply(read_document(stamp(a_document(revision=1, uid="other"), FAR), "verification"))


def test_a_lower_revision_stays_refused_after_a_document_in_doubt() -> None:
    evaluator = an_evaluator(revision=5)
    evaluator.forget()
    assert not evaluator.apply(read_document(stamp(a_document(revision=4), FAR), "verification"))
    assert evaluator.decide("user-1", "q").mode is Mode.OFF
    assert evaluator.apply(read_document(stamp(a_document(revision=5), FAR), "verification"))


def test_occupied_buckets_follow_the_cohorts() -> None:
    evaluator = an_evaluator()
    for number in range(300):
        evaluator.decide(f"user-{number}", "q")
    seen = {arm: evaluator.occupied(arm) for arm in (Arm.TREATMENT, Arm.CONTROL)}
    assert sum(seen.values()) == len({bucket(a_document().salt, f"user-{number}") for number in range(300)})
    evaluator.apply(read_document(stamp(a_document(revision=2), FAR + 60), "verification"))
    assert evaluator.occupied(Arm.TREATMENT) == seen[Arm.TREATMENT], "a new stamp or revision deals nobody anew"
    wider = LIVE.model_copy(update={"canary_percent": 50.0})
    evaluator.apply(read_document(stamp(a_document(revision=3, vector=wider), FAR), "verification"))
    assert evaluator.occupied(Arm.TREATMENT) == 0


def test_settings_are_typed() -> None:
    settings = an_evaluator(worker_settings={"w": {"many": 3, "share": 0.5, "name": "x", "fast": True}}).settings("w")
    assert (settings.integer("many", 1), settings.number("share", 0.1), settings.number("many", 0.1)) == (3, 0.5, 3.0)
    assert (settings.text("name", ""), settings.truth("fast", False)) == ("x", True)
    assert (settings.integer("fast", 7), settings.text("many", "d"), settings.truth("gone", True)) == (7, "d", True)


def _spoil(change: Any) -> str:
    raw = json.loads(stamp(a_document(), FAR))
    change(raw)
    return json.dumps(raw)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "malformed"),
        ("[]", "malformed"),
        ('{"flags":{}}', "no document of this rollout"),
        (_spoil(lambda raw: raw["metadata"].update(revision=2)), "different revisions"),
        (_spoil(lambda raw: raw["metadata"].pop("uid")), "malformed"),
        (_spoil(lambda raw: raw["metadata"].update(revision=True)), "whole number"),
        (_spoil(lambda raw: raw["flags"]["verification"].update(colour="red")), "malformed"),
        (_spoil(lambda raw: raw["flags"].pop("verification-settings")), "no flag"),
    ],
)
def test_a_document_in_doubt_is_refused(text: str, words: str) -> None:
    with pytest.raises(DocumentError, match=words):
        read_document(text, "verification")


@pytest.mark.shows("S1-FLAG-07")
@pytest.mark.parametrize(
    "value",
    [
        {"rankingWeight": 1.5},
        {"samplingRate": -0.1},
        {"mode": "Everything"},
        {"arm": "somebody"},
        {"topK": "many"},
    ],
)
def test_a_value_out_of_range_is_never_used(value: dict[str, Any]) -> None:
    text = _spoil(lambda raw: [each.update(value) for each in raw["flags"]["verification"]["variants"].values()])
    evaluator = Evaluator("verification", Clock())
    evaluator.apply(read_document(text, "verification"))
    with pytest.raises((DocumentError, ValueError)):
        evaluator.decide("user-1", "q")


@pytest.mark.parametrize(
    ("url", "rollout", "words"),
    [
        ("localhost:1", "demo", 'write "namespace/name"'),
        ("localhost:1", "a/b/c", 'write "namespace/name"'),
        ("http://localhost:1", "a/b", "grpc://host:port"),
        ("", "a/b", "grpc://host:port"),
        ("flagserver", "a/b", "write host:port"),
        ("flagserver:grpc", "a/b", "write host:port"),
        ("flagserver:80150", "a/b", "write host:port"),
        ("flagserver:0", "a/b", "write host:port"),
    ],
)
def test_a_wrong_address_is_told_at_once(url: str, rollout: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Flags(url, rollout, registry=CollectorRegistry())


def test_a_wrong_key_is_told_with_those_that_there_are() -> None:
    with pytest.raises(DocumentError, match=r'no flag "demo" with .* it has verification'):
        read_document(a_document().text, "demo")


def test_closed_flags_are_off_and_nothing_raises() -> None:
    flags = Flags("127.0.0.1:1", "search/demo", registry=CollectorRegistry())
    flags.close()
    flags.close()
    assert flags.decide("user-1", "q").mode is Mode.OFF
    assert flags.state() == FlagState()
    assert flags.settings("x").mode is Mode.OFF
    flags.observe(flags.decide("user-1", "q"), 0.1)


@given(
    st.sampled_from([LIVE, SHADOW, OFF]),
    st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.booleans(), st.floats())),
)
def test_any_attributes_are_bearable(vector: Any, attributes: dict[str, Any]) -> None:
    assert an_evaluator(vector=vector).decide("user-1", "q", attributes).mode is vector.mode
