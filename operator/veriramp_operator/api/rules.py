"""The rules of the custom resource: what the API server refuses, and the sentence that says what to write instead.

Public: :data:`RULES` (by model, or ``Model.field`` for a rule on a list as a whole), :data:`PATTERN_RULES`. The rules
about gates are in ``gate_rules.py``.

How they ratchet: an API server >= 1.33 forgets the violations of a value that did not change, so each rule sits as
deep as it can (a stage, a gate, the list of stages). Rules that look at the whole ``spec`` or at the object compare
with the old object themselves: what was already broken may stay, what is sound may not break. So an old object can
still get its status, its finalizer and its kill switch.

Lists are merged by name (``listType: map``), so the API server refuses two equal names by itself, but with a sentence
that names only the key; the rules on the lists add one that a person can act on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from veriramp_operator.api.base import DURATION_PATTERN
from veriramp_operator.api.cel import Rule, raw, say, unless_old
from veriramp_operator.api.gate_rules import GATE_RULES
from veriramp_operator.api.rollout import NAME_PATTERN, TIME_PATTERN

_DURATION_HELP: Final = "write for example 90s, 15m or 24h (days as hours: 14 days = 336h)"
_DURATION: Final = (
    Rule(
        f"self.matches({raw(DURATION_PATTERN)})",
        f"this is not a duration; {_DURATION_HELP}",
        say(f'"%s" is not a duration; {_DURATION_HELP}', "self"),
    ),
    Rule(
        f"!self.matches({raw(DURATION_PATTERN)}) || duration(self) <= duration('2160h')",
        "a duration is at most 90 days; write at most 2160h",
        say('"%s" is longer than 90 days; write at most 2160h', "self"),
    ),
)
_NAME: Final = (
    Rule(
        f"self.matches({raw(NAME_PATTERN)})",
        "this is not a name; write lower case letters, digits and '-', for example canary-5",
        say('"%s" is not a name; write lower case letters, digits and "-", for example canary-5', "self"),
    ),
)
_TIME: Final = (
    Rule(
        f"self.matches({raw(TIME_PATTERN)})",
        "this is not a time of day; write hours and minutes, for example 09:00 (in quotes)",
        say('"%s" is not a time of day; write hours and minutes, for example 09:00 (in quotes)', "self"),
    ),
)
PATTERN_RULES: Final[Mapping[str, tuple[Rule, ...]]] = {
    DURATION_PATTERN: _DURATION,
    NAME_PATTERN: _NAME,
    TIME_PATTERN: _TIME,
}
"""Rules by the pattern of the text they are about: the pattern alone is refused with no word on what to write."""

_OBJECT: Final = (
    Rule(
        "oldSelf.hasValue() || self.metadata.name.size() <= 40",
        "metadata.name has more than 40 characters; write a shorter one",
        say(
            'metadata.name "%s" has %s characters; write at most 40, because the names of its flag ConfigMap and its'
            " workers are made from it",
            "self.metadata.name",
            "self.metadata.name.size()",
        ),
        with_old=True,
    ),
    Rule(
        f"oldSelf.hasValue() || self.metadata.name.matches({raw(NAME_PATTERN)})",
        "metadata.name has a dot; write lower case letters, digits and '-', as spec.flags.key defaults to it",
        with_old=True,
    ),
)

_STAGE: Final = (
    Rule(
        "self.mode == 'Live' || !(has(self.canaryPercent) || has(self.rankingWeight))",
        "Off and Shadow stages touch no ranking; remove canaryPercent and rankingWeight, or write mode: Live",
        say(
            'stage "%s": mode %s touches no ranking, so %s %s means nothing; remove it, or write mode: Live',
            "self.name",
            "self.mode",
            "has(self.canaryPercent) ? 'canaryPercent' : 'rankingWeight'",
            "has(self.canaryPercent) ? self.canaryPercent : self.rankingWeight",
        ),
    ),
    Rule(
        "!has(self.maxBake) || !has(self.bake) || duration(self.maxBake) >= duration(self.bake)",
        "maxBake is shorter than bake; write a maxBake of at least the bake, or leave it out (default 2 x bake)",
        say(
            'stage "%s": maxBake %s is shorter than bake %s; write a maxBake of at least the bake, or leave it out'
            " (default 2 x bake)",
            "self.name",
            "self.maxBake",
            "self.bake",
        ),
    ),
)

_STEPS_EXAMPLE: Final = "for example steps: [0.25, 0.5, 1]"
_TAKEN: Final = "(self.steps.size() + (self.steps[self.steps.size() - 1] < 1.0 ? 1 : 0))"
"""Number of steps; the one to 1 counts although it need not be written."""
_RAMP: Final = (
    Rule(
        "!has(self.steps) || (self.steps.isSorted() && self.steps.all(s, self.steps.exists_one(t, t == s)))",
        f"steps do not rise; write the fractions in rising order, {_STEPS_EXAMPLE}",
        say(
            f"steps %s do not rise; write the fractions in rising order, {_STEPS_EXAMPLE}",
            "self.steps.map(s, string(s))",
        ),
        field=".steps",
    ),
    Rule(
        "self.shape != 'Steps' || (has(self.steps) && self.steps.size() > 0)",
        f"shape: Steps needs its steps; write {_STEPS_EXAMPLE}, or shape: Linear",
    ),
    Rule(
        "self.shape == 'Steps' || !has(self.steps) || self.steps.size() == 0",
        "shape: Linear has no steps; write shape: Steps, or remove steps",
        field=".steps",
    ),
    Rule(
        "duration(self.duration) > duration('0s')",
        "duration is 0; write how long the ramp takes, for example 6h, or remove ramp",
        field=".duration",
    ),
    Rule(
        "self.shape != 'Steps' || !has(self.interval) || !has(self.steps) || self.steps.size() == 0"
        f" || duration(self.interval).getMilliseconds() * {_TAKEN} == duration(self.duration).getMilliseconds()",
        "shape: Steps spreads its steps evenly over duration; remove interval",
        say(
            "%s steps of %s do not take %s; remove interval (shape: Steps spreads its steps evenly over duration)",
            _TAKEN,
            "self.interval",
            "self.duration",
        ),
        field=".interval",
    ),
    Rule(
        "!has(self.interval) || duration(self.interval) >= duration('1s')",
        "interval is below 1s; write the time between two steps, for example 10m",
        say("interval %s is below 1s; write the time between two steps, for example 10m", "self.interval"),
        field=".interval",
    ),
)

_RANK: Final = "({0}.mode == 'Off' ? 0 : {0}.mode == 'Shadow' ? 1 : 2)"
_DOWN: Final = 'to go down, roll back with "kubectl veriramp abort"'
_LIVE: Final = "self.filter(s, s.mode == 'Live' && has(s.canaryPercent))"
_MODE_FALLS: Final = say(
    f'stage "%s": mode %s is below %s of stage "%s" before it; order the stages Off, Shadow, Live ({_DOWN})',
    "s.name",
    "s.mode",
    "self[i - 1].mode",
    "self[i - 1].name",
)
_PERCENT_FALLS: Final = say(
    f'stage "%s": canaryPercent %s is below %s of stage "%s" before it; stages may only widen ({_DOWN})',
    "s.name",
    "s.canaryPercent",
    "live[i - 1].canaryPercent",
    "live[i - 1].name",
)
_STAGES: Final = (
    Rule(
        "self.all(s, self.exists_one(t, t.name == s.name))",
        "two stages have the same name; give each stage its own",
        say(
            'two stages are called "%s"; give each stage its own name',
            "self.filter(s, !self.exists_one(t, t.name == s.name))[0].name",
        ),
    ),
    Rule(
        f"self.map(s, {_RANK.format('s')}).isSorted()",
        f"mode falls from one stage to the next; order the stages Off, Shadow, Live ({_DOWN})",
        f"self.transformList(i, s, i > 0 && {_RANK.format('s')} < {_RANK.format('self[i - 1]')}, {_MODE_FALLS})[0]",
    ),
    Rule(
        f"{_LIVE}.map(s, s.canaryPercent).isSorted()",
        f"canaryPercent falls between Live stages; stages may only widen ({_DOWN})",
        f"[{_LIVE}].map(live, live.transformList(i, s, i > 0 && s.canaryPercent < live[i - 1].canaryPercent,"
        f" {_PERCENT_FALLS}))[0][0]",
    ),
)

_WORKERS: Final = (
    Rule(
        "self.all(w, self.exists_one(v, v.profile == w.profile))",
        "two workers have the same profile; keep one entry per profile",
        say(
            'two workers have the profile "%s"; keep one entry per profile',
            "self.filter(w, !self.exists_one(v, v.profile == w.profile))[0].profile",
        ),
    ),
)

_REPLICAS: Final = (
    Rule(
        "self.scaling != 'External' || !(has(self.min) || has(self.max))",
        "scaling: External leaves the count to an HPA or KEDA; remove min and max, or write scaling: SamplingRate",
    ),
    Rule(
        "self.scaling != 'SamplingRate' || has(self.max)",
        "scaling: SamplingRate runs a share of max; write max, for example max: 8, or scaling: Fixed",
    ),
    Rule(
        "self.scaling != 'Fixed' || !has(self.max)",
        "scaling: Fixed runs min replicas and has no max; remove max, or write scaling: SamplingRate",
    ),
    Rule(
        "!has(self.max) || !has(self.min) || self.max >= self.min",
        "max is below min; write max >= min",
        say("max %s is below min %s; write max >= min", "self.max", "self.min"),
    ),
)

_FLAGS: Final = (
    Rule(
        "self.leaseSeconds == 0 || self.leaseSeconds >= 30",
        "leaseSeconds is too short to be renewed in time; write 30..3600, or 0 for no lease",
        say(
            "leaseSeconds %s is too short to be renewed in time; write 30..3600, or 0 for no lease", "self.leaseSeconds"
        ),
        field=".leaseSeconds",
    ),
)

_PROPAGATION: Final = (
    Rule(
        "duration(self.timeout) >= duration('1s')",
        "timeout is below 1s; write how long a revision may take to be applied, for example 2m",
        say(
            "propagation.timeout %s is below 1s; write how long a revision may take to be applied, for example 2m",
            "self.timeout",
        ),
        field=".timeout",
    ),
)

_KEY: Final = "(has({0}.flags) && has({0}.flags.key) ? {0}.flags.key : '')"
_NO_STAGE: Final = "!self.stages.exists(s, s.name == n)"

_SPEC: Final = (
    Rule(
        f"{_KEY.format('self')} == {_KEY.format('oldSelf')}",
        "flags.key cannot be changed, added or removed later: running processes evaluate it; put it back, or make a new"
        " rollout",
        say(
            'flags.key cannot change from "%s" to "%s" ("" = not set, metadata.name counts): running processes evaluate'
            " it; put it back, or make a new rollout",
            _KEY.format("oldSelf"),
            _KEY.format("self"),
        ),
        field=".flags",
    ),
    unless_old(
        f"!has(self.gates) || !self.gates.exists(g, has(g.stages) && g.stages.exists(n, {_NO_STAGE}))",
        "a gate names a stage that does not exist; write the name of a stage, or leave stages out for all",
        f"self.gates.filter(g, has(g.stages) && g.stages.exists(n, {_NO_STAGE})).map(g, "
        + say(
            'gate "%s" names the stage "%s", which does not exist; write one of %s, or leave stages out for all',
            "g.name",
            f"g.stages.filter(n, {_NO_STAGE})[0]",
            "self.stages.map(s, s.name)",
        )
        + ")[0]",
        field=".gates",
    ),
    unless_old(
        "self.allowUnguarded || !self.stages.exists(s, s.mode == 'Live')"
        " || (has(self.gates) && self.gates.exists(g, g.onRegression != 'Report' && (!has(g.required) || g.required)))",
        "a stage is Live and no gate guards it; write a gate that is required and acts, or allowUnguarded: true",
        say(
            'stage "%s" is Live and no gate guards it; write at least one gate that is required and acts (onRegression'
            " other than Report), or allowUnguarded: true",
            "self.stages.filter(s, s.mode == 'Live')[0].name",
        ),
    ),
)

RULES: Final[Mapping[str, tuple[Rule, ...]]] = {
    "VerificationRollout": _OBJECT,
    "RolloutSpec": _SPEC,
    "RolloutSpec.stages": _STAGES,
    "RolloutSpec.workers": _WORKERS,
    "FlagsSpec": _FLAGS,
    "PropagationSpec": _PROPAGATION,
    "ReplicasSpec": _REPLICAS,
    "StageSpec": _STAGE,
    "RampSpec": _RAMP,
    **GATE_RULES,
}
"""Rules by the model they are about; ``Model.field`` for rules on a list as a whole."""
