"""The parts of the search service: corpus, index, verdicts known, regression switch, settings, load plan."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice, permutations

import pytest

from tests.unit.sdk.test_sdk_events import a_verdict
from veriramp_sdk.contract import Arm
from veriramp_sdk.events import Verdict
from veriramp_search.corpus import Document, shipped
from veriramp_search.faults import InjectedError, Regression, RegressionSwitch
from veriramp_search.index import Index
from veriramp_search.load import Plan, requests_of
from veriramp_search.main import ConfigurationError, settings_from
from veriramp_search.make_corpus import corpus
from veriramp_search.quality import QualityBoard

GOOD = {"VERIRAMP_FLAGS_URL": "flags:8015", "VERIRAMP_ROLLOUT": "search/demo"}


def test_the_shipped_corpus_is_what_the_script_makes() -> None:
    made, there = corpus(), shipped()
    assert there.documents == made.documents
    assert there.references == made.references
    assert len(there.documents) >= 500
    assert len({document.id for document in there.documents}) == len(there.documents)
    assert Counter(document.stance for document in there.documents).keys() == {"agrees", "conflicts", "new", "vague"}


def test_a_search_for_a_topic_finds_its_documents_first() -> None:
    made = corpus()
    index = Index(made.documents)
    assert len(index) == len(made.documents)
    for topic in islice(made.references, 0, None, 17):
        hits = index.search(f"about the {topic}", 5)
        assert {hit.document.topic for hit in hits} == {topic}
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_a_search_without_known_words_finds_nothing() -> None:
    index = Index([Document("a", "t", "A mill", "The mill is red.", "new")])
    assert index.search("qqq zzz", 5) == ()
    assert index.search("the of", 5) == ()
    assert [hit.document.id for hit in index.search("red", 5)] == ["a"]
    with pytest.raises(ValueError, match="at least one"):
        Index([])


def test_the_latest_verdict_wins_in_any_order() -> None:
    first = a_verdict()
    events = [
        first,
        first.model_copy(update={"event_id": "b", "verified_at_ms": 2, "verdict": Verdict.CONTRADICTED}),
        first.model_copy(update={"event_id": "a", "verified_at_ms": 2}),
    ]
    for order in permutations([*events, first]):
        board = QualityBoard()
        for event in order:
            board.apply(event)
        known = board.get(first.chunk_key)
        assert known is not None
        assert (known.verdict, known.verified_at) == (Verdict.CONTRADICTED, 0.002)
        assert (len(board), board.counts()[Verdict.CONTRADICTED]) == (1, 1)


def test_the_switch_strikes_its_arm_by_chance() -> None:
    switch = RegressionSwitch(random.Random(1))
    assert switch.strike(Arm.TREATMENT) == 0.0
    switch.set(Regression(arm=Arm.TREATMENT, error_rate=0.3, extra_latency_seconds=0.5))
    outcomes = Counter(outcome(switch, Arm.TREATMENT) for _ in range(1000))
    assert outcomes.keys() == {0.5, None}
    assert 230 <= outcomes[None] <= 370
    assert outcome(switch, Arm.CONTROL) == 0.0
    switch.set(Regression(arm=Arm.TREATMENT))
    assert switch.current is None


def outcome(switch: RegressionSwitch, arm: Arm) -> float | None:
    try:
        return switch.strike(arm)
    except InjectedError:
        return None


def test_every_user_of_the_load_meets_many_topics() -> None:
    sent = list(islice(requests_of(Plan(("http://a/", "http://b"), users=100)), 10_000))
    assert {url for url, _, _ in sent} == {"http://a", "http://b"}
    assert len({user for _, user, _ in sent}) == 100
    assert len({query for _, user, query in sent if user == "user-7"}) >= 20


def test_settings_say_what_to_write() -> None:
    assert settings_from(GOOD).fewest is None
    assert settings_from({**GOOD, "VERIRAMP_FEWEST": "3"}).fewest == 3
    assert settings_from({**GOOD, "VERIRAMP_DEBUG": "1", "POD_IP": "127.10.0.2"}).host == "127.10.0.2"
    for change, sentence in (
        ({"VERIRAMP_FLAGS_URL": ""}, "VERIRAMP_FLAGS_URL is not set"),
        ({"VERIRAMP_ROLLOUT": "x"}, 'VERIRAMP_ROLLOUT is "x"; write the rollout to obey, namespace/name'),
        ({"VERIRAMP_PORT": "-1"}, "from 0 to 65535"),
        ({"VERIRAMP_FEWEST": "a few"}, 'VERIRAMP_FEWEST is "a few"; write a whole number'),
    ):
        with pytest.raises(ConfigurationError) as refused:
            settings_from({**GOOD, **change})
        assert sentence in str(refused.value)
