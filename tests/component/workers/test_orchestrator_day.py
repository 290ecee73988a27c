"""A day of the orchestrator on a clock of its own: what searches and backfill get of one budget, in a real store."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from tests.support.pipeline import a_request
from tests.support.stores import PATIENT
from veriramp_sdk.events import Topic, Verdict
from veriramp_workers.orchestrator import Orchestrator, OrchestratorMetrics, Tuning
from veriramp_workers.ports import DeferError, Judgement, Question, Record
from veriramp_workers.stores import BudgetSettings, open_stores

MIDNIGHT = 1_767_222_000.0  # 2026-01-01 00:00 in Berlin
HOUR = 3_600.0
LIMIT = 400
DELAY = 600.0
STEPS = 30
"""Steps of an hour."""


class Verifier:
    name, version = "counting", "1"

    async def judge(self, question: Question) -> Judgement:
        return Judgement(Verdict.UNDETERMINED, f"{len(question.text)} characters")


@dataclass
class Lane:
    """The requests of one lane that wait, those that came longest ago first, and when each was answered."""

    name: str
    topic: str
    waiting: list[Record] = field(default_factory=list)
    not_before: float = 0.0
    answered: list[float] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)

    def ask(self, now: float, count: int) -> None:
        for number in range(count):
            request = a_request("The tower is tall.", document=f"{self.name} {now} {number}")
            request = request.model_copy(update={"lane": self.name, "enqueued_at_ms": int(now * 1000)})
            self.waiting.append(Record(self.topic, 0, 0, request.key(), request.to_bytes()))

    async def work(self, orchestrator: Orchestrator, now: float) -> None:
        while self.waiting and now >= self.not_before:
            try:
                await orchestrator(self.waiting[0])
            except DeferError as deferred:
                # Each would wait by itself; that those behind it, which are the same, are not asked about is quicker.
                self.not_before = now + min(deferred.seconds, DELAY)
                self.reasons.add(deferred.reason)
            else:
                self.answered.append(now)
                del self.waiting[0]

    def between(self, start: float, end: float) -> int:
        return sum(start <= (at - MIDNIGHT) / HOUR < end for at in self.answered)


@pytest.mark.shows("S1-COST-03", "S1-COST-04")
async def test_searches_get_what_they_need_and_backfill_what_is_left(tmp_path: Path) -> None:
    now, registry = MIDNIGHT, CollectorRegistry()
    settings = BudgetSettings(per_day=LIMIT, zone="Europe/Berlin", at_once=0.25)
    searches, backfill = Lane("interactive", Topic.INTERACTIVE), Lane("backfill", Topic.BACKFILL)
    async with open_stores(
        f"sqlite:///{tmp_path}/store.db", registry, settings, deadlines=PATIENT, clock=lambda: now
    ) as stores:
        orchestrator = Orchestrator(
            Verifier(),
            OrchestratorMetrics(registry),
            formaliser_version="1",
            budget=stores.budget,
            clock=lambda: now,
        )
        # What comes at night waits a day: the age of requests is not the point here.
        orchestrator.tune(Tuning(backfill_share=0.5, backlog_seconds=86_400.0), off=False)
        for step in range(36 * STEPS):
            hour = step / STEPS
            now = MIDNIGHT + HOUR * hour
            if step == 2 * STEPS:
                backfill.ask(now, 800)
            if 8 * STEPS <= step < 20 * STEPS and step % 6 == 0:
                searches.ask(now, 4)
            await searches.work(orchestrator, now)
            await backfill.work(orchestrator, now)
            free = LIMIT * (0.25 + 0.75 * (hour % 24.0) / 24.0)
            spent = searches.between(hour // 24 * 24, hour + 1) + backfill.between(hour // 24 * 24, hour + 1)
            assert spent <= free + 1.0
    assert searches.between(0, 24) == 240, "every search was answered on its day"
    assert backfill.between(0, 2) == 0
    assert backfill.between(2, 8) > 50, "before the searches come, backfill has its share"
    assert searches.between(0, 24) + backfill.between(0, 24) <= LIMIT
    assert backfill.between(8, 24) < backfill.between(24, 36), "searches have what backfill has without them"
    assert "budget_pace" in backfill.reasons
    assert len(backfill.waiting) + len(backfill.answered) == 800, "what waits is not lost"
