"""A real Prometheus that scrapes what a test exports and evaluates its rules, every second if nothing else is said."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from prometheus_client import CollectorRegistry, start_http_server

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
            _wait_until(lambda: _has(url, ready), folder)
            yield url
        finally:
            process.terminate()
            process.wait(20)
            server.shutdown()
            server.server_close()
            thread.join()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until(condition: Callable[[], bool], folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.1)


def _has(url: str, query: str) -> bool:
    try:
        answer = httpx.get(f"{url}/api/v1/query", params={"query": query}, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.status_code == httpx.codes.OK and bool(answer.json()["data"]["result"])
