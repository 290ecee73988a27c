"""What this release cannot do yet: the CRD has the fields, and a rollout that uses one stalls instead of being misread.

Public: :func:`not_yet_supported`.
"""

from __future__ import annotations

from collections.abc import Iterator

from veriramp_operator.api.rollout import GateSpec, RolloutSpec


def not_yet_supported(spec: RolloutSpec) -> tuple[str, ...]:
    """One sentence per use of a field whose behaviour comes in a later release, each with what to write until then."""
    return tuple(sentence for gate in spec.gates for sentence in _gate(gate))


def _gate(gate: GateSpec) -> Iterator[str]:
    if gate.comparison is not None:
        yield f'gate "{gate.name}": comparison is not supported yet; write another kind of gate'
