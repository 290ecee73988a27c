"""How often a verdict is known already, for one stated workload; another one has another rate.

Fourteen virtual days of searches over the Cranfield collection: its queries, drawn with a frequency of 1/rank, the
first ten documents by BM25, three of ten searches sampled. Each verdict that is asked for goes through the cache as the
orchestrator uses it (SQLite, its own lifetimes). Half of the documents get a decisive verdict, which is kept for 30
days; the verdicts on the others are kept for an hour. Once every sampled result is asked for; once the search service,
four replicas with a memory each, leaves out what it knows to be younger than seven days, as the trigger does: only what
a replica does not know reaches the cache.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import random
import tempfile
from typing import Final

from prometheus_client import CollectorRegistry

from tests.bench import report
from tests.bench.puzzles import DATA
from tests.bench.report import Figure, at_least, say, stated
from tests.support.stores import a_judgement
from veriramp_sdk.events import Verdict, content_hash
from veriramp_search.corpus import Document
from veriramp_search.index import Index
from veriramp_workers.caching import cache_key, lifetime_seconds
from veriramp_workers.stores import Stores, open_stores

CRANFIELD: Final = DATA / "cranfield"
DAYS: Final = 14
SEARCHES_A_DAY: Final = 2_000
SAMPLED: Final = 0.3
RESULTS: Final = 10
REPLICAS: Final = 4
FRESH_SECONDS: Final = 7 * 86_400.0
BAR: Final = 0.4
SEED: Final = 11


def main() -> None:
    """Measure and write build/bench/cache.json."""
    say("indexing")
    results = found()
    figures = [rate for remembers in (False, True) for rate in asyncio.run(replay(results, remembers=remembers))]
    settings = {
        "searches": f"{SEARCHES_A_DAY} a day, {DAYS} days, {len(results)} queries, frequency 1/rank, seed {SEED}",
        "sampled": f"{SAMPLED:.0%} of the searches, {RESULTS} results each",
        "decisive": "the verdicts on half of the documents",
    }
    report.write("cache", figures, settings)


def found() -> list[list[str]]:
    """The first documents of each query, as their texts."""
    rows = [json.loads(line) for line in (CRANFIELD / "documents.jsonl").read_text("utf-8").splitlines()]
    index = Index([Document(str(row["id"]), "", row.get("title", ""), row["text"], "") for row in rows])
    queries = [json.loads(line)["text"] for line in (CRANFIELD / "queries.jsonl").read_text("utf-8").splitlines()]
    return [[hit.document.text for hit in index.search(query, RESULTS)] for query in queries]


async def replay(results: list[list[str]], *, remembers: bool) -> list[Figure]:
    """All days once; the share of verdicts that were known, and how many were asked for."""
    draw = random.Random(SEED)
    weights = list(itertools.accumulate(1 / rank for rank in range(1, len(results) + 1)))
    registry, now = CollectorRegistry(), 0.0
    known: list[dict[str, float]] = [{} for _ in range(REPLICAS)]
    with tempfile.TemporaryDirectory() as folder:
        async with open_stores(f"sqlite://{folder}/cache.db", registry, clock=lambda: now) as stores:
            for number in range(DAYS * SEARCHES_A_DAY):
                now = number * 86_400 / SEARCHES_A_DAY
                (texts,) = draw.choices(results, cum_weights=weights)
                memory = known[draw.randrange(REPLICAS)]
                if draw.random() >= SAMPLED:
                    continue
                for text in texts:
                    if remembers and now - memory.get(text, -FRESH_SECONDS) < FRESH_SECONDS:
                        continue
                    memory[text] = now
                    await judged(stores, text)
    hits = registry.get_sample_value("veriramp_cache_reads_total", {"outcome": "hit"}) or 0.0
    samples = (sample for family in registry.collect() for sample in family.samples)
    reads = sum(sample.value for sample in samples if sample.name == "veriramp_cache_reads_total")
    what = "with a search service that leaves out what it knows" if remembers else "every sampled result asked for"
    rate = f"hit rate, {what}"
    share = stated(rate, hits / reads, "") if remembers else at_least(rate, hits / reads, "", BAR)
    return [share, stated(f"verdicts asked for, {what}", reads, "")]


async def judged(stores: Stores, text: str) -> None:
    """Look a verdict up, and keep one where none is known."""
    digest = content_hash(text)
    key = cache_key(
        tenant="acme", content_hash=digest, premises=(), verifier="v", verifier_version="1", formaliser_version="1"
    )
    if await stores.cache.get(key) is None:
        decisive = hashlib.sha256(text.encode()).digest()[0] % 2 == 0
        verdict = Verdict.ENTAILED if decisive else Verdict.NOT_FORMALISABLE
        await stores.cache.put(key, a_judgement(verdict=verdict), lifetime_seconds(verdict))


if __name__ == "__main__":
    main()
