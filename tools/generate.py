"""Writes every generated file of the repository, or with ``--check`` fails when one differs from what it should be.

Usage: ``python -m tools.generate [--check]``. To add an output, append an :class:`Output` to :data:`OUTPUTS`.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import yaml

from tools.chart_schema import values_schema
from tools.event_schemas import asyncapi, event_schema
from tools.trigger_vectors import trigger_vectors
from veriramp_operator.api.crd import custom_resource_definition
from veriramp_sdk.events import EVENTS

ROOT: Final = Path(__file__).resolve().parent.parent
_HEADER: Final = "# Generated from the models of veriramp_operator.api by `make generate`; do not edit.\n"


@dataclass(frozen=True, slots=True)
class Output:
    """A generated file: its path below the root, and the function that makes its text."""

    path: str
    make: Callable[[], str]


def crd() -> str:
    """The CRD for ``kubectl apply``."""
    return _HEADER + _yaml(custom_resource_definition())


def chart_crd() -> str:
    """The CRD as a template of the chart: it can be left out, and it stays when the release is removed."""
    definition = custom_resource_definition()
    metadata = definition["metadata"]
    labels = metadata.pop("labels")
    text = _yaml(definition)
    if "{{" in text:
        raise ValueError("the CRD contains '{{', which helm would take for a template")
    head = f"metadata:\n  name: {metadata['name']}\n"
    extra = (
        "  {{- if .Values.crds.keep }}\n"
        "  annotations:\n    helm.sh/resource-policy: keep\n"
        "  {{- end }}\n"
        "  labels:\n" + "".join(f"    {key}: {value}\n" for key, value in labels.items())
    )
    if head not in text:
        raise ValueError("the CRD's metadata is not where the chart's template expects it")
    return _HEADER + "{{- if .Values.crds.enabled }}\n" + text.replace(head, head + extra) + "{{- end }}\n"


def chart_values_schema() -> str:
    """What helm checks values against."""
    values = (ROOT / "charts" / "veriramp" / "values.yaml").read_text(encoding="utf-8")
    return json.dumps(values_schema(values), indent=2, ensure_ascii=False) + "\n"


OUTPUTS: Final[tuple[Output, ...]] = (
    Output("crds/veriramp.dev_verificationrollouts.yaml", crd),
    Output("charts/veriramp/templates/crds/verificationrollouts.yaml", chart_crd),
    Output("charts/veriramp/values.schema.json", chart_values_schema),
    Output("tests/data/trigger.json", trigger_vectors),
    Output("docs/schemas/asyncapi.json", asyncapi),
    *(Output(f"docs/schemas/events/{name}.json", partial(event_schema, name)) for name in EVENTS),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the outputs, or compare them; the exit code is 1 when one differs."""
    parser = argparse.ArgumentParser(prog="python -m tools.generate", description="Write or check the generated files.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail and show the difference")
    check = bool(parser.parse_args(arguments).check)
    stale = [output.path for output in OUTPUTS if not _settled(ROOT / output.path, output, check=check)]
    if stale and check:
        print(f"not up to date: {', '.join(stale)}; run `make generate` and commit the result", file=sys.stderr)
        return 1
    return 0


def _settled(path: Path, output: Output, *, check: bool) -> bool:
    wanted = output.make()
    present = path.read_text(encoding="utf-8") if path.exists() else ""
    if present == wanted:
        return True
    if check:
        lines = difflib.unified_diff(
            present.splitlines(keepends=True), wanted.splitlines(keepends=True), output.path, "generated", n=1
        )
        sys.stderr.writelines(list(lines)[:60])
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted, encoding="utf-8")
        print(f"wrote {output.path}")
    return False


class _Dumper(yaml.SafeDumper):
    """Writes equal parts out instead of anchors, which kubectl reads but people do not."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 signature of the base class
        return True


def _yaml(value: object) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    sys.exit(main())
