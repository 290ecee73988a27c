"""What a worker is told by its environment, how it logs, and who may administrate it."""

from __future__ import annotations

import json
import logging
import re
import socket
import sys

import httpx
import pytest
from prometheus_client import CollectorRegistry

from veriramp_workers.health import admin_routes, health_app, serving
from veriramp_workers.logs import JsonFormatter, TextFormatter
from veriramp_workers.main import main
from veriramp_workers.settings import ConfigurationError, service_settings_from, settings_from
from veriramp_workers.worker import budget_of

GOOD = {"VERIRAMP_BROKERS": "a:1,b:2", "VERIRAMP_FLAGS_URL": "flags:8015", "VERIRAMP_ROLLOUT": "search/demo"}
REMOTE = {**GOOD, "VERIRAMP_VERIFIER_URL": "http://verifier:8080"}
STORE = {"VERIRAMP_STORE_URL": "sqlite:///store.db"}
TOKEN = "0123456789abcdef"


def test_settings_have_defaults() -> None:
    settings = settings_from(GOOD, profile="orchestrator")
    assert (settings.kafka.brokers, settings.host, settings.port, settings.solvers) == ("a:1,b:2", "127.0.0.1", 8080, 2)
    assert (settings.store_url, settings.budget_per_day, settings.log_format) == ("", None, "json")
    assert settings_from({**GOOD, "POD_IP": "127.10.0.1"}, profile="x").host == "127.10.0.1"
    assert settings_from({**GOOD, "POD_IP": "127.10.0.1", "VERIRAMP_HOST": "h"}, profile="x").host == "h"


@pytest.mark.shows("S1-COST-03")
def test_a_verifier_over_http_has_a_budget_unless_it_is_told_otherwise() -> None:
    assert settings_from({**REMOTE, **STORE}, profile="x").budget_per_day == 10_000
    assert settings_from({**REMOTE, "VERIRAMP_BUDGET_PER_DAY": "none"}, profile="x").budget_per_day is None
    assert settings_from({**GOOD, **STORE, "VERIRAMP_BUDGET_PER_DAY": "0"}, profile="x").budget_per_day == 0
    with pytest.raises(ConfigurationError, match="VERIRAMP_STORE_URL is not set, but the daily budget"):
        settings_from(REMOTE, profile="x")


def test_the_month_is_a_budget_by_itself() -> None:
    month = {**STORE, "VERIRAMP_BUDGET_PER_MONTH": "1000"}
    for unbounded_day in (GOOD, {**REMOTE, "VERIRAMP_BUDGET_PER_DAY": "none"}):
        budget = budget_of(settings_from({**unbounded_day, **month}, profile="x"))
        assert budget is not None
        assert (budget.per_day, budget.per_month, budget.at_once) == (1000, 1000, 1.0), "no day stops before the month"
        with pytest.raises(ConfigurationError, match=r"but the monthly budget .* or VERIRAMP_BUDGET_PER_MONTH=0$"):
            settings_from({**unbounded_day, **month, "VERIRAMP_STORE_URL": ""}, profile="x")
    both = budget_of(settings_from({**GOOD, **month, "VERIRAMP_BUDGET_PER_DAY": "50"}, profile="x"))
    assert both is not None
    assert (both.per_day, both.per_month, both.at_once) == (50, 1000, 0.25)
    assert budget_of(settings_from({**GOOD, **STORE}, profile="x")) is None


@pytest.mark.parametrize(
    "url", ["http://v", "https://v/", "http://10.0.0.1:8080/base", "http://[::1]:8080", "http://ü.de"]
)
def test_a_verifier_may_be_anywhere(url: str) -> None:
    assert settings_from({**GOOD, **STORE, "VERIRAMP_VERIFIER_URL": url}, profile="x").verifier_url == url


def test_what_is_secret_is_not_shown() -> None:
    secret = {"VERIRAMP_ADMIN_TOKEN": TOKEN, "VERIRAMP_STORE_URL": "redis://:hunter2@redis:6379/0"}
    settings = settings_from({**GOOD, **secret}, profile="x")
    assert (settings.admin_token, settings.store_url) == tuple(secret.values())
    assert TOKEN not in repr(settings)
    assert "hunter2" not in repr(settings)


@pytest.mark.shows("S1-DEP-02")
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"VERIRAMP_BROKERS": ""}, "VERIRAMP_BROKERS is not set; write host:port"),
        ({"VERIRAMP_BROKERS": "kafka"}, 'VERIRAMP_BROKERS is "kafka"; write host:port'),
        (
            {"VERIRAMP_BROKERS": "a:9092,b:65536"},
            'VERIRAMP_BROKERS is "a:9092,b:65536", with "b:65536"; write host:port',
        ),
        ({"VERIRAMP_BROKERS": "a:0"}, "with ports from 1 to 65535"),
        ({"VERIRAMP_FLAGS_URL": "http://flags"}, "VERIRAMP_FLAGS_URL"),
        ({"VERIRAMP_FLAGS_URL": ""}, "VERIRAMP_FLAGS_URL is not set; write the flag server's gRPC address, host:port"),
        (
            {"VERIRAMP_FLAGS_URL": "flags:65536"},
            'VERIRAMP_FLAGS_URL is "flags:65536"; write the flag server\'s gRPC address, host:port, with a port from 1',
        ),
        ({"VERIRAMP_FLAGS_URL": "grpc://flags:0"}, "with a port from 1 to 65535"),
        ({"VERIRAMP_FLAGS_URL": "grpc://hush@flags:1"}, 'VERIRAMP_FLAGS_URL is "...@flags:1"; write'),
        ({"VERIRAMP_KAFKA_SECURITY_PROTOCOL": "TLS"}, "write PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
        ({"VERIRAMP_ROLLOUT": "demo"}, "namespace/name"),
        ({"VERIRAMP_PROFILE": "Orchestrator"}, 'VERIRAMP_PROFILE is "Orchestrator"; write the name of a profile'),
        ({"VERIRAMP_PROFILE": "a" * 64}, "write the name of a profile: at most 63 lower case letters"),
        ({"VERIRAMP_PORT": "80800"}, 'VERIRAMP_PORT is "80800"; write a whole number from 0 to 65535'),
        ({"VERIRAMP_SOLVERS": "0"}, "from 1 to 64"),
        ({"VERIRAMP_VERIFIER_URL": "verifier"}, "write the verifier's base URL"),
        (
            {"VERIRAMP_VERIFIER_URL": "http://verifier:99999"},
            'VERIRAMP_VERIFIER_URL is "http://verifier:99999"; write the verifier\'s base URL',
        ),
        ({"VERIRAMP_VERIFIER_URL": "http://verifier:0"}, "with a port from 1 to 65535"),
        ({"VERIRAMP_VERIFIER_URL": "http://verifier:http"}, "write the verifier's base URL"),
        ({"VERIRAMP_VERIFIER_URL": "http://[::1"}, "write the verifier's base URL"),
        ({"VERIRAMP_VERIFIER_URL": "http://:8080"}, "write the verifier's base URL"),
        ({"VERIRAMP_VERIFIER_URL": f"http://{'a' * 64}:8080"}, "write the verifier's base URL"),
        ({"VERIRAMP_VERIFIER_URL": "http://name:hush@verifier"}, 'is "...@verifier"; write the verifier\'s base URL'),
        ({"VERIRAMP_VERIFIER_READ_SECONDS": "0"}, "write a number of seconds from 0.1 to 3600"),
        ({"VERIRAMP_VERIFIER_DEADLINE_SECONDS": "-1"}, "VERIRAMP_VERIFIER_DEADLINE_SECONDS is"),
        ({"VERIRAMP_COMMIT_SECONDS": "soon"}, 'VERIRAMP_COMMIT_SECONDS is "soon"; write a number of seconds'),
        ({"VERIRAMP_SESSION_SECONDS": "1"}, "from 6 to 300"),
        (
            {"VERIRAMP_RETRY_SECONDS": "60"},
            "write two numbers of seconds, the second not below the first, such as 60,600",
        ),
        ({"VERIRAMP_RETRY_SECONDS": "600,60"}, 'VERIRAMP_RETRY_SECONDS is "600,60"; write two numbers of seconds'),
        (
            {"VERIRAMP_BUDGET_PER_DAY": "-1"},
            'VERIRAMP_BUDGET_PER_DAY is "-1"; write a whole number from 0 to 1000000000',
        ),
        ({"VERIRAMP_BUDGET_PER_DAY": "lots"}, "or none"),
        ({"VERIRAMP_BUDGET_PER_DAY": "5"}, "VERIRAMP_STORE_URL is not set"),
        ({"VERIRAMP_BUDGET_PER_MONTH": "1.5"}, 'VERIRAMP_BUDGET_PER_MONTH is "1.5"; write a whole number'),
        ({"VERIRAMP_BUDGET_AT_ONCE": "2"}, 'VERIRAMP_BUDGET_AT_ONCE is "2"; write a number from 0 to 1'),
        ({"VERIRAMP_BUDGET_WARNING": "80"}, 'VERIRAMP_BUDGET_WARNING is "80"; write a number from 0.01 to 1'),
        ({"VERIRAMP_TIME_ZONE": "Mars/North"}, 'VERIRAMP_TIME_ZONE is "Mars/North"; write an IANA time zone'),
        ({"VERIRAMP_TIME_ZONE": "../etc"}, "write an IANA time zone"),
        ({"VERIRAMP_PRICE": "nan"}, 'VERIRAMP_PRICE is "nan"; write a number from 0 to 1e+06'),
        ({"VERIRAMP_ADMIN_TOKEN": "hush"}, "VERIRAMP_ADMIN_TOKEN is too short; write at least 16 characters"),
        (
            {"VERIRAMP_ADMIN_TOKEN": "hush-0123456789-\u00e9"},
            "VERIRAMP_ADMIN_TOKEN has characters that no client can send; write letters, digits and signs of ASCII",
        ),
        ({"VERIRAMP_ADMIN_TOKEN": "hush\n0123456789abc"}, "write letters, digits and signs of ASCII"),
        ({"VERIRAMP_LOG_LEVEL": "loud"}, "DEBUG, INFO"),
        ({"VERIRAMP_LOG_FORMAT": "xml"}, 'VERIRAMP_LOG_FORMAT is "xml"; write json or text'),
    ],
)
def test_wrong_settings_say_what_to_write(change: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        settings_from({**GOOD, **change}, profile="orchestrator")
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "hush" not in str(refused.value), "a token is never shown"


def test_the_service_reads_the_same_names() -> None:
    settings = service_settings_from({"VERIRAMP_LOG_FORMAT": "text", "VERIRAMP_SOLVERS": "3"})
    assert (settings.log_format, settings.solvers) == ("text", 3)


def test_a_wrong_configuration_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in GOOD:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SystemExit) as ended:
        main(["orchestrator"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "veriramp-worker: VERIRAMP_BROKERS is not set; write host:port, several separated by commas\n"
    )


def a_log_record(message: str, *, failed: bool = False, **fields: object) -> logging.LogRecord:
    record = logging.makeLogRecord({"name": "veriramp_workers", "levelno": 30, "levelname": "WARNING", "msg": message})
    vars(record).update(fields)
    if failed:
        try:
            int("two\nlines")
        except ValueError:
            record.exc_info = sys.exc_info()
    return record


def test_a_log_line_is_one_json_object_with_the_fields_of_its_record() -> None:
    line = JsonFormatter().format(
        a_log_record("two\nlines", failed=True, chunk="ab12", trace="", status=None, code=503)
    )
    assert "\n" not in line
    read = json.loads(line)
    assert read.pop("exception").endswith(r"'two\nlines'")
    assert read.pop("time").endswith("+00:00")
    assert read == {
        "level": "WARNING",
        "logger": "veriramp_workers",
        "message": "two\nlines",
        "chunk": "ab12",
        "code": 503,
    }


def test_a_log_line_for_people_has_the_fields_behind_it() -> None:
    line = TextFormatter().format(a_log_record("two\nlines", tenant="a\nb", code=503))
    assert line.endswith("WARNING veriramp_workers: two lines tenant=a b code=503")


class Admin:
    """An app with admin endpoints, and what was asked of it."""

    def __init__(self, token: str) -> None:
        self.resets = 0
        routes = admin_routes(token, lambda: {"resets": self.resets}, self.reset)
        self.app = health_app(CollectorRegistry(), lambda: "", routes)

    def reset(self) -> None:
        self.resets += 1

    async def ask(self, method: str, path: str, authorization: str | None = None) -> httpx.Response:
        headers = {} if authorization is None else {"authorization": authorization}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://worker") as client:
            return await client.request(method, path, headers=headers)


@pytest.mark.shows("S1-VER-08")
@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"])
async def test_who_has_no_token_is_refused(given: str | None) -> None:
    admin = Admin(TOKEN)
    for method, path in (("POST", "/admin/breaker/reset"), ("GET", "/admin/stats")):
        answer = await admin.ask(method, path, given)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert admin.resets == 0


@pytest.mark.shows("S1-VER-08")
async def test_who_has_the_token_sees_and_resets() -> None:
    admin = Admin(TOKEN)
    assert (await admin.ask("GET", "/admin/stats", f"Bearer {TOKEN}")).json() == {"resets": 0}
    assert (await admin.ask("POST", "/admin/breaker/reset", f"bearer {TOKEN}")).json() == {"resets": 1}
    assert (await admin.ask("GET", "/admin/breaker/reset", f"Bearer {TOKEN}")).status_code == 405


@pytest.mark.shows("S1-VER-08")
async def test_without_a_token_there_is_nothing_to_administrate() -> None:
    admin = Admin("")
    for given in (None, "Bearer", "Bearer "):
        assert (await admin.ask("POST", "/admin/breaker/reset", given)).status_code == 404
        assert (await admin.ask("GET", "/admin/stats", given)).status_code == 404
    assert admin.resets == 0


@pytest.mark.parametrize("host", ["999.1.1.1", "192.0.2.1", "name..without", "[::1]", "2001:db8::1"])
async def test_an_address_of_another_machine_is_an_error_with_a_name(host: str) -> None:
    with pytest.raises(OSError, match=re.escape(f"port 0 of {host} cannot be had: {host} is no address of this")):
        async with serving(health_app(CollectorRegistry(), lambda: ""), host, 0):
            pass


async def test_a_port_that_is_taken_is_an_error_with_a_name() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} of 127.0.0.1 cannot be had: Address already in use"):
            async with serving(health_app(CollectorRegistry(), lambda: ""), "127.0.0.1", port):
                pass
