"""Which proper names surely name two things.

Public names: :func:`distinct`, :func:`surely_apart`.

Two names are taken for two things, unless one may be another spelling of the other: they share a word (*Morrow*,
*Morrow City*), differ in a letter or an accent (*Bella*, *Bela*), one begins like the other (*Rob*, *Robert*) or may be
its initials (*UN*, *United Nations*). About such a pair nothing is assumed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations
from typing import Final

from veriramp_workers.verifier.beings import is_given_name


def distinct(names: Sequence[str]) -> list[str]:
    """Return the assertions that tell the names apart, each of them about as many as possible.

    Beyond ``_MOST_GROUPS`` assertions the rest is left out, so that names that are all alike do not fill a verdict.
    """
    alike: dict[str, set[str]] = {name: set() for name in names}
    for one, other in combinations(names, 2):
        if not surely_apart(one, other):
            alike[one].add(other)
            alike[other].add(one)
    groups: list[dict[str, None]] = []
    for first in names:
        # Whatever may be told apart from this name and stands in no group with it yet.
        left = [name for name in names if name > first and name not in alike[first]]
        left = [name for name in left if not any(first in group and name in group for group in groups)]
        while left and len(groups) < _MOST_GROUPS:
            group = {first: None}
            for name in (*left, *names):
                if alike[name].isdisjoint(group):
                    group[name] = None
            groups.append(group)
            left = [name for name in left if name not in group]
    return [f"(assert (distinct {' '.join(f'|{name}|' for name in sorted(group))}))" for group in groups]


_MOST_GROUPS: Final = 32


@lru_cache(maxsize=65_536)
def surely_apart(one: str, other: str) -> bool:
    """Say whether two names cannot be spellings of the same name."""
    first, second = _folded(one), _folded(other)
    if first.isascii() != second.isascii() or first.split()[:1] in _TITLES or second.split()[:1] in _TITLES:
        return False
    if _short_for(first) & _short_for(second) or _are_parts_of_one(one, other):
        return False
    if not set(first.split()).isdisjoint(second.split()):
        return False
    joined, joined_other = first.replace(" ", ""), second.replace(" ", "")
    if min(len(joined), len(joined_other)) >= _SHORTEST_STEM and (
        joined.startswith(joined_other) or joined_other.startswith(joined)
    ):
        return False
    if _are_initials(one, second) or _are_initials(other, first):
        return False
    longest = max(len(joined), len(joined_other))
    return _distance(joined, joined_other) > (2 if longest >= _LONG else 1)


_TITLES: Final = [
    [title]
    for title in (
        *("mr", "mrs", "ms", "miss", "dr", "prof", "professor", "doctor", "sir", "lady", "lord", "dame", "king"),
        *("queen", "prince", "princess", "president", "pope", "saint", "st", "captain", "general", "mayor", "judge"),
    )
]
"""After one of these a surname may follow, and which first names go with it nobody knows."""


def _are_parts_of_one(one: str, other: str) -> bool:
    """Say whether these may be somebody's first name and surname: Clara, Low."""
    return len(one.split()) == len(other.split()) == 1 and is_given_name(one) != is_given_name(other)


_SHORT: Final = tuple(
    frozenset(names.split())
    for names in (
        *("william bill billy will", "robert bob bobby", "richard dick rick", "margaret peggy meg maggie greta"),
        *("elizabeth liz beth betty lisa eliza", "john jack johnny", "james jim jimmy", "edward ted ned eddie"),
        *("henry harry hank", "charles chuck charlie", "alexander alex sasha sandy", "katherine kate kitty kathy"),
        *("theodore ted", "francis frank", "anthony tony", "michael mike mick", "joseph joe", "thomas tom"),
        *("mary molly polly", "dorothy dot dolly", "susan sue", "sarah sally", "martha patty", "patricia patty trish"),
        *("andrew drew", "albert bert", "herbert bert", "ann nancy", "anne nancy nan", "helen nell", "eleanor nell"),
        *("mary maria marie mia", "john jean juan johann johannes giovanni ivan ian sean", "peter pierre pedro pietro"),
        *("paul paolo pablo", "william wilhelm guillaume", "charles carl karl carlos carlo", "louis ludwig luis lewis"),
        *("henry heinrich henri enrique", "james jakob jacques", "joseph giuseppe jose josef", "george georg jorge"),
        *("francis francois francesco", "anne anna ann", "catherine katherine katharina", "elizabeth isabel"),
        *("dave david", "stephen steve", "gerald gerry", "lawrence larry", "leonard leo len", "samuel sam"),
    )
)


def _short_for(name: str) -> frozenset[int]:
    return frozenset(number for number, names in enumerate(_SHORT) if not names.isdisjoint(name.split()[:1]))


_SHORTEST_STEM: Final = 3
_LONG: Final = 8
_MOST_INITIALS: Final = 6


def _folded(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.replace("-", " "))
    return "".join(char for char in plain if not unicodedata.combining(char)).casefold()


def _are_initials(short: str, folded: str) -> bool:
    words = folded.split()
    if len(words) == 1 or not short.isupper() or len(short) > _MOST_INITIALS:
        return False
    initials, letters = "".join(word[0] for word in words), short.casefold()
    return _is_within(initials, letters) or _is_within(letters, initials)


def _is_within(short: str, long: str) -> bool:
    rest = iter(long)
    return all(char in rest for char in short)


def _distance(one: str, other: str) -> int:
    """Return the edit distance (insert, delete, replace), or 3 when it is at least that."""
    if abs(len(one) - len(other)) > _FAR - 1:
        return _FAR
    row = list(range(len(other) + 1))
    for at, char in enumerate(one, 1):
        before, row[0] = row[0], at
        for column, theirs in enumerate(other, 1):
            before, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, before + (char != theirs))
    return min(row[-1], _FAR)


_FAR: Final = 3
