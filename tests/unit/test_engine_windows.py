"""Windows: rises only inside them, on the clocks of their own time zones; falls always."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import World, a_ladder, a_running, regresses
from tests.support.engine_acts import stage_of
from veriramp_operator.api.problems import problems
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import WindowSpec
from veriramp_operator.api.vector import OFF, Vector
from veriramp_operator.engine.types import Direction
from veriramp_operator.engine.windows import WEEKDAYS, is_open, next_opening
from veriramp_sdk.contract import Mode

WORKDAYS = ("Mon", "Tue", "Wed", "Thu")


def window(from_: str, to: str, *days: str, timezone: str = "Europe/Berlin") -> WindowSpec:
    return WindowSpec.model_validate({"days": days, "from": from_, "to": to, "timezone": timezone})


def at(text: str, zone: str = "Europe/Berlin", fold: int = 0) -> float:
    """Seconds since the epoch of a wall clock time."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


OFFICE = window("09:00", "16:00", *WORKDAYS)
NIGHT = window("22:00", "06:00", "Fri")


@pytest.mark.parametrize(
    ("spec", "moment", "expected"),
    [
        # 2026-11-23 is a Monday.
        (OFFICE, "2026-11-23T09:00", True),
        (OFFICE, "2026-11-23T08:59:59", False),
        (OFFICE, "2026-11-23T15:59:59", True),
        (OFFICE, "2026-11-23T16:00", False),
        (OFFICE, "2026-11-27T10:00", False),
        # Over midnight: the day is the one on which it opens.
        (NIGHT, "2026-11-27T21:59", False),
        (NIGHT, "2026-11-27T22:00", True),
        (NIGHT, "2026-11-28T05:59", True),
        (NIGHT, "2026-11-28T06:00", False),
        (NIGHT, "2026-11-28T22:00", False),
        (NIGHT, "2026-11-27T03:00", False),
        # The same time twice is a whole day.
        (window("00:00", "00:00", "Sun"), "2026-11-29T23:59", True),
        (window("00:00", "00:00", "Sun"), "2026-11-30T00:00", False),
        (window("12:00", "12:00", "Sun"), "2026-11-30T11:59", True),
        # No days: all.
        (window("09:00", "16:00"), "2026-11-29T10:00", True),
    ],
)
def test_open_by_the_clock_on_the_wall(spec: WindowSpec, moment: str, expected: bool) -> None:
    assert is_open((spec,), at(moment)) is expected


@pytest.mark.parametrize("day", ["2026-03-27", "2026-03-30", "2026-10-23", "2026-10-26"])
def test_nine_o_clock_is_nine_o_clock_before_and_after_the_clocks_change(day: str) -> None:
    office = window("09:00", "16:00")
    edges = [at(f"{day}T{text}") for text in ("08:59", "09:00", "15:59", "16:00")]

    assert [is_open((office,), edge) for edge in edges] == [False, True, True, False]


def test_hours_that_are_not_there_and_hours_that_are_there_twice() -> None:
    spring = window("02:30", "04:00")  # 2026-03-29: 02:00 to 03:00 is not there
    assert [is_open((spring,), at(f"2026-03-29T{text}")) for text in ("03:00", "03:30", "04:00")] == [
        False,
        True,
        False,
    ]
    assert not is_open((window("02:30", "03:00"),), at("2026-03-29T03:10"))
    autumn = window("01:00", "02:30")  # 2026-10-25: 02:00 to 03:00 is there twice
    first, second = at("2026-10-25T02:15"), at("2026-10-25T02:15", fold=1)
    assert (second - first, is_open((autumn,), first), is_open((autumn,), second)) == (3600, True, False)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-23T08:00", "2026-11-23T09:00"),
        ("2026-11-23T09:00", "2026-11-24T09:00"),
        ("2026-11-26T17:00", "2026-11-30T09:00"),
        ("2026-03-26T17:00", "2026-03-30T09:00"),
    ],
)
def test_the_next_opening(now: str, opens: str) -> None:
    assert next_opening((OFFICE,), at(now)) == at(opens)


def test_the_first_window_of_several_counts() -> None:
    tokyo = window("09:00", "16:00", timezone="Asia/Tokyo")

    assert next_opening((OFFICE, tokyo), at("2026-11-23T17:00")) == at("2026-11-24T09:00", "Asia/Tokyo")
    assert is_open((OFFICE, tokyo), at("2026-11-24T09:00", "Asia/Tokyo"))


@pytest.mark.parametrize("zone", ["Mars/Olympus", "Europe", "../etc/passwd", "/etc/localtime", "\0", "Europe/Berlin "])
def test_a_zone_that_nobody_knows_never_opens_and_is_named(zone: str) -> None:
    unknown = window("00:00", "00:00", timezone=zone)
    spec = a_ladder().with_(windows=(unknown,)).build()

    assert not is_open((unknown,), at("2026-11-23T12:00"))
    assert next_opening((unknown,), at("2026-11-23T12:00")) is None
    assert problems(spec) == (
        f'spec.windows[0]: the time zone "{zone}" is not known; write an IANA name, for example Europe/Berlin or UTC',
    )


@pytest.mark.parametrize(
    "moment", [math.nan, math.inf, -math.inf, 1e18, -1e18, 253402300799.0, 253402200000.0, -62135500000.0]
)
def test_no_moment_at_all_is_closed(moment: float) -> None:
    assert not is_open((OFFICE,), moment)
    assert next_opening((OFFICE,), moment) is None


MINUTES = st.integers(0, 24 * 60 - 1).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")
ZONES = st.sampled_from(["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"])


@given(
    st.builds(
        lambda a, b, days, zone: window(a, b, *days, timezone=zone),
        MINUTES,
        MINUTES,
        st.sets(st.sampled_from(WEEKDAYS)),
        ZONES,
    ),
    st.floats(at("2025-01-01"), at("2028-01-01")),
)
def test_a_window_opens_when_it_said_and_not_before(spec: WindowSpec, now: float) -> None:
    opens = next_opening((spec,), now)

    assert opens is not None
    assert now < opens <= now + 15 * 86400
    assert is_open((spec,), opens)
    if not is_open((spec,), now):
        assert not is_open((spec,), math.nextafter(opens, 0.0))
        assert not is_open((spec,), (now + opens) / 2)


def waiting(**changes: Any) -> World:
    """Half way up the ramp of "canary", in a window that closes within the next steps."""
    world = a_running(a_ladder().with_stage("full", canary=100), **changes)
    world.run_to("canary")
    world.run(200)
    return world


def closed(world: World, *, opens_in: float) -> None:
    """A person gives the rollout a window that opens so many seconds from now, to the minute."""
    opens = datetime.fromtimestamp(world.now + opens_in, ZoneInfo("UTC"))
    opens = opens.replace(second=0, microsecond=0)
    spec = window(f"{opens:%H:%M}", f"{opens:%H:%M}", WEEKDAYS[opens.weekday()], timezone="UTC")
    world.edit(world.spec.model_copy(update={"windows": (spec,)}))


def test_a_step_that_is_due_waits_for_the_opening_and_falls_do_not() -> None:
    world = waiting()
    before = world.vector()
    closed(world, opens_in=86400)

    held = world.run(3600)
    seconds = world.status.stage.ramp_seconds if world.status.stage else math.nan
    world.run(3600)

    assert (held.reason, held.direction, world.vector()) == (Reason.WINDOW_CLOSED, Direction.HOLD, before)
    assert held.status.clock is not None
    assert (held.status.clock.ramp_runs, held.status.clock.bake_runs) == (False, False)
    assert world.status.stage is not None
    assert world.status.stage.ramp_seconds == seconds
    world.says["errors"] = regresses
    assert world.tick(5).direction is Direction.FALL
    assert world.vector().mode is Mode.SHADOW


def test_after_the_opening_the_steps_go_on_one_by_one() -> None:
    world = waiting()
    closed(world, opens_in=7200)
    world.run(3600)
    steps: list[Vector] = []

    while not steps or stage_of(world) == "canary":
        decision = world.tick(5)
        if decision.direction is Direction.RISE:
            steps.append(world.vector())

    assert [vector.canary_percent for vector in steps[:-1]] == [2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0]


def test_the_ramp_clock_runs_until_a_step_is_due() -> None:
    world = waiting()
    assert world.status.stage is not None
    seconds = world.status.stage.ramp_seconds
    closed(world, opens_in=86400)
    world.tick(5)
    world.tick(5)

    assert world.status.reason == Reason.RAMPING
    assert world.status.stage.ramp_seconds > seconds


def test_a_promotion_waits_with_the_bake_clock_running_and_says_until_when() -> None:
    world = a_running()
    world.run_to("canary", full=True)
    world.run(60)
    world.now = at("2027-03-26T20:00")  # a Friday, two days before the clocks change
    world.edit(world.spec.model_copy(update={"windows": (OFFICE,)}))
    world.run(1200)

    decision = world.tick(5)

    assert (decision.reason, decision.direction) == (Reason.WINDOW_CLOSED, Direction.HOLD)
    assert decision.message == (
        "No window is open before Mon 2027-03-29 07:00Z, 59h39m55s from now. "
        'Then: Stage "half" begins: Live rate=0.05 topK=10 canary=50% weight=0.1.'
    )
    assert decision.status.clock is not None
    assert (decision.status.clock.ramp_runs, decision.status.clock.bake_runs) == (False, True)
    assert decision.status.phase == "Waiting"
    assert world.status.stage is not None
    assert world.status.stage.bake_seconds > 600


def test_the_first_stage_waits_for_a_window_too() -> None:
    world = a_running()
    closed(world, opens_in=3600)

    held = world.run(600)

    assert (held.reason, world.vector()) == (Reason.WINDOW_CLOSED, OFF)
    world.run_to("shadow")
    assert is_open(world.spec.windows, world.now)
    held_until = next_opening(world.spec.windows, world.now - 10)
    assert held_until is not None
    assert held_until <= world.now <= held_until + 5


def test_a_look_is_planned_for_the_opening() -> None:
    world = a_running()
    closed(world, opens_in=600)
    world.run(30)
    opens = next_opening(world.spec.windows, world.now)
    assert opens is not None
    world.now = opens - 3.5

    decision = world.tick()

    assert decision.reason is Reason.WINDOW_CLOSED
    assert decision.next_decision_at == pytest.approx(opens)


def test_an_unknown_zone_stalls_and_still_falls() -> None:
    world = waiting()
    world.edit(world.spec.model_copy(update={"windows": (window("09:00", "16:00", timezone="Mars/Olympus"),)}))

    decision = world.run(30)

    assert (decision.reason, decision.status.phase) == (Reason.INVALID_SPEC, "Stalled")
    assert "Mars/Olympus" in decision.message
    world.says["errors"] = regresses
    world.tick(5)
    assert world.vector().mode is Mode.SHADOW
