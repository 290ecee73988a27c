from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.proxy import Proxy
from tests.support.replica import Operator, OperatorFiles, differences
from tests.support.site import SYSTEM, Site, Surroundings
from tools.devcluster.cluster import DevCluster
from veriramp_sdk.flags import Flags

Replica = Callable[..., Operator]


@pytest.fixture(scope="session")
def surroundings(devcluster: DevCluster) -> Iterator[Surroundings]:
    around = Surroundings(devcluster)
    yield around
    around.close()


@pytest.fixture
def site(surroundings: Surroundings, namespace: str) -> Iterator[Site]:
    site = Site(surroundings, namespace)
    yield site
    site.clean()


@pytest.fixture
def proxy(devcluster: DevCluster) -> Iterator[Proxy]:
    with Proxy(devcluster.api_url, devcluster._tls()) as running:
        yield running


@pytest.fixture
def operator_config(site: Site) -> dict[str, Any]:
    """The configuration file of the replicas; a module may make another."""
    return site.around.config()


@pytest.fixture
def replica(site: Site, proxy: Proxy, operator_config: dict[str, Any], tmp_path: Path) -> Iterator[Replica]:
    """Make replicas; at the end they are stopped, and none may have logged errors, or decided what does not replay."""
    made: list[Operator] = []

    def make(name: str, *namespaces: str) -> Operator:
        kubeconfig = proxy.kubeconfig(tmp_path / f"{name}.kubeconfig", sender=name)
        files = OperatorFiles.write(tmp_path, kubeconfig, operator_config)
        made.append(Operator(name, files, SYSTEM, [site.namespace, *namespaces]))
        return made[-1]

    yield make
    proxy.heal()
    proxy.resume_watches()
    codes = {operator.name: operator.stop() for operator in made if operator.is_running}
    site.around.forget_lease()
    errors = [f"{operator.name}: {line}" for operator in made for line in operator.errors()]
    assert not errors, "\n".join(errors)
    otherwise = [f"{operator.name}: {line}" for operator in made for line in differences(operator.text())]
    assert not otherwise, "decisions that do not replay:\n" + "\n".join(otherwise)
    assert set(codes.values()) <= {0, -signal.SIGTERM}, codes


@pytest.fixture
def operator(replica: Replica) -> Operator:
    return replica("operator").start()


@pytest.fixture
def consumer(site: Site) -> Iterator[Flags]:
    with site.consumer() as flags:
        yield flags
