"""The tests' own sink: it notices what a sink that counts each event once would count twice, or never."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.ledger import Ledger
from tests.unit.sdk.test_sdk_events import a_verdict
from veriramp_sdk.events import Topic, Verdict, VerificationComplete


def noted(*events: VerificationComplete) -> Ledger:
    ledger = Ledger()
    for event in events:
        record: Any = SimpleNamespace(topic=Topic.COMPLETE, key=event.key(), value=event.to_bytes())
        ledger.note(record)
    return ledger


@pytest.mark.parametrize(
    ("change", "contradictions"),
    [
        ({}, 0),
        ({"cache_hit": True, "verified_at_ms": 7, "total_time_seconds": 9.0}, 0),
        ({"event_id": "another"}, 1),
        ({"verdict": Verdict.CONTRADICTED}, 1),
        ({"event_id": "another", "verdict": Verdict.CONTRADICTED}, 1),
    ],
)
def test_a_request_that_is_answered_again_has_the_same_event_or_it_is_told(
    change: dict[str, object], contradictions: int
) -> None:
    first = a_verdict()
    ledger = noted(first, first.model_copy(update=change))
    assert (ledger.contradictions, ledger.answered) == (contradictions, 1)
    assert len(ledger.verdicts) == len({first.event_id, change.get("event_id", first.event_id)})


def test_each_request_has_an_event_of_its_own() -> None:
    first = a_verdict()
    ledger = noted(first, first.model_copy(update={"chunk_key": "a" * 64, "event_id": "another"}))
    assert (ledger.contradictions, ledger.answered, len(ledger.verdicts)) == (0, 2, 2)
