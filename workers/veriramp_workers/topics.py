"""``veriramp-worker topics``: list the topics that the pipeline needs, name what differs, create what is missing.

Public names: :func:`topics_command`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Final

from veriramp_workers.bus.admin import Cluster, ClusterError
from veriramp_workers.bus.plan import DAY_MS, Difference, TopicFacts, differences, wanted_topics
from veriramp_workers.settings import ConfigurationError, TopicSettings, topic_settings_from


def topics_command(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the command; exit code 0: all is as it should be, 1: something differs, 2: the cluster cannot be asked."""
    parser = argparse.ArgumentParser(
        prog="veriramp-worker topics",
        description="List the topics of the pipeline and what differs from the plan; only --apply changes anything.",
        epilog="Reads VERIRAMP_BROKERS, VERIRAMP_KAFKA_* (TLS, SASL), VERIRAMP_TOPIC_REPLICATION (3) and "
        "VERIRAMP_TOPIC_MIN_INSYNC (2). Exit code 0: all is as it should be; 1: something differs; 2: the cluster "
        "cannot be asked.",
    )
    parser.add_argument("--apply", action="store_true", help="create what is missing; what exists is never changed")
    parser.add_argument("--check", action="store_true", help="print only what differs")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(list(arguments))
    try:
        settings = topic_settings_from(environment)
        if settings.kafka.warning:
            sys.stderr.write(f"veriramp-worker topics: {settings.kafka.warning}\n")
        with _client_is_silent():
            states = asyncio.run(_states(settings, apply=options.apply))
    except (ConfigurationError, ClusterError) as error:
        sys.stderr.write(f"veriramp-worker topics: {error}\n")
        return 2
    wrong = [state for state in states if state.differences]
    if options.json:
        text = json.dumps({"ok": not wrong, "topics": [asdict(state) for state in states]}, indent=2)
    else:
        text = _advice(states) if options.check else f"{_table(states)}\n{_advice(states)}"
    sys.stdout.write(f"{text}\n")
    return 1 if wrong else 0


@contextmanager
def _client_is_silent() -> Iterator[None]:
    """What the client has to say is told in a sentence of our own; whoever called keeps the level that was set."""
    client = logging.getLogger("aiokafka")
    level = client.level
    client.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        client.setLevel(level)


@dataclass(frozen=True)
class _State:
    topic: str
    wanted: TopicFacts
    actual: TopicFacts | None
    created: bool
    differences: tuple[Difference, ...]


async def _states(settings: TopicSettings, *, apply: bool) -> list[_State]:
    plans = wanted_topics(settings.replication, settings.min_insync)
    async with Cluster(settings.kafka) as cluster:
        names = [plan.name for plan in plans]
        facts = await cluster.facts(names)
        missing = [plan for plan in plans if plan.name not in facts] if apply else []
        created: frozenset[str] = frozenset()
        if missing:
            created = await cluster.create(missing)
            facts = await _known_everywhere(cluster, names)
    return [
        _State(
            topic=plan.name,
            wanted=plan.facts,
            actual=facts.get(plan.name),
            created=plan.name in created,
            differences=differences(plan, facts.get(plan.name), settings.kafka.brokers),
        )
        for plan in plans
    ]


async def _known_everywhere(cluster: Cluster, names: Sequence[str]) -> dict[str, TopicFacts]:
    """Ask until the topics are told of: a broker that did not list them may answer, and know of them later."""
    end = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < end:
        with suppress(ClusterError):
            facts = await cluster.facts(names)
            if facts.keys() >= set(names):
                return facts
        await asyncio.sleep(_PAUSE_SECONDS)
    return await cluster.facts(names)


def _table(states: Sequence[_State]) -> str:
    rows = [_HEADINGS, *(_row(state) for state in states)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(state: _State) -> tuple[str, ...]:
    wanted, actual = state.wanted, state.actual
    status = "differs" if state.differences else "created" if state.created else "ok"
    if actual is None:
        have: tuple[str, ...] = _cells(wanted)
        status = "missing"
    else:
        pairs = zip(_cells(actual), _cells(wanted), strict=True)
        have = tuple(cell if cell == want else f"{cell} (wanted {want})" for cell, want in pairs)
    return (state.topic, *have, status)


def _cells(facts: TopicFacts) -> tuple[str, ...]:
    return (
        str(facts.partitions),
        _time(facts.retention_ms),
        facts.cleanup,
        str(facts.replication),
        str(facts.min_insync),
    )


def _time(milliseconds: int) -> str:
    if milliseconds < 0:
        return "for ever"
    unit, name = next((unit, name) for unit, name in _UNITS if milliseconds % unit == 0)
    return f"{milliseconds // unit} {name}"


def _advice(states: Sequence[_State]) -> str:
    lines = [
        f"{state.topic}: {one.field} is {one.actual}, wanted {one.wanted}\n  {one.fix}"
        for state in states
        for one in state.differences
        if state.actual is not None
    ]
    missing = [state.topic for state in states if state.actual is None]
    if missing:
        lines.append(f"{len(missing)} missing: {', '.join(missing)}\n  veriramp-worker topics --apply")
    created = sum(state.created for state in states)
    if created:
        lines.append(f"{created} created")
    return "\n".join(lines) or f"all {len(states)} topics are as they should be"


_SETTLE_SECONDS: Final = 15.0
_PAUSE_SECONDS: Final = 0.1
_UNITS: Final = ((DAY_MS, "d"), (3_600_000, "h"), (60_000, "min"), (1, "ms"))
_HEADINGS: Final = ("TOPIC", "PARTITIONS", "RETENTION", "CLEANUP", "REPLICATION", "MIN.INSYNC", "STATE")
