"""Values survive the journal to the last bit, and what is no value of the type is refused with its place."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.rollouts import complete
from veriramp_operator.api.rollout import GateSpec, RolloutSpec, WindowSpec
from veriramp_operator.api.status import RolloutStatus
from veriramp_operator.engine.types import (
    Announce,
    Decision,
    Latch,
    Observation,
    Problem,
    PropagationSeen,
    Published,
    PublishFlags,
    ReleaseFinalizer,
    Requests,
    RoleCount,
    ScaleWorkers,
    WorkerSeen,
)
from veriramp_operator.evidence.types import (
    Counts,
    Failure,
    Occupied,
    PushedAlert,
    Reading,
    RuleSeen,
    Samples,
    Series,
)
from veriramp_operator.resources.codec import PACKED, Undecodable, decode, encode
from veriramp_sdk.contract import Role

CASES = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
FLOATS = st.floats() | st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308])
WORDS = st.text(max_size=8)
LABELS = st.dictionaries(WORDS, WORDS, max_size=3)
NUMBERS = st.lists(FLOATS, max_size=4) | st.lists(FLOATS, min_size=32, max_size=40)
SERIES = st.builds(Series, NUMBERS.map(tuple), st.lists(LABELS, max_size=2).map(tuple))
ANSWERS = SERIES | st.builds(Failure, message=WORDS)
SOME = st.none() | ANSWERS
RULES = st.builds(RuleSeen, WORDS, WORDS, FLOATS, FLOATS, WORDS)
READINGS = st.builds(
    Reading,
    at=FLOATS,
    answer=ANSWERS,
    presence=SOME,
    newest=SOME,
    baseline=SOME,
    lower=SOME,
    upper=SOME,
    rules=st.none() | st.builds(Failure) | st.lists(RULES, max_size=2).map(tuple),
)
PUSHES = st.builds(PushedAlert, labels=LABELS)
COLUMN = st.lists(FLOATS, max_size=40).map(tuple)
COUNTS = st.builds(Counts, FLOATS, FLOATS, COLUMN, COLUMN, COLUMN, COLUMN, COLUMN, COLUMN)
SAMPLES = st.builds(
    Samples,
    readings=st.lists(READINGS, max_size=3).map(tuple),
    pushes=st.lists(PUSHES, max_size=2).map(tuple),
    scrape_interval=FLOATS | st.integers(),
    counts=st.none() | COUNTS,
    occupied=st.none() | st.builds(Occupied),
    external_labels=st.lists(WORDS, max_size=2).map(tuple),
)
SEEN = st.builds(
    Observation,
    requests=st.builds(Requests, st.none() | WORDS, st.none() | WORDS),
    published=st.none() | st.builds(Published, latch=st.none() | st.builds(Latch)),
    propagation=st.builds(
        PropagationSeen,
        roles=st.dictionaries(st.sampled_from(Role), st.builds(RoleCount)),
        observed_at=st.none() | FLOATS,
        laggards=st.lists(WORDS, max_size=2).map(tuple),
    ),
    samples=st.dictionaries(WORDS, SAMPLES, max_size=2),
    workers=st.lists(st.builds(WorkerSeen), max_size=2).map(tuple),
    problems=st.lists(st.builds(Problem), max_size=2).map(tuple),
    salts=st.tuples(WORDS, WORDS),
    max_ranking_weight=FLOATS,
)


def through_text(kind: Any, value: object) -> Any:
    text = json.dumps(encode(kind, value), allow_nan=False)
    again = decode(kind, json.loads(text))
    # repr tells nan from 0.0, 0.0 from -0.0 and 1 from 1.0, which == does not.
    assert repr(again) == repr(value)
    return again


@CASES
@given(SAMPLES)
def test_samples_come_back_exactly(samples: Samples) -> None:
    through_text(Samples, samples)


@CASES
@given(SEEN)
def test_an_observation_comes_back_exactly(seen: Observation) -> None:
    through_text(Observation, seen)


@st.composite
def statuses(draw: st.DrawFn) -> RolloutStatus:
    """A status of any values: validation is not asked, so that floats and texts may be wild."""
    fields: dict[str, Any] = {}
    for name, info in RolloutStatus.model_fields.items():
        kind: Any = info.annotation
        if draw(st.booleans()):
            fields[name] = draw(st.from_type(kind))
    return RolloutStatus.model_construct(**fields)


@CASES
@given(statuses())
def test_a_status_comes_back_exactly(status: RolloutStatus) -> None:
    through_text(RolloutStatus, status)


COMMANDS = st.one_of(
    st.builds(PublishFlags, latch=st.none() | st.builds(Latch)),
    st.builds(ScaleWorkers, WORDS, st.none() | st.integers()),
    st.builds(Announce),
    st.builds(ReleaseFinalizer),
)


@CASES
@given(st.builds(Decision, status=st.builds(RolloutStatus), commands=st.lists(COMMANDS, max_size=4).map(tuple)))
def test_a_decision_comes_back_exactly(decision: Decision) -> None:
    through_text(Decision, decision)


@CASES
@given(st.lists(FLOATS, max_size=100))
def test_a_column_of_any_length_comes_back_exactly(numbers: list[float]) -> None:
    series = Series(tuple(numbers))
    assert isinstance(encode(Series, series)["values"], str) == (len(numbers) >= 32)
    through_text(Series, series)


def test_long_columns_are_small() -> None:
    times = tuple(1_795_268_952.123 + 15.0 * tick for tick in range(2000))
    events = tuple(float(tick * 7919 % 300) for tick in range(2000))
    counts = Counts(times[0], times[-1], times, (15.0,) * 2000, events, events, events, events)
    through_text(Counts, counts)
    assert len(json.dumps(encode(Counts, counts))) < 0.25 * len(json.dumps([times, (15.0,) * 2000, *[events] * 4]))


def test_whole_numbers_in_a_column_stay_whole_numbers() -> None:
    through_text(Series, Series((*(float(n) for n in range(40)), 3)))


def test_what_has_its_default_is_left_out() -> None:
    assert encode(Samples, Samples()) == {}
    assert encode(Reading, Reading(1.0, Series((2.0,)))) == {"at": 1.0, "answer": {"values": [2.0]}}


def test_the_names_on_the_wire_are_those_of_the_api() -> None:
    window = WindowSpec.model_validate({"from": "09:00", "to": "16:00"})
    assert encode(WindowSpec, window) == {"from": "09:00", "to": "16:00"}
    gate = GateSpec.model_validate({"name": "a", "onRegression": "Shadow", "stepDown": "24h"})
    assert encode(GateSpec, gate) == {"name": "a", "onRegression": "Shadow", "stepDown": 86400.0}
    assert decode(GateSpec, encode(GateSpec, gate)) == gate


class Colour(StrEnum):
    RED = "Red"


@dataclass(frozen=True)
class Nested:
    colour: Colour
    answer: Series | Failure | None = None


@pytest.mark.parametrize(
    ("kind", "raw", "said"),
    [
        (Samples, [], ": '[]' is no Samples"),
        (Samples, {"readings": 1}, ".readings: '1' is no list of that length"),
        (Samples, {"readings": [{"answer": {"values": []}}]}, ".readings[0].at: a Reading needs it"),
        (Samples, {"scrape_interval": "soon"}, ".scrape_interval: 'soon' is no number"),
        (Samples, {"scrape_interval": None}, ".scrape_interval: 'None' is no float"),
        (Nested, {"colour": "Blue"}, ".colour: 'Blue' is not a valid"),
        (Nested, {"colour": "Red", "answer": {"kind": "Guess"}}, ".answer: kind 'Guess' is unknown; known are Series"),
        (Nested, {"colour": "Red", "answer": {"values": PACKED + "?"}}, ".answer.values: a packed column is damaged"),
        (Nested, {"colour": "Red", "answer": {"values": PACKED + "eJx"}}, ".answer.values: a packed column is damaged"),
        (Nested, {"colour": "Red", "answer": {"values": 3}}, ".answer.values: '3' is no list of numbers"),
    ],
)
def test_what_is_no_value_of_the_type_is_refused_with_its_place(kind: Any, raw: object, said: str) -> None:
    with pytest.raises(Undecodable) as refused:
        decode(kind, raw)
    assert said in str(refused.value)


def test_a_type_without_a_rule_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="a journal cannot hold"):
        encode(set[int], {1})


def test_a_spec_read_from_the_cluster_comes_back_equal() -> None:
    spec = RolloutSpec.model_validate(complete()["spec"])
    assert through_text(RolloutSpec, spec) == spec
