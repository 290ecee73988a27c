"""The world of a walk: one rollout whose gates say what they are told to, for a while.

Public: :class:`News`, :class:`Split`, :data:`SAYINGS`, :class:`WalkWorld`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Final

from tests.support.builders import World, inconclusive, no_data, passes, regresses
from veriramp_operator.api.rollout import GateSpec
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.engine.types import Observation
from veriramp_operator.evidence.types import Occupied, Samples, Trial, Verdict
from veriramp_sdk.contract import BUCKETS

Saying = Callable[[float], Verdict]


def leans_bad(at: float) -> Verdict:
    """Unclear, and pointing the wrong way."""
    return inconclusive(at, leans_bad=True)


SAYINGS: Final[tuple[Saying, ...]] = (regresses, no_data, inconclusive, leans_bad, regresses)


class News(Enum):
    """What a gate's evidence is, as everybody can see, whatever the engine makes of it.

    ``GOOD`` asks for nothing. With ``UNCLEAR`` nothing is promoted; with the others nothing rises. ``BAD`` is a fall,
    ``NONE`` is one when it lasts. ``SILENT``: the gate does not count.
    """

    GOOD = auto()
    UNCLEAR = auto()
    LEANS_BAD = auto()
    BAD = auto()
    NONE = auto()
    SILENT = auto()


_TOLD: Final = {
    passes: News.GOOD,
    inconclusive: News.UNCLEAR,
    leans_bad: News.LEANS_BAD,
    regresses: News.BAD,
    no_data: News.NONE,
}


class Split(Enum):
    """How the users are dealt out to the arms: as the percent says, some of them twice, half of the treatment lost.

    ``STALE``: twice, but seen only before the present percent. ``UNKNOWN``: nobody tells.
    """

    RIGHT = auto()
    DOUBLED = auto()
    LOST = auto()
    STALE = auto()
    UNKNOWN = auto()

    def occupied(self, percent: float) -> tuple[int, int]:
        """Buckets occupied in treatment and control while so many percent of the users are in the treatment."""
        owned = round(percent * BUCKETS / 100)
        rest = BUCKETS - owned
        if self is Split.LOST:
            return owned // 2, rest
        return (owned // 2 if self is Split.RIGHT else owned + 1), rest // 2


@dataclass
class WalkWorld(World):
    """``bursts``: passes for which a gate goes on saying what it was told; then it passes again."""

    bursts: dict[str, int] = field(default_factory=dict)
    split: Split = Split.RIGHT

    def observe(self) -> Observation:
        """One snapshot, with the split of the users where arms are compared."""
        compared = [gate.name for gate in self.spec.gates if gate.comparison is not None]
        seen = super().observe()
        if not compared or self.split is Split.UNKNOWN:
            return seen
        at = 1.0 if self.split is Split.STALE else self.now
        samples = Samples(occupied=Occupied(at, *self.split.occupied(self.vector().canary_percent)))
        return replace(seen, samples=dict.fromkeys(compared, samples))

    def judge(self, gate: GateSpec, samples: Samples, now: float, since: float | None, trial: Trial) -> Verdict:
        """What the gate says now; a comparison has nothing to compare without two arms."""
        if gate.comparison is not None and not trial.has_arms:
            return Verdict(VerdictKind.NOT_APPLICABLE, "NoArms", "no two arms")
        verdict = super().judge(gate, samples, now, since, trial)
        if verdict.reason == "WarmingUp" and self.says.get(gate.name) is regresses:
            return verdict._replace(leans_bad=True)
        return verdict

    def news(self, gate: GateSpec) -> News:
        """What the gate was told to say."""
        return _TOLD[self.says.get(gate.name, passes)]

    def begin_burst(self, name: str, saying: Saying, passes_long: int) -> None:
        """From now on the gate says this."""
        self.says[name] = saying
        self.bursts[name] = passes_long

    def a_pass_is_over(self) -> None:
        """Bursts end."""
        for name in [name for name, left in self.bursts.items() if left <= 1]:
            del self.bursts[name]
            self.says.pop(name, None)
        self.bursts = {name: left - 1 for name, left in self.bursts.items()}

    def processes_restart(self) -> None:
        """The processes that answer searches start anew; their counters with them, where any are counted."""

    def operator_restarts(self) -> None:
        """The operator forgets what it has read."""
