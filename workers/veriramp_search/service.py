"""One search: retrieve, decide, rank, and ask for the verification of what was found.

Public names: :class:`SearchService`, :class:`Answer`, :class:`FlagsPort`, :class:`Decision`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from veriramp_sdk.decision import VerificationDecision
from veriramp_sdk.document import Setting
from veriramp_sdk.events import content_hash
from veriramp_sdk.ranker import Candidate, Ranked, VerificationRanker
from veriramp_sdk.trigger import Chunk, VerificationTrigger
from veriramp_search.corpus import BLOCK, ORG, Corpus, Document
from veriramp_search.faults import RegressionSwitch
from veriramp_search.index import Hit, Index
from veriramp_search.quality import Quality, QualityBoard

CANDIDATES: Final = 30
"""How many documents are ranked for one answer."""


class FlagsPort(Protocol):
    """What the service needs of ``veriramp_sdk.flags.Flags``."""

    def decide(
        self, user_id: str, query_id: str, attributes: Mapping[str, Setting] | None = None
    ) -> VerificationDecision: ...
    def observe(self, decision: VerificationDecision, seconds: float, *, error: bool = False) -> None: ...


@dataclass(frozen=True)
class Result:
    """A document at its final place, with what is known about it."""

    document: Document
    score: float
    ranked: Ranked
    quality: Quality | None
    pending: bool
    """Whether a verification is in progress."""


@dataclass(frozen=True)
class Answer:
    """The answer to one search; ``order_changed`` compares the returned page with the original order."""

    query: str
    query_id: str
    decision: VerificationDecision
    results: tuple[Result, ...]
    order_changed: bool


class SearchService:
    """Searches the corpus under the flags. ``clock`` gives seconds since the epoch."""

    def __init__(
        self,
        corpus: Corpus,
        flags: FlagsPort,
        trigger: VerificationTrigger,
        board: QualityBoard,
        switch: RegressionSwitch,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._index = Index(corpus.documents)
        self._keys = {document.id: document.key for document in corpus.documents}
        self._hashes = {document.id: content_hash(document.text) for document in corpus.documents}
        self._documents = {document.id: document for document in corpus.documents}
        self._references = corpus.references
        self._flags = flags
        self._trigger = trigger
        self._board = board
        self._switch = switch
        self._ranker = VerificationRanker()
        self._clock = clock

    def document(self, identifier: str) -> tuple[Document, Quality | None, bool] | None:
        """Return one document, what is known about it, and whether a verification is in progress."""
        document = self._documents.get(identifier)
        if document is None:
            return None
        key = self._keys[identifier]
        return document, self._board.get(key), self._trigger.is_pending(key)

    async def search(
        self, query: str, user_id: str, query_id: str, limit: int, *, traceparent: str | None = None
    ) -> Answer:
        """Answer one query of one user; counts it in the arm of its decision, also when it fails."""
        started = time.perf_counter()
        decision = self._flags.decide(user_id, query_id)
        failed = True
        try:
            await asyncio.sleep(self._switch.strike(decision.arm))
            answer = self._answer(query, query_id, decision, limit, traceparent)
            failed = False
        finally:
            self._flags.observe(decision, time.perf_counter() - started, error=failed)
        return answer

    def _answer(
        self, query: str, query_id: str, decision: VerificationDecision, limit: int, traceparent: str | None
    ) -> Answer:
        hits = self._index.search(query, CANDIDATES)
        qualities = {hit.document.id: self._board.get(self._keys[hit.document.id]) for hit in hits}
        ranked = self._ranker.rank(
            [_candidate(hit, qualities[hit.document.id]) for hit in hits], decision, self._clock()
        )
        chunks = (self._chunk(hit, qualities[hit.document.id]) for hit in hits)
        self._trigger.offer(decision, chunks, query_id, traceparent=traceparent)
        page = ranked[:limit]
        return Answer(
            query=query,
            query_id=query_id,
            decision=decision,
            results=tuple(self._result(one, qualities[one.candidate.id]) for one in page),
            order_changed=any(one.moved for one in page),
        )

    def _result(self, ranked: Ranked, quality: Quality | None) -> Result:
        found = ranked.candidate
        pending = self._trigger.is_pending(self._keys[found.id])
        return Result(self._documents[found.id], found.score, ranked, quality, pending)

    def _chunk(self, hit: Hit, quality: Quality | None) -> Chunk:
        document = hit.document
        return Chunk(
            org_id=ORG,
            document_id=document.id,
            block_id=BLOCK,
            content=document.text,
            premises=self._references.get(document.topic, ()),
            score=hit.score,
            content_hash=self._hashes[document.id],
            known=None if quality is None else quality.known,
        )


def _candidate(hit: Hit, quality: Quality | None) -> Candidate:
    if quality is None:
        return Candidate(hit.document.id, hit.score)
    return Candidate(hit.document.id, hit.score, verification=quality.signal, verified_at=quality.verified_at)
