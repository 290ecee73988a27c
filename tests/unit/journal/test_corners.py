"""The rare ways through the journal: lines without a part, more specs than are kept, the other byte order."""

from __future__ import annotations

import base64
import json
import sys
import zlib
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.builders import World, a_rollout
from veriramp_operator.api.rollout import RolloutSpec
from veriramp_operator.engine import decide
from veriramp_operator.resources import codec, journal
from veriramp_operator.resources.codec import Undecodable, decode, encode
from veriramp_operator.resources.journal import JournalEntry, Scribe, read_entry
from veriramp_sdk.contract import Mode


@dataclass(frozen=True)
class Column:
    values: tuple[float, ...]


LONG = Column(tuple(index / 7 for index in range(64)))


def an_entry(number: int = 0) -> JournalEntry:
    spec = a_rollout().with_stage(f"shadow-{number}", Mode.SHADOW, rate=0.1).build()
    world = World(spec)
    seen = world.observe()
    decision = decide(spec, world.status, seen, world.now)
    return JournalEntry(world.now, seen.namespace, seen.name, spec, world.status, seen, decision)


def a_line(**changes: Any) -> dict[str, Any]:
    return {**json.loads(Scribe().line(an_entry())), **changes}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (a_line(version=99), "version: 99 is unknown"),
        (a_line(observation=None), "observation: the line has none"),
        (a_line(decision={}), "decision.status: the line has none"),
    ],
)
def test_a_line_without_a_part_names_it(line: dict[str, Any], says: str) -> None:
    with pytest.raises(Undecodable, match=says):
        read_entry(line, {})


def test_more_specs_than_are_kept_are_written_and_read_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_SPECS_KEPT", 2)
    scribe, entries = Scribe(), [an_entry(number) for number in range(4)]
    specs: dict[str, RolloutSpec] = {}
    for entry in [*entries, *entries]:
        assert read_entry(json.loads(scribe.line(entry)), specs) == entry
        assert len(specs) <= 2


def test_a_packed_column_is_the_same_on_a_machine_of_the_other_byte_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "byteorder", "big")
    assert decode(Column, encode(Column, LONG)) == LONG


def test_a_packed_column_that_is_too_long_or_cut_is_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encode(Column, LONG)
    monkeypatch.setattr(codec, "MOST_PACKED_BYTES", 16)
    with pytest.raises(Undecodable, match="damaged or longer"):
        decode(Column, whole)
    monkeypatch.undo()
    [name] = whole
    odd = codec.PACKED + base64.b64encode(zlib.compress(b"12345")).decode()
    with pytest.raises(Undecodable, match="damaged"):
        decode(Column, {name: odd})


def test_a_mapping_from_something_else_is_refused() -> None:
    @dataclass(frozen=True)
    class Named:
        numbers: dict[str, float]

    [name] = encode(Named, Named({"one": 1.0}))
    with pytest.raises(Undecodable, match="is no object"):
        decode(Named, {name: [1.0]})


def test_a_type_that_no_journal_can_hold_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match="cannot hold"):
        encode(complex, 1j)
