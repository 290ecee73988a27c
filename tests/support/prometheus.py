"""A real Prometheus that scrapes what a test exports and evaluates its rules, every second if nothing else is said."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from prometheus_client import CollectorRegistry, start_http_server

from tests.support.pipeline import free_port
from tests.support.waiting import wait_for
from tools.toolchain import binary

START_SECONDS = 30.0


@contextmanager
def scraping(
    folder: Path,
    registry: CollectorRegistry,
    rules: str = "",
    ready: str = "up == 1",
    *,
    interval: str = "1s",
    ports: Sequence[int] = (),
) -> Iterator[str]:
    """Its base URL, once the query ``ready`` returns something.

    ``rules``: the content of a rule file; ``interval``: of scrapes and rules; ``ports``: where others export.
    """
    exporter_port, port = free_port(), free_port()
    targets = ", ".join(f"'127.0.0.1:{number}'" for number in (exporter_port, *ports))
    server, thread = start_http_server(exporter_port, addr="127.0.0.1", registry=registry)
    (folder / "rules.yml").write_text(rules)
    (folder / "prometheus.yml").write_text(
        f"global: {{scrape_interval: {interval}, evaluation_interval: {interval}}}\n"
        "rule_files: [rules.yml]\n"
        f"scrape_configs: [{{job_name: exporter, static_configs: [{{targets: [{targets}]}}]}}]\n"
    )
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                binary("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            _wait_for(lambda: _has(url, ready), ready, folder)
            yield url
        finally:
            process.terminate()
            process.wait(60)
            server.shutdown()
            server.server_close()
            thread.join()


def _wait_for(answered: Callable[[], bool], ready: str, folder: Path) -> None:
    try:
        wait_for(answered, START_SECONDS, f"an answer to {ready}")
    except AssertionError as error:
        raise AssertionError(f"{error}; its log:\n{(folder / 'log').read_text()}") from error


def _has(url: str, query: str) -> bool:
    try:
        answer = httpx.get(f"{url}/api/v1/query", params={"query": query}, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.status_code == httpx.codes.OK and bool(answer.json()["data"]["result"])
