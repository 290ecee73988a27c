"""What a plan means before it runs: times, steps, what each stage can detect, and what looks unwise. Pure.

Public: :func:`outlook_of`, :class:`Outlook`.
"""

from __future__ import annotations

from dataclasses import dataclass

from veriramp_operator.api.rollout import RolloutSpec
from veriramp_operator.cli.timeline import A_MONDAY, StageOutlook, stages_of
from veriramp_operator.cli.unwise import unwise


@dataclass(frozen=True, slots=True)
class Outlook:
    """All stages, and a sentence for each thing that looks unwise."""

    stages: tuple[StageOutlook, ...]
    warnings: tuple[str, ...]

    @property
    def duration(self) -> float:
        """Seconds to the end of the last bake, at the earliest."""
        return self.stages[-1].ends_after


def outlook_of(spec: RolloutSpec, rps: float, base_rate: float | None, start: float = A_MONDAY) -> Outlook:
    """Work out the plan for traffic of ``rps`` requests per second, of which ``base_rate`` (0..1) are bad anyway.

    ``start``: seconds since the epoch; only windows depend on it. ``base_rate`` None: 1 %, or 30 % good events where
    more of them are better.
    """
    stages = stages_of(spec, rps, base_rate, start)
    return Outlook(stages, tuple(unwise(spec, stages)))
