"""What the flag server serves, with a virtual clock: the lease, confirmation, deletion, revisions."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.flags import LIVE, OFF, ROLLOUT, SHADOW, a_document
from veriramp_operator.flagserver.store import EVERYWHERE, TOMBSTONE_SECONDS, UNKNOWN, Store
from veriramp_operator.resources.flags import FlagDocument
from veriramp_sdk.contract import Mode
from veriramp_sdk.document import read_document


def a_store(*documents: FlagDocument, now: float = 1000.0) -> Store:
    store = Store()
    store.replace(EVERYWHERE, {f"{each.namespace}/{each.rollout}": each for each in documents}, now)
    return store


def lease_until(store: Store) -> int:
    return read_document(store.payload(ROLLOUT).text, "verification").lease_until


def revision(store: Store) -> tuple[int, Mode]:
    document = read_document(store.payload(ROLLOUT).text, "verification")
    return document.revision, document.mode


# -- lease


def test_the_first_look_at_the_lease_is_not_a_change() -> None:
    store = a_store(a_document())
    assert store.lease_seen("t0", 1000.0) == set()
    assert lease_until(store) == 0
    assert store.lease_seen("t0", 1002.0) == set()
    assert store.lease_seen("t1", 1004.0) == {ROLLOUT}
    assert lease_until(store) == 1004 + 240


def test_it_is_stamped_anew_at_a_quarter() -> None:
    store = a_store(a_document())
    stamped = [second for second in range(0, 200, 2) if store.lease_seen(f"t{second}", 1000.0 + second)]
    assert stamped == [2, 62, 122, 182]


def test_without_renewals_nothing_is_stamped() -> None:
    store = a_store(a_document())
    store.lease_seen("t0", 1000.0)
    store.lease_seen("t1", 1002.0)
    for second in range(30, 3000, 30):
        assert store.lease_seen("t1", 1002.0 + second) == set()
    store.put(ROLLOUT, a_document(revision=2))
    assert lease_until(store) == 1242, "a new document gets the same end"


def test_a_change_seen_after_a_gap_is_not_believed() -> None:
    store = a_store(a_document())
    store.lease_seen("t0", 1000.0)
    assert store.lease_seen("t9", 1061.0) == set(), "it may be an hour old, and the operator dead since"
    assert store.lease_seen("t10", 1063.0) == {ROLLOUT}


def test_a_lease_that_is_deleted_and_made_anew_counts_from_its_second_change() -> None:
    store = a_store(a_document())
    store.lease_seen("t0", 1000.0)
    assert store.lease_seen(None, 1001.0) == set()
    assert store.lease_seen("t1", 1002.0) == set()
    assert store.lease_seen("t2", 1003.0) == {ROLLOUT}


def test_a_document_without_a_lease_is_never_stamped() -> None:
    store = a_store(a_document(lease_seconds=0))
    store.lease_seen("t0", 1000.0)
    assert store.lease_seen("t1", 1002.0) == set()
    assert store.payload(ROLLOUT).text == a_document(lease_seconds=0).text


@pytest.mark.shows("S0-02")
@given(st.lists(st.tuples(st.floats(0.1, 90), st.booleans(), st.booleans()), max_size=40))
def test_no_document_may_be_on_longer_than_the_lease_after_the_last_renewal(
    steps: list[tuple[float, bool, bool]],
) -> None:
    """The law of the lease, whatever happens in between: looks, renewals, documents."""
    store = a_store(a_document())
    now, renewed_at, renewals, number = 1000.0, None, 0, 1
    for pause, renewed, published in steps:
        now += pause
        if renewed:
            renewals += 1
            renewed_at = now
        if published:
            number += 1
            store.put(ROLLOUT, a_document(revision=number))
        store.lease_seen(f"t{renewals}", now)
        assert lease_until(store) <= (0 if renewed_at is None else renewed_at + 240)


def test_the_etag_includes_the_lease_and_the_content_hash_does_not() -> None:
    store = a_store(a_document())
    before = store.payload(ROLLOUT).etag
    store.lease_seen("t0", 1000.0)
    store.lease_seen("t1", 1001.0)
    assert store.payload(ROLLOUT).etag != before


# -- confirmation


def test_documents_are_served_while_they_are_confirmed() -> None:
    store = Store(("a", "b"))
    assert not store.is_fresh(1000.0)
    store.replace("a", {}, 1000.0)
    assert not store.is_fresh(1000.0), "the other namespace was not listed yet"
    store.replace("b", {}, 1010.0)
    assert store.is_fresh(1060.0)
    assert not store.is_fresh(1060.1)
    store.confirm("a", 1060.0)
    assert store.is_fresh(1070.0)


# -- documents


def test_an_unknown_rollout_has_no_flags() -> None:
    assert json.loads(a_store().payload("no/where").text) == {"flags": {}}
    assert a_store().payload("no/where") is UNKNOWN


def test_a_deleted_document_is_all_off_at_the_next_revision() -> None:
    store = a_store(a_document(revision=7))
    assert store.remove(ROLLOUT) == {ROLLOUT}
    assert revision(store) == (8, Mode.OFF)
    assert store.remove(ROLLOUT) == set(), "once is enough"
    assert store.put(ROLLOUT, a_document(revision=7)) == set(), "what was deleted does not come back"
    assert revision(store) == (8, Mode.OFF)
    store.put(ROLLOUT, a_document(revision=8, vector=OFF))
    store.put(ROLLOUT, a_document(revision=9, vector=SHADOW))
    assert revision(store) == (9, Mode.SHADOW)


def test_a_document_missing_from_a_list_is_gone_only_in_its_scope() -> None:
    store = Store(("search", "other"))
    store.replace("search", {ROLLOUT: a_document()}, 1000.0)
    assert store.replace("other", {}, 1000.0) == set()
    assert revision(store) == (1, Mode.LIVE)
    assert store.replace("search", {}, 1000.0) == {ROLLOUT}
    assert revision(store) == (2, Mode.OFF)
    assert store.replace("search", {}, 1030.0) == set()


def test_a_document_that_cannot_be_read_is_as_good_as_gone() -> None:
    store = a_store(a_document(revision=3))
    assert store.put(ROLLOUT, None) == {ROLLOUT}
    assert revision(store) == (4, Mode.OFF)


def test_a_lower_revision_is_refused_and_counted() -> None:
    store = a_store(a_document(revision=5, vector=SHADOW))
    assert store.put(ROLLOUT, a_document(revision=4, vector=LIVE)) == set()
    assert store.refused == 1
    assert revision(store) == (5, Mode.SHADOW)
    assert store.put(ROLLOUT, a_document(revision=1, uid="made anew")) == {ROLLOUT}


def test_the_same_document_again_is_not_pushed() -> None:
    store = a_store(a_document())
    assert store.put(ROLLOUT, a_document()) == set()
    assert store.replace(EVERYWHERE, {ROLLOUT: a_document()}, 1030.0) == set()


def test_a_rollout_long_gone_is_forgotten_and_until_then_not_stamped_anew() -> None:
    store = a_store(a_document(revision=4))
    for second in range(0, int(TOMBSTONE_SECONDS) + 1, 30):
        store.replace(EVERYWHERE, {}, 1000.0 + second)
        assert store.lease_seen(f"t{second}", 1000.0 + second) == set()
        assert revision(store) == (5, Mode.OFF)
    store.replace(EVERYWHERE, {}, 1001.0 + TOMBSTONE_SECONDS)
    assert len(store) == 0
    assert store.payload(ROLLOUT) is UNKNOWN
