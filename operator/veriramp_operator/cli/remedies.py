"""What to do about every reason: a sentence or two for whoever is on call, and the commands. A table, no code.

Public: :class:`Remedy`, :data:`REMEDIES` (reasons of a rollout), :data:`NO_DATA` (reasons of a gate without data),
:data:`NO_GUARD` (no required gate applies), :data:`DECLARED_OFF`, :data:`DECLARED_OFF_AND_LATCHED`
(``spec.killSwitch``).
``{name}``, ``{ns}`` and ``{stage}`` stand for the rollout, its namespace and the stage that a request would mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from veriramp_operator.api.reasons import NoDataReason, Reason


class Remedy(NamedTuple):
    """Sentences, and the commands that they speak of, in the order of use."""

    text: str
    commands: tuple[str, ...] = ()


_ABORT: Final = "kubectl veriramp abort {name} -n {ns}"
_RETRY: Final = "kubectl veriramp retry {name} -n {ns}"
_RESTART: Final = "kubectl veriramp restart {name} -n {ns}"
_PROMOTE: Final = "kubectl veriramp promote {name} -n {ns} --stage {stage}"
_EDIT: Final = "kubectl edit verificationrollout {name} -n {ns}"
_OPERATORS: Final = "kubectl get pods -A -l app.kubernetes.io/component=operator"
_FLAG_SERVERS: Final = "kubectl get pods -A -l app.kubernetes.io/component=flagserver"
_WORKERS: Final = "kubectl get deployments,pods -n {ns} -l veriramp.dev/rollout={name}"
_EVENTS: Final = "kubectl events -n {ns} --for verificationrollout/{name}"
_SET_FALSE: Final = (
    'kubectl patch verificationrollout {{name}} -n {{ns}} --type merge -p \'{{{{"spec":{{{{"{field}":false}}}}}}}}\''
)
_WAIT: Final = Remedy("Nothing to do: it goes on by itself as long as the evidence stays good.")

REMEDIES: Final[Mapping[Reason, Remedy]] = {
    Reason.DELETING: Remedy(
        "It goes as soon as every process is off, or the lease of the flags is over. If it stays, the operator is not "
        "running: start it.",
        (_OPERATORS,),
    ),
    Reason.KILL_SWITCH: Remedy(
        "Everything is off because a person said so. By spec.killSwitch: set it to false, and the rollout starts at "
        "the first stage. By an abort: find out why, then retry (from the stage below) or restart (from the first).",
        (_RETRY, _RESTART),
    ),
    Reason.SHADOW_REQUESTED: Remedy(
        "A person asked for Shadow: the ranking is left alone. Go up again when they agree.", (_RETRY, _RESTART)
    ),
    Reason.REGRESSION: Remedy(
        "A gate went bad and the rollout fell. You are safe now; look at your service, not at the rollout. Go up again "
        "only when the cause is gone: a gate that is still bad makes it fall again.",
        (_RETRY,),
    ),
    Reason.STEP_DOWN: Remedy(
        "The rollback walks on down, one stage each time the gate's stepDown has passed. A retry ends that and goes up "
        "again; an abort goes all the way at once.",
        (_RETRY, _ABORT),
    ),
    Reason.NO_DATA_TOO_LONG: Remedy(
        "Monitoring gave no evidence for longer than spec.onNoData.after allows. Repair the query or Prometheus (the "
        "gate's own reason says which), then retry.",
        (_RETRY,),
    ),
    Reason.INCONCLUSIVE_TOO_LONG: Remedy(
        "maxBake was over without a clear answer, and spec.onInconclusive is Rollback. Give the stage more users or "
        "more time (canaryPercent, bake, maxBake), then retry.",
        (_EDIT, _RETRY),
    ),
    Reason.ABOVE_TARGET: Remedy("The vector followed an edit, a restart or a lifted latch down. Nothing to do."),
    Reason.FLAGS_MISSING: Remedy(
        "Somebody deleted the flag ConfigMap; Off was published instead, and the way up is taken again in small steps. "
        "Find out who it was.",
        (_EVENTS,),
    ),
    Reason.ROLLED_BACK: Remedy(
        "It stays down until a person says otherwise. Find the cause first; then retry goes up again from the stage "
        "below, in at least three steps, every gate passing first. Restart begins at the first stage.",
        (_RETRY, _RESTART),
    ),
    Reason.INVALID_SPEC: Remedy(
        "The spec breaks a rule or cannot be read; the message says what to write. What is in force stays, and falls "
        "still happen.",
        (_EDIT,),
    ),
    Reason.UNKNOWN_ENDPOINT: Remedy(
        "spec.prometheus names no endpoint of the operator's configuration. Correct the name, or add the endpoint to "
        "the chart's endpoints.",
        (_EDIT,),
    ),
    Reason.UNKNOWN_PROFILE: Remedy(
        "A worker's profile is not in the operator's configuration. Correct the name, or add it to the chart's "
        "profiles.",
        (_EDIT,),
    ),
    Reason.ABOVE_CEILING: Remedy(
        "rankingWeight is above the operator's ceiling limits.maxRankingWeight. Lower it; raise the ceiling only if "
        "that was the plan.",
        (_EDIT,),
    ),
    Reason.NAME_CONFLICT: Remedy(
        "An object of the needed name belongs to somebody else and is left alone. Delete or rename it, or use another "
        "name for the rollout.",
        ("kubectl get configmaps,deployments -n {ns}",),
    ),
    Reason.QUERY_REFUSED: Remedy(
        "Prometheus does not accept a query. Correct its PromQL; the message quotes what Prometheus says.", (_EDIT,)
    ),
    Reason.DOCUMENT_REFUSED: Remedy(
        "The new flag document failed its own check and was not published; what is in force stays. That is a mistake "
        "in the operator: report it with the message.",
        (_EVENTS,),
    ),
    Reason.PRECONDITION_FAILING: Remedy(
        "A gate is bad although nothing is switched on that could be lowered. It rises when the gate is well: repair "
        "the service, or the gate if it asks the wrong question."
    ),
    Reason.PAUSED: Remedy(
        "Somebody paused it: nothing rises until spec.paused is false, in Git or here. Falls still happen.",
        (_SET_FALSE.format(field="paused"),),
    ),
    Reason.NOT_PROPAGATED: Remedy(
        "Not enough processes run the published revision yet. That takes seconds; after that look at those that the "
        "message names: do they run, and do they reach the flag server?",
        (_FLAG_SERVERS,),
    ),
    Reason.NO_CONSUMERS: Remedy(
        "No process evaluates the flags, so a Live stage would teach nothing. Is the search service running, with the "
        "right flag server and rollout in its settings?",
        (_FLAG_SERVERS,),
    ),
    Reason.NO_DATA: Remedy(
        "Nothing rises without evidence, and nothing falls either unless spec.onNoData says so. Repair monitoring: the "
        "gate's own reason above tells where to look."
    ),
    Reason.WORKERS_NOT_READY: Remedy(
        "A worker has fewer ready replicas than the vector needs. Look at its pods: image, configuration, room on the "
        "nodes.",
        (_WORKERS,),
    ),
    Reason.SAMPLE_RATIO_MISMATCH: Remedy(
        "The arms are not as large as canaryPercent says, so a comparison of them proves nothing. Usual causes: a "
        "service that does not pass a stable user id, a cache that serves one arm, counters of one arm that are lost."
    ),
    Reason.EVIDENCE_LEANS_BAD: Remedy(
        "It looks worse than allowed, but that is not proven yet: the ramp waits. It clears, or the rollout falls by "
        "itself; step in if you know that it is real.",
        (_ABORT,),
    ),
    Reason.WINDOW_CLOSED: Remedy(
        "A step is due and waits for the next of spec.windows. Falls do not wait. Add a window only if somebody "
        "watches it then."
    ),
    Reason.RAMP_STEP: _WAIT,
    Reason.RAMPING: _WAIT,
    Reason.BAKING: _WAIT,
    Reason.APPROVAL_REQUIRED: Remedy(
        "The stage is done and waits for a person. Look at its gates, then approve it or turn it off.",
        (_PROMOTE, _ABORT),
    ),
    Reason.INCONCLUSIVE: Remedy(
        "Time is over, but a required gate gives no clear Pass yet. Wait for more traffic, or decide yourself: promote "
        "overrides the open question, never a regression or missing data.",
        (_PROMOTE,),
    ),
    Reason.PROMOTE: _WAIT,
    Reason.GUARDING: Remedy("All stages are done. The gates go on; there is nothing to do until one of them goes bad."),
    Reason.PENDING: Remedy(
        "The first document is being published, which takes seconds. If it stays so, no operator looks after this "
        "namespace.",
        (_OPERATORS,),
    ),
    Reason.CONFIRMED: _WAIT,
    Reason.AVAILABLE: _WAIT,
    Reason.NOT_ROLLED_BACK: _WAIT,
    Reason.NOT_STALLED: _WAIT,
    Reason.SETTLED: _WAIT,
    Reason.REQUEST_DONE: Remedy("The request was carried out. Nothing to do."),
    Reason.REQUEST_REFUSED: Remedy(
        "The request was refused: mostly the rollout had moved to another stage meanwhile. Look where it is and ask "
        "again.",
        ("kubectl veriramp get {name} -n {ns}",),
    ),
    Reason.SAFE_OFF: Remedy("Everything is off and the object may go. Nothing to do."),
}

NO_GUARD: Final = Remedy(
    "No gate can let the next stage begin, and promote cannot either: a Live stage begins only on the word of a "
    "required gate that applies in the stage before it. Add one that asks Prometheus, for example an alert with "
    "presence, or write allowUnguarded: true.",
    (_EDIT,),
)
"""``Inconclusive`` where no required gate applies."""
DECLARED_OFF: Final = Remedy(
    "Everything is off because spec.killSwitch is true; no request lifts that. When the cause is gone, set it to "
    "false, in Git or here: the rollout starts at the first stage.",
    (_SET_FALSE.format(field="killSwitch"),),
)
"""Whatever the reason, while ``spec.killSwitch`` is true."""
DECLARED_OFF_AND_LATCHED: Final = Remedy(
    "spec.killSwitch is true, and a rollback holds it down as well. When the cause is gone, set it to false, in Git or "
    "here; then restart (from the first stage).",
    (*DECLARED_OFF.commands, _RESTART),
)
"""The same with a latch."""

NO_DATA: Final[Mapping[NoDataReason, str]] = {
    NoDataReason.REFUSED: "Prometheus does not take connections: is it running, is its address in the chart's "
    "endpoints right, does a NetworkPolicy stand between?",
    NoDataReason.TIMEOUT: "Prometheus does not answer in time: it is overloaded, or the query is too heavy. Try the "
    "query there; a recording rule makes it cheap.",
    NoDataReason.SERVER_ERROR: "Prometheus answers with a fault of its own: look at its log.",
    NoDataReason.CLIENT_ERROR: "Prometheus, or a proxy before it, turns the operator away (4xx or a redirect): is the "
    "address right, with its path, and are its credentials?",
    NoDataReason.BAD_QUERY: "Prometheus does not accept the query: correct the PromQL.",
    NoDataReason.PARTIAL_RESPONSE: "a part of the data is missing behind Prometheus (a store or shard is away); a part "
    "is no evidence.",
    NoDataReason.EMPTY: "the query returns no series: was the metric renamed, does a label not match, does nobody "
    "export it?",
    NoDataReason.NOT_A_NUMBER: "the query returns NaN or infinity, mostly 0/0: is there no traffic?",
    NoDataReason.NOT_POSITIVE: "the baseline is zero or negative, and a share of that means nothing: has the job that "
    "writes it run?",
    NoDataReason.WRONG_TYPE: "the query returns no instant vector or scalar: ask for a value, not for a range or text.",
    NoDataReason.TOO_LARGE: "the answer is larger than is read (4 MiB): aggregate, for example with sum().",
    NoDataReason.SEVERAL_SERIES: "the query returns several series where one is expected: aggregate, for example with "
    "sum() or max().",
    NoDataReason.TOO_OLD: "the newest sample behind the answer is older than maxAge: does the exporter still run, is "
    "it still scraped, did the job that writes it run?",
    NoDataReason.NOT_PRESENT: "presence is below its minimum: nothing is measured, mostly because there is no traffic.",
    NoDataReason.NOT_YET_EXPOSED: "no process exports the metric yet: it appears with the first request, or the "
    "exporter is missing.",
    NoDataReason.NEVER_ASKED: "it has not been asked yet; that takes one interval (every). Longer: the endpoint is not "
    "in the operator's configuration.",
    NoDataReason.CATCHING_UP: "a new leader reads what was counted in this stage so far; that takes seconds, or for a "
    "stage of many days a few minutes. Longer: Prometheus is slow, or the operator's clock went back.",
    NoDataReason.RULE_MISSING: "Prometheus has no such alerting rule, or it is not evaluated: an alert that does not "
    "exist never fires.",
}
