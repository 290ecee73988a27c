"""Read rollouts from YAML files, with sentences a person can act on.

Public: :func:`load_rollout`, :func:`documents`, :func:`read_spec`, :func:`add_file_argument`.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.api.problems import problems
from veriramp_operator.api.rollout import GROUP, KIND, RolloutSpec
from veriramp_operator.api.strict_yaml import load_all_strictly
from veriramp_operator.cli.lint_shape import misshapen
from veriramp_operator.cli.unreadable import unreadable


@dataclass(frozen=True, slots=True)
class RolloutFile:
    """The first rollout of a file."""

    name: str
    namespace: str
    spec: RolloutSpec


def load_rollout(path: str) -> RolloutFile:
    """Read the first ``VerificationRollout`` of a file; ``-`` is standard input.

    Raises ConfigurationError that names the file, the field, its value and what is expected.
    """
    every = documents(path)
    if not every:
        raise ConfigurationError(
            f"{path}: there is no {KIND} in it; write kind: {KIND} and apiVersion: {GROUP}/v1alpha1"
        )
    if len(every) > 1:
        print(f"note: {path} holds {len(every)} rollouts; this is about the first", file=sys.stderr)
    return _parse(every[0], path)


def documents(path: str) -> list[dict[str, Any]]:
    """Every ``VerificationRollout`` of a file, those in a List too; ``-`` is standard input.

    Raises ConfigurationError when it cannot be read or is no YAML.
    """
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
        every = load_all_strictly(text)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}; name a readable YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not YAML: {error}".replace('in "<unicode string>", line', "line")) from error
    items = [item for document in every if isinstance(document, dict) for item in _items(document)]
    return [item for item in items if isinstance(item, dict) and item.get("kind") == KIND]


def _items(document: dict[str, Any]) -> list[Any]:
    if document.get("kind") != "List":
        return [document]
    items = document.get("items")
    return items if isinstance(items, list) else []


def read_spec(document: dict[str, Any]) -> RolloutSpec:
    """The spec with the types that the API server insists on: ``"0.05"`` is no number there.

    Raises ValidationError.
    """
    raw = json.dumps(document.get("spec") or {}, default=str, skipkeys=True)
    return RolloutSpec.model_validate_json(raw, strict=True)


def add_file_argument(parser: argparse.ArgumentParser) -> None:
    """The rollout file as positional argument."""
    parser.add_argument("file", help="YAML file with a VerificationRollout (- for standard input)")


def _parse(document: dict[str, Any], path: str) -> RolloutFile:
    wrong = [text if field in text else f"{field}: {text}" for field, text in misshapen(document)]
    try:
        spec = read_spec(document)
    except ValidationError as error:
        wrong += [f"{field}: {text}" for field, text in unreadable(error)]
        raise ConfigurationError(_listed(path, wrong)) from error
    if wrong := [*wrong, *problems(spec)]:
        raise ConfigurationError(_listed(path, wrong))
    metadata = document["metadata"]
    return RolloutFile(str(metadata["name"]), str(metadata.get("namespace", "default")), spec)


def _listed(path: str, wrong: list[str]) -> str:
    return f"{path}: {wrong[0]}" if len(wrong) == 1 else "\n  ".join((f"{path}:", *wrong))
