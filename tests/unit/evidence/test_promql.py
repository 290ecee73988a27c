"""What a query says about time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriramp_operator.evidence.promql import is_bare_selector, largest_range

RANGES = [
    ("up", None),
    ("rate(x[5m])", 300.0),
    ("rate(x[1h30m]) / rate(y[90s])", 5400.0),
    ("rate(x[300])", 300.0),
    ("rate(x[0.5])", 0.5),
    ("rate(x[1d]) + rate(x[1w]) + rate(x[1y])", 365 * 86400.0),
    ("rate(x[250ms])", 0.25),
    ('rate(x{a="[9h]"}[1m])', 60.0),
    ("rate(x{a='}[9h]'}[1m])", 60.0),
    ("rate(x{a=`}[9h]`}[1m])", 60.0),
    (r'rate(x{a="\"}[9h]"}[1m])', 60.0),
    ("rate(x[1m]) # [9h]", 60.0),
    ("# [9h]\nrate(x[1m])", 60.0),
    ('label_replace(rate(x[1m]), "a", "[9h]", "b", "(.*)")', 60.0),
    ("x - x offset 1w", None),
    ("rate(x[1m] offset 1w)", 60.0),
    ("rate(x[1m] @ 1609746000)", 60.0),
    ("max_over_time(x[1h:5m])", 3600.0),
    ("max_over_time(x[1h:])", 3600.0),
    ("max_over_time(rate(x[5m])[1h:])", 3900.0),
    ("max_over_time((rate(x[5m]) + rate(y[10m]))[1h:])", 4200.0),
    ("rate(z[2h]) + max_over_time(rate(x[5m])[1h:])", 7200.0),
    ("sum by (a) (rate(x[5m])) > 0.01 and on () rate(y[2m]) > 0", 300.0),
    ("rate(x[ 5m ])", 300.0),
    ("rate(x[oops])", None),
    ("rate(x[5m", 300.0),
    ("))) rate(x[5m])", 300.0),
    ("", None),
]


@pytest.mark.parametrize(("query", "seconds"), RANGES)
def test_largest_range(query: str, seconds: float | None) -> None:
    assert largest_range(query) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    "query",
    [
        "up",
        "job:errors:rate5m",
        'search_requests_total{namespace="search"}',
        'search_requests_total {namespace="se}arch", b!~"x#y"} # comment',
        '{__name__="up"}',
        '{"metric.with.dots", job="a"}',
        "\n up \n",
        "nanometres",
    ],
)
def test_bare_selectors(query: str) -> None:
    assert is_bare_selector(query)


@pytest.mark.parametrize(
    "query",
    ["", "rate(up[5m])", "up[5m]", "up offset 5m", "up @ 5", "sum(up)", "up + up", "1", "5m", "NaN", "Inf", "{}", "{ }",
     "up) or vector(1", "up or down", '"text"', "a.b"],
)  # fmt: skip
def test_everything_else_is_no_bare_selector(query: str) -> None:
    assert not is_bare_selector(query)


@given(st.text(alphabet="ab09[](){}\"'`#\\:,.smhd \n@", max_size=60))
def test_no_text_breaks_the_tokenizer(query: str) -> None:
    seconds = largest_range(query)
    assert seconds is None or seconds >= 0
    assert is_bare_selector(query) in {True, False}
