"""Answer what people ask by annotation: each request once, with its outcome in status.

``veriramp.dev/abort: "<token>"`` is the kill switch, sticky and apart. ``veriramp.dev/request`` is
``"<verb>:<stage>@<token>"`` with the verbs of :data:`VERBS`; refused with an Event when the stage is another, the token
was used by one of the last :data:`MOST_REMEMBERED` requests, or status has no memory of earlier requests. So an old
annotation that comes back, say from Git, lifts no latch.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.status import MOST_REMEMBERED, HandledRequests, RolloutStatus, Severity
from veriramp_operator.api.vector import OFF, Vector
from veriramp_operator.engine.gates import NO_GUARD, lacks_a_guard
from veriramp_operator.engine.rollback import SHADOW_REQUEST, lift_to_restart, lift_to_retry
from veriramp_operator.engine.stages import Plan
from veriramp_operator.engine.types import Announce, Observation
from veriramp_sdk.contract import Mode

MOST_QUOTED: Final = 120
LONGEST_TOKEN: Final = 120
_LONGEST_KEPT: Final = 250
_FORM: Final = re.compile(r"(?P<verb>[a-z-]{1,20}):(?P<stage>[a-z0-9-]{0,63})@(?P<token>\S+)")


@dataclass(frozen=True, slots=True)
class Asked:
    """The status with the request answered, what is left for the table of falls, and the Events to write.

    ``aborts``: an abort is answered in this pass. ``abort``: there is still something for it to turn off.
    """

    status: RolloutStatus
    aborts: bool = False
    abort: bool = False
    shadow: bool = False
    events: tuple[Announce, ...] = ()


def answer(plan: Plan, status: RolloutStatus, seen: Observation, now: float, *, readable: bool = True) -> Asked:
    """Judge both annotations. ``readable``: False when the spec cannot be read, so that only an abort is obeyed."""
    asked = _abort(status, seen, now)
    text = seen.requests.request
    memory = status.last_handled_request
    if not text:
        if memory is None and not asked.abort and asked.status.last_handled_request is None:
            return Asked(status.model_copy(update={"last_handled_request": HandledRequests(at=now)}))
        return asked
    if memory is not None and memory.request in (text, _kept(text)):
        return asked
    if memory is None:
        return _refused(asked, text, "status has no memory of earlier requests; ask again with a new token", now)
    if obstacle := _obstacle(asked, seen, readable=readable):
        return _refused(asked, text, obstacle, now)
    return _request(plan, asked, text, memory, now)


def _obstacle(asked: Asked, seen: Observation, *, readable: bool) -> str:
    """What refuses every request now; empty when nothing does."""
    if seen.deleting:
        return "the rollout is being deleted"
    if not readable:
        return "the spec cannot be read; correct it first"
    return "an abort came at the same time; ask again with a new token" if asked.aborts else ""


def _abort(status: RolloutStatus, seen: Observation, now: float) -> Asked:
    whole = seen.requests.abort or ""
    token = _kept(whole)
    memory = status.last_handled_request or HandledRequests()
    if not token or memory.abort in (token, whole):
        return Asked(status)
    held = status.rollback is not None and status.rollback.severity is Severity.KILL_SWITCH
    already = held and (status.parameters or OFF).mode is Mode.OFF
    outcome = "abort: done, everything was off already" if already else "abort: done"
    handled = memory.model_copy(update={"abort": token, "outcome": outcome, "at": now})
    status = status.model_copy(update={"last_handled_request": handled})
    events = (Announce("Normal", Reason.REQUEST_DONE, outcome),) if already else ()
    return Asked(status, aborts=True, abort=not already, events=events)


def _request(plan: Plan, asked: Asked, text: str, memory: HandledRequests, now: float) -> Asked:
    form = _FORM.fullmatch(text)
    if form is None:
        return _refused(asked, text, 'write "<verb>:<stage>@<token>", for example "promote:canary-5@2026-11-21"', now)
    verb = VERBS.get(form["verb"])
    if verb is None:
        return _refused(asked, text, f"{form['verb']!r} is none of {', '.join(VERBS)}", now)
    if worn := _worn(form["token"], memory):
        return _refused(asked, text, worn, now)
    names = _stages(plan, asked.status)
    if form["stage"] not in names:
        return _refused(asked, text, f"the rollout is in stage {' or '.join(map(repr, names))}", now)
    answered = verb(plan, asked.status, now)
    if isinstance(answered, str):
        return _refused(asked, text, answered, now)
    return _done(asked, answered, text, now, verb=form["verb"])


def _worn(token: str, memory: HandledRequests) -> str:
    """What is wrong with a token; empty when nothing is."""
    if len(token) > LONGEST_TOKEN:
        return f"its token has {len(token)} characters; write at most {LONGEST_TOKEN}"
    return f"token {token!r} was used before; take a new one" if token in _used(memory) else ""


def _stages(plan: Plan, status: RolloutStatus) -> list[str]:
    """The names by which a person may mean the present stage."""
    names = []
    if status.stage is not None:
        names.append(status.stage.name)
    if status.rollback is not None and status.rollback.from_stage not in ("", *names):
        names.append(status.rollback.from_stage)
    return names or [plan.first.name]


def _done(asked: Asked, status: RolloutStatus, text: str, now: float, *, verb: str) -> Asked:
    outcome = f"{text[:MOST_QUOTED]}: done"
    if verb == "promote" and status.stage is not None and not status.stage.overrides:
        outcome += " (approved; the bake is not over, and unclear evidence will still hold the stage)"
    return Asked(
        _handled(status, text, outcome, now),
        shadow=verb == "shadow" and status.rollback is asked.status.rollback and not _holds_shadow(status),
        events=(*asked.events, Announce("Normal", Reason.REQUEST_DONE, outcome)),
    )


def _refused(asked: Asked, text: str, why: str, now: float) -> Asked:
    outcome = f"{text[:MOST_QUOTED]}: refused: {why}"
    return Asked(
        _handled(asked.status, text, outcome, now),
        abort=asked.abort,
        events=(*asked.events, Announce("Warning", Reason.REQUEST_REFUSED, outcome)),
    )


def _handled(status: RolloutStatus, text: str, outcome: str, now: float) -> RolloutStatus:
    memory = status.last_handled_request or HandledRequests()
    used = _noting(_used(memory), text)
    handled = memory.model_copy(update={"request": _kept(text), "used": used, "outcome": outcome, "at": now})
    return status.model_copy(update={"last_handled_request": handled})


def _used(memory: HandledRequests) -> tuple[str, ...]:
    """Tokens of the last requests, oldest first; a status of before they were kept knows that of its last one alone."""
    return _noting(memory.used, memory.request or "")


def _noting(used: tuple[str, ...], text: str) -> tuple[str, ...]:
    form = _FORM.fullmatch(text)
    if form is None or len(form["token"]) > LONGEST_TOKEN:
        return used
    return (*(token for token in used if token != form["token"]), form["token"])[-MOST_REMEMBERED:]


def _kept(text: str) -> str:
    """A text as status remembers it: whole, or where it is long so that it is still known again."""
    if len(text) <= _LONGEST_KEPT:
        return text
    return f"{text[:MOST_QUOTED]}... sha256:{hashlib.sha256(text.encode(errors='replace')).hexdigest()}"


def _holds_shadow(status: RolloutStatus) -> bool:
    return status.rollback is not None and status.rollback.gate == SHADOW_REQUEST


Verb = Callable[[Plan, RolloutStatus, float], RolloutStatus | str]
"""The status after the request, or the sentence that refuses it."""


def _promote(plan: Plan, status: RolloutStatus, _now: float) -> RolloutStatus | str:
    if plan.after(status.stage) is None:
        return "this is the last stage"
    if status.stage is not None and status.rollback is None and lacks_a_guard(plan, status):
        return NO_GUARD
    return _marked(status, approved=True, overrides=_has_baked(plan, status))


def _skip_bake(_plan: Plan, status: RolloutStatus, _now: float) -> RolloutStatus | str:
    return _marked(status, time_skipped=True)


def _marked(status: RolloutStatus, **marks: bool) -> RolloutStatus | str:
    if status.rollback is not None:
        return "the rollout is rolled back; ask for retry or restart"
    if status.stage is None:
        return "the rollout has not entered its first stage"
    return status.model_copy(update={"stage": status.stage.model_copy(update=marks)})


def _has_baked(plan: Plan, status: RolloutStatus) -> bool:
    """True when the stage was observed for its whole bake, which a skipped bake was not."""
    stage = status.stage
    rung = None if stage is None else plan.named(stage.name)
    if stage is None or rung is None:
        return False
    return status.parameters == rung.vector and stage.bake_seconds >= rung.bake


def _shadow(_plan: Plan, status: RolloutStatus, _now: float) -> RolloutStatus | str:
    if _holds_shadow(status):
        return status
    vector: Vector = status.parameters or OFF
    if vector.mode is not Mode.LIVE:
        return f"nothing to lower: the mode is {vector.mode}; to stop rises set spec.paused"
    return status


def _retry(plan: Plan, status: RolloutStatus, now: float) -> RolloutStatus | str:
    return "nothing is rolled back" if status.rollback is None else lift_to_retry(plan, status, now)


VERBS: Final[Mapping[str, Verb]] = {
    "promote": _promote,
    "skip-bake": _skip_bake,
    "shadow": _shadow,
    "retry": _retry,
    "restart": lift_to_restart,
}
