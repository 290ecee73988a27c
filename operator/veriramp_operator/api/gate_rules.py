"""The rules of the custom resource about gates.

Public: :data:`GATE_RULES` (by model), :data:`BARE_SELECTOR`, :data:`COUNTER_NAME`, :data:`COMPARED`, :data:`KINDS`,
:data:`ONE_KIND`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from veriramp_operator.api.cel import Rule, raw, say

COUNTER_NAME: Final = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"
_LABELS: Final = r"""([^{}"]|"([^"\\]|\\.)*")"""
BARE_SELECTOR: Final = rf"^\s*([a-zA-Z_:][a-zA-Z0-9_:]*(\s*\{{{_LABELS}*\}})?|\{{{_LABELS}+\}})\s*$"
"""A series selector without function, operator, range or offset: what ``timestamp()`` can be asked about."""

COMPARED: Final = (("events", "veriramp_search_errors_total"), ("total", "veriramp_search_requests_total"))
"""Fields of a comparison that name a counter, each with an example."""
KINDS: Final = ("alert", "threshold", "baseline", "burnRate", "firing", "comparison")
ONE_KIND: Final = f"write exactly one of {', '.join(KINDS)} per gate"
_GIVEN: Final = "[" + ", ".join(f"has(self.{kind}) ? '{kind}' : ''" for kind in KINDS) + "].filter(k, k != '')"
_ASKED: Final = (
    "(has(self.alert) ? self.alert.expr : has(self.threshold) ? self.threshold.query"
    " : has(self.baseline) ? self.baseline.query : 'up')"
)
_SELECTOR_EXAMPLE: Final = 'search_requests_total{namespace="search"}'

_GATE: Final = (
    Rule(
        f"{_GIVEN}.size() == 1",
        ONE_KIND,
        say(f'gate "%s" has %s; {ONE_KIND}', "self.name", f"{_GIVEN}.size() == 0 ? dyn('no kind') : dyn({_GIVEN})"),
    ),
    Rule(
        f"has(self.selector) || {_ASKED}.matches({raw(BARE_SELECTOR)})",
        f"an answer does not tell how old its samples are; write the series behind it, selector: {_SELECTOR_EXAMPLE}",
        say(
            'gate "%s" has no selector, and the answer of its query does not tell how old its samples are; write the'
            f" bare series selector behind the query, for example selector: {_SELECTOR_EXAMPLE}",
            "self.name",
        ),
    ),
    Rule(
        f"!has(self.selector) || self.selector.matches({raw(BARE_SELECTOR)})",
        f"selector must be bare, without function, operator or range; write for example {_SELECTOR_EXAMPLE}",
        say(
            'gate "%s": selector "%s" is more than a series; write it without function, operator or range, for example'
            f" {_SELECTOR_EXAMPLE}",
            "self.name",
            "self.selector",
        ),
        field=".selector",
    ),
    Rule(
        "!has(self.baseline) || has(self.maxAge)",
        "a baseline gate needs maxAge, how old its newest sample may be; write for example maxAge: 26h for a daily job",
        say(
            'gate "%s" compares with a baseline that a job writes; write how old its newest sample may be, for example'
            " maxAge: 26h for a daily job",
            "self.name",
        ),
    ),
    Rule(
        "self.onRegression != 'Report' || !has(self.required) || !self.required",
        "a gate that only reports cannot be required; remove required: true, or write onRegression: Shadow",
        say(
            'gate "%s" only reports, so it cannot be required; remove required: true, or write onRegression: Shadow',
            "self.name",
        ),
    ),
    Rule(
        "!has(self.stepDown) || self.onRegression == 'PreviousStage'",
        "stepDown belongs to onRegression: PreviousStage; write that, or remove stepDown",
        say(
            'gate "%s": stepDown has no meaning with onRegression: %s; write onRegression: PreviousStage, or remove'
            " stepDown",
            "self.name",
            "self.onRegression",
        ),
    ),
    Rule(
        "!has(self.stepDown) || duration(self.stepDown) >= duration('1s')",
        "stepDown is below 1s; write the time before the next stage down, for example 24h, or remove stepDown",
        say(
            'gate "%s": stepDown %s is below 1s; write the time before the next stage down, for example 24h, or remove'
            " stepDown",
            "self.name",
            "self.stepDown",
        ),
        field=".stepDown",
    ),
    Rule(
        "duration(self.every) >= duration('1s')",
        "every is below 1s; write 1s or more",
        say('gate "%s": every %s is below 1s; write 1s or more', "self.name", "self.every"),
        field=".every",
    ),
)

_PRESENCE_EXAMPLE: Final = "presence: {query: sum(rate(search_requests_total[1m])), min: 0.1}"

_ALERT: Final = (
    Rule(
        "has(self.presence)",
        "an alert has no presence, and without it a metric that vanished looks healthy; write a query with a minimum"
        f" that shows that there is traffic, for example {_PRESENCE_EXAMPLE}",
    ),
)

_THRESHOLD: Final = (
    Rule(
        "has(self.max) || has(self.min)",
        "a threshold has no bound; write max (a breach above it), min (a breach below it) or both",
    ),
    Rule(
        "!has(self.max) || !has(self.min) || self.min <= self.max",
        "min is above max, so that every value is a breach; write min <= max",
        say("min %s is above max %s, so that every value is a breach; write min <= max", "self.min", "self.max"),
    ),
    Rule(
        "self.emptyMeans != 'Zero' || has(self.presence)",
        "emptyMeans: Zero without presence takes a metric that vanished for zero; write for example"
        f" {_PRESENCE_EXAMPLE}, or emptyMeans: NoData",
    ),
)

_GATES: Final = (
    Rule(
        "self.all(g, self.exists_one(h, h.name == g.name))",
        "two gates have the same name; give each gate its own",
        say(
            'two gates are called "%s"; give each gate its own name',
            "self.filter(g, !self.exists_one(h, h.name == g.name))[0].name",
        ),
    ),
)

_BASELINE: Final = (
    Rule(
        "has(self.lowerQuery) == has(self.upperQuery)",
        "an interval has two ends; write both lowerQuery and upperQuery, or neither",
    ),
)

_BURN_RATE: Final = (
    Rule(
        f"self.errors.matches({raw(BARE_SELECTOR)})",
        "errors is more than a counter; write its name with label matchers, without function, operator or range",
        say(
            'errors "%s" is more than a counter; write its name with label matchers, without function, operator or'
            " range: the windows are added to it",
            "self.errors",
        ),
        field=".errors",
    ),
    Rule(
        f"self.total.matches({raw(BARE_SELECTOR)})",
        "total is more than a counter; write its name with label matchers, without function, operator or range",
        say(
            'total "%s" is more than a counter; write its name with label matchers, without function, operator or'
            " range: the windows are added to it",
            "self.total",
        ),
        field=".total",
    ),
)

_COMPARISON: Final = (
    *(
        Rule(
            f"self.{name}.matches({raw(COUNTER_NAME)})",
            f"{name} is no name of a counter; write the name alone, without labels, function or operator",
            say(
                f'{name} "%s" is no name of a counter; write the name alone, without labels, function or operator, for'
                f" example {example}",
                f"self.{name}",
            ),
            field=f".{name}",
        )
        for name, example in COMPARED
    ),
    Rule(
        "self.events != self.total",
        "events and total are the same counter, so that every request is an event; write two counters",
        say(
            'events and total are both "%s", so that every request is an event; write for total the counter of all'
            " requests",
            "self.total",
        ),
    ),
)

_PRESENCE: Final = (
    Rule(
        "self.min > 0.0",
        "min is met although nothing happens, which proves no presence; write a number above 0, for example min: 0.1",
        say(
            "presence: min %s is met although nothing happens, which proves no presence; write a number above 0, for"
            " example min: 0.1",
            "self.min",
        ),
        field=".min",
    ),
)

_BURN_WINDOW: Final = (
    Rule(
        "duration(self.long) > duration(self.short)",
        "long is not longer than short; write for example long: 1h, short: 5m",
        say("long %s is not longer than short %s; write for example long: 1h, short: 5m", "self.long", "self.short"),
    ),
    Rule(
        "duration(self.short) >= duration('1s')",
        "short is below 1s; write at least two scrape intervals, for example short: 5m",
        say("short %s is below 1s; write at least two scrape intervals, for example short: 5m", "self.short"),
        field=".short",
    ),
)

GATE_RULES: Final[Mapping[str, tuple[Rule, ...]]] = {
    "RolloutSpec.gates": _GATES,
    "GateSpec": _GATE,
    "AlertGate": _ALERT,
    "ThresholdGate": _THRESHOLD,
    "BaselineGate": _BASELINE,
    "BurnRateGate": _BURN_RATE,
    "ComparisonGate": _COMPARISON,
    "PresenceSpec": _PRESENCE,
    "BurnWindow": _BURN_WINDOW,
}
"""Rules by the model they are about; ``Model.field`` for rules on a list as a whole."""
