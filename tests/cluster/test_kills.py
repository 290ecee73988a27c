"""kill -9 of the leading operator in the whole product: nothing rises by itself, and what fell stays down."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.support.product import Product, stays
from tests.support.road import Road, climbs, ladder, steepest
from tests.support.waiting import wait_for
from tools.demo.incidents import set_regression_at
from veriramp_operator.api.status import Phase
from veriramp_operator.api.vector import Vector
from veriramp_sdk.contract import Mode

pytestmark = [pytest.mark.usefixtures("log_guard"), pytest.mark.timeout(900)]

STEP = 0.1 / 20
"""A ramp step of the ladder."""
TAKEOVER_SECONDS = 60.0
"""20 s, as the Lease has it, and room for a busy machine."""
GATE_INTERVALS_SECONDS = 8.0


@pytest.mark.shows("S1-RBK-08")
def test_killed_in_the_ramp_and_again_in_the_rollback(product: Product, place: str, tmp_path: Path) -> None:
    with Road.start(product, place, ladder(place)) as road, road.load(tmp_path):
        road.until_weight(0.02)
        killed, process = product.holder(), product.leading_process()
        process.send(signal.SIGKILL)
        wait_for(lambda: not process.alive(), 30, "the leader to be dead")
        reached = road.vector()

        def held() -> bool:
            return road.vector() == reached or product.holder() != killed

        stays(held, GATE_INTERVALS_SECONDS, "nothing rose while nobody led")
        product.another_leads(killed)
        road.until_weight(0.04)
        assert steepest(road.documents.vectors()) < 1.5 * STEP

        leader, process = product.holder(), product.leading_process()
        # Killed by the thread that sees the document, most likely before the operator has written the status.
        road.documents.on_fall = lambda: process.send(signal.SIGKILL)
        began = time.time()
        set_regression_at(road.search, error_rate=0.5, latency=0.0)
        wait_for(lambda: not process.alive(), 60, "the fall, and the operator killed by it")
        set_regression_at(road.search, error_rate=0.0, latency=0.0)
        fallen = road.vector()
        assert fallen.mode is Mode.SHADOW
        product.another_leads(leader)
        road.until("the latch", lambda status: status.phase is Phase.ROLLED_BACK and status.rollback is not None)
        stays(lambda: road.vector().is_at_most(fallen), GATE_INTERVALS_SECONDS, "the rollback held")
        path = road.documents.vectors(began)
        assert not climbs(path[path.index(fallen) :])
        road.until_modes("Shadow", 30)


@pytest.mark.shows("S4-SEC-03")
def test_when_the_leader_is_removed_in_the_ramp_the_standby_goes_on(
    product: Product, place: str, tmp_path: Path
) -> None:
    with Road.start(product, place, ladder(place)) as road, road.load(tmp_path):
        road.until_weight(0.02)
        removed = product.remove_leader()
        reached = road.vector()
        wait_for(lambda: road.vector().ranking_weight > reached.ranking_weight, TAKEOVER_SECONDS, "the next ramp step")
        assert steepest(road.documents.vectors()) < 1.5 * STEP
        assert product.holder() != removed

        product.remove_leader()
        road.annotate(abort="in the gap")
        wait_for(
            lambda: road.vector().mode is Mode.OFF, TAKEOVER_SECONDS, "the abort to be answered by the next leader"
        )
        road.until_modes("Off", 20)
        status = road.until("the latch", lambda seen: seen.phase is Phase.ROLLED_BACK)
        assert status.parameters == Vector(top_k=status.parameters.top_k) if status.parameters else False
