"""The documents that the service searches and the reference facts that they are verified against.

Public names: :class:`Document`, :class:`Corpus`, :func:`shipped`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from veriramp_sdk.events import chunk_key

ORG: Final = "veriramp"
BLOCK: Final = "0"
"""Documents are short: each is one chunk."""

DOCUMENTS_FILE: Final = Path(__file__).parent / "data" / "documents.jsonl"
REFERENCES_FILE: Final = Path(__file__).parent / "data" / "references.jsonl"


@dataclass(frozen=True)
class Document:
    """One document; ``stance`` (agrees, conflicts, new, vague) is how it was made, and ranking never sees it."""

    id: str
    topic: str
    title: str
    text: str
    stance: str

    @property
    def key(self) -> str:
        """The chunk key of the document's text."""
        return chunk_key(ORG, self.id, BLOCK, self.text)


@dataclass(frozen=True)
class Corpus:
    """Documents in index order, and the facts taken for true by topic."""

    documents: tuple[Document, ...]
    references: Mapping[str, tuple[str, ...]]


def shipped() -> Corpus:
    """Read the corpus that comes with the package."""
    documents = tuple(Document(**row) for row in _rows(DOCUMENTS_FILE))
    return Corpus(documents, {row["topic"]: tuple(row["premises"]) for row in _rows(REFERENCES_FILE)})


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
