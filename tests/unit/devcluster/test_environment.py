from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.devcluster.agent.environment import (
    NotYetThereError,
    Surroundings,
    container_environment,
    expand,
    field_value,
    resolve_services,
)

OBJECTS: dict[tuple[str, str], Any] = {
    ("shop", "settings"): {"data": {"colour": "red"}, "binaryData": {"raw": base64.b64encode(b"bytes").decode()}},
    ("shop", "keys"): {"data": {"token": base64.b64encode(b"s3").decode()}},
}
ADDRESSES = {("shop", "web"): "127.200.0.9"}
AROUND = Surroundings(
    lambda namespace, name: OBJECTS.get((namespace, name)),
    lambda namespace, name: OBJECTS.get((namespace, name)),
    lambda namespace, name: ADDRESSES.get((namespace, name)),
)
POD: dict[str, Any] = {
    "metadata": {
        "name": "web-1",
        "namespace": "shop",
        "uid": "u1",
        "labels": {"team": "search", "app.kubernetes.io/name": "web"},
    },
    "spec": {"nodeName": "node-1"},
    "status": {"podIP": "127.10.0.3", "hostIP": "127.11.0.1"},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)/$(B)", "1/2"),
        ("$$(A)", "$(A)"),
        ("$(UNKNOWN) $(A", "$(UNKNOWN) $(A"),
        ("$A ${A} 5$", "$A ${A} 5$"),
        ("$(A)$(A)$$", "11$"),
    ],
)
def test_references_are_expanded(text: str, expected: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == expected


@given(st.text().filter(lambda text: "$" not in text), st.dictionaries(st.text(), st.text()))
def test_text_without_references_stays(text: str, values: dict[str, str]) -> None:
    assert expand(text, values) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://web.shop.svc:80/x", "http://127.200.0.9:80/x"),
        ("web.shop.svc.cluster.local", "127.200.0.9"),
        ("dns:///web.shop.svc:8015,web.shop.svc", "dns:///127.200.0.9:8015,127.200.0.9"),
        ("web.other.svc", "web.other.svc"),
        ("pod-0.web.shop.svc", "pod-0.web.shop.svc"),
        ("web.shop.svcx web.shop.svc-x", "web.shop.svcx web.shop.svc-x"),
        ("svc", "svc"),
    ],
)
def test_names_of_services_become_addresses(text: str, expected: str) -> None:
    assert resolve_services(text, AROUND) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata.name", "web-1"),
        ("metadata.labels['app.kubernetes.io/name']", "web"),
        ("metadata.annotations['none']", ""),
        ("metadata.labels", 'app.kubernetes.io/name="web"\nteam="search"'),
        ("spec.serviceAccountName", "default"),
        ("status.podIP", "127.10.0.3"),
    ],
)
def test_fields(path: str, expected: str) -> None:
    assert field_value(POD, path) == expected


def test_an_unknown_field_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'spec\.volumes' is not known; known are metadata\.annotations"):
        field_value(POD, "spec.volumes")


def test_own_variables_win_over_env_from_and_may_refer_to_earlier_ones() -> None:
    container = {
        "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "none", "optional": True}}],
        "env": [
            {"name": "BEFORE", "value": "$(LATER)"},
            {"name": "LATER", "value": "at $(colour)"},
            {"name": "colour", "value": "blue"},
            {"name": "EMPTY"},
        ],
    }

    seen = container_environment(POD, container, AROUND)

    assert seen == {"raw": "bytes", "BEFORE": "$(LATER)", "LATER": "at red", "colour": "blue", "EMPTY": ""}


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({"configMapKeyRef": {"name": "none", "key": "a"}}, 'configMap "none" not found'),
        ({"secretKeyRef": {"name": "keys", "key": "a"}}, "key 'a' is not in secret 'keys'"),
    ],
)
def test_what_is_missing_is_named(source: dict[str, Any], problem: str) -> None:
    with pytest.raises(NotYetThereError, match=problem):
        container_environment(POD, {"env": [{"name": "X", "valueFrom": source}]}, AROUND)


def test_an_unsupported_source_says_what_to_use() -> None:
    env = [{"name": "X", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]
    with pytest.raises(ValueError, match="resourceFieldRef is not supported by the dev cluster; use fieldRef"):
        container_environment(POD, {"env": env}, AROUND)
