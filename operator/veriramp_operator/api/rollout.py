"""``VerificationRollout.spec``: what a person declares. The generator makes the CRD of these models."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from veriramp_operator.api.base import Declared, Seconds
from veriramp_sdk.contract import Mode

GROUP: Final = "veriramp.dev"
VERSION: Final = "v1alpha1"
KIND: Final = "VerificationRollout"
PLURAL: Final = "verificationrollouts"

NAME_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
Name = Annotated[str, Field(min_length=1, max_length=63, pattern=NAME_PATTERN)]
TIME_PATTERN: Final = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
Query = Annotated[str, Field(min_length=1, max_length=4096)]
Rate = Annotated[float, Field(ge=0, le=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
Weight = Annotated[float, Field(ge=0, le=1)]
Weekday = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


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


class PropagationSpec(Declared):
    """When a revision counts as applied."""

    quorum: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Share of the processes of each role that must run a revision before it counts as applied."""
    timeout: Seconds = 120.0
    """How long a revision may take to be applied; a deletion waits at most three times as long."""


class AttributeRule(Declared):
    """A user attribute that decides the arm by itself."""

    attribute: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$")]
    """Name of the attribute, as the search service passes it."""
    equals: Annotated[str, Field(min_length=1, max_length=253)]
    """The value that decides."""


class FlagsSpec(Declared):
    """How the parameters reach the processes."""

    key: Name | None = None
    """Name of the flag that search evaluates; default metadata.name. It cannot be changed later."""
    lease_seconds: Annotated[int, Field(ge=0, le=3600)] = 240
    """How long verification stays on without news from the operator: 30..3600, or 0 for no lease."""
    propagation: PropagationSpec = PropagationSpec()
    """When a published revision counts as applied."""
    include: Annotated[tuple[AttributeRule, ...], Field(max_length=50)] = ()
    """Users that are always in the treatment in Live stages, and outside all statistics."""
    exclude: Annotated[tuple[AttributeRule, ...], Field(max_length=50)] = ()
    """Users that are never in the treatment."""


class ReplicasSpec(Declared):
    """How many replicas of a worker run while the mode is not Off."""

    min: Annotated[int | None, Field(ge=0, le=1000)] = None
    """Fewest replicas; with scaling: Fixed, their number (default 1)."""
    max: Annotated[int | None, Field(ge=1, le=1000)] = None
    """Most replicas; only with scaling: SamplingRate, which runs max x samplingRate of them."""
    scaling: Scaling = Scaling.FIXED
    """Fixed runs min, SamplingRate a share of max, External leaves the count to an HPA or KEDA."""


Setting = str | int | float | bool


class WorkerSpec(Declared):
    """One worker Deployment, by the name of a profile of the operator's configuration."""

    profile: Name
    """Name of a profile in the operator's configuration: image, command, resources, service account."""
    replicas: ReplicasSpec = ReplicasSpec()
    """How many replicas run while the mode is not Off."""
    settings: Annotated[dict[str, Setting], Field(max_length=50)] = Field(default_factory=dict)
    """Settings of this worker, delivered with the flags: texts, numbers or booleans."""


class RampSpec(Declared):
    """The path from the previous stage's vector to this one's, in healthy time."""

    duration: Seconds
    """Healthy time from the previous stage's vector to this one's."""
    shape: Shape = Shape.LINEAR
    """Linear moves evenly, in steps of interval; Steps moves to the fractions of steps, spread evenly over duration."""
    interval: Seconds | None = None
    """Healthy time before each step; default 10m for Linear, and for Steps the even share of duration."""
    steps: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(max_length=100)] = ()
    """Rising fractions (0..1] of the way, with shape: Steps; where the last is not 1, one more step leads there."""


DEFAULT_BAKE: Final = {Mode.OFF: 0.0, Mode.SHADOW: 24 * 3600.0, Mode.LIVE: 48 * 3600.0}
"""Seconds of bake of a stage that names none."""


class StageSpec(Declared):
    """A target vector with its ramp, bake and promotion rule."""

    name: Name
    """Name of the stage; gates and requests name it."""
    mode: Mode
    """Off asks for nothing; Shadow verifies without touching the ranking; Live lets it influence the ranking."""
    sampling_rate: Rate | None = None
    """Share of queries (0..1) that ask for verification; left out: as in the stage before."""
    canary_percent: Percent | None = None
    """Share of users (0..100) whose ranking may change, Live only; left out: as in the stage before."""
    ranking_weight: Weight | None = None
    """Influence of verdicts on the ranking (0..1, and at most the operator's ceiling), Live only; left out: as in
    the stage before."""
    top_k: Annotated[int | None, Field(ge=0, le=200)] = None
    """Results verified per sampled query; left out: as in the stage before (first 10)."""
    ramp: RampSpec | None = None
    """How the parameters move to this stage's values; left out: in one step."""
    bake: Seconds | None = None
    """Healthy time at the full vector before promotion; default 48h for Live, 24h for Shadow, 0s for Off."""
    max_bake: Seconds | None = None
    """When a stage without a decision is handled by onInconclusive; default 2 x bake."""
    promotion: Promotion = Promotion.AUTO
    """Auto goes on by itself; Manual waits for "kubectl veriramp promote"."""

    @property
    def bake_seconds(self) -> float:
        """Healthy seconds to observe at the full vector: ``bake``, or the default of the mode."""
        return DEFAULT_BAKE[self.mode] if self.bake is None else self.bake


class PresenceSpec(Declared):
    """A query with a minimum that proves that an empty answer is good news."""

    query: Query
    """PromQL of a number that is there whenever the metric is, normally the request rate."""
    min: float
    """Below this number an empty answer is no evidence."""


class AlertGate(Declared):
    """An alert query: any returned series is a breach."""

    expr: Query
    """PromQL; any returned series is a breach."""
    for_: Annotated[Seconds, Field(alias="for")] = 0.0
    """How long the breach must last."""
    presence: PresenceSpec | None = None
    """What shows that an empty answer is good news; required."""


class ThresholdGate(Declared):
    """A number held against a bound."""

    query: Query
    """PromQL that returns one series."""
    max: float | None = None
    """A value above it is a breach."""
    min: float | None = None
    """A value below it is a breach."""
    for_: Annotated[Seconds, Field(alias="for")] = 0.0
    """How long the breach must last."""
    empty_means: EmptyMeans = EmptyMeans.NO_DATA
    """How an empty answer is read; Zero only together with presence."""
    presence: PresenceSpec | None = None
    """What shows that an empty answer is good news."""


class BaselineGate(Declared):
    """A number held against a stored baseline."""

    query: Query
    """PromQL of the present value."""
    baseline_query: Query
    """PromQL of the stored baseline."""
    max_drop: Annotated[float, Field(gt=0, lt=1)]
    """Relative drop below the baseline that is a regression (0..1)."""
    lower_query: Query | None = None
    """PromQL of the lower end of the present value's confidence interval; only together with upperQuery."""
    upper_query: Query | None = None
    """PromQL of the upper end of the present value's confidence interval."""


class BurnWindow(Declared):
    """A pair of windows with the burn rate that both must exceed."""

    long: Seconds
    """The long window, for example 1h."""
    short: Seconds
    """The short window, for example 5m, which ends the signal when the fault is over."""
    rate: Annotated[float, Field(gt=0)]
    """How many times faster than allowed the budget burns."""


class BurnRateGate(Declared):
    """Multiwindow, multi-burn-rate judgement of an error budget."""

    errors: Query
    """Selector of the counter of bad events."""
    total: Query
    """Selector of the counter of all events."""
    objective: Annotated[float, Field(gt=0, lt=1)]
    """Share of good events that is promised (0..1), for example 0.99."""
    windows: Annotated[tuple[BurnWindow, ...], Field(min_length=1, max_length=4)]
    """Pairs of windows; one pair above its rate in both is a breach."""
    min_requests: Annotated[int, Field(ge=0)] = 100
    """Fewest requests in a window for it to count: below, a few errors are no burn rate."""


class FiringGate(Declared):
    """Alerts by name."""

    alertnames: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=253)], ...], Field(min_length=1, max_length=50)
    ]
    """Names of the alerts; any of them firing is a breach."""
    source: AlertSource = AlertSource.BOTH
    """Pull asks Prometheus, Push listens to Alertmanager, Both does both."""


class ComparisonGate(Declared):
    """Treatment against control, sequentially tested on counters."""

    events: Annotated[str, Field(min_length=1, max_length=253)]
    """Name of the counter of events, with the labels namespace, rollout and arm."""
    total: Annotated[str, Field(min_length=1, max_length=253)]
    """Name of the counter of requests, with the same labels."""
    direction: Direction = Direction.LOWER_IS_BETTER
    """Whether fewer or more events are better."""
    tolerance: Annotated[float, Field(ge=0, le=10)] = 0.1
    """Relative worsening against the control that is acceptable."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """Probability of a false regression over a whole stage."""
    min_requests: Annotated[int, Field(ge=0)] = 1000
    """Fewest requests per arm for a Pass."""
    min_users: Annotated[int, Field(ge=0)] = 200
    """Fewest users per arm for a Pass."""


class GateSpec(Declared):
    """One question put to monitoring; exactly one of the kinds is set."""

    name: Name
    """Name of the gate, in status, events and metrics."""
    alert: AlertGate | None = None
    """A query of which any returned series is a breach."""
    threshold: ThresholdGate | None = None
    """A number held against a bound."""
    baseline: BaselineGate | None = None
    """A number held against a stored baseline."""
    burn_rate: BurnRateGate | None = None
    """The error budget, judged over several windows."""
    firing: FiringGate | None = None
    """Alerts by name."""
    comparison: ComparisonGate | None = None
    """Treatment against control."""
    selector: Query | None = None
    """The bare series selector behind the query, which tells how old its samples are."""
    every: Seconds = 15.0
    """How often the question is asked; 1s or more."""
    window: Seconds | None = None
    """Time that one answer looks back on; default the largest range in the query, else 5m."""
    max_age: Seconds | None = None
    """Age above which the newest sample is no evidence; default max(3 x every, 2 x scrape interval, 30s)."""
    stages: Annotated[tuple[Name, ...], Field(max_length=20)] = ()
    """Stages that the gate is for; left out: all."""
    required: bool | None = None
    """Promotion needs its Pass; default true unless onRegression is Report."""
    on_regression: OnRegression
    """KillSwitch turns everything off, Shadow leaves the ranking alone, PreviousStage goes one stage back, Report
    only tells."""
    step_down: Seconds | None = None
    """With PreviousStage: go down one further stage each time this has passed."""

    @property
    def is_required(self) -> bool:
        """Promotion needs this gate's Pass: true unless it only reports."""
        if self.on_regression is OnRegression.REPORT:
            return False
        return True if self.required is None else self.required


class OnNoData(Declared):
    """What happens when a required gate has had no data for so long."""

    after: Seconds = 300.0
    """How long required evidence may stay away."""
    action: NoDataAction = NoDataAction.HOLD
    """Hold waits, PreviousStage and Shadow fall."""


class WindowSpec(Declared):
    """A time of the week in which rises may happen."""

    days: Annotated[tuple[Weekday, ...], Field(max_length=7)] = ()
    """Days of the week on which it opens, from Mon to Sun; left out: all."""
    from_: Annotated[str, Field(alias="from", max_length=5, pattern=TIME_PATTERN)]
    """Opening time, 24-hour HH:MM."""
    to: Annotated[str, Field(max_length=5, pattern=TIME_PATTERN)]
    """Closing time, 24-hour HH:MM; before the opening time: on the day after, the same: a whole day."""
    timezone: Annotated[str, Field(min_length=1, max_length=64)] = "UTC"
    """IANA name of the time zone, for example Europe/Berlin."""


class RolloutSpec(Declared):
    """The declared plan of one rollout."""

    prometheus: Name = "default"
    """Name of a Prometheus endpoint in the operator's configuration."""
    flags: FlagsSpec = FlagsSpec()
    """How the parameters reach the processes that obey them."""
    workers: Annotated[tuple[WorkerSpec, ...], Field(max_length=16)] = ()
    """Worker Deployments that the operator runs for this rollout."""
    stages: Annotated[tuple[StageSpec, ...], Field(min_length=1, max_length=20)]
    """The plan, from the first stage to the last; modes and canary percents only rise."""
    gates: Annotated[tuple[GateSpec, ...], Field(max_length=40)] = ()
    """Questions put to monitoring; they keep running after the last stage."""
    on_no_data: OnNoData = OnNoData()
    """What happens when required evidence stays away."""
    on_inconclusive: OnInconclusive = OnInconclusive.HOLD
    """What happens at maxBake without a decision."""
    windows: Annotated[tuple[WindowSpec, ...], Field(max_length=14)] = ()
    """Times in which rises may happen; falls always may. Left out: always."""
    allow_unguarded: bool = False
    """Allow Live stages without a required gate."""
    paused: bool = False
    """Freeze rises; falls still happen."""
    kill_switch: bool = False
    """Turn everything off while true; back at false the rollout starts at the first stage."""
