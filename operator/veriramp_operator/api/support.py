"""What this release cannot do yet: the CRD has the fields, and a rollout that uses one stalls instead of being misread.

Public: :func:`not_yet_supported`.
"""

from __future__ import annotations

from veriramp_operator.api.rollout import RolloutSpec


def not_yet_supported(spec: RolloutSpec) -> tuple[str, ...]:
    """One sentence per use of a field whose behaviour comes in a later release, each with what to write until then."""
    del spec  # everything that the CRD has works
    return ()
