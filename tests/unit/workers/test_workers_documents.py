"""What the documents say is what the code does: examples, and each sentence of the language table."""

from __future__ import annotations

import re
from collections import UserDict
from pathlib import Path

import pytest

from veriramp_workers.settings import settings_from
from veriramp_workers.verifier.english import formalise, sentences
from veriramp_workers.verifier.facts import sentences_of_facts

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "pipeline.md").read_text(encoding="utf-8")
KAFKA_GUIDE = (ROOT / "docs" / "guide" / "kafka-secured.md").read_text(encoding="utf-8")


def test_the_guide_shows_only_sentences_that_are_understood() -> None:
    table = GUIDE.split("| form | examples |")[1].split("\n\n")[0]
    shown = [row.split("|")[2] for row in table.splitlines()[2:]]
    understood = [sentence for cell in shown for sentence in sentences(cell) if re.match(r"[A-Z].*\.$", sentence)]
    plain = [one for one in understood if "Not both" not in one and "1932-05-04" not in one]
    assert len(plain) > 25
    for sentence in plain:
        formalise(sentence)


def test_the_guide_shows_only_facts_that_are_understood() -> None:
    shown = re.findall(r"`(\{[^`]*\})`", GUIDE.split("| fact | example |")[1].split("\n\n")[0])
    assert len(shown) > 5
    for fact in shown:
        for sentence in sentences_of_facts(fact):
            formalise(sentence)


@pytest.mark.shows("S1-DEP-02")
def test_the_guide_names_every_variable() -> None:
    seen: set[str] = set()
    good = {"VERIRAMP_BROKERS": "a:1", "VERIRAMP_FLAGS_URL": "a:1", "VERIRAMP_ROLLOUT": "a/b"}

    class Recorder(UserDict[str, str]):
        def __contains__(self, key: object) -> bool:
            seen.add(str(key))
            return super().__contains__(key)

        def __getitem__(self, key: str) -> str:
            seen.add(key)
            return super().__getitem__(key)

    settings_from(Recorder(good), profile="orchestrator")
    here = GUIDE.split("## The orchestrator")[1].split("## The search service")[0]
    named = set(re.findall(r"`(VERIRAMP_\w+)`", here + KAFKA_GUIDE.split("\n## ")[0]))
    refused = {"VERIRAMP_KAFKA_PASSWORD"}  # looked at only to say that a password comes from a file
    assert {name for name in seen if name.startswith("VERIRAMP_")} - refused == named
