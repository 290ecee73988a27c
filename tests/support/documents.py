"""The documents of the repository as tests read them: fenced blocks, code spans, links, tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.rollouts import ROOT

DOCUMENTS: Final = tuple(
    sorted(
        path
        for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md")
        for path in ROOT.glob(pattern)
        if path.name != "0000-template.md"
    )
)
GUIDE: Final = ROOT / "docs" / "guide"

_FENCE: Final = re.compile(
    r"^(?:<!-- test: (?P<mark>.*?) -->\n)?(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)\n(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_SPAN: Final = re.compile(r"`([^`\n]+)`")
_LINK: Final = re.compile(r"!?\[[^\]\n]*\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#+ +(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; ``mark`` is what a comment ``<!-- test: ... -->`` above it says."""

    path: Path
    language: str
    mark: str
    text: str

    def __str__(self) -> str:
        """Name the block in a test's id."""
        return f"{self.path.relative_to(ROOT)}: {self.text.splitlines()[0][:40]}"


def blocks(*languages: str, of: Path | None = None) -> list[Block]:
    """Fenced blocks in these languages, of one document or of all."""
    return [
        Block(path, match["language"], match["mark"] or "", _dedent(match["text"], match["indent"]))
        for path in ([of] if of else DOCUMENTS)
        for match in _FENCE.finditer(path.read_text(encoding="utf-8"))
        if match["language"] in languages
    ]


def shell_lines(path: Path) -> list[str]:
    """The commands of a document's ``sh`` blocks, without comments."""
    return [
        line.split("   #", 1)[0].strip()
        for block in blocks("sh", of=path)
        for line in block.text.replace("\\\n", " ").splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]


def spans(path: Path) -> list[str]:
    """The code spans of a document's prose."""
    return _SPAN.findall(prose(path))


def prose(path: Path) -> str:
    """A document without its fenced blocks."""
    return _FENCE.sub("", path.read_text(encoding="utf-8"))


def links(path: Path) -> list[str]:
    """Targets of the links and pictures of a document, those into the web left out."""
    return [target for target in _LINK.findall(_SPAN.sub("", prose(path))) if "://" not in target]


def anchors(path: Path) -> set[str]:
    """The anchors that a document's headings make."""
    headings = _HEADING.findall(prose(path))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def first_column(path: Path, heading: str) -> Iterator[str]:
    """The code spans in the first column of the table under a heading."""
    section = re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (found,) = [part for part in section if part.splitlines()[0] == heading]
    for line in found.splitlines():
        if line.startswith("| `"):
            yield from _SPAN.findall(line.split("|")[1])


def _dedent(text: str, indent: str) -> str:
    return "\n".join(line.removeprefix(indent) for line in text.splitlines())
