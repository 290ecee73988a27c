"""The flag document: golden texts, who gets what, the lease, and the check before a rise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.flags import LIVE, OFF, SHADOW, a_document, a_request
from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.api.vector import Vector
from veriramp_operator.resources.flags import (
    DocumentRequest,
    FlagDocument,
    Owner,
    all_off,
    all_off_after,
    arm_at,
    build,
    canary_buckets,
    config_map,
    parse,
    safe_document,
    self_check,
    stamp,
)
from veriramp_sdk.bucket import bucket
from veriramp_sdk.contract import BUCKETS, Arm, Mode
from veriramp_sdk.document import read_document
from veriramp_sdk.evaluation import Evaluator

GOLDEN = Path(__file__).parents[1] / "golden" / "flags"
FAR = 2**40

vectors = st.builds(
    lambda mode, rate, percent, weight, top_k: (
        Vector(mode=mode, sampling_rate=rate, canary_percent=percent, ranking_weight=weight, top_k=top_k)
        .settled()
        .quantised()
    ),
    st.sampled_from(Mode),
    st.floats(0, 1),
    st.floats(0, 100),
    st.floats(0, 1),
    st.integers(0, 200),
)
names = st.text(st.characters(codec="utf-8", exclude_characters="."), min_size=1, max_size=20).filter(
    lambda name: name != "bucket"
)
requests = st.builds(
    lambda vector, lease, revision, include: a_request(
        vector=vector, lease_seconds=lease, revision=revision, include=tuple(include)
    ),
    vectors,
    st.sampled_from([0, 30, 240, 3600]),
    st.integers(1, 2**31),
    st.lists(st.tuples(names, names), max_size=3),
)


@pytest.mark.shows("S1-FLAG-01")
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("live", {}),
        ("shadow", {"vector": SHADOW}),
        ("off", {"vector": OFF}),
        ("live-without-lease", {"lease_seconds": 0}),
        ("everyone", {"vector": LIVE.model_copy(update={"canary_percent": 100.0}), "include": (), "exclude": ()}),
    ],
)
def test_golden_documents(name: str, changes: dict[str, Any]) -> None:
    """The text is a contract with every client: a difference here needs a line in the changelog."""
    golden = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    assert json.loads(a_document(**changes).text) == golden


@given(requests)
def test_every_document_passes_its_own_check_and_reads_back(request: DocumentRequest) -> None:
    document = build(request)
    assert self_check(document, None, request.vector) == ()
    assert parse({"flags.json": document.text}) == document
    assert build(request) == document


@given(requests, st.sampled_from([{}, *({"bucket": value} for value in (None, -1, True, False, "5", "x", 10_000))]))
@pytest.mark.shows("S1-AB-01")
def test_a_missing_bucket_is_off_in_every_class(request: DocumentRequest, attributes: dict[str, Any]) -> None:
    assert arm_at(build(request), attributes) is Arm.OFF


@given(st.floats(0, 100), st.floats(0, 100), st.integers(0, BUCKETS - 1))
@pytest.mark.shows("S1-AB-01")
def test_cohorts_only_grow_while_the_percent_grows(first: float, second: float, number: int) -> None:
    low, high = sorted((first, second))
    before = a_document(vector=LIVE.model_copy(update={"canary_percent": low}).quantised(), revision=1)
    after = a_document(vector=LIVE.model_copy(update={"canary_percent": high}).quantised(), revision=2)
    assert self_check(after, before, after.vector) == ()
    if arm_at(before, {"bucket": number}) is Arm.TREATMENT:
        assert arm_at(after, {"bucket": number}) is Arm.TREATMENT


@pytest.mark.shows("S1-FLAG-06", "S1-CAN-04", "S1-TRIG-02")
@given(vectors, st.text(min_size=1), st.text(min_size=1))
def test_ranking_changes_for_treatment_in_live_mode_only(vector: Vector, user: str, query: str) -> None:
    """Weight reaches nobody in Off and Shadow, nobody in control, and is never above the vector's."""
    document = a_document(vector=vector)
    evaluator = Evaluator("verification")
    evaluator.apply(read_document(stamp(document, FAR), "verification"))
    decision = evaluator.decide(user, query)
    treated = vector.mode is Mode.LIVE and bucket(document.salt, user) < canary_buckets(vector)
    assert decision.weight == (vector.ranking_weight if treated else 0)
    assert decision.mode is vector.mode
    assert decision.verify == (
        vector.mode is not Mode.OFF and bucket(document.sample_salt, query) < round(vector.sampling_rate * BUCKETS)
    )
    if vector.mode is Mode.SHADOW:
        assert decision.arm is Arm.CONTROL


@given(requests)
def test_an_unstamped_document_with_a_lease_is_off(request: DocumentRequest) -> None:
    document = build(replace(request, lease_seconds=240))
    evaluator = Evaluator("verification")
    evaluator.apply(read_document(document.text, "verification"))
    assert evaluator.decide("user-1", "q", {"group": "staff"}).mode is Mode.OFF
    assert evaluator.settings("orchestrator").mode is Mode.OFF


def test_the_content_hash_leaves_the_lease_out() -> None:
    document = a_document()
    stamped = parse({"flags.json": stamp(document, 1_900_000_000)})
    assert stamped.text != document.text
    assert a_document().content_hash == document.content_hash
    assert stamp(stamped, 0) == document.text


def _without_guard(document: FlagDocument) -> str:
    raw = json.loads(document.text)
    flag = raw["flags"]["verification"]
    flag["targeting"]["if"][1] = {"if": [{"<": [{"var": "bucket"}, 2500]}, "treatment", "control"]}
    return json.dumps(raw)


def _edited(document: FlagDocument, **flag: Any) -> str:
    raw = json.loads(document.text)
    raw["flags"]["verification"].update(flag)
    return json.dumps(raw)


@pytest.mark.parametrize(
    ("why", "spoil", "words"),
    [
        ("a bare comparison", _without_guard, "without a valid bucket"),
        ("no lease rule", lambda d: _edited(d, targeting={"if": [True, "control", "off"]}), "on without a lease"),
        ("an unknown field", lambda d: _edited(d, colour="red"), "refuse the document as a whole"),
        ("on by default", lambda d: _edited(d, defaultVariant="treatment", targeting={}), "on without a lease"),
        (
            "an unknown variant",
            lambda d: _edited(d, targeting={"if": [True, "nobody", "off"]}),
            "bucket 0 gets {} instead",
        ),
        ("other settings", lambda d: d.text.replace('"sampleSalt":"00', '"sampleSalt":"ff'), "settings flag gives"),
        ("no text at all", lambda _: "{", "refuse the document as a whole"),
    ],
)
def test_the_check_finds_what_is_wrong(why: str, spoil: Any, words: str) -> None:
    document = a_document()
    problems = self_check(replace(document, text=spoil(document)), None, document.vector)
    assert any(words in problem for problem in problems), (why, problems)


def test_the_check_looks_back() -> None:
    before = a_document(revision=5)
    assert self_check(a_document(revision=6), before, LIVE) == ()
    narrower = LIVE.model_copy(update={"canary_percent": 5.0})
    assert self_check(a_document(revision=6, vector=narrower), before, narrower) == (), "users may leave in a fall"
    assert "does not follow 5" in self_check(a_document(revision=5), before, LIVE)[0]
    assert "dealt anew" in self_check(a_document(revision=6, salt="other"), before, LIVE)[0]
    assert self_check(a_document(revision=1, uid="new object"), before, LIVE) == ()
    assert "not for" in self_check(a_document(revision=6, vector=SHADOW), before, LIVE)[0]
    excluding = replace(a_document(revision=6), text=_edited(a_document(revision=6), targeting={}))
    assert any("leaves the treatment" in problem for problem in self_check(excluding, before, LIVE))


def test_a_fall_is_never_checked_away() -> None:
    good = a_request(vector=SHADOW)
    assert safe_document(good) == build(good)
    malformed = a_request(worker_settings={"orchestrator": {"rate": float("nan")}})
    assert safe_document(malformed) == all_off(malformed)
    assert all_off(malformed).vector.mode is Mode.OFF
    assert self_check(all_off(malformed), None, all_off(malformed).vector) == ()


def test_further_flags_in_a_document_do_no_harm() -> None:
    raw = json.loads(a_document().text)
    raw["flags"] = {"another": raw["flags"]["verification"], **raw["flags"]}
    assert parse({"flags.json": json.dumps(raw)}).key == "verification"


def test_after_a_deleted_document_comes_everything_off_at_the_next_revision() -> None:
    document = a_document(revision=41)
    after = all_off_after(document)
    assert (after.uid, after.revision, after.vector.mode) == (document.uid, 42, Mode.OFF)
    assert (after.salt, after.key) == (document.salt, document.key)


def test_the_config_map() -> None:
    document = a_document(revision=3)
    rendered = config_map(document, Owner("veriramp.dev/v1alpha1", "VerificationRollout", "demo", "5f0c"), "Fall", "{}")
    metadata = rendered["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("demo-flags", "search")
    assert metadata["labels"] == {"veriramp.dev/flags": "true"}
    assert metadata["annotations"] == {
        "veriramp.dev/uid": "5f0c",
        "veriramp.dev/revision": "3",
        "veriramp.dev/content-hash": document.content_hash,
        "veriramp.dev/direction": "Fall",
        "veriramp.dev/latch": "{}",
    }
    assert metadata["ownerReferences"][0]["blockOwnerDeletion"] is False
    assert parse(rendered["data"]) == document
    assert (
        "veriramp.dev/latch" not in config_map(document, Owner("a", "b", "c", "d"), "Rise")["metadata"]["annotations"]
    )


@pytest.mark.parametrize(
    "data", [{}, {"flags.json": "{"}, {"flags.json": "{}"}, {"flags.json": '{"flags":{},"metadata":{}}'}]
)
def test_what_is_not_ours_is_refused_with_a_reason(data: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"flags\.json"):
        parse(data)


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("revision", 1e400, "revision"),
        ("revision", 10**300, "revision"),
        ("revision", -1, "revision"),
        ("leaseSeconds", 10**400, "leaseSeconds"),
        ("rankingWeight", float("nan"), "out of range"),
        ("canaryPercent", 1e308, "out of range"),
        ("topK", -1, "out of range"),
    ],
)
def test_numbers_that_somebody_else_wrote_never_reach_our_arithmetic(part: str, value: float, words: str) -> None:
    raw = json.loads(a_document(vector=LIVE).text)
    place = raw["metadata"] if part in raw["metadata"] else raw["flags"]["verification-settings"]["variants"]["on"]
    place[part] = value
    with pytest.raises(ConfigurationError, match=words):
        parse({"flags.json": json.dumps(raw)})


@pytest.mark.parametrize("levels", [40, 400, 100_000])
def test_a_document_nested_without_end_is_refused(levels: int) -> None:
    text = a_document(vector=LIVE).text.removesuffix("}") + f',"deep":{"[" * levels}{"]" * levels}}}'
    with pytest.raises(ConfigurationError, match=r"nested|recursion"):
        parse({"flags.json": text})
