"""The CRD says what the models say: every field, bound, default and list type; and the generator keeps its files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic.alias_generators import to_camel

from tests.support.rollouts import CRD, ROOT
from tools import generate
from tools.chart_schema import values_schema
from veriramp_operator.api import rollout, status, vector
from veriramp_operator.api.base import Frozen, format_duration, parse_duration
from veriramp_operator.api.cel import Rule, say, unless_old
from veriramp_operator.api.crd import LIST_TYPES, custom_resource_definition, spec_schema, status_schema
from veriramp_operator.api.gate_rules import BARE_SELECTOR
from veriramp_operator.api.rollout import RolloutSpec
from veriramp_operator.api.rules import PATTERN_RULES, RULES
from veriramp_operator.api.status import RolloutStatus
from veriramp_operator.evidence.promql import is_bare_selector

Schema = dict[str, Any]
MODELS: Final = {
    name: found
    for module in (rollout, status, vector)
    for name, found in vars(module).items()
    if isinstance(found, type) and issubclass(found, Frozen) and found is not Frozen
}


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{path}[]")


@pytest.fixture(params=["spec", "status"])
def schema(request: pytest.FixtureRequest) -> Schema:
    return spec_schema() if request.param == "spec" else status_schema()


def test_the_files_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"]) == 0, capsys.readouterr().err


def test_an_edited_file_is_noticed_shown_and_put_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "OUTPUTS", (generate.Output("crds/one.yaml", generate.crd),))
    assert generate.main(["--check"]) == 1
    assert generate.main([]) == 0
    file = tmp_path / "crds" / "one.yaml"
    file.write_text(file.read_text().replace("- vrollout\n", "- vro\n"))
    capsys.readouterr()
    assert generate.main(["--check"]) == 1
    said = capsys.readouterr().err
    assert "+    - vrollout" in said
    assert "crds/one.yaml; run `make generate`" in said
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0


def test_every_field_of_every_model_is_in_the_schema() -> None:
    assert {".gates.alert.presence.min", ".workers.replicas.scaling"} <= set(fields(RolloutSpec))
    assert ".rollback.target.rankingWeight" in set(fields(RolloutStatus))
    seen = {path.replace("[]", "") for schema in (spec_schema(), status_schema()) for path, _ in nodes(schema)}
    for model, found in (("spec", RolloutSpec), ("status", RolloutStatus)):
        missing = [path for path in fields(found) if path not in seen]
        assert missing == [], model


def fields(model: type[Frozen], path: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        here = f"{path}.{field.alias or to_camel(name)}"
        yield here
        for inner in MODELS.values():
            if f"{inner.__name__}'" in repr(field.annotation) or f".{inner.__name__}" in repr(field.annotation):
                yield from fields(inner, here)


def test_every_list_says_how_it_merges_and_how_long_it_may_be(schema: Schema) -> None:
    for path, node in nodes(schema):
        if node.get("type") != "array":
            continue
        assert node["maxItems"] > 0, path
        kind = node["x-kubernetes-list-type"]
        assert kind in {"atomic", "set", "map"}, path
        if kind == "map":
            (key,) = node["x-kubernetes-list-map-keys"]
            assert key in node["items"]["required"], path
        assert ("x-kubernetes-list-map-keys" in node) == (kind == "map"), path


def test_no_list_type_is_left_over() -> None:
    known = {
        f"{name}.{field.alias or to_camel(key)}"
        for name, found in MODELS.items()
        for key, field in found.model_fields.items()
    }
    assert set(LIST_TYPES) <= known
    assert {key for key in RULES if "." in key} <= known
    assert {key for key in RULES if "." not in key} <= {*MODELS, "VerificationRollout"}


def test_the_schema_is_structural(schema: Schema) -> None:
    for path, node in nodes(schema):
        assert not {"$ref", "$defs", "anyOf", "oneOf", "nullable", "title"} & set(node), path
        assert "type" in node or node["x-kubernetes-preserve-unknown-fields"], path
        assert "x-kubernetes-int-or-string" not in node, path
        assert node.get("default", 0) is not None, path


def test_only_settings_take_any_scalar() -> None:
    free = [path for path, node in nodes(spec_schema()) if "x-kubernetes-preserve-unknown-fields" in node]
    assert free == [".workers[].settings[]"]
    assert not [path for path, node in nodes(status_schema()) if "x-kubernetes-preserve-unknown-fields" in node]


def test_texts_and_maps_of_the_spec_are_bounded() -> None:
    for path, node in nodes(spec_schema()):
        if node.get("type") == "string" and "enum" not in node:
            assert node["maxLength"] <= 4096, path
        if "additionalProperties" in node:
            assert node["maxProperties"] <= 50, path


def test_status_refuses_nothing_but_wrong_types() -> None:
    for path, node in nodes(status_schema()):
        assert not {"enum", "pattern", "minimum", "maximum", "default", "x-kubernetes-validations"} & set(node), path
        assert set(node.get("required", [])) <= {"gate", "name", "profile", "type"}, path


@pytest.mark.shows("S4-DEP-04")
def test_every_field_of_the_spec_is_explained() -> None:
    bare = [path for path, node in nodes(spec_schema()) if not path.endswith("[]") and "description" not in node]
    assert bare == []


@pytest.mark.shows("S1-FLAG-01")
def test_defaults_are_those_of_the_models() -> None:
    small = RolloutSpec.model_validate({"stages": [{"name": "s", "mode": "Off"}]})
    for name, node in spec_schema()["properties"].items():
        if "default" in node:
            value = small.to_api()[name]
            wanted = {key: item for key, item in value.items() if item != []} if isinstance(value, dict) else value
            assert node["default"] == wanted, name
    gate = spec_schema()["properties"]["gates"]["items"]["properties"]
    assert gate["every"]["default"] == "15s"
    assert "default" not in gate["required"]
    assert "default" not in gate["threshold"]


def test_names_columns_and_subresource() -> None:
    spec = custom_resource_definition()["spec"]
    (version,) = spec["versions"]
    assert spec["names"]["shortNames"] == ["vr", "vrollout"]
    assert spec["names"]["categories"] == ["all", "veriramp"]
    assert version["subresources"] == {"status": {}}
    columns = version["additionalPrinterColumns"]
    assert [column["name"] for column in columns if column.get("priority", 0) == 0] == [
        *("Ready", "Phase", "Stage", "Mode", "Canary", "Rate", "Weight", "Reason", "Age")
    ]
    assert [column["name"] for column in columns if column.get("priority", 0) == 1] == ["Revision", "Applied", "Next"]


def test_every_rule_says_what_to_write() -> None:
    advice = (
        "write",
        "remove",
        "keep",
        "give",
        "order",
        "put it back",
        "at most",
        "may only widen",
        "cannot be required",
    )
    rules = [rule for group in (*RULES.values(), *PATTERN_RULES.values()) for rule in group]
    assert len(rules) > 30
    for rule in rules:
        for text in (rule.message, rule.say or rule.message):
            assert any(word in text for word in advice), text
            assert "\n" not in text


def test_a_rule_renders_only_what_it_has() -> None:
    assert Rule("true", "m").to_api() == {"rule": "true", "message": "m"}
    rule = unless_old("self.a == 1", "m", say("%s", "self.a"), field=".a")
    assert rule.to_api() == {
        "rule": "(self.a == 1) || (oldSelf.hasValue() && !(oldSelf.value().a == 1))",
        "message": "m",
        "messageExpression": "'%s'.format([dyn(self.a)])",
        "fieldPath": ".a",
        "optionalOldSelf": True,
    }


@pytest.mark.parametrize(
    ("query", "bare"),
    [
        ("up", True),
        ("job:x:rate5m", True),
        ('up{a="b"}', True),
        ('{__name__="up"}', True),
        ('up{a=~"x{2,}\\"y"}', True),
        ("up{}", True),
        (" up {a='b'} ", True),
        ("up\n", True),
        ("{}", False),
        ("", False),
        ("up up", False),
        ('up{a="b"}}', False),
        ("up[5m]", False),
        ("up offset 5m", False),
        ("rate(up[5m])", False),
        ("up > 1", False),
        ('up{a="b"} == 0', False),
        ("1", False),
        ("sum(up)", False),
    ],
)
def test_bare_selectors(query: str, bare: bool) -> None:
    assert (re.search(BARE_SELECTOR, query) is not None) == bare
    assert is_bare_selector(query) == bare


TEXTS: Final = st.text(st.sampled_from('ab{}[]()5m"\\ '), max_size=6).map(json.dumps)
MATCHERS: Final = st.tuples(st.sampled_from("abc"), st.sampled_from(["=", "!=", "=~", "!~"]), TEXTS).map("".join)


@given(st.sampled_from(["up", "job:x:sum", ""]), st.lists(MATCHERS, min_size=1, max_size=3), st.sampled_from(["", " "]))
def test_matchers_with_any_text_make_a_bare_selector(name: str, matchers: list[str], blank: str) -> None:
    query = f"{blank}{name}{{{', '.join(matchers)}}}{blank}"
    assert re.search(BARE_SELECTOR, query)
    assert is_bare_selector(query)
    assert not re.search(BARE_SELECTOR, f"{query}[5m]")


@pytest.mark.parametrize("text", ["0s", "90s", "15m", "1h30m", "1.5s", "2160h"])
def test_durations_read_back(text: str) -> None:
    assert parse_duration(format_duration(parse_duration(text))) == parse_duration(text)


# The chart's values


def test_values_are_described_typed_and_closed() -> None:
    schema = values_schema('# Top.\na:\n  # How many.\n  # @schema {"minimum": 1}\n  b: 2\n  # Any.\n  c: {}\nd: [x]\n')
    assert schema["additionalProperties"] is False
    assert schema["properties"]["a"] == {
        "description": "Top.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "b": {"description": "How many.", "type": "integer", "minimum": 1},
            "c": {"description": "Any.", "type": "object"},
        },
    }
    assert schema["properties"]["d"] == {"type": "array"}


def test_values_of_a_model_are_checked_like_the_operator_does() -> None:
    schema = values_schema("# E.\n# @models Endpoint\ne: {}\n# @models Profile\np: {}\n")
    assert schema["properties"]["e"]["additionalProperties"]["required"] == ["url"]
    assert "required" not in schema["properties"]["p"]["additionalProperties"]
    with pytest.raises(ValueError, match="@models Other: write one of Endpoint, Profile"):
        values_schema("# @models Other\ne: {}\n")


@pytest.mark.shows("S4-DEP-04")
def test_every_value_of_the_chart_is_commented() -> None:
    schema = values_schema((ROOT / "charts" / "veriramp" / "values.yaml").read_text(encoding="utf-8"))
    bare = [
        f"{top}.{name}"
        for top, node in schema["properties"].items()
        for name, child in node.get("properties", {}).items()
        if "description" not in child and top != "podSecurityContext"
    ]
    assert bare == []
    assert yaml.safe_load(CRD.read_text(encoding="utf-8")) == custom_resource_definition()
