"""What ``--inject`` says: from a moment of a stage on, what one gate watches is worse."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from veriramp_operator.api.base import parse_duration
from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.api.rollout import RolloutSpec

_INJECTION: Final = re.compile(
    r"(?P<gate>[-a-z0-9]+)\s+x(?P<factor>[0-9]+(?:\.[0-9]+)?)\s+at\s+(?P<stage>[-a-z0-9]+?)(?:\+(?P<after>[0-9.a-z]+))?\Z"
)


@dataclass(frozen=True, slots=True)
class Injection:
    """``<gate> x<factor> at <stage>[+<duration>]``: from so long after a stage began, a gate's number is worse.

    A number that must stay below a bound is multiplied by the factor, one that must stay above is divided by it; a
    comparison's events in the treatment likewise; a watched alert fires.
    """

    gate: str
    factor: float
    stage: str
    after: float

    @classmethod
    def parse(cls, text: str, spec: RolloutSpec) -> Injection:
        """Raises ConfigurationError for another form, or a gate or stage that the rollout does not have."""
        match = _INJECTION.match(text.strip())
        if match is None:
            raise ConfigurationError(f"--inject {text!r}: write for example 'p95-latency x2 at canary+1h'")
        gates, stages = [gate.name for gate in spec.gates], [stage.name for stage in spec.stages]
        if match["gate"] not in gates:
            raise ConfigurationError(f"--inject: there is no gate {match['gate']!r}; write one of {', '.join(gates)}")
        if match["stage"] not in stages:
            raise ConfigurationError(
                f"--inject: there is no stage {match['stage']!r}; write one of {', '.join(stages)}"
            )
        factor = float(match["factor"])
        if not factor > 0.0:
            raise ConfigurationError(f"--inject {text!r}: the factor must be above 0; write for example x2")
        try:
            after = parse_duration(match["after"]) if match["after"] else 0.0
        except ValueError as error:
            raise ConfigurationError(f"--inject {text!r}: {error}") from error
        return cls(match["gate"], factor, match["stage"], after)

    def __str__(self) -> str:
        """As a person reads it."""
        return f"{self.gate} x{self.factor:g}"
