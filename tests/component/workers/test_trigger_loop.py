"""From the trigger through broker and orchestrator to the verdict, and what is asked for after it."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from aiokafka import ConsumerRecord
from prometheus_client import CollectorRegistry

from tests.support.flags import LIVE, Operator, a_document
from tests.support.node import node
from tests.support.pipeline import Program, Topics, a_program, a_request
from veriramp_sdk.contract import Arm, Mode
from veriramp_sdk.decision import VerificationDecision
from veriramp_sdk.events import Topic, VerificationComplete, chunk_key, parse_event
from veriramp_sdk.kafka import KafkaSender
from veriramp_sdk.trigger import Chunk, Known, VerificationTrigger

VERIFY: Final = VerificationDecision(Mode.LIVE, Arm.TREATMENT, verify=True, weight=0.1, top_k=10, revision=1)
MILL: Final = Chunk("org", "mill", "0", "The mill is red.", ("The mill is red.",))
PROGRAM: Final = Path(__file__).resolve().parents[2] / "support" / "node_trigger.mjs"


@pytest.fixture
async def orchestrator(tmp_path: Path, env: dict[str, str], operator: Operator) -> AsyncIterator[Program]:
    operator.publish(a_document(revision=1, vector=LIVE))
    operator.renew()
    async with a_program("veriramp_workers.main", "orchestrator", folder=tmp_path, env=env) as program:
        yield program


@pytest.fixture
async def trigger(brokers: str) -> AsyncIterator[VerificationTrigger]:
    async with VerificationTrigger(KafkaSender(brokers), rollout="search/demo", registry=CollectorRegistry()) as one:
        yield one


def key_of(chunk: Chunk) -> str:
    return chunk_key(chunk.org_id, chunk.document_id, chunk.block_id, chunk.content)


async def verdict_on(topics: Topics, key: str) -> VerificationComplete:
    def its(records: Sequence[ConsumerRecord]) -> list[VerificationComplete]:
        events = (parse_event(VerificationComplete, record.value) for record in records)
        return [event for event in events if event.chunk_key == key]

    return its(await topics.read(Topic.COMPLETE, lambda records: bool(its(records)), f"the verdict on {key}"))[-1]


@pytest.mark.shows("S1-TRIG-04", "S1-TRIG-06")
async def test_an_edited_chunk_is_verified_again_and_the_same_one_is_not(
    orchestrator: Program, trigger: VerificationTrigger, topics: Topics
) -> None:
    assert trigger.offer(VERIFY, [MILL], "query") == 1
    assert trigger.is_pending(key_of(MILL))
    event = await verdict_on(topics, key_of(MILL))
    trigger.answered(event)
    assert not trigger.is_pending(key_of(MILL))
    assert event.verdict == "entailed"
    verified = replace(MILL, known=Known.of(event))
    assert trigger.offer(VERIFY, [verified]) == 0
    edited = replace(verified, content="The mill is not red.")
    assert trigger.offer(VERIFY, [edited]) == 1
    assert (await verdict_on(topics, key_of(edited))).verdict == "contradicted"


@pytest.mark.shows("S1-TRIG-07")
async def test_what_node_asks_for_gets_verdicts(orchestrator: Program, topics: Topics) -> None:
    texts = ["The mill is red.", "The mill is not red.", "Die Mühle ist vielleicht rot 👩‍🚀.", "The dam is old."]
    chunks: list[dict[str, Any]] = [
        {"orgId": "org", "documentId": f"doc-{place}", "blockId": "0", "content": text, "premises": [texts[0]]}
        for place, text in enumerate(texts)
    ]
    decision = {"mode": "Live", "verify": True, "topK": 10, "revision": 1}
    command = [node(), str(PROGRAM)]
    said = await asyncio.to_thread(
        subprocess.run,
        command,
        input=json.dumps({"decision": decision, "chunks": chunks, "queryId": "q"}),
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
    )
    for line in said.stdout.splitlines():
        message = json.loads(line)
        await topics.send_raw(message["topic"], message["value"].encode(), message["key"].encode())
    verdicts = [
        (await verdict_on(topics, chunk_key("org", f"doc-{n}", "0", text))).verdict for n, text in enumerate(texts)
    ]
    assert verdicts == ["entailed", "contradicted", "not_formalisable", "undetermined"]


@pytest.mark.shows("S1-TRIG-05")
async def test_what_is_urgent_overtakes_a_full_backfill(
    tmp_path: Path, env: dict[str, str], operator: Operator, topics: Topics, trigger: VerificationTrigger
) -> None:
    operator.publish(a_document(revision=1, vector=LIVE))
    operator.renew()
    backlog = 3_000
    later = [a_request(f"The mill has {number} doors.", document=f"later-{number}") for number in range(backlog)]
    await topics.send(Topic.BACKFILL, *later)
    urgent = [replace(MILL, document_id=f"urgent-{number}") for number in range(10)]
    async with a_program("veriramp_workers.main", "orchestrator", folder=tmp_path, env=env):
        await topics.read(Topic.COMPLETE, lambda records: len(records) >= 20, "the backfill to be at work")
        assert trigger.offer(VERIFY, urgent) == 10
        keys = {key_of(chunk).encode() for chunk in urgent}

        def served(records: Sequence[ConsumerRecord]) -> bool:
            return keys <= {record.key for record in records}

        before = await topics.read(Topic.COMPLETE, served, "the ten urgent ones")
        assert len(before) < backlog, "the backfill is not through yet"
        await topics.read(Topic.COMPLETE, lambda records: len(records) >= backlog + 10, "the rest too")
