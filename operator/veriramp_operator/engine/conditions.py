"""The conditions and the phase of a rollout, such that kstatus reads them.

Progressing is InProgress (``Reconciling=True``), done and guarded is Current (``Ready=True``), rolled back or stalled
is Failed (``Stalled=True``). ``lastTransitionTime`` moves only with the status.
"""

from __future__ import annotations

from typing import Final

from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.status import Condition, Phase, RolloutStatus
from veriramp_operator.engine.scene import Scene
from veriramp_operator.engine.types import Finding

READY: Final = "Ready"
RECONCILING: Final = "Reconciling"
STALLED: Final = "Stalled"
ROLLED_BACK: Final = "RolledBack"
PROPAGATION_CONFIRMED: Final = "PropagationConfirmed"
EVIDENCE_AVAILABLE: Final = "EvidenceAvailable"

_PROGRESSING: Final = frozenset(
    {
        Reason.RAMP_STEP,
        Reason.RAMPING,
        Reason.BAKING,
        Reason.PROMOTE,
        Reason.NOT_PROPAGATED,
        Reason.WORKERS_NOT_READY,
        Reason.ABOVE_TARGET,
        Reason.FLAGS_MISSING,
    }
)


def phase_of(finding: Finding, status: RolloutStatus, *, deleting: bool) -> Phase:
    """The rollout in one word; ``status`` is the next one."""
    if deleting:
        return Phase.DELETING
    if status.rollback is not None:
        return Phase.ROLLED_BACK
    if finding.stalled:
        return Phase.STALLED
    if finding.reason is Reason.GUARDING:
        return Phase.GUARDING
    if finding.reason is Reason.PENDING or (status.stage is None and finding.reason is Reason.NOT_PROPAGATED):
        return Phase.PENDING
    return Phase.PROGRESSING if finding.reason in _PROGRESSING else Phase.WAITING


def conditions(scene: Scene, finding: Finding, phase: Phase, status: RolloutStatus) -> tuple[Condition, ...]:
    """All six conditions; the same objects where nothing changed. ``status`` is the next one, without conditions."""
    failed = phase in (Phase.ROLLED_BACK, Phase.STALLED)
    ready = phase is Phase.GUARDING
    rollback = status.rollback
    blind = scene.bench.blind
    confirmed = status.propagation is not None and status.propagation.confirmed_at is not None
    why = Reason.ROLLED_BACK if rollback else finding.reason
    told = (
        (READY, ready, why, finding.message),
        (RECONCILING, not ready and not failed, finding.reason if not failed else Reason.SETTLED, ""),
        (STALLED, failed, why if failed else Reason.NOT_STALLED, finding.message if failed else ""),
        (
            ROLLED_BACK,
            rollback is not None,
            Reason.ROLLED_BACK if rollback else Reason.NOT_ROLLED_BACK,
            f'{rollback.severity} from stage "{rollback.from_stage}" by {rollback.gate}' if rollback else "",
        ),
        (PROPAGATION_CONFIRMED, confirmed, _propagation_reason(finding, confirmed), ""),
        (
            EVIDENCE_AVAILABLE,
            not blind,
            Reason.NO_DATA if blind else Reason.AVAILABLE,
            ", ".join(f"{judged.gate.name}: {judged.verdict.reason}" for judged in blind),
        ),
    )
    known = {condition.type: condition for condition in scene.status.conditions}
    return tuple(_condition(known.get(each[0]), *each, scene.now, scene.seen.generation) for each in told)


def _propagation_reason(finding: Finding, confirmed: bool) -> Reason:
    if confirmed:
        return Reason.CONFIRMED
    return Reason.PENDING if finding.reason is Reason.PENDING else Reason.NOT_PROPAGATED


def _condition(
    known: Condition | None, kind: str, holds: bool, reason: Reason, message: str, now: float, generation: int
) -> Condition:
    status = "True" if holds else "False"
    same_status = known is not None and known.status == status
    if (
        known is not None
        and same_status
        and known.reason == reason
        and known.message == message
        and known.observed_generation == generation
    ):
        return known
    return Condition.typed(
        {
            "type": kind,
            "status": status,
            "reason": reason.value,
            "message": message,
            "last_transition_time": known.last_transition_time if known is not None and same_status else now,
            "observed_generation": generation,
        }
    )
