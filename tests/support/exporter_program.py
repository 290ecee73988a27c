"""A pod that exports what a test tells it: ``POST /set?case=..&errors=..&requests=..``, ``GET /metrics``."""

from __future__ import annotations

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import parse_qs, urlsplit

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

REGISTRY: Final = CollectorRegistry()
ERRORS: Final = Gauge("test_errors", "Share of failed requests.", ("case",), registry=REGISTRY)
REQUESTS: Final = Gauge("test_requests", "Requests per second.", ("case",), registry=REGISTRY)


class Handler(BaseHTTPRequestHandler):
    """Two paths."""

    def do_GET(self) -> None:
        body = generate_latest(REGISTRY)
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE_LATEST)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        ERRORS.labels(asked["case"]).set(float(asked["errors"]))
        REQUESTS.labels(asked["case"]).set(float(asked["requests"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer((os.environ["POD_IP"], 8080), Handler).serve_forever()
