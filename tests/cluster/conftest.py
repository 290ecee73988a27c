from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

from tests.support.logguard import LogGuard, guarded
from tests.support.product import Product


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The chart, installed once in a cluster of its own: these tests break things that others rely on."""
    with Product.up(tmp_path_factory.mktemp("product"), os.getpid()) as product:
        yield product


@pytest.fixture
def log_guard(request: pytest.FixtureRequest, product: Product) -> Iterator[LogGuard]:
    """As everywhere, for the pods of the product's cluster."""
    with guarded(request.node, product.cluster.layout.pods) as guard:
        yield guard


@pytest.fixture
def place() -> str:
    """Name of a namespace that no other test uses."""
    return f"road-{uuid.uuid4().hex[:6]}"
