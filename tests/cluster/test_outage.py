"""Prometheus away for longer than any evidence is good for: no promotion, no abort, and on by itself afterwards."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.product import Product, stays
from tests.support.road import Road, ladder
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.usefixtures("log_guard"), pytest.mark.timeout(900)]

OUTAGE_SECONDS = 120.0 if os.environ.get("VERIRAMP_LONG") == "1" else 30.0
"""Either is many gate intervals (1 s) and several times the age (5 s) at which the gates' evidence is too old."""


@pytest.mark.shows("S1-ROLL-07", "S0-03", "S1-RAMP-02")
def test_without_prometheus_a_healthy_ramp_waits_and_goes_on_by_itself(
    product: Product, place: str, tmp_path: Path
) -> None:
    with Road.start(product, place, ladder(place)) as road, road.load(tmp_path):
        road.until_weight(0.02)
        product.cluster.stop_component("prometheus")
        try:
            wait_for(lambda: road.condition("EvidenceAvailable") == "False", 60, "EvidenceAvailable=False")
            held, stage = road.vector(), road.status().stage
            stays(lambda: road.vector() == held, OUTAGE_SECONDS, "nothing moved without Prometheus")
            assert set(road.modes()) == {"Live"}
            blind = road.status()
        finally:
            product.cluster.start_component("prometheus")
        assert blind.rollback is None
        assert stage is not None
        assert blind.stage is not None
        assert (blind.stage.name, blind.reason) == (stage.name, "NoData")

        road.until_weight(min(held.ranking_weight + 0.01, 0.1))
        wait_for(lambda: road.condition("EvidenceAvailable") == "True", 60, "EvidenceAvailable=True")
        assert road.status().rollback is None
