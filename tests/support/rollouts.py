"""Rollouts for tests: the complete example, and a table of bad ones as JSON patches of it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
DATA: Final = ROOT / "tests" / "data" / "rollouts"
CRD: Final = ROOT / "crds" / "veriramp.dev_verificationrollouts.yaml"

Patch = Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class BadRollout:
    """A patch that makes the complete example bad, and a part of the sentence that refuses it."""

    name: str
    patch: Patch
    says: str

    def manifest(self) -> dict[str, Any]:
        return patched(complete(), self.patch)


def complete() -> dict[str, Any]:
    """Return the example with every field, as a person writes it."""
    manifest: dict[str, Any] = yaml.safe_load((DATA / "complete.yaml").read_text(encoding="utf-8"))
    return manifest


def bad_rollouts() -> list[BadRollout]:
    """Read the table."""
    return [BadRollout(**row) for row in yaml.safe_load((DATA / "bad.yaml").read_text(encoding="utf-8"))]


def patched(manifest: dict[str, Any], patch: Patch) -> dict[str, Any]:
    """Apply `add`, `replace` and `remove` of RFC 6902 to a copy; raises KeyError or IndexError for a wrong path."""
    result = copy.deepcopy(manifest)
    for change in patch:
        *way, last = change["path"].strip("/").split("/")
        node: Any = result
        for part in way:
            node = node[int(part)] if isinstance(node, list) else node[part]
        key = int(last) if isinstance(node, list) else last
        if change["op"] == "add" and isinstance(node, list):
            node.insert(int(key), change["value"])
        elif change["op"] == "remove":
            del node[key]
        else:
            node[key] = change["value"]
    return result
