"""The OpenFeature provider over the SDK's document."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext

from tests.support.flags import a_document
from veriramp_operator.resources.flags import stamp
from veriramp_sdk.document import Document, read_document
from veriramp_sdk.provider import DocumentProvider

OTHERS = {"truth": True, "text": "a", "whole": 3, "number": 0.5}


class Holder:
    """What the SDK holds at the moment."""

    document: Document | None = None

    def __call__(self) -> Document | None:
        return self.document


@pytest.fixture
def holder() -> Holder:
    return Holder()


@pytest.fixture
def client(holder: Holder) -> Iterator[OpenFeatureClient]:
    api.set_provider_and_wait(DocumentProvider(holder), "unit")
    yield api.get_client("unit")
    api.clear_providers()


def test_it_is_the_default_until_a_document_comes(holder: Holder, client: OpenFeatureClient) -> None:
    context = EvaluationContext(attributes={"bucket": 0})
    assert client.get_object_value("verification", {"arm": "default"}, context) == {"arm": "default"}
    holder.document = read_document(stamp(a_document(), 2**40), "verification")
    value = client.get_object_value("verification", {"arm": "default"}, context)
    assert isinstance(value, dict)
    assert value["arm"] == "treatment"


def test_flags_of_every_type_are_resolved(holder: Holder, client: OpenFeatureClient) -> None:
    raw = json.loads(stamp(a_document(), 2**40))
    for name, value in OTHERS.items():
        raw["flags"][name] = {"state": "ENABLED", "variants": {"on": value}, "defaultVariant": "on"}
    holder.document = read_document(json.dumps(raw), "verification")
    assert client.get_boolean_value("truth", False) is True
    assert client.get_string_value("text", "") == "a"
    assert client.get_integer_value("whole", 0) == 3
    assert client.get_float_value("number", 0.0) == 0.5
    assert client.provider.get_metadata().name == "veriramp"
