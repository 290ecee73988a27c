"""Small parts of the flag server: settings, reports, streams."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.flags import ROLLOUT, a_document
from veriramp_operator.api.errors import ConfigurationError, Refused
from veriramp_operator.flagserver.hub import Hub, StreamsClosed
from veriramp_operator.flagserver.kube import connect
from veriramp_operator.flagserver.reports import FORGET_SECONDS, Reports
from veriramp_operator.flagserver.settings import Settings, read_settings
from veriramp_operator.flagserver.store import EVERYWHERE, Store


def test_settings_have_defaults() -> None:
    assert read_settings({}) == Settings()


def test_settings_come_from_the_environment(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n")
    assert read_settings(
        {
            "POD_IP": "127.10.0.7",
            "VERIRAMP_GRPC_PORT": "0",
            "VERIRAMP_HTTP_PORT": "9000",
            "VERIRAMP_WATCH_NAMESPACES": "a, b,",
            "POD_NAMESPACE": "system",
            "VERIRAMP_LEASE_NAME": "other",
            "VERIRAMP_FLAGS_TOKEN_FILE": str(token),
            "VERIRAMP_LOG_LEVEL": "debug",
        }
    ) == Settings("127.10.0.7", 0, 9000, ("a", "b"), "system", "other", "secret", "DEBUG")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("VERIRAMP_GRPC_PORT", "70000", r"0\.\.65535"),
        ("VERIRAMP_HTTP_PORT", "http", r"0\.\.65535"),
        ("VERIRAMP_LOG_LEVEL", "loud", "DEBUG, INFO"),
        ("VERIRAMP_FLAGS_TOKEN_FILE", "nowhere", "No such file"),
        ("VERIRAMP_FLAGS_TOKEN_FILE", "/dev/null", "write the token into it"),
    ],
)
def test_a_wrong_setting_names_the_variable_and_what_to_write(name: str, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}.*{words}"):
        read_settings({name: text})


@pytest.mark.parametrize("text", ["{}", "current-context: x", ":", "contexts: []\ncurrent-context: gone"])
def test_a_malformed_kubeconfig_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"KUBECONFIG .*config"):
        connect({"KUBECONFIG": str(path)})


def test_without_any_access_it_says_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match="set KUBECONFIG"):
        connect({})


def a_report(**changes: Any) -> bytes:
    return json.dumps(
        {
            "process": "p1",
            "uid": "5f0c",
            "revision": 3,
            "role": "search",
            "namespace": "search",
            "rollout": "demo",
            "appliedAt": 990.5,
            **changes,
        }
    ).encode()


def test_a_process_is_known_by_its_latest_report() -> None:
    reports = Reports()
    reports.record(a_report(revision=2), 1000.0)
    reports.record(a_report(revision=3), 1010.0)
    reports.record(a_report(process="p0", role="worker"), 1005.0)
    reports.record(a_report(rollout="other"), 1005.0)
    first, second = reports.of(ROLLOUT)
    assert (first.process, second.process) == ("p0", "p1")
    assert (second.revision, second.reported_at, second.first_seen_at) == (3, 1010.0, 1000.0)
    assert "namespace" not in second.to_api()
    reports.forget(1005.0 + FORGET_SECONDS + 1)
    assert [report.process for report in reports.of(ROLLOUT)] == ["p1"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 4000,
        a_report(revision=-1),
        a_report(role="cat"),
        a_report(appliedAt=float("nan")),
        a_report(appliedAt=float("inf")),
        b"x" * 5000,
    ],
)
def test_what_is_no_report_is_refused(body: bytes) -> None:
    with pytest.raises(Refused):
        Reports().record(body, 1000.0)


async def test_a_slow_stream_gets_the_latest_and_no_queue() -> None:
    store = Store()
    hub = Hub(store)
    stream = hub.subscribe(ROLLOUT)
    for revision in range(1, 6):
        hub.push(store.replace(EVERYWHERE, {ROLLOUT: a_document(revision=revision)}, 1000.0))
    assert '"revision":5' in (await stream.next()).text
    hub.close_all("over")
    with pytest.raises(StreamsClosed, match="over"):
        await stream.next()
    hub.unsubscribe(ROLLOUT, stream)
    assert hub.count() == 0
