"""Several flag servers' reports as one view."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from veriramp_operator.sources.propagation import PodAnswer, Process, merge, read
from veriramp_sdk.contract import Role

PUBLISHED, NOW = 1000.0, 1001.0


def process(name: str = "a", revision: int = 3, role: Role = Role.SEARCH, **fields: Any) -> Process:
    base: dict[str, Any] = {"uid": "u", "applied_at": PUBLISHED + 0.05, "first_seen_at": 500.0, "age": 1.0}
    return Process(name=name, role=role, revision=revision, **(base | fields))


def pod(*processes: Process, uid: str = "u", revision: int = 3, streams: int = 0) -> PodAnswer:
    return PodAnswer(uid, revision, 10.0, streams, processes)


def test_roles_are_counted_apart_and_laggards_named() -> None:
    seen = merge(
        [pod(process("a"), process("b", 2)), pod(process("w", role=Role.WORKER))], published_at=PUBLISHED, now=NOW
    )
    assert {role: (count.expected, count.applied) for role, count in seen.roles.items()} == {
        Role.SEARCH: (2, 1),
        Role.WORKER: (1, 1),
    }
    assert (seen.laggards, seen.revision, seen.observed_at) == (("b",), 3, NOW)
    assert seen.p99_seconds == pytest.approx(0.05)
    assert seen.last_applied_at == PUBLISHED + 0.05


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        (process(age=20.0), 1),
        (process(age=20.1), 0),
        (process(first_seen_at=PUBLISHED + 1), 1),  # came later, but runs it
        (process(revision=2, first_seen_at=PUBLISHED + 1), 0),  # came later: not waited for
        (process(revision=2), 1),
        (process(revision=2, first_seen_at=PUBLISHED + 1, applied_at=PUBLISHED - 60), 1),  # the server restarted
        (process(uid="old"), 1),
    ],
)
def test_who_is_expected(reported: Process, expected: int) -> None:
    seen = merge([pod(reported)], published_at=PUBLISHED, now=NOW)
    assert sum(count.expected for count in seen.roles.values()) == expected


def test_the_newest_report_of_a_process_counts_and_its_first_sight_anywhere() -> None:
    old, new = process(revision=2, age=9.0), process(age=1.0, first_seen_at=PUBLISHED + 1)
    for pods in ([pod(old), pod(new)], [pod(new), pod(old)]):
        seen = merge(pods, published_at=PUBLISHED, now=NOW)
        assert seen.laggards == ()
        assert seen.p99_seconds is not None


def test_a_pod_that_lags_or_remembers_a_namesake_does_not_hide_the_revision() -> None:
    pods = [pod(process(), revision=2), pod(revision=3), pod(uid="old", revision=99)]
    assert merge(pods, published_at=PUBLISHED, now=NOW).revision == 3


def test_streams_without_a_report_are_unmeasured() -> None:
    assert merge([pod(process(), streams=3)], published_at=PUBLISHED, now=NOW).unmeasured == 2


def test_laggards_are_at_most_ten() -> None:
    crowd = [process(f"p{number:02}", 2) for number in range(30)]
    assert len(merge([pod(*crowd)], published_at=PUBLISHED, now=NOW).laggards) == 10


def test_nobody_asked() -> None:
    assert merge([], published_at=PUBLISHED, now=NOW).observed_at is None


GOOD = {
    "uid": "u",
    "revision": 3,
    "reportIntervalSeconds": 10.0,
    "now": 2001.0,
    "streams": 1,
    "processes": [
        {"process": "a", "role": "search", "uid": "u", "revision": 3, "appliedAt": 1000.2, "reportedAt": 2000.0,
         "firstSeenAt": 900.0}
    ],
}  # fmt: skip


def _pods(request: httpx.Request) -> httpx.Response:
    match request.url.host:
        case "good":
            assert request.url.path == "/propagation/ns/name"
            return httpx.Response(200, json=GOOD)
        case "refused":
            raise httpx.ConnectError("refused")
        case "odd":
            return httpx.Response(200, json={"uid": 7})
        case _:
            return httpx.Response(500, text="no")


@pytest.mark.parametrize("bad", ["refused", "odd", "broken"])
async def test_while_one_pod_is_silent_nobody_can_say_everybody(bad: str) -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(_pods)) as client:
        urls = ["http://good", f"http://{bad}"]
        seen = await read(urls, "ns", "name", client, published_at=PUBLISHED, now=NOW)
        assert (seen.observed_at, seen.unreachable) == (None, (f"http://{bad}",))
        whole = await read(urls[:1], "ns", "name", client, published_at=PUBLISHED, now=NOW)
    assert (whole.observed_at, whole.roles[Role.SEARCH].applied) == (NOW, 1)
    assert whole.p99_seconds == pytest.approx(0.2)
