"""``veriramp replay``: every decision of a journal made again by this engine, and what differs."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from veriramp_operator.api.base import format_instant
from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.api.rollout import RolloutSpec
from veriramp_operator.engine import RULES, decide
from veriramp_operator.resources.codec import Undecodable
from veriramp_operator.resources.journal import LOGGER, JournalEntry, compared, read_entry
from veriramp_sdk import __version__

MOST_SHOWN: Final = 12
"""Differences printed per decision."""
_MARKER: Final = f'"logger":"{LOGGER}"'.encode()
_LONGEST: Final = 100

Subparsers = Any


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of a decision, for example ``status.stage.bakeSeconds``, as recorded and as recomputed."""

    field: str
    recorded: Any
    recomputed: Any


@dataclass(slots=True)
class Tally:
    """What was read so far. ``other``: lines of a log that are none of the journal.

    ``differing_elsewhere``: how many of the differing ones were made by other rules. ``makers``: decisions by the rules
    (None: from before they were numbered) and the version of the engine that made them.
    """

    lines: int = 0
    decisions: int = 0
    differing: int = 0
    differing_elsewhere: int = 0
    broken: int = 0
    other: int = 0
    rollouts: set[tuple[str, str]] = field(default_factory=set)
    makers: Counter[tuple[int | None, str]] = field(default_factory=Counter)

    @property
    def is_good(self) -> bool:
        """Every decision could be read and came out the same."""
        return self.differing == 0 and self.broken == 0


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "replay",
        help="decide everything in a journal again and print what differs",
        description="Decide everything in a journal again with this engine and print what differs. Reads the journal's "
        "files, and the operator's log as it is. Says when decisions were made by other rules than this engine's. "
        "Exit code 0: no difference; 1: one at least, whatever the rules, or a broken line; 2: a file cannot be read, "
        "or holds no decision.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="journal or log, or a folder of them (-: stdin)")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Replay and print."""
    tally, specs, as_json = Tally(), dict[str, RolloutSpec](), arguments.output == "json"
    for path in _files(arguments.files):
        with _opened(path) as lines:
            for number, line in enumerate(lines, start=1):
                for said in _replayed(f"{path}:{number}", line, tally, specs):
                    print(json.dumps(said) if as_json else _text(said))
    if not tally.lines or not (tally.decisions or tally.broken):
        raise ConfigurationError(
            f"{', '.join(arguments.files)}: there is no decision in {tally.lines} lines; give a file of the journal "
            f"(VERIRAMP_JOURNAL_DIR), the operator's log, or what GET /journal/<namespace>/<name> answers"
        )
    if as_json:
        print(json.dumps(_summary(tally)))
    else:
        print("\n".join(_sentences(tally)))
    return 0 if tally.is_good else 1


def replayed(entry: JournalEntry) -> list[Difference]:
    """Decide again; what differs, field by field."""
    try:
        again = decide(entry.spec, entry.status, entry.observation, entry.at)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # The engine is total for what admission lets pass; a line can have been edited.
        return [Difference("decision", str(entry.decision.reason), f"{type(error).__name__}: {error}")]
    return list(_differences("", compared(entry.decision), compared(again)))


def _replayed(place: str, line: bytes, tally: Tally, specs: dict[str, RolloutSpec]) -> Iterator[dict[str, Any]]:
    if not line.strip():
        return
    tally.lines += 1
    try:
        raw = json.loads(line)
        if not isinstance(raw, dict) or raw.get("logger") != LOGGER:
            tally.other += 1
            return
        entry = read_entry(raw, specs)
    except (Undecodable, ValueError, RecursionError) as error:
        if isinstance(error, Undecodable) or _MARKER in line or line.startswith(b"{"):
            tally.broken += 1
            yield {"line": place, "broken": str(error)}
        else:
            tally.other += 1
        return
    tally.decisions += 1
    tally.rollouts.add((entry.namespace, entry.name))
    tally.makers[entry.rules, entry.engine] += 1
    found = replayed(entry)
    if found:
        tally.differing += 1
        tally.differing_elsewhere += entry.rules != RULES
        yield {
            "line": place,
            "namespace": entry.namespace,
            "name": entry.name,
            "at": format_instant(entry.at),
            "engine": entry.engine,
            "rules": entry.rules,
            "differences": [
                {"field": one.field, "recorded": one.recorded, "recomputed": one.recomputed} for one in found
            ],
        }


def _differences(place: str, recorded: Any, recomputed: Any) -> Iterator[Difference]:
    if isinstance(recorded, dict) and isinstance(recomputed, dict):
        for name in [*recorded, *(name for name in recomputed if name not in recorded)]:
            yield from _differences(f"{place}.{name}".strip("."), recorded.get(name), recomputed.get(name))
    elif isinstance(recorded, list) and isinstance(recomputed, list) and len(recorded) == len(recomputed):
        for index, (one, other) in enumerate(zip(recorded, recomputed, strict=True)):
            yield from _differences(f"{place}[{index}]", one, other)
    elif recorded != recomputed:
        yield Difference(place, recorded, recomputed)


def _files(names: list[str]) -> Iterator[str]:
    for name in names:
        if name != "-" and Path(name).is_dir():
            yield from (str(path) for path in sorted(Path(name).glob("*.jsonl")))
        else:
            yield name


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        with Path(path).open("rb") as file:
            yield file
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}; name a file of the journal, or -") from error


def _text(said: dict[str, Any]) -> str:
    if "broken" in said:
        return f"{said['line']}: broken: {said['broken']}"
    lines = [f"{said['line']}: {said['namespace']}/{said['name']} at {said['at']} is decided differently:"]
    found = said["differences"]
    width = max(len(one["field"]) for one in found[:MOST_SHOWN])
    for one in found[:MOST_SHOWN]:
        lines += [
            f"  {one['field']:<{width}}  recorded    {_short(one['recorded'])}",
            f"  {'':<{width}}  recomputed  {_short(one['recomputed'])}",
        ]
    if len(found) > MOST_SHOWN:
        lines.append(f"  and {len(found) - MOST_SHOWN} fields more (-o json shows them all)")
    return "\n".join(lines)


def _short(value: Any) -> str:
    text = "nothing" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _sentences(tally: Tally) -> Iterator[str]:
    elsewhere = {maker: count for maker, count in tally.makers.items() if maker[0] != RULES}
    if elsewhere:
        makers = sorted(elsewhere, key=lambda maker: (maker[0] or 0, maker[1]))
        yield (
            f"{sum(elsewhere.values())} of {tally.decisions} decisions were made by other rules "
            f"({', '.join(f'{elsewhere[maker]} by {_called(*maker)}' for maker in makers)}) than those of this program "
            f"({_called(RULES, __version__)}): where they differ, that can be meant; replay them with the program that "
            "made them"
        )
    other = f" ({tally.other} lines of a log passed over)" if tally.other else ""
    rollouts = "1 rollout" if len(tally.rollouts) == 1 else f"{len(tally.rollouts)} rollouts"
    broken = f", {tally.broken} line{'s' * (tally.broken != 1)} broken" if tally.broken else ""
    meant = f" ({tally.differing_elsewhere} made by other rules)" if tally.differing_elsewhere else ""
    yield f"{tally.decisions} decisions of {rollouts}{other}: {tally.differing} differ{meant}{broken}"


def _called(rules: int | None, engine: str) -> str:
    return f"{'rules without a number' if rules is None else f'rules {rules}'} of {engine}"


def _summary(tally: Tally) -> dict[str, Any]:
    return {
        "decisions": tally.decisions,
        "rollouts": len(tally.rollouts),
        "differing": tally.differing,
        "broken": tally.broken,
        "otherLines": tally.other,
        "differingByOtherRules": tally.differing_elsewhere,
        "made": [
            {"rules": rules, "engine": engine, "decisions": count} for (rules, engine), count in tally.makers.items()
        ],
        "engine": __version__,
        "rules": RULES,
    }
