"""The circuit breaker: each transition, the bound on probes, and any history against a model."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from veriramp_workers.breaker import BreakerSettings, BreakerState, CircuitBreaker, Outcome, Permit, export_state
from veriramp_workers.ports import BreakerOpenError

CLOSED, HALF_OPEN, OPEN = BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN
# One letter is one call that ends at once, a number is time that passes.
LETTERS = {"s": Outcome.SUCCESS, "f": Outcome.FAILURE, "n": Outcome.NEUTRAL, "a": Outcome.ABANDONED}


class Time:
    """A clock that goes when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def a_breaker(clock: Time, settings: BreakerSettings | None = None, *, chance: float = 0.0) -> CircuitBreaker:
    return CircuitBreaker("hupyy_api", settings, clock=clock, chance=lambda: chance)


def play(story: str) -> BreakerState:
    clock = Time()
    breaker = a_breaker(clock)
    for step in story.split():
        if step.isdecimal():
            clock.now += float(step)
            continue
        for letter in step:
            breaker.admit().done(LETTERS[letter])
    return breaker.state


@pytest.mark.shows("S1-VER-07")
@pytest.mark.parametrize(
    ("story", "state"),
    [
        ("ssssssssss", CLOSED),
        ("ffff", CLOSED),
        ("fffff", OPEN),
        ("ffff s ffff", CLOSED),  # 8 of 9 failed, but fewer than the minimum are known and no five in a row
        ("ffff s ffff s f", OPEN),  # 9 of 11
        ("fs fs fs fs fs", CLOSED),  # half of ten, but it is a success that completes them
        ("fs fs fs fs sf", OPEN),
        ("sssssssssssssss fff s fff s fff", CLOSED),  # 9 of 20
        ("sssssssssssssss fff s fff s fff s f", OPEN),  # 10 of 20
        ("nnnnnnnnnnnnnnnnnnnn", CLOSED),
        ("ffff nnn f", OPEN),  # refusals of a text say nothing: these are still five in a row
        ("ffff aaa", CLOSED),
        ("fffff 59", OPEN),
        ("fffff 60", HALF_OPEN),
        ("fffff 60 s", HALF_OPEN),
        ("fffff 60 ss", CLOSED),
        ("fffff 60 nn", CLOSED),
        ("fffff 60 aaaa", HALF_OPEN),
        ("fffff 60 f", OPEN),
        ("fffff 60 sf", OPEN),
        ("fffff 60 f 60 ss", CLOSED),
        ("fffff 60 ss ffff", CLOSED),  # what was before the outage is forgotten
        ("fffff 60 ss ffff s f", CLOSED),
        ("fffff 60 ss fffff", OPEN),
    ],
)
def test_each_transition(story: str, state: BreakerState) -> None:
    assert play(story) is state


def test_open_it_refuses_and_says_for_how_long() -> None:
    clock = Time()
    breaker = a_breaker(clock, chance=0.5)
    for _ in range(5):
        breaker.admit().done(Outcome.FAILURE)
    clock.now += 3
    with pytest.raises(BreakerOpenError, match="breaker of hupyy_api is open; ask again in 60 s") as refused:
        breaker.admit()
    assert refused.value.retry_after == 60  # 60 s and half of the jitter of 6 s, of which 3 are over


@pytest.mark.shows("S1-VER-07")
async def test_of_many_at_once_only_the_probes_go_through() -> None:
    clock, gate, calls = Time(), asyncio.Event(), 0
    breaker = a_breaker(clock)
    for _ in range(5):
        breaker.admit().done(Outcome.FAILURE)
    clock.now += 60

    async def ask() -> str:
        nonlocal calls
        calls += 1
        await gate.wait()
        return "there"

    tasks = [asyncio.create_task(breaker.call(ask, neutral=lambda _: False)) for _ in range(20)]
    refused = await asyncio.gather(*tasks[2:], return_exceptions=True)
    assert [type(one) for one in refused] == [BreakerOpenError] * 18
    gate.set()
    assert await asyncio.gather(*tasks[:2]) == ["there", "there"]
    assert (calls, breaker.state) == (2, CLOSED)


def test_a_probe_that_succeeded_makes_no_room_for_another() -> None:
    clock = Time()
    breaker = a_breaker(clock)
    for _ in range(5):
        breaker.admit().done(Outcome.FAILURE)
    clock.now += 60
    breaker.admit().done(Outcome.SUCCESS)
    breaker.admit()
    with pytest.raises(BreakerOpenError, match="ask again in 5 s"):
        breaker.admit()


async def test_a_probe_that_is_given_up_makes_room_for_another() -> None:
    clock = Time()
    breaker = a_breaker(clock, BreakerSettings(probes=1))
    for _ in range(5):
        breaker.admit().done(Outcome.FAILURE)
    clock.now += 60
    started = asyncio.Event()

    async def hang() -> None:
        started.set()
        await asyncio.Event().wait()

    async def answer() -> None:
        return None

    probe = asyncio.create_task(breaker.call(hang, neutral=lambda _: False))
    await started.wait()
    with pytest.raises(BreakerOpenError):
        breaker.admit()
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    await breaker.call(answer, neutral=lambda _: False)
    assert breaker.state is CLOSED


async def test_exceptions_are_failures_and_come_through() -> None:
    breaker = a_breaker(Time(), BreakerSettings(failures=1))

    async def fail() -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await breaker.call(fail, neutral=lambda _: False)
    assert breaker.state is OPEN


async def test_a_neutral_result_is_not_counted() -> None:
    breaker = a_breaker(Time(), BreakerSettings(failures=1))

    async def refuse() -> int:
        return 422

    for _ in range(30):
        assert await breaker.call(refuse, neutral=lambda status: status == 422) == 422
    assert breaker.state is CLOSED


def test_what_began_before_the_outage_says_nothing_about_now() -> None:
    clock = Time()
    breaker = a_breaker(clock)
    early = [breaker.admit() for _ in range(3)]
    for _ in range(5):
        breaker.admit().done(Outcome.FAILURE)
    early[0].done(Outcome.SUCCESS)
    assert breaker.state is OPEN
    clock.now += 60
    probe = breaker.admit()
    early[1].done(Outcome.FAILURE)
    assert breaker.state is HALF_OPEN
    early[2].done(Outcome.SUCCESS)
    probe.done(Outcome.SUCCESS)
    assert breaker.state is HALF_OPEN


def test_only_the_first_word_counts() -> None:
    breaker = a_breaker(Time(), BreakerSettings(failures=2))
    permit = breaker.admit()
    permit.done(Outcome.FAILURE)
    permit.done(Outcome.FAILURE)
    assert breaker.state is CLOSED


@pytest.mark.shows("S1-VER-07")
def test_the_gauge_follows_also_when_nobody_calls() -> None:
    clock, registry = Time(), CollectorRegistry()
    breaker = a_breaker(clock)
    export_state(breaker, registry)

    def shown() -> float | None:
        return registry.get_sample_value("circuit_breaker_state", {"service": "hupyy_api"})

    assert shown() == 0
    for _ in range(5):
        breaker.admit().done(Outcome.FAILURE)
    assert shown() == 2
    clock.now += 60
    assert shown() == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"failures": 0},
        {"probes": 0},
        {"minimum": 0},
        {"window": 5},
        {"failure_rate": 0.0},
        {"open_seconds": 0.0},
        {"jitter": -1.0},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        BreakerSettings(**settings)  # type: ignore[arg-type]


# Small numbers, so that a short history goes through all states.
EAGER = BreakerSettings(failures=3, window=6, minimum=4)


@dataclass
class Model:
    """What the breaker of ``EAGER`` should do, written as the whole history and looked at afresh each time."""

    history: list[tuple[int, Outcome]] = field(default_factory=list)
    state: BreakerState = CLOSED
    era: int = 0
    until: float = 0.0
    open_probes: int = 0

    def turn(self, state: BreakerState) -> None:
        self.state, self.era, self.open_probes = state, self.era + 1, 0

    def admits(self, now: float) -> bool:
        if self.state is OPEN and now >= self.until:
            self.turn(HALF_OPEN)
        if self.state is HALF_OPEN:
            spent = sum(o in {Outcome.SUCCESS, Outcome.NEUTRAL} for era, o in self.history if era == self.era)
            return self.open_probes + spent < 2
        return self.state is CLOSED

    def ends(self, era: int, outcome: Outcome, now: float) -> None:
        self.history.append((era, outcome))
        if era != self.era:
            return
        mine = [o for e, o in self.history if e == self.era]
        if self.state is HALF_OPEN:
            self.open_probes -= 1
            if outcome is Outcome.FAILURE:
                self.turn(OPEN)
            elif sum(o in {Outcome.SUCCESS, Outcome.NEUTRAL} for o in mine) == 2:
                self.turn(CLOSED)
        else:
            counted = [o is Outcome.FAILURE for o in mine if o in {Outcome.SUCCESS, Outcome.FAILURE}][-6:]
            rate = len(counted) >= 4 and sum(counted) * 2 >= len(counted)
            if outcome is Outcome.FAILURE and (counted[-3:] == [True] * 3 or rate):
                self.turn(OPEN)
        if self.state is OPEN:
            self.until = now + 60


def admitted(breaker: CircuitBreaker) -> Permit | None:
    try:
        return breaker.admit()
    except BreakerOpenError:
        return None


STEPS = st.one_of(
    st.just("begin"),
    st.tuples(st.integers(0, 30), st.sampled_from([*Outcome, Outcome.FAILURE, Outcome.FAILURE])),
    st.sampled_from([1.0, 30.0, 60.0, 60.0]),
)


@given(st.lists(STEPS, max_size=120))
def test_any_history_goes_as_in_the_model(steps: list[str | float | tuple[int, Outcome]]) -> None:
    clock, model = Time(), Model()
    breaker = a_breaker(clock, EAGER)
    running: list[tuple[Permit, int]] = []
    for step in steps:
        if isinstance(step, float):
            clock.now += step
        elif isinstance(step, tuple):
            if running:
                permit, era = running.pop(step[0] % len(running))
                permit.done(step[1])
                model.ends(era, step[1], clock.now)
        else:
            permit_or_none = admitted(breaker)
            assert (permit_or_none is not None) is model.admits(clock.now)
            if permit_or_none is not None:
                running.append((permit_or_none, model.era))
                model.open_probes += model.state is HALF_OPEN
        expected = HALF_OPEN if model.state is OPEN and clock.now >= model.until else model.state
        assert breaker.state is expected
