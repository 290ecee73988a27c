"""What this release cannot do yet: the CRD has the fields, and a rollout that uses one stalls instead of being misread.

Public: :func:`not_yet_supported`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from veriramp_operator.api.rollout import AlertSource, GateSpec, OnInconclusive, RolloutSpec

_KINDS: Final = ("baseline", "burn_rate", "comparison")
_WIRE: Final = {"baseline": "baseline", "burn_rate": "burnRate", "comparison": "comparison"}


def not_yet_supported(spec: RolloutSpec) -> tuple[str, ...]:
    """One sentence per use of a field whose behaviour comes in a later release, each with what to write until then."""
    return (*_plan(spec), *(sentence for gate in spec.gates for sentence in _gate(gate)))


def _plan(spec: RolloutSpec) -> Iterator[str]:
    if spec.on_inconclusive is not OnInconclusive.HOLD:
        yield f"onInconclusive: {spec.on_inconclusive} is not supported yet; write onInconclusive: Hold"


def _gate(gate: GateSpec) -> Iterator[str]:
    for kind in _KINDS:
        if getattr(gate, kind) is not None:
            yield f'gate "{gate.name}": {_WIRE[kind]} is not supported yet; write alert, threshold or firing'
    if gate.firing is not None and gate.firing.source is not AlertSource.PUSH:
        yield f'gate "{gate.name}": firing source {gate.firing.source} is not supported yet; write source: Push'
    if gate.step_down is not None:
        yield f'gate "{gate.name}": stepDown is not supported yet; remove it (the gate then falls one stage at a time)'
