"""Read a rollout from a YAML file, with sentences a person can act on."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.api.problems import problems
from veriramp_operator.api.rollout import GROUP, KIND, RolloutSpec


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
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
        documents = list(yaml.safe_load_all(text))
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}; name a readable YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not YAML: {error}") from error
    for document in documents:
        if isinstance(document, dict) and document.get("kind") == KIND:
            return _parse(document, path)
    raise ConfigurationError(f"{path}: there is no {KIND} in it; write kind: {KIND} and apiVersion: {GROUP}/v1alpha1")


def add_file_argument(parser: argparse.ArgumentParser) -> None:
    """The rollout file as positional argument."""
    parser.add_argument("file", help="YAML file with a VerificationRollout (- for standard input)")


def _parse(document: dict[str, Any], path: str) -> RolloutFile:
    metadata = document.get("metadata") or {}
    try:
        spec = RolloutSpec.model_validate(document.get("spec") or {})
    except ValidationError as error:
        lines = [
            f"spec.{'.'.join(str(part) for part in item['loc'])}: {item['msg']} (found {item['input']!r})"
            for item in error.errors()
        ]
        raise ConfigurationError(f"{path}: " + "; ".join(lines)) from error
    if broken := problems(spec):
        raise ConfigurationError(f"{path}: " + "; ".join(broken))
    return RolloutFile(str(metadata.get("name", "rollout")), str(metadata.get("namespace", "default")), spec)
