"""How often flag servers are asked: soon where something moves, and never more in sum than passes can bear."""

from __future__ import annotations

from typing import Any, cast

import httpx
import pytest

from veriramp_operator.api.config import FlagServer
from veriramp_operator.cluster.api import Api
from veriramp_operator.runtime.propagation import (
    EAGER_SECONDS,
    SETTLED_PER_SECOND,
    SETTLED_SECONDS,
    WAITING_PER_SECOND,
    PropagationPoller,
)
from veriramp_operator.runtime.world import World

NOW = 1_800_000_000.0


def a_poller(moving: int, settled: int) -> tuple[PropagationPoller, list[float]]:
    clock = [NOW]
    world = World(lambda *_: None, lambda: clock[0])
    for number in range(moving + settled):
        world.rollout(a_raw(number, confirmed=number >= moving))
    return PropagationPoller(cast("Api", None), world, FlagServer(), lambda: clock[0]), clock


def a_raw(number: int, *, confirmed: bool) -> dict[str, Any]:
    propagation = {"confirmedAt": "2027-01-15T07:59:59Z"} if confirmed else {}
    return {
        "metadata": {
            "namespace": "search",
            "name": f"r-{number}",
            "uid": f"uid-{number}",
            "resourceVersion": "1",
            "generation": 1,
        },
        "spec": {"stages": [{"name": "shadow", "mode": "Shadow"}]},
        "status": {
            "flags": {
                "revision": 1,
                "contentHash": "c",
                "publishedAt": "2027-01-15T07:59:59Z",
                "salt": "5a",
                "sampleSalt": "a5",
            },
            "propagation": {"expected": 1, "applied": 1, "unmeasured": 0, "laggards": [], **propagation},
        },
    }


def asks_in(poller: PropagationPoller, clock: list[float], seconds: float) -> int:
    asked = 0
    step = 1.01 * EAGER_SECONDS
    for _ in range(round(seconds / step)):
        clock[0] += step
        for key in poller._due():
            poller._asked[key] = clock[0]
            asked += 1
    return asked


def test_one_that_moves_is_asked_at_once_and_often() -> None:
    poller, clock = a_poller(moving=1, settled=5)
    asks_in(poller, clock, 0.2)
    assert asks_in(poller, clock, 1.0) == pytest.approx(1 / EAGER_SECONDS, abs=2)


def test_many_that_move_share_what_one_process_can_ask() -> None:
    poller, clock = a_poller(moving=300, settled=0)
    asks_in(poller, clock, 0.2)
    assert asks_in(poller, clock, 3.0) <= 3.0 * WAITING_PER_SECOND + 300


def test_many_at_rest_are_asked_less_often_each() -> None:
    poller, clock = a_poller(moving=0, settled=900)
    assert asks_in(poller, clock, 0.1) == 900
    rest = 900 / SETTLED_PER_SECOND
    assert rest > SETTLED_SECONDS
    assert asks_in(poller, clock, rest - 1) == 0
    assert asks_in(poller, clock, 2) == 900


@pytest.mark.parametrize(
    ("address", "url"), [("10.0.0.7", "http://10.0.0.7:8016"), ("fd00::7", "http://[fd00::7]:8016")]
)
def test_a_flag_server_pod_is_asked_at_its_address(address: str, url: str) -> None:
    poller, _ = a_poller(0, 0)
    assert poller._url({"status": {"podIP": address}}) == url
    assert str(httpx.URL(url)) == url
