"""What the engine sees and what it answers: frozen values, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.status import RolloutStatus, Severity, StageStatus
from veriramp_operator.api.vector import Vector
from veriramp_operator.evidence.types import Samples
from veriramp_sdk.contract import Role


class Direction(StrEnum):
    """Where a decision moves the vector."""

    FALL = "Fall"
    RISE = "Rise"
    HOLD = "Hold"


@dataclass(frozen=True, slots=True)
class Latch:
    """What the published document remembers of a rollback; survives a crash before the status write.

    ``at``: when it began to go wrong. ``detected_at``: when the fall was decided. ``also_fell``: the other gates that
    fell with ``gate``, or while the latch held.
    """

    gate: str
    severity: Severity
    at: float
    from_stage: str
    generation: int
    target: Vector
    evidence: str
    detected_at: float
    also_fell: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Published:
    """The flag ConfigMap as last read: the record that survives a crash between two writes.

    ``published_at`` is in seconds since the epoch; ``stage`` is the name of the stage it was published for; ``include``
    and ``exclude`` are the (attribute, value) pairs that it lists.
    """

    uid: str
    revision: int
    content_hash: str
    vector: Vector
    direction: Direction
    stage: str
    salt: str
    sample_salt: str
    published_at: float
    latch: Latch | None = None
    generation: int = 0
    include: tuple[tuple[str, str], ...] = ()
    exclude: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RoleCount:
    """Processes of one role: how many are expected to apply the published revision, and how many do."""

    expected: int
    applied: int


@dataclass(frozen=True, slots=True)
class PropagationSeen:
    """Who runs which revision. ``revision``: the one the counts are about.

    ``observed_at``: None = never asked, or not everybody answered (``unreachable``: the flag servers that did not).
    """

    revision: int = 0
    uid: str = ""
    roles: Mapping[Role, RoleCount] = field(default_factory=dict)
    unmeasured: int = 0
    laggards: tuple[str, ...] = ()
    p99_seconds: float | None = None
    last_applied_at: float | None = None
    observed_at: float | None = None
    unreachable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """One worker Deployment as the API server shows it; ``desired`` None = it does not exist."""

    profile: str
    desired: int | None
    ready: int
    since: float | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason to stall that the spec alone does not show (unknown endpoint, name conflict, refused query)."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Requests:
    """The request annotations as they stand: tokens, not yet judged."""

    abort: str | None = None
    request: str | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """One snapshot of the world round a rollout; everything that ``decide`` may look at beside spec and status.

    ``published``: None = there is no flag ConfigMap. ``samples``: by gate name. ``salts``: two fresh salts to use if
    the rollout has none yet (randomness is passed in).
    """

    namespace: str
    name: str
    uid: str
    generation: int
    deleting: bool = False
    requests: Requests = Requests()
    published: Published | None = None
    propagation: PropagationSeen = PropagationSeen()
    samples: Mapping[str, Samples] = field(default_factory=dict)
    workers: tuple[WorkerSeen, ...] = ()
    problems: tuple[Problem, ...] = ()
    salts: tuple[str, str] = ("", "")
    max_ranking_weight: float = 0.15


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: a direction, a reason, a sentence for people.

    ``target``: the vector to fall or rise to (None = keep). ``ramp_runs``/``bake_runs``: the clocks of the row.
    ``latch``: the latch a fall makes, if any. ``look_again``: seconds after which this finding may change by itself.
    ``stage``: where the rollout stands once the target is published (None = in no stage; a Hold keeps its stage).
    ``forced``: a person's word that is published even when it lowers nothing. ``stalled``: nothing goes on before a
    person acts.
    """

    direction: Direction
    reason: Reason
    message: str
    target: Vector | None = None
    gate: str | None = None
    latch: Latch | None = None
    ramp_runs: bool = False
    bake_runs: bool = False
    look_again: float | None = None
    stage: StageStatus | None = None
    forced: bool = False
    stalled: bool = False


@dataclass(frozen=True, slots=True)
class PublishFlags:
    """Publish this vector as this revision; a fall carries its latch, a rise its stage."""

    vector: Vector
    revision: int
    direction: Direction
    stage: str
    salt: str
    sample_salt: str
    latch: Latch | None = None


@dataclass(frozen=True, slots=True)
class ScaleWorkers:
    """Run so many replicas of a profile; None leaves the count to another manager."""

    profile: str
    replicas: int | None


@dataclass(frozen=True, slots=True)
class Announce:
    """Write a Kubernetes Event."""

    type: str  # "Normal" | "Warning"
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ReleaseFinalizer:
    """Everything is off: let the object go."""


Command = PublishFlags | ScaleWorkers | Announce | ReleaseFinalizer


@dataclass(frozen=True, slots=True)
class Decision:
    """Inert commands and the next status.

    ``vector``: in force once the commands are done. ``status``: to be written; for a Rise it holds ``pending`` (content
    hash still empty, filled in by whoever renders the document) and the *old* parameters; for a Fall and a Hold the new
    ones. ``commands`` in no order: the applier knows the safe one. ``next_decision_at``: seconds since the epoch.
    """

    direction: Direction
    reason: Reason
    message: str
    vector: Vector
    status: RolloutStatus
    commands: tuple[Command, ...] = ()
    next_decision_at: float | None = None
    problems: tuple[str, ...] = ()
