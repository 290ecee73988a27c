"""Who runs which revision: asked of every flag server pod, merged by process.

Public: :func:`read`, :func:`merge`, :class:`PodAnswer`. A pod that does not answer is a value. As long as one does not,
nobody can say that *every* process has applied a revision, so the result then has no ``observed_at``.

*Expected* to apply a revision is a process that reported within two report intervals and was alive when the revision
was published. One that came later is not waited for; it counts once it runs the revision.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx

from veriramp_operator.engine.types import PropagationSeen, RoleCount
from veriramp_sdk.contract import REPORT_INTERVAL_SECONDS, Role

MOST_LAGGARDS: Final = 10
_QUANTILE: Final = 0.99


@dataclass(frozen=True, slots=True)
class Process:
    """The newest report of one process; ``age`` is seconds since it, by the clock of the server that took it."""

    name: str
    role: Role
    uid: str
    revision: int
    applied_at: float
    first_seen_at: float
    age: float


@dataclass(frozen=True, slots=True)
class PodAnswer:
    """What one flag server pod knows of a rollout."""

    uid: str
    revision: int
    report_interval: float
    streams: int
    processes: tuple[Process, ...]


async def read(
    pod_urls: Sequence[str],
    namespace: str,
    rollout: str,
    client: httpx.AsyncClient,
    *,
    published_at: float,
    now: float,
) -> PropagationSeen:
    """Ask all pods (base URLs) at once; times in seconds since the epoch. Never raises for a fault of a pod."""
    path = f"/propagation/{namespace}/{rollout}"
    answers = await asyncio.gather(*(_ask(client, url + path) for url in pod_urls))
    silent = tuple(url for url, answer in zip(pod_urls, answers, strict=True) if answer is None)
    seen = merge((answer for answer in answers if answer is not None), published_at=published_at, now=now)
    return replace(seen, unreachable=silent, observed_at=None) if silent else seen


def merge(answers: Iterable[PodAnswer], *, published_at: float, now: float) -> PropagationSeen:
    """One view of several pods. Pure.

    The revision is the highest that a pod knows of the object that most pods know: a pod that lags behind, or still
    remembers a deleted namesake, does not hide it.
    """
    pods = list(answers)
    if not pods:
        return PropagationSeen()
    uids = [pod.uid for pod in pods if pod.uid] or [""]
    uid = max(uids, key=uids.count)
    revision = max(pod.revision for pod in pods if pod.uid in {uid, ""})
    alive = _alive(pods)
    expected = [process for process in alive if _was_alive(process, published_at) or _runs(process, uid, revision)]
    applied = [process for process in expected if _runs(process, uid, revision)]
    lags = sorted(
        max(0.0, process.applied_at - published_at) for process in applied if process.first_seen_at <= published_at
    )
    laggards = sorted(process.name for process in expected if not _runs(process, uid, revision))
    return PropagationSeen(
        revision=revision,
        uid=uid,
        roles=_roles(expected, applied),
        unmeasured=max(0, sum(pod.streams for pod in pods) - len(alive)),
        laggards=tuple(laggards[:MOST_LAGGARDS]),
        p99_seconds=lags[math.ceil(_QUANTILE * len(lags)) - 1] if lags else None,
        last_applied_at=max((process.applied_at for process in applied), default=None),
        observed_at=now,
    )


async def _ask(client: httpx.AsyncClient, url: str) -> PodAnswer | None:
    try:
        response = await client.get(url, follow_redirects=False)
        return _parse(response.json()) if response.status_code == httpx.codes.OK else None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        return None


def _parse(content: Mapping[str, Any]) -> PodAnswer:
    """Raises KeyError, TypeError or ValueError for anything but a propagation answer."""
    newest = max((float(item["reportedAt"]) for item in content["processes"]), default=0.0)
    server_now = float(content.get("now", newest))
    return PodAnswer(
        uid=str(content["uid"]),
        revision=int(content["revision"]),
        report_interval=float(content.get("reportIntervalSeconds", REPORT_INTERVAL_SECONDS)),
        streams=int(content["streams"]),
        processes=tuple(
            Process(
                name=str(item["process"]),
                role=Role(item["role"]),
                uid=str(item["uid"]),
                revision=int(item["revision"]),
                applied_at=float(item["appliedAt"]),
                first_seen_at=float(item["firstSeenAt"]),
                age=server_now - float(item["reportedAt"]),
            )
            for item in content["processes"]
        ),
    )


def _alive(pods: Sequence[PodAnswer]) -> list[Process]:
    """The newest report of each process that is still reporting; it is as old as any pod knows it to be."""
    known: dict[str, Process] = {}
    for pod in pods:
        for process in pod.processes:
            if process.age > 2 * pod.report_interval:
                continue
            other = known.get(process.name, process)
            newer = process if process.age < other.age else other
            first = min(process.first_seen_at, other.first_seen_at)
            known[process.name] = replace(newer, first_seen_at=first)
    return list(known.values())


def _was_alive(process: Process, published_at: float) -> bool:
    """Alive when the revision was published: a server had heard of it, or it had applied another one by then."""
    # A flag server that restarted sees everybody for the first time; that must not excuse those who lag.
    return min(process.first_seen_at, process.applied_at) <= published_at


def _runs(process: Process, uid: str, revision: int) -> bool:
    return process.uid == uid and process.revision == revision


def _roles(expected: Sequence[Process], applied: Sequence[Process]) -> dict[Role, RoleCount]:
    return {
        role: RoleCount(
            expected=sum(process.role is role for process in expected),
            applied=sum(process.role is role for process in applied),
        )
        for role in Role
        if any(process.role is role for process in expected)
    }
