"""The formulas and whole trials against values of an independent implementation (tests/data/make_statistics.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from veriramp_operator.api.rollout import Direction
from veriramp_operator.evidence.mixture import log_normal_mixture, normal_bound, tuned
from veriramp_operator.evidence.monitor import Interval, Monitor, Terms
from veriramp_operator.evidence.tally import dispersion

GOLDEN = json.loads((Path(__file__).parents[2] / "data/statistics.json").read_text(encoding="utf-8"))
Case = dict[str, Any]


def test_there_are_enough_cases() -> None:
    assert sum(map(len, GOLDEN.values())) >= 20


@pytest.mark.parametrize("case", GOLDEN["mixtures"])
def test_normal_mixture_with_its_tuning(case: Case) -> None:
    rho = tuned(case["best"], case["alpha"])
    assert log_normal_mixture(case["total"], case["variance"], rho) == pytest.approx(case["log_mixture"], rel=1e-9)


@pytest.mark.parametrize("case", GOLDEN["integrals"])
def test_normal_mixture_is_the_integral_that_it_is_said_to_be(case: Case) -> None:
    assert log_normal_mixture(case["total"], case["variance"], case["rho"]) == pytest.approx(
        case["log_mixture"], rel=1e-9
    )


@pytest.mark.parametrize("case", GOLDEN["bounds"])
def test_normal_bound_is_the_published_one_and_hardly_wider_than_the_exact_one(case: Case) -> None:
    rho = tuned(case["best"], case["alpha"])
    bound = normal_bound(case["variance"], rho, case["alpha"])
    assert rho == pytest.approx(case["rho"], rel=1e-12)
    assert bound == pytest.approx(case["explicit"], rel=1e-12)
    assert case["exact"] <= bound <= 1.05 * case["exact"]


@pytest.mark.parametrize("case", GOLDEN["trials"])
def test_evidence_of_a_whole_trial(case: Case) -> None:
    direction = Direction.LOWER_IS_BETTER if case["sign"] > 0 else Direction.HIGHER_IS_BETTER
    monitor = Monitor(Terms(direction, case["tolerance"], case["alpha"], 0.0, case["horizon"]))
    for row in case["rows"]:
        monitor.add(Interval(*map(float, row)))
    by_interval, by_ratio = monitor.evidence()
    assert dispersion(monitor._tallies[-1]) == pytest.approx(case["dispersion"], rel=1e-9)
    assert by_interval == pytest.approx(case["evidence"]["interval"], rel=1e-7)
    assert by_ratio == pytest.approx(case["evidence"]["ratio"], rel=1e-7)
