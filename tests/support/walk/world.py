"""The world of a walk: one rollout whose gates say what they are told to, for a while."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.support.builders import World, inconclusive, no_data, passes, regresses
from veriramp_operator.api.rollout import GateSpec
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.evidence.types import Samples, Trial, Verdict

Saying = Callable[[float], Verdict]


def leans_bad(at: float) -> Verdict:
    """Unclear, and pointing the wrong way."""
    return inconclusive(at, leans_bad=True)


SAYINGS: Final[tuple[Saying, ...]] = (regresses, no_data, inconclusive, leans_bad, regresses)


@dataclass
class WalkWorld(World):
    """``bursts``: passes for which a gate goes on saying what it was told; then it passes again."""

    bursts: dict[str, int] = field(default_factory=dict)

    def judge(self, gate: GateSpec, samples: Samples, now: float, since: float | None, trial: Trial) -> Verdict:
        """What the gate says now; a comparison has nothing to compare without two arms."""
        if gate.comparison is not None and not trial.has_arms:
            return Verdict(VerdictKind.NOT_APPLICABLE, "NoArms", "no two arms")
        verdict = super().judge(gate, samples, now, since, trial)
        if verdict.reason == "WarmingUp" and self.saying(gate) is regresses:
            return verdict._replace(leans_bad=True)
        return verdict

    def saying(self, gate: GateSpec) -> Saying:
        """What the gate was told to say."""
        told: Saying = self.says.get(gate.name, passes)
        return told

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
