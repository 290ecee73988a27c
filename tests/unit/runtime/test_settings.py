"""Settings and configuration file: what is wrong is told in one sentence that says what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from veriramp_operator.api.config import OperatorConfig
from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.runtime.settings import Settings


def test_defaults_need_nothing() -> None:
    settings = Settings.from_environment({})
    assert (settings.host, settings.health_port, settings.alerts_port) == ("127.0.0.1", 8080, 8081)
    assert (settings.namespaces, settings.lease_name, settings.alert_token) == ((), "veriramp-operator", "")
    assert settings.config == OperatorConfig()


def test_everything_can_be_set(tmp_path: Path) -> None:
    config, token = tmp_path / "config.yaml", tmp_path / "token"
    config.write_text("endpoints: {default: {url: 'http://prometheus:9090', scrapeInterval: 30s}}\n")
    token.write_text("  secret\n")
    settings = Settings.from_environment(
        {
            "VERIRAMP_CONFIG": str(config),
            "VERIRAMP_ALERT_TOKEN_FILE": str(token),
            "VERIRAMP_WATCH_NAMESPACES": "search, other ,",
            "VERIRAMP_HEALTH_PORT": "0",
            "VERIRAMP_ALERTS_PORT": "9001",
            "VERIRAMP_LEASE_NAME": "mine",
            "POD_NAMESPACE": "system",
            "POD_NAME": "operator-0",
            "POD_IP": "127.10.0.1",
        }
    )
    assert settings.namespaces == ("search", "other")
    assert (settings.host, settings.health_port, settings.alerts_port) == ("127.10.0.1", 0, 9001)
    assert (settings.lease_namespace, settings.lease_name, settings.alert_token) == ("system", "mine", "secret")
    assert settings.identity.startswith("operator-0_")
    assert settings.config.endpoints["default"].scrape_interval == 30.0


def test_a_host_of_its_own_wins_over_the_pods() -> None:
    assert Settings.from_environment({"VERIRAMP_HOST": "::1", "POD_IP": "127.10.0.1"}).host == "::1"


@pytest.mark.parametrize("port", ["eighty", "-1", "65536", "80.0", " 80"])
@pytest.mark.parametrize("name", ["VERIRAMP_HEALTH_PORT", "VERIRAMP_ALERTS_PORT"])
def test_a_bad_port_is_told(name: str, port: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        Settings.from_environment({name: port})
    assert str(told.value) == f"{name}={port!r} is not a port; write a number from 0 (any free one) to 65535"


def test_a_config_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    with pytest.raises(ConfigurationError) as told:
        Settings.from_environment({"VERIRAMP_CONFIG": str(path)})
    assert str(told.value) == f"VERIRAMP_CONFIG={path}: No such file or directory; name a readable YAML file"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("endpoints: [", "not YAML"),
        ("endpoints: {}\nendpoints: {}", 'the key "endpoints" stands twice; keep one'),
        ("endpoint: {}", "endpoint: Extra inputs are not permitted (found {})"),
        ("- a", "Input should be a valid dictionary"),
        ("endpoints: {default: {url: prometheus}}", "endpoints.default.url: String should match pattern"),
        ("endpoints: {default: {}}", "endpoints.default.url: Field required"),
        ("endpoints: {default: {url: 'http://p', scrapeInterval: soon}}", "'soon' is not a duration"),
        ("profiles: {worker: {image: ''}}", "profiles.worker.image: String should have at least 1 character"),
        ("profiles: {worker: {image: a, port: 0}}", "profiles.worker.port: Input should be greater than or equal to 1"),
        ("limits: {maxRankingWeight: 2}", "limits.maxRankingWeight: Input should be less than or equal to 1 (found 2)"),
        ("flagServer: {grpcPort: http}", "flagServer.grpcPort: Input should be a valid integer"),
    ],
)
def test_a_bad_config_file_is_told_with_field_and_value(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as told:
        Settings.from_environment({"VERIRAMP_CONFIG": str(path)})
    assert str(path) in str(told.value)
    assert says in str(told.value)


def test_an_empty_config_file_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("")
    assert Settings.from_environment({"VERIRAMP_CONFIG": str(path)}).config == OperatorConfig()


@pytest.mark.shows("S1-SEC-01")
def test_an_alert_token_that_is_missing_or_empty_is_told(tmp_path: Path) -> None:
    path = tmp_path / "token"
    with pytest.raises(ConfigurationError, match="No such file or directory; mount the token there"):
        Settings.from_environment({"VERIRAMP_ALERT_TOKEN_FILE": str(path)})
    path.write_text("\n")
    with pytest.raises(ConfigurationError, match="is empty; write a random token of 32 characters"):
        Settings.from_environment({"VERIRAMP_ALERT_TOKEN_FILE": str(path)})


def test_several_wrong_fields_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as told:
        OperatorConfig.parse({"limits": {"maxRankingWeight": -1}, "other": 1}, "config.yaml")
    assert "limits.maxRankingWeight" in str(told.value)
    assert "other" in str(told.value)


def test_images_outside_the_allow_list_are_told_with_their_profile() -> None:
    raw = {"allowedImagePrefixes": ["veriramp/"], "profiles": {"worker": {"image": "elsewhere/worker"}}}
    with pytest.raises(ConfigurationError) as told:
        OperatorConfig.parse(raw, "config.yaml")
    assert str(told.value) == (
        "config.yaml: profiles.worker.image: 'elsewhere/worker' begins with none of allowedImagePrefixes "
        "['veriramp/']; add its prefix there or use another image"
    )


@pytest.mark.parametrize(("prefixes", "allowed"), [((), True), (("veriramp/",), True), (("other/",), False)])
def test_the_allow_list(prefixes: tuple[str, ...], allowed: bool) -> None:
    assert OperatorConfig(allowed_image_prefixes=prefixes).allows_image("veriramp/workers") is allowed
