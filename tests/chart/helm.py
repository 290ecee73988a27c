"""Real helm for the chart's tests: render, and run against a cluster."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

import yaml

from tests.support.rollouts import ROOT
from tools.toolchain import binary

CHART: Final = ROOT / "charts" / "veriramp"
NAMESPACE: Final = "veriramp-system"

Json = dict[str, Any]


class HelmError(AssertionError):
    """Helm refused; the text is what it said."""


def helm(*arguments: str, stdin: str | None = None) -> str:
    """Run helm and return what it printed; raises HelmError with its words."""
    done = subprocess.run(
        [str(_binary()), *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode:
        raise HelmError(done.stderr + done.stdout)
    return done.stdout


@cache
def _binary() -> str:
    return str(binary("helm"))


def render(values: Mapping[str, Any] | None = None, release: str = "veriramp") -> list[Json]:
    """Return the objects that an installation with these values makes."""
    text = helm("template", release, str(CHART), "-n", NAMESPACE, "-f", "-", stdin=json.dumps(values or {}))
    return [found for found in yaml.safe_load_all(text) if found]


def one(objects: Iterable[Json], kind: str, name: str) -> Json:
    """Find the object of that kind and name."""
    (found,) = [item for item in objects if item["kind"] == kind and item["metadata"]["name"] == name]
    return found


def of_kind(objects: Iterable[Json], *kinds: str) -> list[Json]:
    """Find all objects of these kinds."""
    return [item for item in objects if item["kind"] in kinds]
