"""The decision journal: one JSON line per decision, from which the same engine decides the same again.

Public: :class:`JournalEntry`, :class:`Scribe`, :func:`read_entry`, :func:`compared`, :data:`LOGGER`.
A line stands alone: it holds the spec, the status before, everything observed, and the decision, of whose status only
what it changed. So any line of any file, of a log or of ``grep`` can be replayed.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from veriramp_operator.api.base import format_instant
from veriramp_operator.api.rollout import RolloutSpec
from veriramp_operator.api.status import RolloutStatus
from veriramp_operator.engine import RULES
from veriramp_operator.engine.types import Decision, Observation
from veriramp_operator.resources.codec import Undecodable, decode, encode
from veriramp_sdk import __version__

LOGGER: Final = "veriramp.journal"
"""Value of ``logger`` in every line: it tells a line of the journal from the log lines round it."""
VERSION: Final = 1
_SPECS_KEPT: Final = 8192

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One decision with everything that it was made of.

    ``at``: seconds since the epoch. ``engine``: version of the program that decided. ``rules``: by which it did; None
    in a line from before rules were numbered.
    """

    at: float
    namespace: str
    name: str
    spec: RolloutSpec
    status: RolloutStatus
    observation: Observation
    decision: Decision
    engine: str = __version__
    rules: int | None = RULES


class Scribe:
    """Writes entries as lines. It keeps the text of each spec object, which is long and rarely changes."""

    def __init__(self) -> None:
        self._specs: OrderedDict[int, tuple[RolloutSpec, str]] = OrderedDict()

    def line(self, entry: JournalEntry) -> str:
        """The entry in one line, without its end; the same entry gives the same characters."""
        head = {
            "time": format_instant(entry.at),
            "level": "INFO",
            "logger": LOGGER,
            "version": VERSION,
            "engine": entry.engine,
            **({} if entry.rules is None else {"rules": entry.rules}),
            "at": encode(float, entry.at),
            "namespace": entry.namespace,
            "name": entry.name,
        }
        status, decision = encode(RolloutStatus, entry.status), compared(entry.decision)
        tail = {
            "status": status,
            "observation": encode(Observation, entry.observation),
            "decision": {**decision, "status": _changed(status, decision["status"])},
        }
        return f"{_text(head)[:-1]},{self._spec(entry.spec)},{_text(tail)[1:]}"

    def _spec(self, spec: RolloutSpec) -> str:
        known = self._specs.get(id(spec))
        if known is None or known[0] is not spec:
            encoded = encode(RolloutSpec, spec)
            known = spec, _text({"specHash": _digest(encoded), "spec": encoded})[1:-1]
            self._specs[id(spec)] = known
            if len(self._specs) > _SPECS_KEPT:
                self._specs.popitem(last=False)
        return known[1]


def read_entry(raw: Json, specs: dict[str, RolloutSpec]) -> JournalEntry:
    """The entry of a parsed line; ``specs``: those already read, so that equal ones are one object; it grows.

    Raises Undecodable, which names the field.
    """
    if raw.get("version") != VERSION:
        raise Undecodable(f"version: {raw.get('version')!r} is unknown; this program reads version {VERSION}")
    parts = {name: raw.get(name) for name in ("spec", "status", "observation", "decision")}
    missing = [name for name, part in parts.items() if not isinstance(part, dict)]
    if missing:
        raise Undecodable(f"{missing[0]}: the line has none")
    return JournalEntry(
        _part("at", float, raw.get("at")),
        _part("namespace", str, raw.get("namespace")),
        _part("name", str, raw.get("name")),
        _spec_of(parts["spec"], specs),
        _part("status", RolloutStatus, parts["status"]),
        _part("observation", Observation, parts["observation"]),
        _decision_of(parts["decision"] or {}, parts["status"] or {}),
        _part("engine", str, raw.get("engine")),
        _part("rules", int, raw["rules"]) if "rules" in raw else None,
    )


def compared(decision: Decision) -> Json:
    """A decision as plain JSON with its whole status: two that are equal here are equal in every field."""
    encoded: Json = encode(Decision, decision)
    return encoded


def _spec_of(raw: Any, specs: dict[str, RolloutSpec]) -> RolloutSpec:
    key = _digest(raw)
    if key not in specs:
        if len(specs) >= _SPECS_KEPT:
            specs.clear()
        specs[key] = _part("spec", RolloutSpec, raw)
    return specs[key]


def _part(name: str, kind: Any, raw: object) -> Any:
    try:
        return decode(kind, raw)
    except Undecodable as error:
        raise Undecodable(f"{name}{error}") from error


def _changed(before: Json, after: Json) -> Json:
    """The fields of an encoded status that are not as before; None stands for one that went back to its default."""
    gone: Json = {name: None for name in before if name not in after}
    return {**{name: value for name, value in after.items() if before.get(name) != value}, **gone}


def _decision_of(raw: Json, before: Json) -> Decision:
    changed = raw.get("status")
    if not isinstance(changed, dict):
        raise Undecodable("decision.status: the line has none")
    status = {name: value for name, value in {**before, **changed}.items() if value is not None}
    decision: Decision = _part("decision", Decision, {**raw, "status": status})
    return decision


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _text(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
