"""Keep decisions of every kind, for later engines to make again: ``python -m tests.data.make_decisions``.

Run it after :data:`veriramp_operator.engine.RULES` was raised, or to keep more. It refuses to write while rules of the
same number decide otherwise than the journal that is kept: one number is never two sets of rules.
"""

from __future__ import annotations

import json
import lzma
import math
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.support.compared_run import a_compared_run
from tests.support.walk.acts import walk
from tests.support.walk.monitored import MonitoredWalk
from tests.support.walk.walk import CASE_SIZE, Tick, Walk
from veriramp_operator.cli.replay import Difference, replayed
from veriramp_operator.engine import RULES
from veriramp_operator.resources.journal import JournalEntry, Scribe, read_entry

KEPT: Final = Path(__file__).with_name("decisions.jsonl.xz")
_CASES: Final = 1500
_SEED: Final = 4
_MOST_PER_ROW: Final = 12


def kept() -> Iterator[JournalEntry]:
    """The decisions of the journal that is kept."""
    with lzma.open(KEPT, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield read_entry(json.loads(line), {})


def differences() -> list[tuple[JournalEntry, list[Difference]]]:
    """Those that these rules decide otherwise."""
    made_again = ((entry, [one for one in replayed(entry) if not _of_the_machine(one)]) for entry in kept())
    return [(entry, found) for entry, found in made_again if found]


def _of_the_machine(difference: Difference) -> bool:
    """Whether it is in the last bits of a number: logarithms differ by that much between processors."""
    was, now = difference.recorded, difference.recomputed
    return isinstance(was, float) and isinstance(now, float) and math.isclose(was, now, rel_tol=1e-9, abs_tol=1e-12)


def _walked() -> list[JournalEntry]:
    """Decisions on walks with real evidence: few of each row, and no two with the same words for everything."""
    chosen: list[JournalEntry] = []
    known: set[object] = set()
    rows: Counter[object] = Counter()

    def choose(_: Walk, tick: Tick) -> None:
        before, status = tick.before, tick.decision.status
        row = tick.decision.direction, tick.reason
        gates = frozenset((gate.name, gate.verdict, gate.reason) for gate in status.gates)
        words = (row, before.reason, before.rollback is None, status.rollback is None, tick.published_before is None)
        if (words, gates) not in known and rows[row] < _MOST_PER_ROW:
            known.add((words, gates))
            rows[row] += 1
            seen = tick.seen
            chosen.append(JournalEntry(tick.now, seen.namespace, seen.name, tick.spec, before, seen, tick.decision))

    chance = random.Random(_SEED)
    for _ in range(_CASES):
        walk(chance.randbytes(CASE_SIZE), (choose,), MonitoredWalk)
    return chosen


def main() -> None:
    """Write the journal."""
    if KEPT.exists() and {entry.rules for entry in kept()} == {RULES} and (otherwise := differences()):
        raise SystemExit(
            f"{len(otherwise)} kept decisions are made otherwise by rules of the same number, {RULES}; raise RULES in "
            "veriramp_operator/engine/decide.py when this is meant"
        )
    scribe = Scribe()
    lines = [scribe.line(entry) for entry in [*_walked(), *a_compared_run(every=100)]]
    KEPT.write_bytes(lzma.compress("".join(f"{line}\n" for line in lines).encode()))
    print(f"{len(lines)} decisions by rules {RULES}")  # noqa: T201


if __name__ == "__main__":
    main()
