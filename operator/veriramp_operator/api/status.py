"""``VerificationRollout.status``: what the operator remembers and tells."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from veriramp_operator.api.base import Frozen, Instant
from veriramp_operator.api.vector import Vector


class Phase(StrEnum):
    """The rollout in one word."""

    PENDING = "Pending"
    PROGRESSING = "Progressing"
    WAITING = "Waiting"
    GUARDING = "Guarding"
    ROLLED_BACK = "RolledBack"
    STALLED = "Stalled"
    DELETING = "Deleting"


class VerdictKind(StrEnum):
    """What the evidence says about a gate."""

    PASS = "Pass"  # noqa: S105 a verdict, not a password
    REGRESSION = "Regression"
    INCONCLUSIVE = "Inconclusive"
    NO_DATA = "NoData"
    NOT_APPLICABLE = "NotApplicable"


class Severity(StrEnum):
    """How far a latch keeps the rollout down, worst last."""

    PREVIOUS_STAGE = "PreviousStage"
    SHADOW = "Shadow"
    KILL_SWITCH = "KillSwitch"


class StageStatus(Frozen):
    """Where on the ladder the rollout is; seconds are healthy seconds."""

    name: str
    index: int
    hash: str
    entered_at: Instant
    ramp_fraction: float = 0.0
    ramp_seconds: float = 0.0
    bake_seconds: float = 0.0


class PendingRise(Frozen):
    """A decided rise that has not yet been seen published."""

    revision: int
    content_hash: str
    stage: str
    vector: Vector


class FlagsStatus(Frozen):
    """The document last published."""

    revision: int
    content_hash: str
    published_at: Instant
    salt: str
    sample_salt: str


class PropagationStatus(Frozen):
    """Which processes evaluate with the published revision."""

    expected: int = 0
    applied: int = 0
    unmeasured: int = 0
    confirmed_at: Instant | None = None
    p99_seconds: float | None = None
    laggards: Annotated[tuple[str, ...], Field(max_length=10)] = ()


class GateStatus(Frozen):
    """The latest verdict of one gate; ``since`` is when its kind last changed."""

    name: str
    verdict: VerdictKind
    reason: str
    message: str = ""
    value: float | None = None
    sample_size: int | None = None
    observed_at: Instant | None = None
    since: Instant | None = None


class RollbackStatus(Frozen):
    """The latch: what went wrong, and how long each step to safety took."""

    gate: str
    severity: Severity
    at: Instant
    from_stage: str
    evidence: str
    generation: int
    target: Vector
    detected_at: Instant
    published_at: Instant | None = None
    applied_at: Instant | None = None


class WorkerStatus(Frozen):
    """One worker Deployment."""

    profile: str
    desired: int
    ready: int


class Transition(Frozen):
    """One line of history."""

    at: Instant
    stage: str
    direction: str
    reason: str
    message: str
    vector: Vector
    revision: int


class Condition(Frozen):
    """metav1.Condition."""

    type: str
    status: str
    reason: str
    message: str = ""
    last_transition_time: Instant
    observed_generation: int | None = None


class HandledRequests(Frozen):
    """The last answered request annotations, so that none is answered twice."""

    abort: str | None = None
    request: str | None = None
    outcome: str | None = None
    at: Instant | None = None


class ClockStatus(Frozen):
    """The last pass: when it was, which clocks ran in its row, and after how many seconds the next was expected."""

    at: Instant
    ramp_runs: bool = False
    bake_runs: bool = False
    interval: float = 0.0


class RolloutStatus(Frozen):
    """Everything that the operator remembers between two passes."""

    observed_generation: int | None = None
    phase: Phase | None = None
    stage: StageStatus | None = None
    parameters: Vector | None = None
    pending: PendingRise | None = None
    flags: FlagsStatus | None = None
    propagation: PropagationStatus | None = None
    gates: Annotated[tuple[GateStatus, ...], Field(max_length=40)] = ()
    rollback: RollbackStatus | None = None
    workers: Annotated[tuple[WorkerStatus, ...], Field(max_length=16)] = ()
    history: Annotated[tuple[Transition, ...], Field(max_length=20)] = ()
    conditions: Annotated[tuple[Condition, ...], Field(max_length=8)] = ()
    last_handled_request: HandledRequests | None = None
    next_decision_at: Instant | None = None
    reason: str | None = None
    message: str | None = None
    clock: ClockStatus | None = None
