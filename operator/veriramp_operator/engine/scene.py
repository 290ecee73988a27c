"""Everything that a check may look at in one pass, worked out once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from veriramp_operator.api.rollout import RolloutSpec
from veriramp_operator.api.status import RolloutStatus, StageStatus
from veriramp_operator.api.vector import OFF, Vector
from veriramp_operator.engine.clocks import Elapsed
from veriramp_operator.engine.gates import Bench
from veriramp_operator.engine.ramp import Ramp
from veriramp_operator.engine.stages import Plan, Rung
from veriramp_operator.engine.types import Finding, Observation, Problem


@dataclass(frozen=True, slots=True)
class Scene:
    """Spec, status, observation and instant, with what follows from them.

    ``status``: caught up with the published document, requests answered, anchored in the present stage list.
    ``exposed``: vectors that processes may be running. ``rung`` and ``ramp``: of the stage that the rollout stands in;
    ``at_full_vector``: the ramp is done. ``problems``: everything that stalls the rollout. ``edited``: this pass is the
    first to see this generation.
    """

    spec: RolloutSpec
    plan: Plan
    status: RolloutStatus
    seen: Observation
    now: float
    exposed: tuple[Vector, ...]
    bench: Bench
    elapsed: Elapsed
    rung: Rung | None = None
    ramp: Ramp | None = None
    at_full_vector: bool = False
    problems: tuple[Problem, ...] = ()
    missing: bool = False
    edited: bool = False
    abort: bool = False
    shadow: bool = False

    @property
    def in_force(self) -> Vector:
        """The vector that counts now."""
        return self.status.parameters or OFF

    @property
    def stage(self) -> StageStatus | None:
        """Where the rollout stands."""
        return self.status.stage

    @property
    def confirmed_at(self) -> float:
        """When the published revision was confirmed; a moment that never comes while it is not.

        Not before it was published: a clock that was put back, and then ahead again, makes it no earlier.
        """
        seen, flags = self.status.propagation, self.status.flags
        if seen is None or seen.confirmed_at is None:
            return math.inf
        return seen.confirmed_at if flags is None else self._not_before(flags.published_at, seen.confirmed_at)

    @property
    def entered_at(self) -> float:
        """When the present stage was entered; not before the last line of history, by the same clock."""
        if self.stage is None:
            return math.inf
        history = self.status.history
        return self._not_before(history[-1].at, self.stage.entered_at) if history else self.stage.entered_at

    def _not_before(self, earliest: float, at: float) -> float:
        return max(earliest, at) if earliest <= self.now else at

    @property
    def bake_seconds(self) -> float:
        """Healthy seconds at the full vector, if this pass counts."""
        return 0.0 if self.stage is None else self.stage.bake_seconds + self.elapsed.bake

    @property
    def is_past_max_bake(self) -> bool:
        """True when the stage has been observed at its full vector for maxBake; a stage without a bake never is."""
        rung = self.rung
        return rung is not None and self.at_full_vector and 0 < rung.max_bake <= self.bake_seconds

    @property
    def may_rise(self) -> bool:
        """A rise needs two passes apart in time that saw the same spec, and a published document.

        So an edit raises nothing by itself, and where the document is gone, the next revision is Off for everybody.
        """
        return self.elapsed.moved and not self.edited and not self.missing


Check = Callable[[Scene], Finding | None]
