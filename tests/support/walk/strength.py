"""How strong the invariants are: plant each fault, walk until an invariant notices, write docs/invariants.md.

``python -m tests.support.walk.strength [--cases 3000] [--seed 1]``
"""

from __future__ import annotations

import argparse
import logging
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.support.walk.acts import walk
from tests.support.walk.faults import FAULTS, Plant
from tests.support.walk.faults_of_evidence import FAULTS_OF_EVIDENCE
from tests.support.walk.invariants import INVARIANTS
from tests.support.walk.monitored import MONITORED, MonitoredWalk
from tests.support.walk.walk import CASE_SIZE, MOST_PASSES, Judge, Tick, Walk

PAGE: Final = Path(__file__).parents[3] / "docs" / "invariants.md"


class Noticed(NamedTuple):
    """After how many cases which invariants noticed a fault; none at all where it lived through every case."""

    cases: int
    by: tuple[str, ...]


def main() -> None:
    """Plant every fault and write the page."""
    logging.disable()
    parser = argparse.ArgumentParser(description="Plants faults and counts the walks that find them.")
    parser.add_argument("--cases", type=int, default=3000, help="walks per fault")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    found = _noticed(asked, FAULTS, Walk, INVARIANTS)
    of_evidence = _noticed(asked, FAULTS_OF_EVIDENCE, MonitoredWalk, MONITORED)
    PAGE.write_text(page(found, of_evidence, asked.cases, asked.seed), encoding="utf-8")


def _noticed(
    asked: argparse.Namespace, faults: Mapping[str, Plant], kind: type[Walk], judges: Mapping[str, Judge]
) -> dict[str, Noticed]:
    found = {}
    for name, plant in faults.items():
        found[name] = noticed = look_for(plant, asked.cases, asked.seed, kind, judges)
        print(f"{noticed.cases:6}  {', '.join(noticed.by) or '-':24}  {name}", flush=True)  # noqa: T201
    return found


def look_for(
    plant: Plant, cases: int, seed: int, kind: type[Walk] = Walk, judges: Mapping[str, Judge] = INVARIANTS
) -> Noticed:
    """Walk with the fault until somebody notices, then 50 cases more to see who else does."""
    chance = random.Random(seed)
    by: dict[str, int] = {}
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        for number in range(1, cases + 1):
            name = _first_breach(chance.randbytes(CASE_SIZE), kind, judges)
            if name is not None:
                by.setdefault(name, number)
            if by and number >= min(by.values()) + 50:
                break
    return Noticed(min(by.values(), default=cases), tuple(sorted(by, key=by.__getitem__)))


def _first_breach(data: bytes, kind: type[Walk], judges: Mapping[str, Judge]) -> str | None:
    breach: list[str] = []

    def judge_all(walked: Walk, tick: Tick) -> None:
        for name, judge in judges.items():
            _judge(judge, name, walked, tick, breach)

    try:
        walk(data, (judge_all,), kind)
    except AssertionError:
        pass
    except Exception:  # noqa: BLE001 a planted fault may break the engine altogether
        return "the engine raised"
    return breach[0] if breach else None


def _judge(judge: Judge, name: str, walked: Walk, tick: Tick, breach: list[str]) -> None:
    try:
        judge(walked, tick)
    except AssertionError:
        breach.append(name.partition("_")[0])
        raise


def page(found: dict[str, Noticed], of_evidence: dict[str, Noticed], cases: int, seed: int) -> str:
    """The tables for people."""
    lines = [
        "# The invariants, and how strong their tests are",
        "",
        "`tests/unit/test_engine_invariants.py` shows the ten invariants of the engine by *walks*. One **case** is one",
        "drawn spec, one drawn place to begin (new, on a ramp, at a full vector, latched, cut by a crash) and up to",
        f"{MOST_PASSES} reconcile passes with whatever can happen between them; every pass is shown to all ten",
        "invariants at once. `make test` walks 5,000 cases, `make soak` 200,000; what gates say is told to the engine",
        "verdict by verdict, how the users are dealt out is told in buckets.",
        "",
        "`tests/unit/test_engine_with_evidence.py` walks a tenth of that with the real judge of evidence and the real",
        "reader of counters: alerts, thresholds, baselines, burn rates, pushed alerts, and two processes whose",
        "counters of both arms are scraped, reset, NaN, late, hidden, not scraped or read anew by another operator.",
        "All ten invariants are judged there too, on what everybody can see in the readings. And: healthy arms never",
        "regress (*healthy*), a comparison passes on scrapes of the bake (*passes*), what was counted before a fall",
        "trips nothing (*what*), splits are read as they are (*splits*).",
        "",
        f"Below: faults planted on purpose, and after how many cases (seed {seed}, at most {cases:,}) the walks",
        "noticed them. Made by `make planted`; nothing here is asserted in CI.",
    ]
    for title, noticed in (("Faults of the engine", found), ("Faults of the evidence", of_evidence)):
        lines += ["", f"## {title}", "", "| fault | noticed after | by |", "|---|---|---|"]
        lines += [_line(name, each) for name, each in noticed.items()]
    return "\n".join(lines) + "\n"


def _line(name: str, noticed: Noticed) -> str:
    when = f"{noticed.cases:,} cases" if noticed.by else "**not noticed**"
    return f"| {name} | {when} | {', '.join(noticed.by) or '-'} |"


if __name__ == "__main__":
    main()
