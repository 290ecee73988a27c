"""What is wrong with a plan, without a cluster: the rules of ``rules.py`` in Python, with the same advice.

Public: :func:`problems`. For files before they are applied (``veriramp plan``), and for stored objects that are older
than a rule, which the API server lets through. One table of bad rollouts (tests/data/rollouts/bad.yaml) pins both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from veriramp_operator.api.base import format_duration
from veriramp_operator.api.gate_rules import BARE_SELECTOR, COMPARED, COUNTER_NAME, KINDS, ONE_KIND
from veriramp_operator.api.rollout import (
    BurnRateGate,
    ComparisonGate,
    EmptyMeans,
    GateSpec,
    OnRegression,
    RampSpec,
    ReplicasSpec,
    RolloutSpec,
    Scaling,
    Shape,
    StageSpec,
    ThresholdGate,
)
from veriramp_operator.api.zones import zone_of
from veriramp_sdk.contract import Mode

_DOWN: Final = 'to go down, roll back with "kubectl veriramp abort"'
_MIN_LEASE: Final = 30


def problems(spec: RolloutSpec) -> tuple[str, ...]:
    """One sentence per rule that the spec breaks, each with what to write instead; empty for a sound plan."""
    return tuple(_all(spec))


def _all(spec: RolloutSpec) -> Iterator[str]:
    if 0 < spec.flags.lease_seconds < _MIN_LEASE:
        yield (
            f"leaseSeconds {spec.flags.lease_seconds} is too short to be renewed in time; write 30..3600, or 0 for no"
            " lease"
        )
    if spec.flags.propagation.timeout < 1:
        yield (
            f"propagation.timeout {format_duration(spec.flags.propagation.timeout)} is below 1s; write how long a"
            " revision may take to be applied, for example 2m"
        )
    for worker in spec.workers:
        yield from (f'worker "{worker.profile}": {text}' for text in _replicas(worker.replicas))
    for name in _repeated([worker.profile for worker in spec.workers]):
        yield f'two workers have the profile "{name}"; keep one entry per profile'
    yield from _stages(spec.stages)
    for gate in spec.gates:
        yield from (f'gate "{gate.name}"{text}' for text in _gate(gate, spec))
    for name in _repeated([gate.name for gate in spec.gates]):
        yield f'two gates are called "{name}"; give each gate its own name'
    yield from _unguarded(spec)
    for index, window in enumerate(spec.windows):
        if zone_of(window.timezone) is None:
            yield (
                f'spec.windows[{index}]: the time zone "{window.timezone}" is not known; write an IANA name, for'
                " example Europe/Berlin or UTC"
            )


def _repeated(names: Sequence[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _replicas(replicas: ReplicasSpec) -> Iterator[str]:
    lowest, highest = replicas.min, replicas.max
    if replicas.scaling is Scaling.EXTERNAL and (lowest is not None or highest is not None):
        yield (
            "scaling: External leaves the count to an HPA or KEDA; remove min and max, or write scaling: SamplingRate"
        )
    if replicas.scaling is Scaling.SAMPLING_RATE and highest is None:
        yield "scaling: SamplingRate runs a share of max; write max, for example max: 8, or scaling: Fixed"
    if replicas.scaling is Scaling.FIXED and highest is not None:
        yield "scaling: Fixed runs min replicas and has no max; remove max, or write scaling: SamplingRate"
    if lowest is not None and highest is not None and highest < lowest:
        yield f"max {highest} is below min {lowest}; write max >= min"


def _stages(stages: Sequence[StageSpec]) -> Iterator[str]:
    for stage in stages:
        yield from (f'stage "{stage.name}": {text}' for text in _stage(stage))
    for name in _repeated([stage.name for stage in stages]):
        yield f'two stages are called "{name}"; give each stage its own name'
    for before, stage in pairwise(stages):
        if stage.mode.rank < before.mode.rank:
            yield (
                f'stage "{stage.name}": mode {stage.mode} is below {before.mode} of stage "{before.name}" before it;'
                f" order the stages Off, Shadow, Live ({_DOWN})"
            )
    live = [stage for stage in stages if stage.mode is Mode.LIVE and stage.canary_percent is not None]
    for before, stage in pairwise(live):
        if (stage.canary_percent or 0) < (before.canary_percent or 0):
            yield (
                f'stage "{stage.name}": canaryPercent {stage.canary_percent:g} is below {before.canary_percent:g} of'
                f' stage "{before.name}" before it; stages may only widen ({_DOWN})'
            )


def _stage(stage: StageSpec) -> Iterator[str]:
    if stage.mode is not Mode.LIVE:
        for name, value in (("canaryPercent", stage.canary_percent), ("rankingWeight", stage.ranking_weight)):
            if value is not None:
                yield (
                    f"mode {stage.mode} touches no ranking, so {name} {value:g} means nothing; remove it, or write"
                    " mode: Live"
                )
    if stage.bake is not None and stage.max_bake is not None and stage.max_bake < stage.bake:
        yield (
            f"maxBake {format_duration(stage.max_bake)} is shorter than bake {format_duration(stage.bake)}; write a"
            " maxBake of at least the bake, or leave it out (default 2 x bake)"
        )
    if stage.ramp is not None:
        yield from _ramp(stage.ramp)


def _ramp(ramp: RampSpec) -> Iterator[str]:
    if any(before >= step for before, step in pairwise(ramp.steps)):
        yield "steps do not rise; write the fractions in rising order, for example steps: [0.25, 0.5, 1]"
    if ramp.shape is Shape.STEPS and not ramp.steps:
        yield "shape: Steps needs its steps; write for example steps: [0.25, 0.5, 1], or shape: Linear"
    if ramp.shape is Shape.LINEAR and ramp.steps:
        yield "shape: Linear has no steps; write shape: Steps, or remove steps"
    if ramp.duration <= 0:
        yield "duration is 0; write how long the ramp takes, for example 6h, or remove ramp"
    if ramp.shape is Shape.STEPS and ramp.interval is not None and ramp.steps:
        taken = len(ramp.steps) + (ramp.steps[-1] < 1)
        if round(taken * ramp.interval, 3) != round(ramp.duration, 3):
            yield (
                f"{taken} steps of {format_duration(ramp.interval)} do not take {format_duration(ramp.duration)};"
                " remove interval (shape: Steps spreads its steps evenly over duration)"
            )
    if ramp.interval is not None and ramp.interval < 1:
        text = format_duration(ramp.interval)
        yield f"interval {text} is below 1s; write the time between two steps, for example 10m"


def _gate(gate: GateSpec, spec: RolloutSpec) -> Iterator[str]:
    given = [kind for kind in KINDS if getattr(gate, "burn_rate" if kind == "burnRate" else kind) is not None]
    if len(given) != 1:
        yield f" has {' and '.join(given) or 'no kind'}; {ONE_KIND}"
    yield from _age(gate)
    yield from _of_kind(gate)
    yield from _presence(gate)
    yield from _reaction(gate)
    if gate.every < 1:
        yield f": every {format_duration(gate.every)} is below 1s; write 1s or more"
    names = [stage.name for stage in spec.stages]
    for name in gate.stages:
        if name not in names:
            yield (
                f' names the stage "{name}", which does not exist; write one of {", ".join(names)}, or leave stages out'
                " for all"
            )


def _of_kind(gate: GateSpec) -> Iterator[str]:
    if gate.alert is not None and gate.alert.presence is None:
        yield (
            ": an alert has no presence, and without it a metric that vanished looks healthy; write a query with a"
            " minimum that shows that there is traffic, for example presence:"
            " {query: sum(rate(search_requests_total[1m])), min: 0.1}"
        )
    if gate.threshold is not None:
        yield from (f": {text}" for text in _threshold(gate.threshold))
    if gate.baseline is not None and (gate.baseline.lower_query is None) is not (gate.baseline.upper_query is None):
        yield ": an interval has two ends; write both lowerQuery and upperQuery, or neither"
    if gate.burn_rate is not None:
        yield from (f": {text}" for text in _burn_rate(gate.burn_rate))
    if gate.comparison is not None:
        yield from (f": {text}" for text in _comparison(gate.comparison))


def _presence(gate: GateSpec) -> Iterator[str]:
    for asked in (gate.alert, gate.threshold):
        if asked is not None and asked.presence is not None and not asked.presence.min > 0:
            yield (
                f": presence: min {asked.presence.min:g} is met although nothing happens, which proves no presence;"
                " write a number above 0, for example min: 0.1"
            )


def _burn_rate(gate: BurnRateGate) -> Iterator[str]:
    for name, selector in (("errors", gate.errors), ("total", gate.total)):
        if not re.search(BARE_SELECTOR, selector):
            yield (
                f'{name} "{selector}" is more than a counter; write its name with label matchers, without function,'
                " operator or range: the windows are added to it"
            )
    for window in gate.windows:
        if window.short < 1:
            yield (
                f"short {format_duration(window.short)} is below 1s; write at least two scrape intervals, for example"
                " short: 5m"
            )
        if window.long <= window.short:
            yield (
                f"long {format_duration(window.long)} is not longer than short {format_duration(window.short)};"
                " write for example long: 1h, short: 5m"
            )


def _comparison(gate: ComparisonGate) -> Iterator[str]:
    for name, example in COMPARED:
        if not re.fullmatch(COUNTER_NAME, counter := getattr(gate, name)):
            yield (
                f'{name} "{counter}" is no name of a counter; write the name alone, without labels, function or'
                f" operator, for example {example}"
            )
    if gate.events == gate.total:
        yield (
            f'events and total are both "{gate.total}", so that every request is an event; write for total the counter'
            " of all requests"
        )


def _reaction(gate: GateSpec) -> Iterator[str]:
    if gate.on_regression is OnRegression.REPORT and gate.required:
        yield " only reports, so it cannot be required; remove required: true, or write onRegression: Shadow"
    if gate.step_down is not None and gate.on_regression is not OnRegression.PREVIOUS_STAGE:
        yield (
            f": stepDown has no meaning with onRegression: {gate.on_regression}; write onRegression: PreviousStage, or"
            " remove stepDown"
        )
    if gate.step_down is not None and gate.step_down < 1:
        yield (
            f": stepDown {format_duration(gate.step_down)} is below 1s; write the time before the next stage down, for"
            " example 24h, or remove stepDown"
        )


def _age(gate: GateSpec) -> Iterator[str]:
    asked = gate.alert.expr if gate.alert else (gate.threshold or gate.baseline)
    query = asked if isinstance(asked, str) or asked is None else asked.query
    if gate.selector is None and query is not None and not re.search(BARE_SELECTOR, query):
        yield (
            " has no selector, and the answer of its query does not tell how old its samples are; write the bare series"
            ' selector behind the query, for example selector: search_requests_total{namespace="search"}'
        )
    if gate.selector is not None and not re.search(BARE_SELECTOR, gate.selector):
        yield (
            f': selector "{gate.selector}" is more than a series; write it without function, operator or range, for'
            ' example search_requests_total{namespace="search"}'
        )
    if gate.baseline is not None and gate.max_age is None:
        yield (
            " compares with a baseline that a job writes; write how old its newest sample may be, for example"
            " maxAge: 26h for a daily job"
        )


def _threshold(gate: ThresholdGate) -> Iterator[str]:
    if gate.max is None and gate.min is None:
        yield "a threshold has no bound; write max (a breach above it), min (a breach below it) or both"
    if gate.max is not None and gate.min is not None and gate.min > gate.max:
        yield f"min {gate.min:g} is above max {gate.max:g}, so that every value is a breach; write min <= max"
    if gate.empty_means is EmptyMeans.ZERO and gate.presence is None:
        yield (
            "emptyMeans: Zero without presence takes a metric that vanished for zero; write for example presence:"
            " {query: sum(rate(search_requests_total[1m])), min: 0.1}, or emptyMeans: NoData"
        )


def _unguarded(spec: RolloutSpec) -> Iterator[str]:
    live = [stage.name for stage in spec.stages if stage.mode is Mode.LIVE]
    if live and not spec.allow_unguarded and not any(gate.is_required for gate in spec.gates):
        yield (
            f'stage "{live[0]}" is Live and no gate guards it; write at least one gate that is required and acts'
            " (onRegression other than Report), or allowUnguarded: true"
        )
