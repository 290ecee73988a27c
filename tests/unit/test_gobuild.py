"""The builder, with a script in place of the compiler: what is kept, what is dropped, what is said."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import write_program
from tools import gobuild
from tools.programs import PROGRAMS, TOOLS
from tools.progress import Progress
from tools.toolchain import BuildFailed, ToolMissing, ensure


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"VERIRAMP_CACHE": "/a/b", "XDG_CACHE_HOME": "/c"}, "/a/b/tools"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/veriramp/tools"),
        ({"VERIRAMP_CACHE": "", "XDG_CACHE_HOME": ""}, "~/.cache/veriramp/tools"),
    ],
)
def test_cache_folder(environment: dict[str, str], folder: str) -> None:
    assert gobuild.cache_folder(environment) == Path(folder).expanduser()


@pytest.mark.parametrize(
    ("go", "sentence"),
    [
        (None, "no `go` on PATH"),
        ("echo go1.24.9", r"is go1\.24\.9, which is too old"),
        ("echo 'go.mod requires go >= 1.26.0 (running go 1.25.1; GOTOOLCHAIN=local)' >&2; exit 1", "running go 1.25.1"),
    ],
)
def test_without_a_new_enough_go_the_error_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, go: str | None, sentence: str
) -> None:
    (tmp_path / "bin").mkdir()
    if go is not None:
        write_program(tmp_path / "bin" / "go", go)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("VERIRAMP_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ToolMissing, match=rf"(?s){sentence}.*Install Go >= 1\.26"):
        ensure(["broker"])


@pytest.mark.parametrize(
    ("text", "enough"),
    [("go1.26.0\n", True), ("go1.27rc1", True), ("go2.0", True), ("go1.25.3", False), ("go1.9", False), ("", False)],
)
def test_go_is_new_enough(text: str, enough: bool) -> None:
    assert gobuild.go_is_new_enough(text) is enough


FAKE_GO = """
if [ "$1" = env ]; then echo go1.26.1; exit 0; fi
echo "example.org/package/one" >&2
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\\necho built\\n' > "$2/broker" && chmod +x "$2/broker"
"""


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder, and a `go` on PATH that writes a script."""
    write_program(tmp_path / "bin" / "go", FAKE_GO)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("VERIRAMP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tools"


def test_ensure_builds_once_keeps_the_binary_and_drops_the_work(
    builder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = ensure(["broker"])["broker"]
    assert subprocess.run([path], capture_output=True, text=True, check=True).stdout == "built\n"
    assert not (builder / ".work").exists()
    said = capsys.readouterr().err
    assert said.startswith("Building 1 program from source, about ")
    assert "broker: built in " in said
    assert ensure(["broker"]) == {"broker": path}
    assert capsys.readouterr().err == ""


def test_what_costs_nearly_nothing_is_built_along_and_alone_only_when_asked_for(builder: Path, tmp_path: Path) -> None:
    both = FAKE_GO.replace("$2/broker", "$2/prometheus") + 'cp "$2/prometheus" "$2/promtool"\n'
    write_program(tmp_path / "bin" / "go", both)

    def said(name: str) -> str:
        stream = io.StringIO()
        gobuild.build([name], builder, Progress(stream))
        return stream.getvalue()

    assert "prometheus, promtool: built in " in said("prometheus")
    gobuild.cached(PROGRAMS["promtool"], builder).unlink()
    assert said("prometheus") == ""
    assert "\npromtool: built in " in said("promtool")


def test_the_next_estimate_is_what_the_last_build_took(builder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    builder.mkdir(parents=True)
    (builder / "seconds.json").write_text('{"broker": 3725}')
    ensure(["broker"])
    assert "about 62 min 05 s in total" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", '{"broker": null}', "{"])
def test_a_broken_record_of_seconds_does_no_harm(builder: Path, text: str) -> None:
    builder.mkdir(parents=True)
    (builder / "seconds.json").write_text(text)
    assert ensure(["broker"])["broker"].exists()


def test_a_failed_build_shows_the_tail_of_its_log_and_keeps_no_binary(builder: Path, tmp_path: Path) -> None:
    write_program(
        tmp_path / "bin" / "go", '[ "$1" = env ] && echo go1.26.1 && exit 0; seq 100; echo undefined: x; exit 2'
    )
    with pytest.raises(
        BuildFailed, match=r"(?s)Building broker failed after .*build\.log:\n.*100\nundefined: x$"
    ) as failed:
        ensure(["broker"])
    assert "\n50\n" not in str(failed.value)
    assert not gobuild.cached(PROGRAMS["broker"], builder).exists()
    assert (builder / ".work").exists(), "the next try goes on where this one stopped"


def test_too_little_room_is_said_before_anything_is_built(builder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1_500_000_000))
    with pytest.raises(ToolMissing, match=r"needs 4 GB .* has 1\.5 GB free.*VERIRAMP_CACHE"):
        ensure(["broker"])
    assert not gobuild.cached(PROGRAMS["broker"], builder).exists()


def test_the_environment_of_go_is_ours_where_it_decides_what_is_built_or_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "GOOS": "plan9",
        "GOFLAGS": "-tags=x",
        "GOWORK": "/w",
        "GOPROXY": "https://proxy.example",
    }.items():
        monkeypatch.setenv(name, value)
    environment = gobuild.go_environment(tmp_path)
    assert "GOOS" not in environment
    assert (environment["CGO_ENABLED"], environment["GOWORK"]) == ("0", "off")
    assert "-tags" not in environment["GOFLAGS"]
    assert environment["GOPROXY"] == "https://proxy.example"
    for name in ("GOCACHE", "GOPATH", "GOMODCACHE", "GOTMPDIR"):
        assert Path(environment[name]).is_relative_to(tmp_path)


def test_sigterm_ends_the_compiler_gives_the_lock_back_and_keeps_the_work(builder: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "started"
    os.mkfifo(fifo)
    write_program(
        tmp_path / "bin" / "go", f'[ "$1" = env ] && echo go1.26.1 && exit 0; echo $$ > {fifo}; exec sleep 600'
    )
    command = [sys.executable, str(TOOLS / "toolchain.py"), "build", "broker"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        compiler = int(fifo.read_text())
        assert process.stderr is not None
        assert any(b" of about " in line for line in process.stderr), "it watches the compiler"
        process.terminate()
        assert process.wait(timeout=100) == 143
    with pytest.raises(ProcessLookupError):
        os.kill(compiler, 0)
    write_program(tmp_path / "bin" / "go", FAKE_GO)
    assert (builder / ".work").exists()
    assert ensure(["broker"])["broker"].exists()


def test_a_second_builder_waits_and_then_finds_what_the_first_one_made(builder: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "started"
    os.mkfifo(fifo)
    waiting_go = FAKE_GO.replace("while", f"echo $$ > {fifo}; read word < {fifo}\nwhile", 1)
    write_program(tmp_path / "bin" / "go", waiting_go)
    command = [sys.executable, str(TOOLS / "toolchain.py"), "build", "broker"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as first:
        fifo.read_text()
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as second:
            assert second.stderr is not None
            assert "waiting for another build" in second.stderr.readline()
            fifo.write_text("go on\n")
            assert first.wait(timeout=100) == 0
            assert second.wait(timeout=100) == 0
            assert "Building" not in second.stderr.read()
    assert gobuild.cached(PROGRAMS["broker"], builder).exists()
