"""BM25 over the corpus.

Public names: :class:`Index`, :class:`Hit`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import bm25s
import numpy as np

from veriramp_search.corpus import Document


@dataclass(frozen=True)
class Hit:
    """A document and its BM25 score (above 0, no upper bound)."""

    document: Document
    score: float


class Index:
    """An index in memory, made once; safe for concurrent reading."""

    def __init__(self, documents: Sequence[Document]) -> None:
        if not documents:
            raise ValueError("an index needs at least one document")
        self._documents = tuple(documents)
        self._bm25 = bm25s.BM25()
        self._bm25.index([_words(f"{one.title} {one.text}") for one in documents], show_progress=False)

    def __len__(self) -> int:
        return len(self._documents)

    def search(self, query: str, limit: int) -> tuple[Hit, ...]:
        """Return at most ``limit`` documents that share a word with the query, best first, ties in index order."""
        known = self._bm25.get_tokens_ids(_words(query))
        if not known:
            return ()
        scores = self._bm25.get_scores_from_ids(known)
        found = np.flatnonzero(scores > 0.0)
        best = found[np.argsort(-scores[found], kind="stable")][:limit]
        return tuple(Hit(self._documents[int(place)], float(scores[place])) for place in best)


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.lower()) if word not in _STOP_WORDS]


_WORD: Final = re.compile(r"\w+")
_STOP_WORDS: Final = frozenset({"a", "an", "and", "are", "by", "how", "in", "is", "it", "of", "on", "the", "to", "was"})
