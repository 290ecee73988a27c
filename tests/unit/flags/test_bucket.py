"""The bucket: golden vectors, Python and Node alike, and what a salted cryptographic hash is for."""

from __future__ import annotations

import json
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.node import node
from veriramp_sdk.bucket import bucket, sampled
from veriramp_sdk.contract import BUCKETS

DATA = Path(__file__).parents[2] / "data"
VECTORS: list[dict[str, Any]] = json.loads((DATA / "buckets.json").read_text(encoding="utf-8"))["vectors"]


@pytest.mark.shows("S1-FLAG-03", "S1-AB-01")
def test_golden_vectors() -> None:
    wrong = [vector for vector in VECTORS if bucket(vector["salt"], vector["id"]) != vector["bucket"]]
    assert not wrong
    assert len(VECTORS) > 100
    assert {1, 10_000} <= {len(vector["id"].encode()) for vector in VECTORS}


@pytest.mark.shows("S1-FLAG-03", "S1-AB-01")
def test_node_finds_the_same_buckets() -> None:
    more = [{"salt": f"salt-{number % 7}", "id": f"用户-{number}-👩‍🚀"} for number in range(2_000)]
    answer = subprocess.run(
        [node(), str(DATA / "buckets.mjs")],
        input=json.dumps({"vectors": VECTORS + more}),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    expected = [vector["bucket"] for vector in VECTORS] + [bucket(each["salt"], each["id"]) for each in more]
    assert json.loads(answer.stdout) == expected


@given(st.text(), st.text())
def test_a_bucket_is_in_range_and_stays(salt: str, user: str) -> None:
    first = bucket(salt, user)
    assert 0 <= first < BUCKETS
    assert bucket(salt, user) == first


@pytest.mark.shows("S1-AB-01")
def test_users_are_dealt_evenly_though_their_ids_are_sequential() -> None:
    counts = [0] * 100
    for number in range(100_000):
        counts[bucket("9b1d0f7c", f"user-{number}") // 100] += 1
    chi_square = sum((count - 1000) ** 2 / 1000 for count in counts)
    assert 50 < chi_square < 160, "99 degrees of freedom; round-robin dealing would give nearly 0"


@pytest.mark.shows("S1-AB-01")
def test_two_rollouts_are_independent() -> None:
    users = [f"user-{number}" for number in range(40_000)]
    first = {user for user in users if bucket("salt-a", user) < 2_500}
    both = {user for user in first if bucket("salt-b", user) < 2_500}
    assert len(both) / len(first) == pytest.approx(0.25, abs=0.02)


@pytest.mark.shows("S1-TRIG-02")
@given(st.text(min_size=1), st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_a_sampled_query_stays_sampled_while_the_rate_grows(query: str, rates: list[float]) -> None:
    asked = [sampled("salt", query, rate) for rate in sorted(rates)]
    assert all(later or not earlier for earlier, later in pairwise(asked))
    assert sampled("salt", query, 1.0)
    assert not sampled("salt", query, 0.0)
