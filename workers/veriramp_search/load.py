"""A bounded load on search services: ``python -m veriramp_search.load --url URL --users 2000 --rps 40 --seconds 60``.

Public names: :func:`main`, :func:`run`, :class:`Plan`, :func:`requests_of`. Prints one JSON object when done.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from veriramp_search.corpus import shipped


@dataclass(frozen=True)
class Plan:
    """Whom to ask and how much: users ``user-0`` ... round robin, at most ``in_flight`` requests at once."""

    urls: tuple[str, ...]
    users: int = 2_000
    rps: float = 40.0
    seconds: float = 60.0
    in_flight: int = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the load; exit code 0, also when searches failed: the summary says how many."""
    parser = argparse.ArgumentParser(prog="python -m veriramp_search.load", description="Put search under load.")
    parser.add_argument("--url", action="append", required=True, help="base URL of a search service; may be repeated")
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--rps", type=float, default=40.0, help="requests per second, over all URLs")
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args(arguments)
    for name in ("users", "rps", "seconds"):
        if not 0 < getattr(given, name) <= _LARGEST:
            parser.error(f"--{name} {getattr(given, name)}: write a number above 0, at most {_LARGEST}")
    summary = asyncio.run(run(Plan(tuple(given.url), given.users, given.rps, given.seconds)))
    sys.stdout.write(json.dumps(summary) + "\n")
    return 0


async def run(plan: Plan) -> dict[str, Any]:
    """Send the load at an even pace and return the summary (camelCase, seconds); late answers delay nothing."""
    seen = _Seen()
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()
    limits = httpx.Limits(max_connections=plan.in_flight, max_keepalive_connections=plan.in_flight)
    async with httpx.AsyncClient(limits=limits, timeout=_TIMEOUT) as client:
        started = loop.time()
        for number, (url, user, query) in enumerate(requests_of(plan)):
            due = started + number / plan.rps
            await asyncio.sleep(max(0.0, due - loop.time()))
            if loop.time() - started >= plan.seconds:
                break
            if len(tasks) >= plan.in_flight:
                seen.skipped += 1
                continue
            task = asyncio.create_task(_ask(client, url, user, query, seen))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
        elapsed = loop.time() - started
    return seen.summary(elapsed)


@dataclass
class _Seen:
    """What came back, by arm."""

    requests: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    conflicts: Counter[str] = field(default_factory=Counter)
    latencies: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    revision: int = 0
    skipped: int = 0

    def summary(self, elapsed: float) -> dict[str, Any]:
        """Return the figures; ``conflicting@3`` is the mean number of wrong documents among the first three."""
        every = [seconds for arm in self.latencies.values() for seconds in arm]
        total = sum(self.requests.values())
        return {
            "requests": total,
            "errors": sum(self.errors.values()),
            "skipped": self.skipped,
            "seconds": round(elapsed, 2),
            "requestsPerSecond": round(total / elapsed, 1) if elapsed else 0.0,
            "latencySeconds": _quantiles(every),
            "lastRevision": self.revision,
            "arms": {arm: self._arm(arm) for arm in sorted(self.requests)},
        }

    def _arm(self, arm: str) -> dict[str, Any]:
        answered = self.requests[arm] - self.errors[arm]
        return {
            "requests": self.requests[arm],
            "errors": self.errors[arm],
            "orderChangedShare": round(self.changed[arm] / answered, 4) if answered else 0.0,
            "conflicting@3": round(self.conflicts[arm] / answered, 4) if answered else 0.0,
            "latencySeconds": _quantiles(self.latencies[arm]),
        }


async def _ask(client: httpx.AsyncClient, url: str, user: str, query: str, seen: _Seen) -> None:
    started = time.perf_counter()
    try:
        response = await client.get(f"{url}/search", params={"q": query, "limit": "10"}, headers={"X-User-Id": user})
    except httpx.HTTPError:
        seen.requests["unreachable"] += 1
        seen.errors["unreachable"] += 1
        return
    body = response.json()
    arm = body.get("arm", "unknown")
    seen.requests[arm] += 1
    seen.latencies[arm].append(time.perf_counter() - started)
    if response.is_error:
        seen.errors[arm] += 1
        return
    seen.revision = max(seen.revision, body["revision"])
    seen.changed[arm] += body["orderChanged"]
    seen.conflicts[arm] += sum(result["stance"] == "conflicts" for result in body["results"][:3])


def requests_of(plan: Plan) -> Iterator[tuple[str, str, str]]:
    """Yield URL, user and query without end; users and topics advance at different paces."""
    topics = tuple(shipped().references)
    urls = itertools.cycle(url.rstrip("/") for url in plan.urls)
    for number in itertools.count():
        topic = topics[(number * 7 + number // len(topics)) % len(topics)]
        yield next(urls), f"user-{number % plan.users}", topic


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    if not ordered:
        return {}
    return {f"p{share}": round(ordered[math.ceil(len(ordered) * share / 100) - 1], 4) for share in (50, 95, 99)}


_LARGEST: Final = 100_000
_TIMEOUT: Final = 10.0

if __name__ == "__main__":
    sys.exit(main())
