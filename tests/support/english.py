"""Texts with known verdicts, and mutations of them that must not be decided.

Public: :class:`Labelled`, :func:`labelled`, :func:`mutated`, ``LABELLED``, ``FREE``, ``ATTACKS``.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.rollouts import ROOT
from veriramp_sdk.events import Verdict
from veriramp_workers.ports import Question

_FOLDER: Final = ROOT / "tests/data/verifier"
LABELLED: Final = _FOLDER / "labelled.jsonl"
"""Our own texts, each with the one verdict that is right."""
FREE: Final = _FOLDER / "free.jsonl"
"""Free English of which a careless reader takes a word for the whole; every verdict is right that decides nothing."""
ATTACKS: Final = _FOLDER / "attacks.jsonl"
"""Texts made to be misread, each with its category; where a verdict is right all the same it is ``expected``."""

DECISIVE: Final = frozenset({Verdict.ENTAILED, Verdict.CONTRADICTED})
NOT_DECISIVE: Final = frozenset(Verdict) - DECISIVE


@dataclass(frozen=True)
class Labelled:
    """A question and the verdicts that are right."""

    id: str
    question: Question
    expected: frozenset[Verdict]

    @property
    def expected_names(self) -> str:
        return " or ".join(sorted(one.value for one in self.expected))

    def __str__(self) -> str:
        return self.id


def labelled(path: Path) -> list[Labelled]:
    """Read a file of ours: {id, text} or {id, premises, claim}, and ``expected`` unless nothing may be decided."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        row = json.loads(line)
        text = row.get("claim", row.get("text"))
        question = Question(text, tuple(row.get("premises", ())))
        expected = frozenset({Verdict(row["expected"])}) if "expected" in row else NOT_DECISIVE
        rows.append(Labelled(row.get("id", f"{path.stem} {number}: {text[:60]}"), question, expected))
    return rows


def hedged(sentence: str, dice: random.Random) -> str:
    """Put words around a sentence that take it back, or leave open whether it holds."""
    plain = sentence.rstrip(".")
    first, _, rest = plain.partition(" ")
    low = f"{first.lower() if first in _LOWERED else first} {rest}."
    return dice.choice(_AROUND).format(low=low, plain=plain)


_LOWERED: Final = frozenset({"The", "If", "All", "Every", "Each"})
_AROUND: Final = (
    *("Perhaps {low}", "Maybe {low}", "It is said that {low}", "Nobody knows whether {low}", "Dave hopes that {low}"),
    *("It is false that {low}", "It is not the case that {low}", "Unless it rains, {low}", "In a dream, {low}"),
    *("If only {low}", "{plain}?", "{plain}, isn't it?", "{plain} or so they say.", "{plain}, allegedly."),
    *(
        "{plain} unless it rains.",
        "{plain} when it rains.",
        "{plain} - not!",
        "{plain} (citation needed).",
        "“{plain}”",
    ),
    *(
        "{plain} and perhaps not.",
        "{plain} in the story.",
        "{plain} according to Dave.",
        "{plain}, said Dave.",
        "Not {low}",
    ),
    *("{plain} sometimes.", "{plain} no longer.", "{plain} by 2030.", "Yeah right, {low}", "{plain} /s", "{plain} 🙄"),
)
_COPULA: Final = (
    *("may be", "might be", "could be", "should be", "will be", "used to be", "seems", "looks", "became", "isn't"),
    *("is hardly", "is barely", "is nearly", "is almost", "is never", "is always", "is only", "is very", "is too"),
    *("is called", "is said to be", "is thought", "is supposedly", "is as", "is more", "is less", "is no longer"),
    *("is not only", "is not very", "is not always", "is not necessarily", "was", "had been", "is un", "is neither"),
)


_SHARE_WITHIN: Final = 0.5


def mutated(rows: Sequence[Labelled], seed: int) -> Iterator[Labelled]:
    """Make of each row one claim that its premises do not decide, however well they decide the row's own claim."""
    dice = random.Random(seed)
    for row in rows:
        plain, text = row.question.text.rstrip("."), hedged(row.question.text, dice)
        if " is " in plain and dice.random() < _SHARE_WITHIN:
            text = plain.replace(" is ", f" {dice.choice(_COPULA)} ", 1) + "."
        yield Labelled(f"{row.id}: {text}", Question(text, row.question.premises), NOT_DECISIVE)
