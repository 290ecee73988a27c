"""The Node client of the trigger: the same golden values as Python, and its own tests."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.node import node
from veriramp_sdk.events import VerifyChunk, parse_event

ROOT: Final = Path(__file__).resolve().parents[3]
CLIENT: Final = ROOT / "clients" / "node"


@pytest.mark.shows("S1-TRIG-07")
def test_the_node_client_passes_its_tests_on_the_shared_vectors() -> None:
    files = sorted((CLIENT / "test").glob("*.test.js"))
    assert len(files) >= 2
    done = subprocess.run(
        [node(), "--test", *map(str, files)], cwd=CLIENT, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr


def test_it_has_no_dependencies() -> None:
    package = json.loads((CLIENT / "package.json").read_text(encoding="utf-8"))
    assert not {"dependencies", "peerDependencies", "optionalDependencies", "devDependencies"} & set(package)


def test_the_messages_of_the_vectors_are_events() -> None:
    vectors: dict[str, list[dict[str, Any]]] = json.loads((ROOT / "tests/data/trigger.json").read_text("utf-8"))
    for vector in vectors["messages"]:
        event = parse_event(VerifyChunk, vector["value"].encode())
        assert vector["key"] == event.chunk_key
        assert vector["topic"] == f"verify_chunks.{event.lane}"
