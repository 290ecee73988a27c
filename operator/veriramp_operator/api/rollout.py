"""``VerificationRollout.spec``: what a person declares. The generator makes the CRD of these models."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from veriramp_operator.api.base import Frozen, Seconds
from veriramp_sdk.contract import Mode

GROUP: Final = "veriramp.dev"
VERSION: Final = "v1alpha1"
KIND: Final = "VerificationRollout"
PLURAL: Final = "verificationrollouts"

Name = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
Query = Annotated[str, Field(min_length=1, max_length=4096)]
Rate = Annotated[float, Field(ge=0, le=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
Weight = Annotated[float, Field(ge=0, le=1)]


class Scaling(StrEnum):
    """Who decides the number of replicas of a worker."""

    FIXED = "Fixed"
    SAMPLING_RATE = "SamplingRate"
    EXTERNAL = "External"


class Shape(StrEnum):
    """The form of a ramp."""

    LINEAR = "Linear"
    STEPS = "Steps"


class Promotion(StrEnum):
    """Who lets a stage end."""

    AUTO = "Auto"
    MANUAL = "Manual"


class OnRegression(StrEnum):
    """Where a regressing gate sends the rollout."""

    KILL_SWITCH = "KillSwitch"
    SHADOW = "Shadow"
    PREVIOUS_STAGE = "PreviousStage"
    REPORT = "Report"


class NoDataAction(StrEnum):
    """What happens when required evidence stays away."""

    HOLD = "Hold"
    PREVIOUS_STAGE = "PreviousStage"
    SHADOW = "Shadow"


class OnInconclusive(StrEnum):
    """What happens at maxBake without a decision."""

    HOLD = "Hold"
    ROLLBACK = "Rollback"
    PROMOTE = "Promote"


class AlertSource(StrEnum):
    """Where firing alerts come from."""

    PULL = "Pull"
    PUSH = "Push"
    BOTH = "Both"


class Direction(StrEnum):
    """The better direction of a compared rate."""

    LOWER_IS_BETTER = "LowerIsBetter"
    HIGHER_IS_BETTER = "HigherIsBetter"


class EmptyMeans(StrEnum):
    """How an empty answer of a threshold query is read."""

    NO_DATA = "NoData"
    ZERO = "Zero"


class PropagationSpec(Frozen):
    """When a revision counts as applied."""

    quorum: Annotated[float, Field(gt=0, le=1)] = 0.95
    timeout: Seconds = 120.0


class AttributeRule(Frozen):
    """A user attribute that decides the arm by itself."""

    attribute: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$")]
    equals: Annotated[str, Field(min_length=1, max_length=253)]


class FlagsSpec(Frozen):
    """How the parameters reach the processes."""

    key: Annotated[str | None, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")] = None
    lease_seconds: Annotated[int, Field(ge=0, le=3600)] = 240
    propagation: PropagationSpec = PropagationSpec()
    include: Annotated[tuple[AttributeRule, ...], Field(max_length=50)] = ()
    exclude: Annotated[tuple[AttributeRule, ...], Field(max_length=50)] = ()


class ReplicasSpec(Frozen):
    """How many replicas of a worker run while the mode is not Off."""

    min: Annotated[int | None, Field(ge=0, le=1000)] = None
    max: Annotated[int | None, Field(ge=1, le=1000)] = None
    scaling: Scaling = Scaling.FIXED


Setting = str | int | float | bool


class WorkerSpec(Frozen):
    """One worker Deployment, by the name of a profile of the operator's configuration."""

    profile: Name
    replicas: ReplicasSpec = ReplicasSpec()
    settings: Annotated[dict[str, Setting], Field(max_length=50)] = Field(default_factory=dict)


class RampSpec(Frozen):
    """The path from the previous stage's vector to this one's, in healthy time."""

    duration: Seconds
    shape: Shape = Shape.LINEAR
    interval: Seconds = 600.0
    steps: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(max_length=100)] = ()


class StageSpec(Frozen):
    """A target vector with its ramp, bake and promotion rule."""

    name: Name
    mode: Mode
    sampling_rate: Rate | None = None
    canary_percent: Percent | None = None
    ranking_weight: Weight | None = None
    top_k: Annotated[int | None, Field(ge=0, le=200)] = None
    ramp: RampSpec | None = None
    bake: Seconds | None = None
    max_bake: Seconds | None = None
    promotion: Promotion = Promotion.AUTO


class PresenceSpec(Frozen):
    """A query with a minimum that proves that an empty answer is good news."""

    query: Query
    min: float


class AlertGate(Frozen):
    """An alert query: any returned series is a breach."""

    expr: Query
    for_: Annotated[Seconds, Field(alias="for")] = 0.0
    presence: PresenceSpec | None = None


class ThresholdGate(Frozen):
    """A number held against a bound."""

    query: Query
    max: float | None = None
    min: float | None = None
    for_: Annotated[Seconds, Field(alias="for")] = 0.0
    empty_means: EmptyMeans = EmptyMeans.NO_DATA
    presence: PresenceSpec | None = None


class BaselineGate(Frozen):
    """A number held against a stored baseline."""

    query: Query
    baseline_query: Query
    max_drop: Annotated[float, Field(gt=0, lt=1)]


class BurnWindow(Frozen):
    """A pair of windows with the burn rate that both must exceed."""

    long: Seconds
    short: Seconds
    rate: Annotated[float, Field(gt=0)]


class BurnRateGate(Frozen):
    """Multiwindow, multi-burn-rate judgement of an error budget."""

    errors: Query
    total: Query
    objective: Annotated[float, Field(gt=0, lt=1)]
    windows: Annotated[tuple[BurnWindow, ...], Field(min_length=1, max_length=4)]


class FiringGate(Frozen):
    """Alerts by name."""

    alertnames: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=253)], ...], Field(min_length=1, max_length=50)
    ]
    source: AlertSource = AlertSource.BOTH


class ComparisonGate(Frozen):
    """Treatment against control, sequentially tested on counters."""

    events: Annotated[str, Field(min_length=1, max_length=253)]
    total: Annotated[str, Field(min_length=1, max_length=253)]
    direction: Direction = Direction.LOWER_IS_BETTER
    tolerance: Annotated[float, Field(ge=0, le=10)] = 0.1
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    min_requests: Annotated[int, Field(ge=0)] = 1000
    min_users: Annotated[int, Field(ge=0)] = 200


class GateSpec(Frozen):
    """One question put to monitoring; exactly one of the kinds is set."""

    name: Name
    alert: AlertGate | None = None
    threshold: ThresholdGate | None = None
    baseline: BaselineGate | None = None
    burn_rate: BurnRateGate | None = None
    firing: FiringGate | None = None
    comparison: ComparisonGate | None = None
    selector: Query | None = None
    every: Seconds = 15.0
    window: Seconds | None = None
    max_age: Seconds | None = None
    stages: Annotated[tuple[Name, ...], Field(max_length=20)] = ()
    required: bool | None = None
    on_regression: OnRegression
    step_down: Seconds | None = None

    @property
    def is_required(self) -> bool:
        """Promotion needs this gate's Pass: true unless it only reports."""
        if self.on_regression is OnRegression.REPORT:
            return False
        return True if self.required is None else self.required


class OnNoData(Frozen):
    """What happens when a required gate has had no data for so long."""

    after: Seconds = 300.0
    action: NoDataAction = NoDataAction.HOLD


class WindowSpec(Frozen):
    """A time of the week in which rises may happen."""

    days: Annotated[tuple[str, ...], Field(max_length=7)] = ()
    from_: Annotated[str, Field(alias="from", pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    to: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    timezone: Annotated[str, Field(min_length=1, max_length=64)] = "UTC"


class RolloutSpec(Frozen):
    """The declared plan of one rollout."""

    prometheus: Name = "default"
    flags: FlagsSpec = FlagsSpec()
    workers: Annotated[tuple[WorkerSpec, ...], Field(max_length=16)] = ()
    stages: Annotated[tuple[StageSpec, ...], Field(min_length=1, max_length=20)]
    gates: Annotated[tuple[GateSpec, ...], Field(max_length=40)] = ()
    on_no_data: OnNoData = OnNoData()
    on_inconclusive: OnInconclusive = OnInconclusive.HOLD
    windows: Annotated[tuple[WindowSpec, ...], Field(max_length=14)] = ()
    allow_unguarded: bool = False
    paused: bool = False
    kill_switch: bool = False
