"""Cut a text into sentences.

Public names: :func:`sentences`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final


def sentences(text: str) -> tuple[str, ...]:
    """Split a text into sentences: after a full stop, semicolon, question or exclamation mark, and at empty lines.

    A line that ends within a sentence goes on in the next one, and "Mr." ends none: what is cut in two may say the
    opposite of the whole.
    """
    found: list[list[str]] = []
    for part in _ENDS.split(text):
        said = " ".join(part.split())
        if found and _is_cut_short(found[-1]):
            found[-1].append(said)
        elif said:
            found.append([said])
    return tuple(" ".join(parts) for parts in found)


_ENDS: Final = re.compile(r"(?<=[.;!?])\s+|\n\s*\n")
_ABBREVIATION: Final = re.compile(
    r"(?:^|\s)(?:Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|Capt|Col|Gen|Lt|Sgt|Rev|Hon|Gov|Sen|Rep|Messrs|Mme|Mlle|No|no|nos|vs|ca|c|approx"
    r"|est|eg|ie|e\.g|i\.e|etc|al|cf|vol|pp|fig|Inc|Ltd|Co|Corp|Mt|Ft|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.$"
)
_INITIAL: Final = re.compile(r"(?:^|[\s.])[A-Z]\.$")


def _is_cut_short(parts: Sequence[str]) -> bool:
    # Only the end counts: a list of names with initials is one long sentence.
    end = " ".join(parts[-2:])[-_LONGEST_ABBREVIATION:]
    return bool(_ABBREVIATION.search(end) or (_INITIAL.search(end) and parts[0][:3].lower() != "if "))


_LONGEST_ABBREVIATION: Final = 12
