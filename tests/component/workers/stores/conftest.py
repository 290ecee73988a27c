"""One fresh store for each test, in SQLite, Redis and PostgreSQL."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.databases import Server, a_postgres, a_redis
from tests.support.stores import Place

_NUMBERS: Final = itertools.count(1)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with a_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with a_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def sqlite(tmp_path: Path) -> Place:
    return Place("sqlite", f"sqlite://{tmp_path}/stores.db")


@pytest.fixture
async def redis(redis_server: Server) -> Place:
    place = Place("redis", redis_server.url)
    async with place.redis() as client:
        await client.flushall()
    return place


@pytest.fixture
async def postgres(postgres_server: Server) -> AsyncIterator[Place]:
    name = f"test{next(_NUMBERS)}"
    main = Place("postgres", postgres_server.url)
    await main.sql(f"CREATE DATABASE {name}")
    yield Place("postgres", postgres_server.url.removesuffix("postgres") + name)
    await main.sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def place(request: pytest.FixtureRequest) -> Place:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Place)
    return found


@pytest.fixture(params=["redis", "postgres"])
def server_place(request: pytest.FixtureRequest) -> Place:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Place)
    return found


@pytest.fixture(params=["sqlite", "postgres"])
def table_place(request: pytest.FixtureRequest) -> Place:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Place)
    return found
