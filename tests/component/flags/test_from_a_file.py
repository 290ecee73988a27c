"""``veriramp-flagserver --file``: a process without a cluster, with the SDK and a stock provider as its clients."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext
from prometheus_client import CollectorRegistry

from tests.support.flagfile import LIVE, OFF, FlagFile, a_flag_file
from tests.support.waiting import wait_for
from veriramp_sdk.contract import Mode
from veriramp_sdk.flags import Flags

SECONDS = 30.0


@contextmanager
def following(file: FlagFile) -> Iterator[Flags]:
    with Flags(file.address, "search/demo", registry=CollectorRegistry()) as flags:
        yield flags


def mode_is(flags: Flags, mode: Mode) -> None:
    wait_for(lambda: flags.state().mode is mode, SECONDS, f"the mode {mode}")


@pytest.mark.shows("S1-FLAG-04")
def test_the_sdk_follows_the_file(tmp_path: Path) -> None:
    with a_flag_file(tmp_path) as file, following(file) as flags:
        mode_is(flags, Mode.LIVE)
        arms = {flags.decide(f"user-{number}", "query").arm for number in range(50)}
        assert arms == {"control", "treatment"}
        assert flags.settings("orchestrator").values == {"maxConcurrentVerifications": 10}
        first = flags.state().revision
        file.write(LIVE.replace("mode: Live", "mode: Live\nmodes: Live"))
        wait_for(lambda: "there is no field modes" in file.log.read_text(), SECONDS, "the sentence")
        assert flags.state().mode is Mode.LIVE
        assert flags.state().revision == first
        file.write("mode: Off  # in a hurry")
        mode_is(flags, Mode.OFF)
        file.write(LIVE)
        mode_is(flags, Mode.LIVE)
        assert flags.state().revision == first + 2
        file.path.unlink()
        mode_is(flags, Mode.OFF)


def test_a_server_that_starts_anew_is_followed_although_it_counts_from_one(tmp_path: Path) -> None:
    with a_flag_file(tmp_path) as file, following(file) as flags:
        for text, mode in ((LIVE, Mode.LIVE), (OFF, Mode.OFF), (LIVE, Mode.LIVE)):
            file.write(text)
            mode_is(flags, mode)
        assert flags.state().revision == 3
        treated = [flags.decide(f"user-{number}", "query").arm for number in range(50)]
        file.kill()
        port = file.address.rpartition(":")[2]
        command = [sys.executable, "-m", "veriramp_operator.flagserver.main", "--file", str(file.path)]
        file.write(OFF)
        again = subprocess.Popen(command, env={"VERIRAMP_GRPC_PORT": port, "VERIRAMP_HTTP_PORT": "0"})
        try:
            # Not only off: so it is too when the lease of the last document ends before the server is there.
            wait_for(lambda: flags.state().revision == 1, SECONDS, "the first revision of the new server")
            assert flags.state().mode is Mode.OFF
            file.write(LIVE)
            mode_is(flags, Mode.LIVE)
            assert [flags.decide(f"user-{number}", "query").arm for number in range(50)] == treated
        finally:
            again.terminate()
            assert again.wait(SECONDS) == 0


def test_a_stock_provider_follows_the_file(tmp_path: Path) -> None:
    with a_flag_file(tmp_path) as file:
        host, _, port = file.address.partition(":")
        provider = FlagdProvider(
            host=host, port=int(port), resolver_type=ResolverType.IN_PROCESS, selector="search/demo", deadline_ms=10_000
        )
        try:
            api.set_provider_and_wait(provider, "file")
            client = api.get_client("file")

            def arm(**attributes: str | int) -> object:
                value = client.get_object_value("demo", {}, EvaluationContext(attributes=attributes))
                return value.get("arm") if isinstance(value, dict) else value

            wait_for(lambda: arm(bucket=0) == "treatment", SECONDS, "the treatment")
            assert arm(bucket=5000) == "control"
            assert arm(bucket=5000, group="staff") == "forced"
            assert arm() == "off"
            file.write(OFF)
            wait_for(lambda: arm(bucket=0) == "off", SECONDS, "off")
        finally:
            api.clear_providers()


@pytest.mark.parametrize(
    ("text", "arguments", "sentence"),
    [
        ("mode: Live", (), "flags.yaml: rollout is missing; write namespace/name"),
        (None, (), "flags.yaml: there is no such file"),
        (LIVE, ("--fil",), "FLAGS.yaml"),
    ],
)
def test_a_start_that_cannot_succeed_says_why(
    text: str | None, arguments: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "flags.yaml"
    if text is not None:
        path.write_text(text)
    command = [sys.executable, "-m", "veriramp_operator.flagserver.main", *(arguments or ("--file", str(path)))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env={})
    assert done.returncode in {1, 2}
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
