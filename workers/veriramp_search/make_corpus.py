"""Make the shipped corpus: ``python -m veriramp_search.make_corpus`` writes it anew, byte for byte the same.

Public names: :func:`corpus`, :func:`main`.

Everything is invented. Each topic is one thing (the Orlin bridge) with a few reference facts and five documents about
it: two agree with the references, one or two conflict with them, the others say something new or hedge. So a search
for the thing finds documents that look alike and differ only in whether they are right.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from veriramp_search.corpus import DOCUMENTS_FILE, REFERENCES_FILE, Corpus, Document

TOPICS: Final = 120


def corpus() -> Corpus:
    """Return the corpus; the same at every call."""
    chance = random.Random("veriramp corpus 1")  # noqa: S311 - reproducible texts, no secrets
    names = _names(chance)
    documents: list[Document] = []
    references: dict[str, tuple[str, ...]] = {}
    for number in range(TOPICS):
        topic = _Topic.invent(chance, _KINDS[number % len(_KINDS)], next(names), next(names), next(names))
        references[topic.thing] = topic.references()
        stances = ["agrees", "agrees too", "conflicts", "new" if number % 2 else "conflicts too", "vague"]
        chance.shuffle(stances)
        for place, stance in enumerate(stances):
            documents.append(
                Document(
                    id=f"{topic.thing.replace(' ', '-').lower()}-{place}",
                    topic=topic.thing,
                    title=f"{chance.choice(_TITLES)} the {topic.thing}",
                    text=topic.text(chance, stance),
                    stance=stance.removesuffix(" too"),
                )
            )
    return Corpus(tuple(documents), references)


def main() -> int:
    """Write the data files of this package."""
    made = corpus()
    _write(DOCUMENTS_FILE, (asdict(document) for document in made.documents))
    _write(REFERENCES_FILE, ({"topic": topic, "premises": list(told)} for topic, told in made.references.items()))
    return 0


def _write(path: Path, rows: Iterator[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


@dataclass(frozen=True)
class _Kind:
    """A kind of thing: its main measure (in metres), how that is said, and what can be counted on it."""

    noun: str
    measure: str
    adjective: str
    low: int
    high: int
    parts: str
    verb: str
    origin: str = "built"


_KINDS: Final = (
    _Kind("bridge", "length", "long", 60, 900, "arches", "spans"),
    _Kind("tower", "height", "tall", 20, 160, "bells", "overlooks"),
    _Kind("lake", "depth", "deep", 10, 240, "islands", "feeds", "discovered"),
    _Kind("tunnel", "length", "long", 400, 6000, "shafts", "crosses"),
    _Kind("lighthouse", "height", "tall", 15, 70, "lamps", "guards"),
    _Kind("canal", "length", "long", 3000, 90000, "locks", "joins"),
    _Kind("dam", "height", "high", 12, 180, "turbines", "holds"),
    _Kind("quarry", "depth", "deep", 20, 150, "cranes", "supplies", "founded"),
)
_TITLES: Final = ("About", "Notes on", "Facts about", "A visit to", "The story of", "A survey of", "A short guide to")
_COLOURS: Final = ("red", "white", "grey", "green", "yellow", "black")
_ONSETS: Final = (
    "b",
    "br",
    "d",
    "dr",
    "f",
    "g",
    "gl",
    "h",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "sk",
    "t",
    "tr",
    "v",
    "z",
)
_VOWELS: Final = ("a", "e", "i", "o", "u", "ae", "ei")
_CODAS: Final = ("l", "m", "n", "r", "ld", "rn", "sk", "th", "v", "nd")


def _names(chance: random.Random) -> Iterator[str]:
    seen: set[str] = set()
    while True:
        first = chance.choice(_ONSETS) + chance.choice(_VOWELS)
        second = chance.choice(_ONSETS) + chance.choice(_VOWELS) + chance.choice(_CODAS)
        name = (first + second).capitalize()
        if name not in seen:
            seen.add(name)
            yield name


@dataclass(frozen=True)
class _Topic:
    """The truth about one thing."""

    kind: _Kind
    thing: str
    metres: int
    year: int
    count: int
    colour: str
    owner: str
    neighbour: str

    @classmethod
    def invent(cls, chance: random.Random, kind: _Kind, name: str, owner: str, neighbour: str) -> _Topic:
        metres = chance.randrange(kind.low, kind.high, 1 if kind.high < _FINE else 10)
        year, count = chance.randrange(1720, 1990), chance.randrange(2, 19)
        return cls(kind, f"{name} {kind.noun}", metres, year, count, chance.choice(_COLOURS), owner, neighbour)

    def references(self) -> tuple[str, ...]:
        """What is taken for true."""
        return (
            f"The {self.kind.measure} of the {self.thing} is {self.metres} metres.",
            self._year(self.year),
            f"The {self.thing} has {self.count} {self.kind.parts}.",
            f"The owner of the {self.thing} is {self.owner}.",
            f"The {self.thing} is a listed {self.kind.noun}.",
            f"If something is a listed {self.kind.noun} then it is protected.",
            f"The {self.thing} is {self.colour}.",
        )

    def text(self, chance: random.Random, stance: str) -> str:
        """Return a document of two or three sentences."""
        right = self._right(chance)
        news = [
            f"The {self.thing} {self.kind.verb} the {self.neighbour} valley.",
            f"The {self.thing} has a museum.",
            f"{self.neighbour} is a keeper of the {self.thing}.",
        ]
        chosen = chance.sample(range(len(right)), 3)
        if stance == "vague":
            sentences = [f"The {self.thing} may be older than people say.", f"Many visitors like {self.neighbour}."]
        elif stance == "new":
            sentences = [right[chosen[0]], *chance.sample(news, 2)]
        elif stance == "agrees":
            sentences = [right[place] for place in chosen]
        else:
            sentences = [right[place] for place in chosen[:2]]
        if stance.startswith("conflicts"):
            sentences[0] = self._wrong(chance)[chosen[0]]
        chance.shuffle(sentences)
        return " ".join(sentences)

    def _right(self, chance: random.Random) -> tuple[str, ...]:
        return (
            self._measure(chance, self.metres),
            self._year(self.year),
            self._count(self.count),
            f"The owner of the {self.thing} is {self.owner}.",
            f"The {self.thing} is protected.",
            f"The {self.thing} is {self.colour}.",
        )

    def _measure(self, chance: random.Random, metres: int) -> str:
        kilometres = f"{metres / 1000:g}"
        forms = (
            f"The {self.thing} is {metres} metres {self.kind.adjective}.",
            f"The {self.kind.measure} of the {self.thing} is {metres} metres.",
            f"The {self.thing} has a {self.kind.measure} of {kilometres} km.",
        )
        return chance.choice(forms)

    def _year(self, year: int) -> str:
        return f"The {self.thing} was {self.kind.origin} in {year}."

    def _count(self, count: int) -> str:
        return f"The {self.thing} has {count} {self.kind.parts}."

    def _wrong(self, chance: random.Random) -> tuple[str, ...]:
        """Return the opposite of each right sentence, in the same order."""
        return (
            self._measure(chance, self.metres + chance.choice((-7, 4, 9, 30))),
            self._year(self.year + chance.choice((-40, -3, 2, 25))),
            self._count(self.count + chance.choice((1, 2, 5))),
            f"The owner of the {self.thing} is {self.neighbour}.",
            f"The {self.thing} is not protected.",
            f"The {self.thing} is not {self.colour}.",
        )


_FINE: Final = 1000

if __name__ == "__main__":
    sys.exit(main())
