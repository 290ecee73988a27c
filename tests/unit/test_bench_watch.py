"""The slope that the soak bench reports."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.watch import slope


@given(st.floats(-50, 50), st.floats(-50, 50), st.integers(2, 120))
def test_it_finds_a_line_through_any_number_of_points(a: float, b: float, count: int) -> None:
    assert slope([(x, a + b * x) for x in range(count)], most=50) == pytest.approx(b, abs=1e-9)


def test_outliers_do_not_move_it() -> None:
    points = [(float(x), 100.0 + 0.5 * x) for x in range(100)]
    points[30:45] = [(x, 900.0) for x, _ in points[30:45]]
    assert slope(points) == pytest.approx(0.5)


@pytest.mark.parametrize("points", [[], [(1.0, 2.0)], [(1.0, 2.0), (1.0, 3.0)]])
def test_too_few_points_have_none(points: list[tuple[float, float]]) -> None:
    assert math.isnan(slope(points))
