"""What a query says about time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriramp_operator.evidence.promql import is_bare_selector, largest_range, metrics_of, typos

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
    ("up{} or rate(x[5m])", 300.0),
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


@pytest.mark.parametrize(
    ("query", "metrics"),
    [
        ("up", {"up"}),
        ('sum by (le, arm) (rate(hits_total{arm="control"}[5m]))', {"hits_total"}),
        ("a / on (instance) group_left (job) b > bool 0.5 offset 5m", {"a", "b"}),
        ('histogram_quantile(0.95, sum(rate(d_bucket[5m])) by (le)) unless {job="x"}', {"d_bucket"}),
        ("a * on (job) group_left b", {"a", "b"}),
        ("1 + inf", set()),
    ],
)
def test_metrics_of_a_query(query: str, metrics: set[str]) -> None:
    assert metrics_of(query) == metrics


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("sum(rate(a[5m])", '1 "(" never closed'),
        ("sum(a))", 'a ")" too many'),
        ("rate(a[5m)", '"[" is never closed by "]"'),
        ('a{b="c"', '"{" is never closed by "}"'),
        ('a{b="c"} > 1 && b', '"&&" is no operator; write and'),
        ("a || b", '"||" is no operator; write or'),
        ("a = 1", '"=" outside of braces compares nothing; write "=="'),
        ("[5m]", "[5m] follows no series"),
        ('label_replace(a, "b', "is never closed"),
    ],
)
def test_slips_of_the_pen_are_seen(query: str, said: str) -> None:
    assert any(said in typo for typo in typos(query)), typos(query)


@pytest.mark.parametrize(
    "query",
    [
        'a{b="c)", d=~"[x"}[5m] == 1 and b != 2 or c >= 3 unless d <= 4',
        'max_over_time((rate(a[1m]) > 0)[1h:1m]) # a comment with ( and "',
        "sum(a) by (b)[5m:]",
        '{__name__="a"}[5m]',
    ],
)
def test_good_queries_have_no_typos(query: str) -> None:
    assert typos(query) == ()
