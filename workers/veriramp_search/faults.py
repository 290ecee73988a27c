"""The regression switch: make one arm slower or wrong on purpose, to see the rollout fall.

Public names: :class:`Regression`, :class:`RegressionSwitch`, :class:`InjectedError`.
"""

from __future__ import annotations

import random
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from veriramp_sdk.contract import Arm


class InjectedError(Exception):
    """A search that fails because the switch says so."""

    def __init__(self, arm: Arm) -> None:
        super().__init__(f"injected into arm {arm}")
        self.arm = arm


class Regression(BaseModel):
    """What happens to the requests of one arm; a rate of 0 and a latency of 0 s end it."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    arm: Arm
    error_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    extra_latency_seconds: Annotated[float, Field(ge=0, le=30)] = 0.0


class RegressionSwitch:
    """Holds the regression that is switched on, if any."""

    def __init__(self, chance: random.Random | None = None) -> None:
        self._chance = chance or random.Random()  # noqa: S311 - which request fails is no secret
        self._current: Regression | None = None

    @property
    def current(self) -> Regression | None:
        """The regression that is switched on."""
        return self._current

    def set(self, regression: Regression) -> None:
        """Switch on, or off with all zeros."""
        harmless = regression.error_rate == 0 and regression.extra_latency_seconds == 0
        self._current = None if harmless else regression

    def strike(self, arm: Arm) -> float:
        """Return the seconds by which to delay a request of this arm; raises :class:`InjectedError` by chance."""
        regression = self._current
        if regression is None or regression.arm is not arm:
            return 0.0
        if self._chance.random() < regression.error_rate:
            raise InjectedError(arm)
        return regression.extra_latency_seconds
