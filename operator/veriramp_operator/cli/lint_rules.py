"""What ``veriramp lint`` looks for beyond admission: one small check each, with a code of its own. Pure.

Public: :class:`Finding`, :class:`Severity`, :func:`findings`, :data:`CODES`. The rules of admission and the warnings of
``plan`` are asked, not written again; what depends on the traffic is left to ``plan``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from veriramp_operator.api.base import format_duration
from veriramp_operator.api.config import Limits
from veriramp_operator.api.problems import problems
from veriramp_operator.api.rollout import AlertSource, GateSpec, NoDataAction, OnRegression, RolloutSpec
from veriramp_operator.api.vector import PERCENT_QUANTUM, RATE_QUANTUM, WEIGHT_QUANTUM, on_grid
from veriramp_operator.cli.outlook import outlook_of
from veriramp_operator.cli.unwise import Short, folded
from veriramp_operator.engine.ramp import Pace, pace_of
from veriramp_operator.engine.stages import enter, plan_of
from veriramp_operator.evidence import window_of
from veriramp_operator.evidence.promql import metrics_of, typos
from veriramp_sdk.contract import Mode

DEFAULT_SCRAPE_INTERVAL: Final = 15.0
EVERYBODY: Final = 100.0
SCRAPES: Final = 4
"""A short window with fewer scrapes than these is decided by one of them."""
ANSWERS: Final = 3
"""Evidence that stays away for fewer answers than these may only be slow."""


class Severity(StrEnum):
    """``error``: not admitted, or it would stall. ``warning``: it runs, but not as meant. ``hint``: worth a look."""

    ERROR = "error"
    WARNING = "warning"
    HINT = "hint"


@dataclass(frozen=True, slots=True)
class Finding:
    """``field``: the path in the object, for example ``spec.gates[2].selector``; ``message``: with what to write."""

    code: str
    severity: Severity
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Site:
    """What lint is told: seconds between two scrapes (None = nothing), and the operator's ceiling of the weight."""

    scrape_interval: float | None = None
    max_ranking_weight: float = Limits().max_ranking_weight


def findings(spec: RolloutSpec, site: Site) -> list[Finding]:
    """Everything found, in the order of the table; nothing for a sound plan."""
    found = [
        Finding("Admission", Severity.ERROR, field, text.removeprefix(f"{field}: "))
        for text in problems(spec)
        for field in (_field(spec, text),)
    ]
    if found:
        # The rest of the rules may take for granted what these say.
        return [*found, *_of(spec, site, ("PromQL", "AboveCeiling"))]
    return [*_unwise(spec), *_of(spec, site, tuple(_RULES))]


Rule = Callable[[RolloutSpec, Site], Iterator[tuple[str, str]]]


def _of(spec: RolloutSpec, site: Site, codes: tuple[str, ...]) -> list[Finding]:
    return [
        Finding(code, _RULES[code][0], field, text) for code in codes for field, text in _RULES[code][1](spec, site)
    ]


def _promql(spec: RolloutSpec, _: Site) -> Iterator[tuple[str, str]]:
    for index, gate in enumerate(spec.gates):
        for name, query in _queries(gate):
            for typo in typos(query):
                yield f"spec.gates[{index}].{name}", f'gate "{gate.name}": {typo}, in {_short(query)}'


def _above_ceiling(spec: RolloutSpec, site: Site) -> Iterator[tuple[str, str]]:
    for index, stage in enumerate(spec.stages):
        if (stage.ranking_weight or 0.0) > site.max_ranking_weight:
            yield (
                f"spec.stages[{index}].rankingWeight",
                (
                    f'stage "{stage.name}": rankingWeight {stage.ranking_weight:g} is above the ceiling '
                    f"{site.max_ranking_weight:g} and would stall; lower it, or raise the operator's "
                    "limits.maxRankingWeight (and tell lint: --max-ranking-weight)"
                ),
            )


def _unwise(spec: RolloutSpec) -> Iterator[Finding]:
    """The warnings of ``plan`` that do not depend on the traffic."""
    for text in outlook_of(spec, 40.0, 0.01).warnings:
        for code, (severity, wanted) in _WARNED.items():
            if wanted in text:
                yield Finding(code, severity, _field(spec, text), text)


def _max_bake(spec: RolloutSpec, _: Site) -> Iterator[tuple[str, str]]:
    shorts: list[Short] = []
    places: set[int] = set()
    for rung in plan_of(spec).rungs:
        for gate in _asked(spec, rung.name):
            if gate.is_required and gate.comparison is None and window_of(gate) > rung.max_bake > 0:
                lasts = f"maxBake {format_duration(rung.max_bake)}"
                shorts.append(Short(rung.name, lasts, gate.name, format_duration(window_of(gate))))
                places.add(rung.index)
    if shorts:
        yield (
            "spec.stages" if len(places) > 1 else f"spec.stages[{min(places)}].maxBake",
            (
                f"maxBake is over before a gate has evidence of the stage alone: {folded(shorts)}; raise maxBake or "
                "shorten the gate's window"
            ),
        )


def _ramp_blind(spec: RolloutSpec, _: Site) -> Iterator[tuple[str, str]]:
    plan = plan_of(spec)
    for rung in plan.rungs:
        pace = pace_of(plan, rung, enter(rung, rung.vector, 0.0)) if rung.spec.ramp else Pace(0.0, 0.0)
        if rung.vector.mode is not Mode.LIVE or pace.duration <= 0:
            continue
        quickest = min((window_of(gate) for gate in _acting(spec, rung.name)), default=0.0)
        if 0 < pace.interval < quickest:
            yield (
                f"spec.stages[{rung.index}].ramp.interval",
                (
                    f'stage "{rung.name}": every {format_duration(pace.interval)} a step, but its quickest gate looks '
                    f"{format_duration(quickest)} back, so several steps are taken before the first can be seen; write "
                    f"interval: {format_duration(quickest)} or more"
                ),
            )


def _selector(spec: RolloutSpec, _: Site) -> Iterator[tuple[str, str]]:
    for index, gate in enumerate(spec.gates):
        query = _main_query(gate)
        if gate.selector is None or query is None:
            continue
        space = re.search(r'namespace\s*=\s*"[^"]*"', query)
        if space and "namespace" not in gate.selector:
            yield (
                f"spec.gates[{index}].selector",
                (
                    f'gate "{gate.name}": the query is about {space.group()}, its selector about every namespace, so '
                    f"fresh samples elsewhere hide old ones here; add {space.group()} to the selector"
                ),
            )
        strangers = metrics_of(gate.selector) - metrics_of(query)
        if strangers and metrics_of(query):
            yield (
                f"spec.gates[{index}].selector",
                (
                    f'gate "{gate.name}": the selector names {", ".join(sorted(strangers))}, which the query does not '
                    "use, so it tells nothing about the age of the query's samples; name a metric of the query"
                ),
            )


def _presence(spec: RolloutSpec, _: Site) -> Iterator[tuple[str, str]]:
    for index, gate in enumerate(spec.gates):
        if gate.alert is None or gate.alert.presence is None:
            continue
        asked, present = metrics_of(gate.alert.expr), metrics_of(gate.alert.presence.query)
        families = [{name.split("_")[0] for name in names} for names in (asked, present)]
        if asked and present and families[0].isdisjoint(families[1]):
            yield (
                f"spec.gates[{index}].alert.presence",
                (
                    f'gate "{gate.name}": presence watches {", ".join(sorted(present))}, the alert '
                    f"{', '.join(sorted(asked))}: if those vanish, presence does not notice, and silence passes for "
                    "health; write presence about the metrics of the alert"
                ),
            )


def _burn_rate(spec: RolloutSpec, site: Site) -> Iterator[tuple[str, str]]:
    interval = site.scrape_interval or DEFAULT_SCRAPE_INTERVAL
    least = SCRAPES * interval
    for index, gate in enumerate(spec.gates):
        for place, window in enumerate(gate.burn_rate.windows if gate.burn_rate else ()):
            if window.short < least:
                yield (
                    f"spec.gates[{index}].burnRate.windows[{place}].short",
                    (
                        f'gate "{gate.name}": short {format_duration(window.short)} holds fewer than {SCRAPES} scrapes '
                        f"of {format_duration(interval)}; write at least {format_duration(least)}"
                    ),
                )


def _max_age(spec: RolloutSpec, site: Site) -> Iterator[tuple[str, str]]:
    for index, gate in enumerate(spec.gates):
        least = max(gate.every, site.scrape_interval or 0.0)
        if gate.max_age is not None and gate.max_age < least:
            yield (
                f"spec.gates[{index}].maxAge",
                (
                    f'gate "{gate.name}": maxAge {format_duration(gate.max_age)} is shorter than '
                    f"{format_duration(least)}, the time between two looks or scrapes, so that good evidence is too "
                    f"old before the next comes; write at least {format_duration(2 * least)}"
                ),
            )


def _cannot_begin(spec: RolloutSpec, _: Site) -> Iterator[tuple[str, str]]:
    """A Live stage begins only on the word of a required gate that applies in the stage before it."""
    rungs = plan_of(spec).rungs
    for before, rung in zip((rungs[0], *rungs), rungs, strict=False):
        if spec.allow_unguarded or rung.vector.mode is not Mode.LIVE:
            continue
        has_arms = before.vector.mode is Mode.LIVE and 0 < before.vector.canary_percent < EVERYBODY
        required = [gate for gate in _asked(spec, before.name) if gate.is_required]
        if not any(gate.comparison is None or has_arms for gate in required if not _is_pushed(gate)):
            yield (
                f"spec.stages[{rung.index}]",
                (
                    f'stage "{rung.name}" never begins: no required gate can pass in stage "{before.name}", '
                    "because a pushed alert that does not come proves nothing and a comparison needs two arms; add a "
                    "required gate there that asks Prometheus, for example an alert with presence"
                ),
            )


def _below_grid(spec: RolloutSpec, _: Site) -> Iterator[tuple[str, str]]:
    for index, stage in enumerate(spec.stages):
        for name, value, quantum in (
            ("samplingRate", stage.sampling_rate, RATE_QUANTUM),
            ("canaryPercent", stage.canary_percent, PERCENT_QUANTUM),
            ("rankingWeight", stage.ranking_weight, WEIGHT_QUANTUM),
        ):
            if value and not on_grid(value, quantum):
                yield (
                    f"spec.stages[{index}].{name}",
                    (
                        f'stage "{stage.name}": {name} {value:g} is below half of the smallest step {quantum:g} and '
                        f"runs as 0; write {quantum:g} or more, or 0"
                    ),
                )


def _no_data_too_soon(spec: RolloutSpec, _: Site) -> Iterator[tuple[str, str]]:
    after, polled = spec.on_no_data.after, [gate for gate in spec.gates if gate.is_required and not _is_pushed(gate)]
    slowest = max(polled, key=lambda gate: gate.every, default=None)
    if slowest is None or spec.on_no_data.action is NoDataAction.HOLD or after >= ANSWERS * slowest.every:
        return
    yield (
        "spec.onNoData.after",
        (
            f"onNoData.after {format_duration(after)} is shorter than {ANSWERS} answers of gate "
            f'"{slowest.name}" (every {format_duration(slowest.every)}), so that a single slow one brings the rollout '
            f"down; write at least {format_duration(ANSWERS * slowest.every)}"
        ),
    )


def _lease_off(spec: RolloutSpec, _: Site) -> Iterator[tuple[str, str]]:
    if spec.flags.lease_seconds == 0:
        yield (
            "spec.flags.leaseSeconds",
            (
                "leaseSeconds 0 keeps everything on while no operator runs, however bad it is; write 240, or what an "
                "outage may cost"
            ),
        )


def _no_kill_switch(spec: RolloutSpec, _: Site) -> Iterator[tuple[str, str]]:
    live = any(stage.mode is Mode.LIVE for stage in spec.stages)
    if live and not any(gate.on_regression is OnRegression.KILL_SWITCH for gate in spec.gates):
        yield (
            "spec.gates",
            (
                "no gate has onRegression: KillSwitch, so documents go on being verified whatever happens; give one to "
                "what verification itself can break, for example the error rate or the latency of search"
            ),
        )


def _push_receiver(spec: RolloutSpec, _: Site) -> Iterator[tuple[str, str]]:
    for index, gate in enumerate(spec.gates):
        if gate.firing is not None and gate.firing.source is not AlertSource.PULL:
            names = ", ".join(gate.firing.alertnames)
            yield (
                f"spec.gates[{index}].firing",
                (
                    f'gate "{gate.name}" hears of {names} only where Alertmanager sends to the operator\'s receiver, '
                    "with the labels namespace and (for one rollout only) rollout; see the installation guide"
                ),
            )


_RULES: Final[Mapping[str, tuple[Severity, Rule]]] = {
    "PromQL": (Severity.ERROR, _promql),
    "AboveCeiling": (Severity.ERROR, _above_ceiling),
    "WindowLongerThanMaxBake": (Severity.WARNING, _max_bake),
    "RampFasterThanGates": (Severity.WARNING, _ramp_blind),
    "SelectorElsewhere": (Severity.WARNING, _selector),
    "PresenceElsewhere": (Severity.WARNING, _presence),
    "ShortWindowTooShort": (Severity.WARNING, _burn_rate),
    "MaxAgeTooShort": (Severity.WARNING, _max_age),
    "NothingToBeginOn": (Severity.WARNING, _cannot_begin),
    "BelowGrid": (Severity.WARNING, _below_grid),
    "NoDataTooSoon": (Severity.WARNING, _no_data_too_soon),
    "LeaseOff": (Severity.WARNING, _lease_off),
    "NoKillSwitch": (Severity.HINT, _no_kill_switch),
    "PushNeedsReceiver": (Severity.HINT, _push_receiver),
}
_WARNED: Final[Mapping[str, tuple[Severity, str]]] = {
    "NoActingGate": (Severity.WARNING, "has no gate that acts"),
    "NoControl": (Severity.WARNING, "only comparison gates"),
    "SeveralAtOnce": (Severity.WARNING, "at once: if a gate regresses"),
    "WindowsNeverOpen": (Severity.WARNING, "no window ever opens"),
    "RampStretched": (Severity.WARNING, "the windows stretch"),
    "StepDownTooQuick": (Severity.WARNING, "shows whether the last stage down was enough"),
    "WindowLongerThanBake": (Severity.HINT, "promotion waits for evidence of the stage alone"),
}
"""Parts of sentences by which the warnings of ``plan`` are known."""
CODES: Final = ("Unreadable", "Admission", *_WARNED, *_RULES)


def _field(spec: RolloutSpec, text: str) -> str:
    """The stage, gate or worker that a sentence begins with."""
    places = (("stage", spec.stages, "stages"), ("gate", spec.gates, "gates"), ("worker", spec.workers, "workers"))
    for word, items, path in places:
        found = re.match(rf'{word} "([^"]*)"', text)
        for index, item in enumerate(items):
            if found and getattr(item, "name", getattr(item, "profile", "")) == found[1]:
                return f"spec.{path}[{index}]"
    told = [index for index, stage in enumerate(spec.stages) if f'"{stage.name}" (bake ' in text]
    if told:
        return "spec.stages" if len(told) > 1 else f"spec.stages[{told[0]}]"
    named = re.match(r"spec\.[\w.\[\]]+", text)
    return named.group().rstrip(".") if named else "spec"


def _asked(spec: RolloutSpec, stage: str) -> list[GateSpec]:
    return [gate for gate in spec.gates if not gate.stages or stage in gate.stages]


def _acting(spec: RolloutSpec, stage: str) -> list[GateSpec]:
    return [gate for gate in _asked(spec, stage) if gate.on_regression is not OnRegression.REPORT]


def _is_pushed(gate: GateSpec) -> bool:
    return gate.firing is not None and gate.firing.source is AlertSource.PUSH


def _main_query(gate: GateSpec) -> str | None:
    if gate.alert is not None:
        return gate.alert.expr
    return gate.threshold.query if gate.threshold else gate.baseline.query if gate.baseline else None


def _queries(gate: GateSpec) -> Iterator[tuple[str, str]]:
    given: list[tuple[str, str | None]] = [("selector", gate.selector)]
    if gate.alert is not None:
        given += [("alert.expr", gate.alert.expr)]
    if gate.threshold is not None:
        given += [("threshold.query", gate.threshold.query)]
    for kind, asked in (("alert", gate.alert), ("threshold", gate.threshold)):
        if asked is not None and asked.presence is not None:
            given += [(f"{kind}.presence.query", asked.presence.query)]
    if (baseline := gate.baseline) is not None:
        given += [("baseline.query", baseline.query), ("baseline.baselineQuery", baseline.baseline_query)]
        given += [("baseline.lowerQuery", baseline.lower_query), ("baseline.upperQuery", baseline.upper_query)]
    if gate.burn_rate is not None:
        given += [("burnRate.errors", gate.burn_rate.errors), ("burnRate.total", gate.burn_rate.total)]
    yield from ((name, query) for name, query in given if query is not None)


def _short(query: str) -> str:
    return query if len(query) <= 60 else f"{query[:59]}…"  # noqa: PLR2004 the width of a line
