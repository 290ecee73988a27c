"""Every field of a verdict that somebody reads is produced: by the orchestrator with either verifier, over a broker."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, cast

import pytest

from tests.support.faulty_verifier import UNSAT, a_faulty_verifier, answer
from tests.support.flags import LIVE, Operator, a_document, obeyed
from tests.support.pipeline import Topics, a_request, an_orchestrator
from veriramp_sdk.events import Topic, VerificationComplete, parse_event
from veriramp_sdk.selection import Known
from veriramp_search.quality import QualityBoard

CATALOGUE: Final = frozenset(
    {
        "schema_version",
        "event_id",
        "chunk_key",
        "org_id",
        "document_id",
        "block_id",
        "content_hash",
        "verdict",
        "signal",
        "check_sat_result",
        "formalization_similarity",
        "extraction_degradation",
        "solver_success",
        "unsat_core",
        "smt_lib_code",
        "solver_execution_time_seconds",
        "total_time_seconds",
        "verifier",
        "verifier_version",
        "formaliser_version",
        "cache_hit",
        "verified_at_ms",
        "query_id",
    }
)
"""What the requirement lists."""

OF_A_FORMALISER: Final = frozenset({"formalization_similarity", "extraction_degradation"})
"""What a formaliser says about its own work; the embedded one either understands a sentence or refuses it."""

SINKS: Final = {
    "vectors": {"chunk_key", "org_id", "document_id", "block_id", "verdict", "signal", "verified_at_ms", "event_id"}
    | {"verifier_version", "content_hash"},
    "documents": {"chunk_key", "org_id", "document_id", "block_id", "verdict", "signal", "verified_at_ms", "event_id"},
    "history": {"verified_at_ms", "verdict", "signal", "verifier", "verifier_version", "formaliser_version"},
}
"""What the sinks to come are to keep."""


class Watched:
    """An event that remembers what was read of it."""

    def __init__(self, event: VerificationComplete) -> None:
        self._event = event
        self.read: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.read.add(name)
        return getattr(self._event, name)


def read_by_search(event: VerificationComplete) -> set[str]:
    """The fields that search reads: its board, and what its trigger is told."""
    watched = Watched(event)
    stands_for = cast("VerificationComplete", watched)
    QualityBoard().apply(stands_for)
    Known.of(stands_for)
    return watched.read


@pytest.fixture(autouse=True)
async def live(operator: Operator) -> AsyncIterator[None]:
    async with obeyed(operator, a_document(revision=1, vector=LIVE)):
        yield


@pytest.mark.shows("S1-EVT-02")
@pytest.mark.parametrize("verifier", ["embedded", "http"])
async def test_what_is_read_downstream_is_produced(
    tmp_path: Path, env: dict[str, str], topics: Topics, verifier: str
) -> None:
    request = a_request("The mill is not red.", *(["The mill is red."] if verifier == "embedded" else []))
    request = request.model_copy(update={"query_id": "query-1"})
    async with AsyncExitStack() as stack:
        if verifier == "http":
            service = await stack.enter_async_context(a_faulty_verifier(answer(UNSAT)))
            env = {**env, "VERIRAMP_VERIFIER_URL": service.url, "VERIRAMP_BUDGET_PER_DAY": "none"}
        await stack.enter_async_context(an_orchestrator(tmp_path, env))
        await topics.send(Topic.INTERACTIVE, request)
        (record, *_) = await topics.read(Topic.COMPLETE, lambda records: len(records) >= 1, "the answer")
    fields: dict[str, Any] = json.loads(record.value)
    lacking = OF_A_FORMALISER if verifier == "embedded" else frozenset()
    assert fields.keys() == (CATALOGUE | {"reason"}) - lacking
    assert "" not in fields.values()
    event = parse_event(VerificationComplete, record.value)
    assert json.loads(event.to_bytes()) == fields
    assert (event.query_id, event.unsat_core is not None, event.solver_success) == ("query-1", True, True)
    readers = {**SINKS, "search": read_by_search(event)}
    assert {name: read - fields.keys() for name, read in readers.items() if read - fields.keys()} == {}
    assert readers["search"] >= {"chunk_key", "verdict", "signal", "verified_at_ms"}
