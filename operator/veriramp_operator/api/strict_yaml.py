"""YAML as kubectl reads it, whoever wrote it: the one reader of the command line, the flag server and the operator.

Public: :func:`load_strictly`, :func:`load_all_strictly`, :data:`MOST_BORROWED`, :data:`MOST_LEVELS`.

A key that stands twice is refused; the last one would win otherwise, without a word. Aliases are read, and bounded: a
few hundred bytes of aliases of aliases stand for gigabytes once somebody writes them out.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from typing import Any, Final

import yaml

MOST_BORROWED: Final = 1_000_000
"""Characters for which the aliases of one document may stand together; an object in a cluster has about as many."""

MOST_LEVELS: Final = 100
"""Of lists and mappings within each other; aliases count with what they stand for."""
_MOST_BITS: Final = 1024
"""Of a whole number; what no float can hold, nobody here can use."""
_TOO_DEEP: Final = f"it is nested too deeply; write it with at most {MOST_LEVELS} levels"
_NO_VALUE: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What PyYAML lets through where a text is none of what its tag says: ``!!bool x``, month 13, a number too long."""


def load_strictly(text: str | bytes) -> Any:
    """The value of one YAML document. Raises ``yaml.YAMLError``, and nothing else, when it is none or is refused."""
    every = load_all_strictly(text)
    if len(every) > 1:
        raise yaml.YAMLError("there is more than one document in it; keep one")
    return every[0] if every else None


def load_all_strictly(text: str | bytes) -> list[Any]:
    """The values of all YAML documents. Raises ``yaml.YAMLError``, and nothing else, when it is none or is refused."""
    try:
        return list(yaml.load_all(text, _StrictLoader))
    except RecursionError as error:
        raise yaml.YAMLError(_TOO_DEEP) from error


class _StrictLoader(yaml.SafeLoader):
    _written = 0
    """Characters of this document so far, if its aliases were written out."""
    _borrowed = 0
    """Those of them that aliases stand for."""
    _extents: dict[int, tuple[int, int]]
    """Characters and levels of each node that is whole, by identity."""

    def compose_document(self) -> yaml.Node | None:
        self._written = self._borrowed = 0
        self._extents = {}
        return super().compose_document()

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        alias = self.peek_event() if self.check_event(yaml.AliasEvent) else None  # type: ignore[no-untyped-call]
        before = self._written
        node = super().compose_node(parent, index)
        if alias is not None:
            self._borrow(alias, self._extents.get(id(node)))
        elif node is not None:
            self._written += 1 + (len(node.value) if isinstance(node, yaml.ScalarNode) else 0)
            levels = 1 + max((self._extents[id(each)][1] for each in _within(node)), default=0)
            if levels > MOST_LEVELS:
                raise _refused(_TOO_DEEP, node.start_mark)
            self._extents[id(node)] = self._written - before, levels
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise _refused(f'the key "{key.value}" stands twice; keep one', key.start_mark)
                seen.add(key.value)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep=deep)
            if isinstance(value, int) and value.bit_length() > _MOST_BITS:
                raise OverflowError
        except _NO_VALUE as error:
            what = reprlib.repr(node.value) if isinstance(node, yaml.ScalarNode) else "this"
            raise _refused(f"{what} is no {node.tag.rpartition(':')[2]} that can be read", node.start_mark) from error
        return value

    def _borrow(self, alias: yaml.AliasEvent, extent: tuple[int, int] | None) -> None:
        if extent is None:
            raise _refused(
                f"the alias *{alias.anchor} stands within what it stands for; write it out", alias.start_mark
            )
        self._written += extent[0]
        self._borrowed += extent[0]
        if self._borrowed > MOST_BORROWED:
            what = f"the aliases up to *{alias.anchor} stand for more than {MOST_BORROWED} characters"
            raise _refused(f"{what}; write out what they stand for", alias.start_mark)


def _within(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        yield from (each for pair in node.value for each in pair)


def _refused(problem: str, place: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=place)
