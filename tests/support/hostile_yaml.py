"""YAML that is small, and huge or endless once it is understood.

Public: :data:`LAUGHTER`, :data:`MERGED`, :data:`HOSTILE`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

LAUGHTER: Final = "x: &a [x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{of}'] * 9)}]\n" for of, name in pairwise("abcdefghij")
)
"""A few hundred bytes of aliases of aliases that would be gigabytes."""

MERGED: Final = "x: &a {x: x}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{of}'] * 9)}]}}\n" for of, name in pairwise("abcdefghij")
)

_STAIRS: Final = "".join(f"a{step}: &a{step} [{f'*a{step - 1}' if step else 'x'}]\n" for step in range(200))

HOSTILE: Final = {
    "aliases of aliases": (LAUGHTER, "the aliases up to *f stand for more than 1000000 characters"),
    "merges of merges": (MERGED, "the aliases up to *f stand for more than 1000000 characters"),
    "a long text many times": (f"- &a {'x' * 50_000}\n" + "- *a\n" * 50, "the aliases up to *a stand for more than"),
    "a list that holds itself": ("x: &a [*a]", "the alias *a stands within what it stands for"),
    "a merge with itself": ("x: &a {<<: *a}", "the alias *a stands within what it stands for"),
    "brackets without end": ("[" * 5_000, "nested too deeply; write it with at most 100 levels"),
    "lists in lists": ("- " * 200 + "x", "nested too deeply; write it with at most 100 levels"),
    "aliases like stairs": (_STAIRS, "nested too deeply; write it with at most 100 levels"),
    "a number too long to read": (f"x: {'9' * 5_000}", "is no int that can be read"),
    "a number too long to write": (f"x: 0x{'f' * 5_000}", "is no int that can be read"),
    "the thirteenth month": ("x: 2026-13-01", "'2026-13-01' is no timestamp that can be read"),
    "neither true nor false": ("x: !!bool maybe", "'maybe' is no bool that can be read"),
    "a number that is none": ("x: !!int ''", "'' is no int that can be read"),
    "a program": ("!!python/object/apply:os.system [exit]", "could not determine a constructor"),
    "a list as a key": ("? [1]\n: 2", "found unhashable key"),
    "no text": ("\x00", "special characters are not allowed"),
}
"""By name a text, and what is said of it."""
