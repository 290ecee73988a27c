"""What the pods of these tests run: a web server that shows what it is given, or a short command.

pod_program.py serve            answers on POD_IP:8080, see `Handler`
pod_program.py stubborn         ignores SIGTERM
pod_program.py polite           says "bye" on SIGTERM and ends
pod_program.py exit CODE        ends at once
pod_program.py append FILE TEXT
pod_program.py in-cluster       reads its namespace's ConfigMaps with the client library's in-cluster settings
"""

from __future__ import annotations

import json
import os
import signal
import ssl
import sys
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Handler(BaseHTTPRequestHandler):
    """/name, /env, /file?of=, /flag?of= (200 if the file says yes), /api?of=, /metrics."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        status, text = self.answer(url.path, query)
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, str]:
        answers: dict[str, Callable[[], tuple[int, str]]] = {
            "/name": lambda: (200, os.environ["HOSTNAME"]),
            "/env": lambda: (200, json.dumps(dict(os.environ))),
            "/file": lambda: (200, Path(query["of"]).read_text()),
            "/flag": lambda: (200 if Path(query["of"]).read_text() == "yes" else 503, ""),
            "/api": lambda: ask_api(query["of"]),
            "/metrics": lambda: (200, "# TYPE test_requests counter\ntest_requests 42\n"),
        }
        return answers.get(path, lambda: (404, ""))()

    def log_message(self, *_args: object) -> None:
        """Say nothing: the probes would fill the log."""


def ask_api(path: str) -> tuple[int, str]:
    """Ask the API server as the pod's service account."""
    server = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"}
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    try:
        request = urllib.request.Request(server + path, headers=headers)  # noqa: S310 - the API server's own address
        with urllib.request.urlopen(request, context=context) as response:  # noqa: S310
            return int(response.status), response.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def main(command: str, *arguments: str) -> None:
    match command:
        case "serve":
            ThreadingHTTPServer((os.environ["POD_IP"], 8080), Handler).serve_forever()
        case "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            say("ignoring SIGTERM")
            while True:
                signal.pause()
        case "polite":
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            say("waiting")
            signal.sigwait({signal.SIGTERM})
            say("bye")
        case "exit":
            say(f"leaving with {arguments[0]}")
            sys.exit(int(arguments[0]))
        case "append":
            with Path(arguments[0]).open("a") as file:
                file.write(arguments[1])
        case "in-cluster":
            in_cluster()


def say(*words: str) -> None:
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


def in_cluster() -> None:
    from kubernetes import client, config  # noqa: PLC0415 - slow, and only needed here

    config.load_incluster_config()
    namespace = (ACCOUNT / "namespace").read_text()
    found = client.CoreV1Api().list_namespaced_config_map(namespace).items
    names = [item.metadata.name or "" for item in found if item.metadata is not None]
    say("sees", *names)


if __name__ == "__main__":
    main(*sys.argv[1:])
