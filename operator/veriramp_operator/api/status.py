"""``VerificationRollout.status``: what the operator remembers and tells."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from veriramp_operator.api.base import Frozen, Instant
from veriramp_operator.api.vector import OFF, Vector

MOST_REMEMBERED: Final = 20
"""Requests of which status remembers the token."""


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
    """Where on the ladder the rollout is; seconds are healthy seconds.

    ``start``: the vector at which the ramp began. ``reentry``: the way back after a retry or lost flags, in at least
    three steps. ``approved``/``timeSkipped``: a person's ``promote`` and ``skip-bake``. ``overrides``: that ``promote``
    came after the minimum bake, so that unclear evidence no longer holds the stage.
    """

    name: str
    index: int
    """Place in spec.stages, from 0."""
    hash: str
    """Hash of the stage list that the index is about."""
    entered_at: Instant
    ramp_fraction: float = 0.0
    """How far the ramp is, 0..1."""
    ramp_seconds: float = 0.0
    """Healthy seconds on the ramp."""
    bake_seconds: float = 0.0
    """Healthy seconds at the full vector."""
    start: Vector = OFF
    began_at: Instant | None = None
    """When the first revision of this stage was confirmed by the quorum."""
    full_at: Instant | None = None
    """When the stage's full vector was confirmed by the quorum."""
    reentry: bool = False
    approved: bool = False
    overrides: bool = False
    time_skipped: bool = False
    exception: str | None = None
    """By which named exception the stage was entered on unclear evidence."""


class PendingRise(Frozen):
    """A decided rise that has not yet been seen published; ``entering`` is the stage that it starts, if it does."""

    revision: int
    content_hash: str
    stage: str
    vector: Vector
    entering: StageStatus | None = None


class FlagsStatus(Frozen):
    """The document last published."""

    revision: int
    """Number of the published flag document; it only grows."""
    content_hash: str
    published_at: Instant
    salt: str
    """Salt of the users' buckets; it never changes."""
    sample_salt: str
    """Salt of the queries' sampling; it never changes."""


class PropagationStatus(Frozen):
    """Which processes evaluate with the published revision."""

    expected: int = 0
    """Processes that should run the revision."""
    applied: int = 0
    """Processes that do."""
    unmeasured: int = 0
    """Clients that only hold a stream and report nothing."""
    confirmed_at: Instant | None = None
    """When the quorum of each role was reached."""
    p99_seconds: float | None = None
    laggards: Annotated[tuple[str, ...], Field(max_length=10)] = ()
    """Processes that do not run it yet."""


class GateStatus(Frozen):
    """The latest verdict of one gate; ``since`` is when its kind last changed."""

    name: str
    verdict: VerdictKind
    """The verdict on the latest evidence."""
    reason: str
    message: str = ""
    value: float | None = None
    sample_size: int | None = None
    observed_at: Instant | None = None
    """Time of the newest evidence used."""
    since: Instant | None = None
    """When the kind of the verdict last changed."""


class RollbackStatus(Frozen):
    """The latch: what went wrong, and how long each step to safety took.

    ``at``: when it began to go wrong (the first bad sample). ``detectedAt``: when the fall was decided.
    ``publishedAt``: when the safe document was out. ``appliedAt``: when every expected process had it.
    """

    gate: str
    """The gate or request that made the rollout fall."""
    also_fell: Annotated[tuple[str, ...], Field(max_length=40)] = ()
    """Other gates that fell with it, or while the latch held."""
    severity: Severity
    at: Instant
    from_stage: str
    evidence: str
    generation: int
    """The generation that the latch holds for."""
    target: Vector
    detected_at: Instant
    """When the decision fell."""
    published_at: Instant | None = None
    """When the safe document was out."""
    applied_at: Instant | None = None
    """When every expected process ran it, or the lease was over."""


class EvidenceAnchor(Frozen):
    """Evidence from before ``at`` can neither pass nor trip this gate: it fell, and the latch was lifted."""

    gate: str
    at: Instant


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
    used: Annotated[tuple[str, ...], Field(max_length=MOST_REMEMBERED)] = ()
    """Tokens of the last requests, oldest first: none of them is obeyed again."""
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
    """The vector in force, as published."""
    pending: PendingRise | None = None
    """A decided rise that has not yet been seen published."""
    flags: FlagsStatus | None = None
    propagation: PropagationStatus | None = None
    gates: Annotated[tuple[GateStatus, ...], Field(max_length=40)] = ()
    rollback: RollbackStatus | None = None
    """The latch, while the rollout is rolled back."""
    anchors: Annotated[tuple[EvidenceAnchor, ...], Field(max_length=40)] = ()
    """Gates whose old evidence no longer counts, because a latch was lifted."""
    anchor: EvidenceAnchor | None = None
    """The one anchor of an older version; read, and no longer written."""
    workers: Annotated[tuple[WorkerStatus, ...], Field(max_length=16)] = ()
    history: Annotated[tuple[Transition, ...], Field(max_length=20)] = ()
    """The last 20 transitions."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=8)] = ()
    last_handled_request: HandledRequests | None = None
    """The last answered request annotations."""
    next_decision_at: Instant | None = None
    """When the operator looks again at the latest."""
    reason: str | None = None
    message: str | None = None
    clock: ClockStatus | None = None
