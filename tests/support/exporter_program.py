"""A pod that exports what a test tells it.

``POST /set?case=..&errors=..&requests=..`` sets gauges. ``POST /arms?rollout=..&treatment=..&control=..&treated=..``
sets the error shares of two arms that get 500 requests a second each, and their share of 4,000 occupied buckets.
``GET /metrics``.
"""

from __future__ import annotations

import os
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import parse_qs, urlsplit

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest

REGISTRY: Final = CollectorRegistry()
ERRORS: Final = Gauge("test_errors", "Share of failed requests.", ("case",), registry=REGISTRY)
REQUESTS: Final = Gauge("test_requests", "Requests per second.", ("case",), registry=REGISTRY)


ARM: Final = ("rollout", "arm")
ARM_ERRORS: Final = Counter("test_arm_errors", "Failed requests.", ARM, registry=REGISTRY)
ARM_REQUESTS: Final = Counter("test_arm_requests", "Requests.", ARM, registry=REGISTRY)
OCCUPIED: Final = Gauge("veriramp_occupied_buckets", "Buckets of users.", ARM, registry=REGISTRY)
PER_SECOND: Final = 500
BUCKETS: Final = 4000


class Traffic:
    """Two arms of a rollout, each with its own share of errors."""

    def __init__(self) -> None:
        self.shares: dict[tuple[str, str], float] = {}
        self._lock, self._since, self._random = threading.Lock(), time.monotonic(), random.Random(1)

    def flow(self) -> None:
        """Count what has been asked since the last time."""
        with self._lock:
            now = time.monotonic()
            requests = int((now - self._since) * PER_SECOND)
            self._since = now
            for labels, share in self.shares.items():
                ARM_REQUESTS.labels(*labels).inc(requests)
                ARM_ERRORS.labels(*labels).inc(sum(self._random.random() < share for _ in range(requests)))


TRAFFIC: Final = Traffic()


class Handler(BaseHTTPRequestHandler):
    """Two paths."""

    def do_GET(self) -> None:
        TRAFFIC.flow()
        body = generate_latest(REGISTRY)
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE_LATEST)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        if self.path.startswith("/arms"):
            TRAFFIC.flow()
            treated = float(asked["treated"])
            for arm, share in (("treatment", treated), ("control", 1 - treated)):
                TRAFFIC.shares[asked["rollout"], arm] = float(asked[arm])
                OCCUPIED.labels(asked["rollout"], arm).set(round(BUCKETS * share))
        else:
            ERRORS.labels(asked["case"]).set(float(asked["errors"]))
            REQUESTS.labels(asked["case"]).set(float(asked["requests"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer((os.environ["POD_IP"], 8080), Handler).serve_forever()
