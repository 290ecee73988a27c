"""The CustomResourceDefinition, generated from the pydantic models: structural schema, rules, columns, list types.

Public: :func:`custom_resource_definition`, :func:`spec_schema`, :func:`status_schema`.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, Final

from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from veriramp_operator.api import rollout, status, vector
from veriramp_operator.api.base import DURATION_PATTERN, format_duration
from veriramp_operator.api.rollout import GROUP, KIND, PLURAL, VERSION, RolloutSpec
from veriramp_operator.api.rules import PATTERN_RULES, RULES
from veriramp_operator.api.status import RolloutStatus

Schema = dict[str, Any]

SHORT_NAMES: Final = ("vr", "vrollout")
CATEGORIES: Final = ("all", "veriramp")

LIST_TYPES: Final[Mapping[str, str]] = {
    "FlagsSpec.include": "atomic",
    "FlagsSpec.exclude": "atomic",
    "RampSpec.steps": "atomic",
    "BurnRateGate.windows": "atomic",
    "FiringGate.alertnames": "set",
    "GateSpec.stages": "set",
    "WindowSpec.days": "set",
    "RolloutSpec.workers": "map profile",
    "RolloutSpec.stages": "map name",
    "RolloutSpec.gates": "map name",
    "RolloutSpec.windows": "atomic",
    "PropagationStatus.laggards": "atomic",
    "HandledRequests.used": "atomic",
    "RollbackStatus.alsoFell": "set",
    "RolloutStatus.gates": "map name",
    "RolloutStatus.anchors": "map gate",
    "RolloutStatus.workers": "map profile",
    "RolloutStatus.history": "atomic",
    "RolloutStatus.conditions": "map type",
}
"""How the API server merges each list: ``atomic``, ``set``, or ``map`` with its key."""

_COLUMNS: Final = (
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', 0),
    ("Phase", "string", ".status.phase", 0),
    ("Stage", "string", ".status.stage.name", 0),
    ("Mode", "string", ".status.parameters.mode", 0),
    ("Canary", "number", ".status.parameters.canaryPercent", 0),
    ("Rate", "number", ".status.parameters.samplingRate", 0),
    ("Weight", "number", ".status.parameters.rankingWeight", 0),
    ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
    ("Revision", "integer", ".status.flags.revision", 1),
    ("Applied", "integer", ".status.propagation.applied", 1),
    ("Next", "string", ".status.nextDecisionAt", 1),
)

# Any scalar. Structural schemas allow no union of types, so the bounds keep lists and objects out.
_SCALAR: Final[Schema] = {
    "description": "A text, number or boolean.",
    "x-kubernetes-preserve-unknown-fields": True,
    "maxLength": 1024,
    "maxItems": 0,
    "maxProperties": 0,
}


def custom_resource_definition() -> Schema:
    """The CRD of VerificationRollout as apiextensions.k8s.io/v1 has it."""
    root: Schema = {
        "type": "object",
        "description": "A plan that takes the influence of verification on ranking up in stages, and down within"
        " seconds when a gate says so.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "veriramp.dev/v1alpha1"},
            "kind": {"type": "string", "description": KIND},
            "metadata": {"type": "object"},
            "spec": spec_schema(),
            # A generation that no object has: kstatus takes an object without any status for a settled one.
            "status": {**status_schema(), "default": {"observedGeneration": -1}},
        },
        "x-kubernetes-validations": [rule.to_api() for rule in RULES[KIND]],
    }
    version: Schema = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(*column) for column in _COLUMNS],
        "schema": {"openAPIV3Schema": root},
    }
    names = {
        "kind": KIND,
        "listKind": f"{KIND}List",
        "plural": PLURAL,
        "singular": KIND.lower(),
        "shortNames": list(SHORT_NAMES),
        "categories": list(CATEGORIES),
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "veriramp"}},
        "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [version]},
    }


def spec_schema() -> Schema:
    """Structural schema of ``spec``: bounds, defaults, list types and rules."""
    return _Structural(RolloutSpec, strict=True).schema()


def status_schema() -> Schema:
    """Structural schema of ``status``: types and list types only.

    It has no bounds on values, no enums and nothing required but list keys: a status written by an operator that is
    newer or older than this schema must not be refused, because a refused status is a rollback that is not recorded.
    """
    return _Structural(RolloutStatus, strict=False).schema()


def _column(name: str, kind: str, path: str, priority: int) -> Schema:
    column: Schema = {"name": name, "type": kind, "jsonPath": path}
    if priority:
        column["priority"] = priority
    return column


class _Structural:
    """Turns the JSON schema of pydantic into a structural schema: references inlined, unions with null gone."""

    def __init__(self, model: type[BaseModel], *, strict: bool) -> None:
        self._strict = strict
        self._name = model.__name__
        self._root = model.model_json_schema(by_alias=True)
        self._definitions: Mapping[str, Schema] = self._root.get("$defs", {})
        self._texts = dict(pair for module in (rollout, status, vector) for pair in _field_docstrings(module))

    def schema(self) -> Schema:
        return self._object(self._name, self._root)

    def _object(self, model: str, source: Schema) -> Schema:
        properties = {
            name: self._value(value, f"{model}.{name}") for name, value in source.get("properties", {}).items()
        }
        made: Schema = {"type": "object"} | _description(source)
        if self._strict and source.get("required"):
            made["required"] = source["required"]
        made["properties"] = properties
        return made | self._rules(model)

    def _value(self, source: Schema, path: str) -> Schema:
        source = _without_null(source)
        if reference := source.get("$ref"):
            name = str(reference).rsplit("/", 1)[-1]
            target = self._definitions[name]
            made = self._object(name, target) if target.get("type") == "object" else self._scalar(target)
        elif "anyOf" in source:
            made = dict(_SCALAR)
        elif source.get("type") == "array":
            made = self._list(source, path)
        elif source.get("type") == "object":
            made = {"type": "object", "additionalProperties": self._value(source["additionalProperties"], f"{path}.*")}
            made |= _kept(source, "maxProperties")
        else:
            made = self._scalar(source)
        text = _description(source)
        if path in self._texts:
            text = {"description": self._texts[path]}
        return text | made | text | self._default(source, made)

    def _list(self, source: Schema, path: str) -> Schema:
        made: Schema = {"type": "array", "items": self._value(source["items"], f"{path}.*")}
        made |= _kept(source, "minItems", "maxItems")
        kind, _, key = LIST_TYPES[path].partition(" ")
        made["x-kubernetes-list-type"] = kind
        if key:
            made["x-kubernetes-list-map-keys"] = [key]
            made["items"].setdefault("required", [key])
        return made | self._rules(path)

    def _scalar(self, source: Schema) -> Schema:
        made: Schema = {"type": source["type"]}
        if source["type"] == "integer":
            made["format"] = "int64"
        if not self._strict:
            return made | _kept(source, "format") | _description(source)
        made |= _description(source)
        made |= _kept(source, "enum", "format", "pattern", "minLength", "maxLength", "minimum", "maximum")
        for bound in ("Minimum", "Maximum"):
            if (limit := source.get(f"exclusive{bound}")) is not None:
                made |= {bound.lower(): limit, f"exclusive{bound}": True}
        if rules := PATTERN_RULES.get(source.get("pattern", "")):
            made["x-kubernetes-validations"] = [rule.to_api() for rule in rules]
        return made

    def _default(self, source: Schema, made: Schema) -> Schema:
        value = source.get("default")
        if not self._strict or value is None or made["type"] == "array" or "additionalProperties" in made:
            return {}
        if made["type"] == "object":
            # Written out, because the API server checks a default against the rules before it fills in nested ones.
            fields: Mapping[str, Schema] = made["properties"]
            return {"default": {name: field["default"] for name, field in fields.items() if "default" in field}}
        if made.get("pattern") == DURATION_PATTERN:
            return {"default": format_duration(value)}
        return {"default": value}

    def _rules(self, path: str) -> Schema:
        rules = RULES.get(path, ()) if self._strict else ()
        return {"x-kubernetes-validations": [rule.to_api() for rule in rules]} if rules else {}


def _field_docstrings(module: ModuleType) -> Iterator[tuple[str, str]]:
    """``Model.wireName`` and the string literal below the field, for each field that has one.

    Read from the source here, and not by pydantic when the models are imported: that would cost every start 0.3 s.
    """
    for node in ast.parse(inspect.getsource(module)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for field, below in zip(node.body, node.body[1:], strict=False):
            if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
                continue
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                yield f"{node.name}.{to_camel(field.target.id.rstrip('_'))}", " ".join(str(below.value.value).split())


def _without_null(source: Schema) -> Schema:
    """``X | None`` is an optional X: the API server drops explicit nulls by itself."""
    choices = [choice for choice in source.get("anyOf", ()) if choice.get("type") != "null"]
    if len(choices) != 1:
        return source
    rest: Schema = {key: value for key, value in source.items() if key != "anyOf"}
    return {**choices[0], **rest}


def _kept(source: Schema, *keys: str) -> Schema:
    return {key: source[key] for key in keys if key in source}


def _description(source: Schema) -> Schema:
    text = source.get("description")
    return {"description": " ".join(str(text).split())} if text else {}
