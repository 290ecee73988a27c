"""Many walks, drawn by Hypothesis, every pass of each shown to all judges at once.

One case is one spec, one place to start from and one walk of up to :data:`MOST_PASSES` passes. How many: 5,000, with
``HYPOTHESIS_PROFILE=soak`` 200,000; ``ENGINE_CASES`` says another number.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.walk.acts import walk
from tests.support.walk.walk import CASE_SIZE, MOST_PASSES, Judge, Tick, Walk

SOAK: Final = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
CASES: Final = int(os.environ.get("ENGINE_CASES", "200000" if SOAK else "5000"))

__all__ = ["CASES", "MOST_PASSES", "SOAK", "Found", "campaign"]


@dataclass
class Found:
    """What a campaign brought: by invariant the simplest case that breaks it, and how often each decision was made."""

    broken: dict[str, BaseException] = field(default_factory=dict)
    decisions: Counter[str] = field(default_factory=Counter)
    cases: int = 0
    passes: int = 0

    def shows(self, name: str) -> None:
        """Raise what breaks this invariant, if anything does."""
        if name in self.broken:
            raise self.broken[name]
        if self.broken:
            others = ", ".join(self.broken)
            raise AssertionError(f"not shown: the campaign ended after {self.cases} cases with a breach of {others}")


def campaign(invariants: Mapping[str, Judge], cases: int, kind: type[Walk] = Walk) -> Found:
    """Walk so many cases. An error that no judge raised is a breach of every invariant and is raised as it is."""
    found = Found()
    judges = tuple(_named(name, judge) for name, judge in invariants.items())

    @settings(
        max_examples=cases,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    )
    @given(st.binary(min_size=CASE_SIZE, max_size=CASE_SIZE))
    def cases_of(data: bytes) -> None:
        walked = walk(data, judges, kind)
        found.cases += 1
        found.passes += walked.passes
        found.decisions.update(walked.tally)

    try:
        cases_of()
    except AssertionError as error:
        found.broken[_invariant(error)] = error
    except ExceptionGroup as group:
        found.broken |= {_invariant(each): each for each in group.exceptions}
    return found


def _named(name: str, judge: Judge) -> Judge:
    def judging(walk: Walk, tick: Tick) -> None:
        try:
            judge(walk, tick)
        except AssertionError as error:
            error.invariant = name  # type: ignore[attr-defined]
            raise

    return judging


def _invariant(error: BaseException) -> str:
    name: str = getattr(error, "invariant", "")
    if not name:
        raise error
    return name
