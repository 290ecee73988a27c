"""The ``comparison`` gate: from counts to a verdict that an engineer on call understands."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.evidence import comparison_gate
from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.rollout import GateSpec
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.evidence import VerdictReason, judge
from veriramp_operator.evidence.counts import TRIAL_SECONDS, extend
from veriramp_operator.evidence.types import Answer, Counts, Failure, Occupied, Reading, Samples, Series, Trial, Verdict

NOW = 1_700_100_000.0
SCRAPE = 15.0
HOUR = 3600.0


def counted(
    treatment: float = 0.01,
    control: float = 0.01,
    *,
    seconds: float = HOUR,
    rps: float = 40.0,
    seed: int = 1,
    worse_since: float = -1e12,
    before: float = 0.01,
) -> Counts:
    """Counts of half and half, up to now; the treatment fails at ``before`` until ``worse_since``."""  # fmt: skip
    rng, requests, rows = random.Random(seed), int(rps * SCRAPE / 2), []
    for index in range(int(seconds / SCRAPE)):
        at = NOW - seconds + SCRAPE * (index + 1)
        share = treatment if at > worse_since else before
        events = [float(sum(rng.random() < rate for _ in range(requests))) for rate in (share, control)]
        rows.append((at, SCRAPE, events[0], float(requests), events[1], float(requests)))
    return extend(Counts(NOW - seconds, NOW - seconds), rows, NOW, SCRAPE)


SAME = counted()
WORSE = counted(treatment=0.03)
USERS = Occupied(NOW - 5, 2000, 2000)
FULL = Trial(50.0, NOW - HOUR, NOW - HOUR, 2 * HOUR)


def samples(
    counts: Counts | None = SAME, answer: Answer | None = None, *, age: float = 5.0, occupied: Occupied | None = USERS
) -> Samples:
    poll = Reading(NOW - 1, answer or Series(()), newest=Series((NOW - 1 - age,)))
    return Samples((poll,), counts=counts, occupied=occupied)


def gate(**fields: object) -> GateSpec:
    return comparison_gate(**{"tolerance": 0.5, **fields})


def verdict(
    found: Samples, trial: Trial = FULL, since: float | None = None, now: float = NOW, **fields: object
) -> Verdict:
    return judge(gate(**fields), found, now, since, trial)


REFUSED = Failure(NoDataReason.REFUSED, "nobody there")
ABSENT = Failure(NoDataReason.NOT_YET_EXPOSED, "errors has no series")
YOUNG = Trial(50.0, NOW - 20, None, HOUR)


@pytest.mark.parametrize(
    ("what", "found", "trial", "kind", "reason", "says"),
    [
        ("no arms", samples(), Trial(0.0), VerdictKind.NOT_APPLICABLE, "NoArms", "0 % of the users"),
        ("no control", samples(), Trial(100.0), VerdictKind.NOT_APPLICABLE, "NoArms", "100 % of the users"),
        ("not confirmed yet", samples(), Trial(50.0), VerdictKind.INCONCLUSIVE, "WarmingUp", "is confirmed"),
        ("never asked", Samples(), FULL, VerdictKind.NO_DATA, "NeverAsked", "not been asked"),
        ("a stage that has just begun", Samples(), YOUNG, VerdictKind.INCONCLUSIVE, "WarmingUp", "still to come"),
        ("just begun, no series", samples(None, ABSENT), YOUNG, VerdictKind.INCONCLUSIVE, "WarmingUp", "still to come"),
        ("just begun, but refused", samples(None, REFUSED), YOUNG, VerdictKind.NO_DATA, "Refused", "nobody there"),
        ("refused", samples(SAME, REFUSED), FULL, VerdictKind.NO_DATA, "Refused", "nobody there"),
        ("an arm not exported", samples(SAME, ABSENT), FULL, VerdictKind.NO_DATA, "NotYetExposed", "no series"),
        ("too old", samples(age=60), FULL, VerdictKind.NO_DATA, "TooOld", "last scraped 1m ago, more than 45s"),
        ("history", samples(replace(SAME, until=NOW - 900)), FULL, VerdictKind.NO_DATA, "CatchingUp",
         "45m of 1h are read"),
        ("a trial to come: the clock went back", samples(), replace(FULL, began_at=NOW + 900), VerdictKind.NO_DATA,
         "CatchingUp", "counting goes on in 15m"),
        ("counts of the future: the clock went back", samples(replace(SAME, until=NOW + 300)), FULL,
         VerdictKind.NO_DATA, "CatchingUp", "counting goes on in 5m"),
        ("worse, before the clock went back", samples(replace(WORSE, until=NOW + 300)), FULL, VerdictKind.REGRESSION,
         "Breach", "%"),
        ("same", samples(), FULL, VerdictKind.PASS, "Healthy", "surely within what is tolerated (up to 50 % more"),
        ("worse", samples(WORSE), FULL, VerdictKind.REGRESSION, "Breach", "up to 50 % more is tolerated"),
        ("on the ramp", samples(), replace(FULL, full_at=None), VerdictKind.INCONCLUSIVE, "Uncertain", "on the ramp"),
        ("worse on the ramp", samples(WORSE), replace(FULL, full_at=None), VerdictKind.REGRESSION, "Breach", "%"),
        ("a bake that has just begun", samples(), replace(FULL, full_at=NOW - 60), VerdictKind.INCONCLUSIVE,
         "Uncertain", "not sure yet"),
        ("few users", samples(occupied=Occupied(NOW, 150, 2000)), FULL, VerdictKind.INCONCLUSIVE, "Uncertain",
         "about 152 of 200 users (minUsers) in the treatment"),
        ("unknown users", samples(occupied=None), FULL, VerdictKind.INCONCLUSIVE, "Uncertain", "write minUsers: 0"),
        ("all buckets occupied", samples(occupied=Occupied(NOW, 5000, 5000)), FULL, VerdictKind.PASS, "Healthy", ""),
    ],
)  # fmt: skip
def test_verdicts(what: str, found: Samples, trial: Trial, kind: VerdictKind, reason: str, says: str) -> None:
    answer = verdict(found, trial)
    assert (answer.kind, str(answer.reason)) == (kind, reason), (what, answer)
    assert says in answer.message, what


@pytest.mark.parametrize("until", [NOW, NOW - 60])
@pytest.mark.parametrize(("counts", "kind"), [(SAME, VerdictKind.NO_DATA), (WORSE, VerdictKind.REGRESSION)])
def test_a_history_is_no_pass_before_somebody_has_looked_whether_both_arms_are_still_there(
    counts: Counts, kind: VerdictKind, until: float
) -> None:
    """Found on walks: the last piece of a history reached nearly to now, and a step was taken though an arm was NaN."""
    history = replace(samples(replace(counts, until=until)), readings=(Reading(NOW - 1, Series(())),))
    assert verdict(history).kind is kind
    assert verdict(history, replace(FULL, full_at=None)).kind is kind


@pytest.mark.parametrize(
    ("fields", "scrape", "old", "known"),
    [
        ({}, 15.0, 90.0, True),
        ({}, 15.0, 91.0, False),
        ({}, 60.0, 240.0, True),
        ({}, 60.0, 241.0, False),
        ({"every": "60s"}, 15.0, 360.0, True),
        ({"every": "60s"}, 15.0, 361.0, False),
        ({"maxAge": "10m"}, 15.0, 1200.0, True),
        ({"maxAge": "10m"}, 15.0, 1201.0, False),
        ({"minUsers": 0}, 15.0, 1e6, True),
        ({}, 15.0, -30.0, True),
    ],
)
def test_users_are_known_for_as_long_as_counts_are(
    fields: dict[str, object], scrape: float, old: float, known: bool
) -> None:
    """Twice ``maxAge``; who was there before that is no reason to promote."""
    found = replace(samples(occupied=replace(USERS, at=NOW - old)), scrape_interval=scrape)
    answer = judge(gate(**fields), found, NOW, None, FULL)
    assert answer.kind is (VerdictKind.PASS if known else VerdictKind.INCONCLUSIVE), answer
    assert ("users are not known" in answer.message) is not known


def test_what_is_known_of_the_users_never_hides_a_regression() -> None:
    assert verdict(samples(WORSE, occupied=replace(USERS, at=NOW - 1e6))).kind is VerdictKind.REGRESSION


def test_requests_and_users_are_needed_for_a_pass_only() -> None:
    few = verdict(samples(), minRequests=100_000)
    assert few.kind is VerdictKind.INCONCLUSIVE
    assert "72000 of 100000 requests (minRequests) in the treatment" in few.message
    assert verdict(samples(occupied=None), minUsers=0).kind is VerdictKind.PASS
    assert verdict(samples(WORSE, occupied=None), minRequests=10**9).kind is VerdictKind.REGRESSION


@pytest.mark.parametrize(("control", "kind"), [(3000, VerdictKind.INCONCLUSIVE), (9980, VerdictKind.PASS)])
def test_a_few_buckets_that_are_all_occupied_are_not_many_users(control: int, kind: VerdictKind) -> None:
    answer = verdict(samples(occupied=Occupied(NOW, 50, control)), replace(FULL, percent=0.5))
    assert answer.kind is kind, answer.message
    if kind is VerdictKind.INCONCLUSIVE:
        assert "about 18 of 200 users (minUsers) in the treatment" in answer.message


def test_a_regression_names_rates_ratio_time_and_test() -> None:
    late = verdict(samples(counted(treatment=0.05, worse_since=NOW - 600)))
    assert late.kind is VerdictKind.REGRESSION
    pattern = (
        r"errors per requests: \S+ % in the treatment, \S+ % in the control \(\S+ times\) over the last 1\dm; "
        r"up to 50 % more is tolerated \(by the (ratio|interval) test; "
        r"at most 5 % of healthy stages are stopped wrongly\)"
    )
    assert re.fullmatch(pattern, late.message), late.message
    assert late.breached_at == pytest.approx(NOW - 600, abs=300)
    assert late.value == pytest.approx(5, rel=0.3)
    assert late.observed_at == NOW


def test_inconclusive_tells_the_smallest_effect() -> None:
    answer = verdict(samples(counted(seconds=900)), Trial(50.0, NOW - 900, NOW - 900, HOUR), tolerance=0.1)
    assert answer.kind is VerdictKind.INCONCLUSIVE
    assert re.search(r"the smallest change that this stage can still show is \d+(\.\d+)? %", answer.message)


def test_what_leans_bad_shows_the_window_in_which_it_does() -> None:
    # A treatment that was better for most of the stage, so that the whole of it looks alike.
    late = counted(treatment=0.02, before=0.0095, worse_since=NOW - 900, rps=20, control=0.0125)
    answer = verdict(samples(late), tolerance=0.1)
    assert (answer.kind, answer.leans_bad) == (VerdictKind.INCONCLUSIVE, True), answer
    seen = re.search(r"\((\S+) times\) over the last 15m; it leans bad, but that can be chance", answer.message)
    assert seen, answer.message
    assert float(seen[1]) > 1.1
    assert answer.value == pytest.approx(float(seen[1]), rel=0.01)
    assert answer.sample_size == 900 * 20


def test_what_leans_bad_of_late_does_not_pass_by_its_good_past() -> None:
    late = counted(treatment=0.02, before=0.004, worse_since=NOW - 900, rps=20, control=0.0125, seed=4)
    answer = verdict(samples(late), tolerance=0.1)
    assert (answer.kind, answer.leans_bad) == (VerdictKind.INCONCLUSIVE, True), answer


def test_higher_can_be_better() -> None:
    fewer_clicks = counted(treatment=0.1, control=0.3)
    answer = verdict(samples(fewer_clicks), direction="HigherIsBetter", tolerance=0.1)
    assert answer.kind is VerdictKind.REGRESSION
    assert "up to 10 % less is tolerated" in answer.message
    assert verdict(samples(fewer_clicks), tolerance=0.1).kind is VerdictKind.PASS


def test_what_came_before_an_anchor_neither_passes_nor_trips() -> None:
    healed = counted(treatment=0.01, before=0.05, worse_since=NOW - 1800)
    assert verdict(samples(healed)).kind is VerdictKind.REGRESSION
    after = verdict(samples(healed), since=NOW - 1800)
    assert after.kind in (VerdictKind.PASS, VerdictKind.INCONCLUSIVE)
    coming = verdict(samples(), since=NOW + 1)
    assert (coming.kind, coming.reason) == (VerdictKind.INCONCLUSIVE, VerdictReason.WARMING_UP)


def test_a_guard_begins_anew_every_thirty_days() -> None:
    began = NOW - TRIAL_SECONDS - 300
    old = Trial(50.0, began, began, HOUR)
    assert verdict(samples(WORSE), old).kind is not VerdictKind.PASS
    assert "72000" not in verdict(samples(), old, minRequests=10**6).message, "only 5 minutes belong to the new budget"


def test_a_guard_of_more_than_thirty_days_still_finds_what_is_worse() -> None:
    began = NOW - TRIAL_SECONDS - HOUR
    assert verdict(samples(WORSE), Trial(50.0, began, began, HOUR)).kind is VerdictKind.REGRESSION


def test_what_is_neither_good_nor_bad_leans_nowhere_and_tells_when_it_was_seen() -> None:
    passing, ramping = verdict(samples()), verdict(samples(), replace(FULL, full_at=None))
    assert (passing.kind, passing.leans_bad, passing.observed_at) == (VerdictKind.PASS, False, NOW)
    assert (ramping.kind, ramping.leans_bad, ramping.observed_at) == (VerdictKind.INCONCLUSIVE, False, NOW)
    assert verdict(samples(SAME, REFUSED)).observed_at == NOW - 1


def test_a_regression_outlives_the_metrics_that_it_took_along() -> None:
    good = Reading(NOW - 16, Series(()), newest=Series((NOW - 20,)))
    gone = Reading(NOW - 1, REFUSED)
    assert verdict(Samples((good, gone), counts=WORSE)).kind is VerdictKind.REGRESSION
    assert verdict(Samples((good, gone), counts=SAME)).kind is VerdictKind.NO_DATA
    for ago, kind in ((37.5, VerdictKind.REGRESSION), (37.6, VerdictKind.NO_DATA)):  # two and a half polls
        assert verdict(Samples((replace(good, at=NOW - ago), gone), counts=WORSE)).kind is kind


def test_the_same_counts_are_judged_once() -> None:
    found, asking = samples(), gate()
    assert judge(asking, found, NOW, None, FULL) is judge(asking, replace(found), NOW, None, FULL)
    assert judge(asking, replace(found, occupied=None), NOW, None, FULL).kind is VerdictKind.INCONCLUSIVE


amounts = st.floats(0, 1e6) | st.sampled_from([0.0, 1.0, 1e300])
rows = st.tuples(amounts, amounts, amounts, amounts)


@given(
    st.lists(rows, max_size=40),
    st.floats(-100, 1e5),
    st.none() | st.floats(NOW - 7200, NOW + 100),
    st.floats(0, 100),
    st.sampled_from([0.0, 0.1, 10.0]),
    st.sampled_from(["LowerIsBetter", "HigherIsBetter"]),
)
def test_judging_is_total_and_repeatable(
    cells: list[tuple[float, float, float, float]],
    ago: float,
    since: float | None,
    percent: float,
    tolerance: float,
    direction: str,
) -> None:
    start = NOW - SCRAPE * len(cells)
    intervals = [(start + SCRAPE * (index + 1), SCRAPE, *cell) for index, cell in enumerate(cells)]
    counts = extend(Counts(start, start), intervals, NOW, SCRAPE)
    trial = Trial(percent, NOW - ago, NOW - ago / 2, HOUR)
    first, again = (
        verdict(samples(replace(counts)), trial, since, tolerance=tolerance, direction=direction) for _ in range(2)
    )
    assert first == again
    if since is not None and since > NOW:
        assert first.kind not in (VerdictKind.PASS, VerdictKind.REGRESSION)


@given(st.integers(0, 10**6))
def test_what_the_counts_said_before_the_stage_changes_nothing(seed: int) -> None:
    rng = random.Random(seed)
    past = [
        (NOW - HOUR - SCRAPE * index, SCRAPE, rng.random(), 100 * rng.random(), rng.random(), 100 * rng.random())
        for index in range(40, -1, -1)
    ]
    totals = (SAME.treatment_events, SAME.treatment_total, SAME.control_events, SAME.control_total)
    recent = list(zip(SAME.at, SAME.seconds, *totals, strict=True))
    longer = extend(Counts(NOW - 2 * HOUR, NOW - 2 * HOUR), [*past, *recent], NOW, SCRAPE)
    assert verdict(samples(longer)).kind is verdict(samples()).kind


def test_while_only_history_is_read_there_is_no_newest_sample_and_the_counts_speak() -> None:
    poll = Reading(NOW - 1, Series(()), newest=Series(()))
    seen = Samples((poll,), counts=SAME, occupied=USERS)
    assert judge(gate(), seen, NOW, trial=FULL) == judge(gate(), samples(), NOW, trial=FULL)
