"""Which offsets may be committed."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriramp_workers.bus.window import OffsetWindow, StartsAgainError


def test_the_lowest_offset_that_is_not_done_is_committed() -> None:
    window = OffsetWindow()
    assert window.committable is None
    for offset in (5, 6, 7):
        window.started(offset)
    assert window.committable == 5
    window.finished(6)
    assert window.committable == 5
    window.finished(5)
    assert window.committable == 7
    window.finished(7)
    assert window.committable == 8
    assert window.span == 0


def test_the_span_is_what_a_crash_would_have_read_again() -> None:
    window = OffsetWindow()
    assert window.span == 0
    for offset in (5, 6, 9):
        window.started(offset)
    window.finished(6)
    window.finished(9)
    assert window.span == 5
    window.finished(5)
    assert window.span == 0


def test_an_offset_is_committed_once() -> None:
    window = OffsetWindow()
    assert window.uncommitted is None
    window.started(3)
    assert window.uncommitted == 3
    window.committed(3)
    assert window.uncommitted is None
    window.finished(3)
    assert window.uncommitted == 4


def test_a_partition_that_starts_again_is_refused_and_committed_where_it_starts() -> None:
    window = OffsetWindow()
    for offset in (3, 4, 5):
        window.started(offset)
    window.finished(3)
    window.committed(4)
    with pytest.raises(StartsAgainError, match="offset 2 comes after 5"):
        window.started(2)
    assert window.uncommitted == 2
    window.finished(4)
    window.finished(5)
    assert window.uncommitted == 2, "what is done of the former records says nothing about the new ones"
    window.committed(2)
    assert window.uncommitted is None


@pytest.mark.shows("S1-ORCH-01", "S1-KAFKA-06")
@given(st.sets(st.integers(0, 60), min_size=1), st.randoms(use_true_random=False), st.data())
def test_nothing_that_is_not_done_is_ever_committed(
    offsets: set[int], chance: random.Random, data: st.DataObject
) -> None:
    window = OffsetWindow()
    ordered = sorted(offsets)
    for offset in ordered:
        window.started(offset)
    finished = ordered[:]
    chance.shuffle(finished)
    done = set(finished[: data.draw(st.integers(0, len(finished)))])
    for offset in done:
        window.finished(offset)
    committable = window.committable
    assert committable is not None
    assert all(offset in done for offset in ordered if offset < committable)
    assert committable == min(offsets - done, default=max(offsets) + 1)
