"""``make pipeline`` and the guide to it: what it prints, the parts by hand, the fixture for other people's tests."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.support.documents import GUIDE, blocks
from tests.support.pipeline import free_port
from tests.support.rollouts import ROOT
from tests.support.waiting import wait_for

PAGE = GUIDE / "pipeline-on-one-machine.md"
SECONDS = 240.0
PIPELINE = (sys.executable, "-m", "tools.pipeline")
ADDRESS = re.compile(r"127\.0\.0\.1:(\d+)")


def the_block(mark: str, language: str) -> str:
    (found,) = [block for block in blocks(language, of=PAGE) if block.mark == mark]
    return found.text


def lines(text: str) -> list[str]:
    """The lines without the time that stands before them."""
    return [re.sub(r"^\[ *[\d.]+s\] ", "", line) for line in text.splitlines() if line]


def refused(port: str | int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", int(port))) != 0


@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.shows("S1-FLAG-05")
def test_the_pipeline_shows_what_the_guide_says(tmp_path: Path) -> None:
    command = [*PIPELINE, "--build", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    printed = iter(lines(done.stdout))
    for line in lines(the_block("printed", "")):
        assert line in printed, f"the guide shows a line that is not printed, or not there: {line}\n{done.stdout}"
    ports = set(ADDRESS.findall(done.stdout))
    assert len(ports) == 4, "broker, flag server, orchestrator, search"
    assert all(refused(port) for port in ports), "nothing is left"


@pytest.mark.timeout(SECONDS + 60)
def test_what_is_kept_runs_until_it_is_told_and_the_commands_that_it_prints_work(tmp_path: Path) -> None:
    output = tmp_path / "output"
    with output.open("wb") as written:
        process = subprocess.Popen([*PIPELINE, "--keep", "--build", str(tmp_path)], cwd=ROOT, stdout=written)
    try:
        wait_for(lambda: "tail -f" in output.read_text() or process.poll() is not None, SECONDS, "the commands")
        commands = [line for line in output.read_text().splitlines() if line.startswith("  ") and " -" in line][-6:]
        search = re.findall(r"search +(http://\S+)", output.read_text())[0]
        for command in commands:
            if shlex.split(command)[0] in {"sed", "curl"} and shutil.which(shlex.split(command)[0]):
                subprocess.run(["bash", "-euc", command], cwd=ROOT, check=True, timeout=100)

        def is_live() -> bool:
            page = httpx.get(
                f"{search}/search", params={"q": "Soneir bridge", "user": "user-1"}, timeout=30, trust_env=False
            )
            return bool(page.json()["mode"] == "Live")

        wait_for(is_live, 60, "what the first command wrote")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
    assert all(refused(port) for port in set(ADDRESS.findall(output.read_text())))


@contextmanager
def the_parts_by_hand(folder: Path) -> Iterator[dict[str, int]]:
    """The commands of the guide as they stand there, but for their ports."""
    script = the_block("runs", "sh").replace("flags.yaml flags.yaml", f"flags.yaml {folder}/flags.yaml")
    script = script.replace("--file flags.yaml", f"--file {folder}/flags.yaml")
    script = script.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    ports = {name: free_port() for name in ("9092", "8015", "8016", "8080", "8081")}
    for name, port in ports.items():
        script = re.sub(rf"\b{name}\b", str(port), script)
    env = {name: value for name, value in os.environ.items() if not name.startswith("VERIRAMP_")}
    cache = {name: value for name, value in os.environ.items() if name == "VERIRAMP_CACHE"}
    own = {
        "VERIRAMP_GRPC_PORT": str(ports["8015"]),
        "VERIRAMP_HTTP_PORT": str(ports["8016"]),
        "VERIRAMP_PORT": str(ports["8080"]),
    }
    command = ["bash", "-eu", "-c", f"{script}\nwait"]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**env, **cache, **own}, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield ports
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
        # What the shell started is not ours to wait for, but it must go too.
        wait_for(lambda: all(refused(port) for port in ports.values()), 60, "every port to be free again")


@pytest.mark.timeout(SECONDS + 60)
def test_the_parts_by_hand_change_the_order(tmp_path: Path) -> None:
    with the_parts_by_hand(tmp_path) as ports:

        def page(user: str) -> bool:
            url = f"http://127.0.0.1:{ports['8080']}/search"
            try:
                answer = httpx.get(url, params={"q": "Soneir bridge", "user": user}, timeout=30, trust_env=False)
            except httpx.TransportError:
                return False
            return bool(answer.json()["orderChanged"])

        wait_for(lambda: page("user-1"), SECONDS, f"another order; see {tmp_path}/output")
        assert not page("user-3")

        def all_judged() -> bool:
            text = httpx.get(f"http://127.0.0.1:{ports['8081']}/metrics", timeout=30, trust_env=False).text
            return 'verification_verdicts_total{verdict="contradicted"} 2.0' in text

        wait_for(all_judged, SECONDS, "both contradicted results to be counted")


def test_the_fixture_of_the_guide_runs(tmp_path: Path) -> None:
    (tmp_path / "test_guide.py").write_text(the_block("runs", "python"))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    search_path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PATH": search_path},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
