"""Whatever happens to a rollout (edits, requests, losses, crashes, clocks): its journal gives back what was decided."""

from __future__ import annotations

import json

import pytest

from tests.support.walk.campaign import CASES, SOAK, campaign
from tests.support.walk.walk import Tick, Walk
from veriramp_operator.resources.journal import JournalEntry, Scribe, read_entry


def is_read_back(_: Walk, tick: Tick) -> None:
    seen = tick.seen
    entry = JournalEntry(tick.now, seen.namespace, seen.name, tick.spec, tick.before, seen, tick.decision)
    line = Scribe().line(entry)
    again = read_entry(json.loads(line), {})
    assert again == entry
    assert Scribe().line(again) == line


@pytest.mark.shows("S4-SEC-05")
@pytest.mark.timeout(36000 if SOAK else 120)
def test_every_decision_of_any_run_is_read_back_as_it_was() -> None:
    found = campaign({"journal": is_read_back}, CASES // 25)
    found.shows("journal")
    assert found.passes > 1000
