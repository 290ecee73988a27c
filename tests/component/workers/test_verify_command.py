"""``veriramp verify`` as people run it: files, standard input, bad lines, and no solver."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documents import shell_lines
from tests.support.rollouts import ROOT
from veriramp_workers.command.questions import LONGEST_LINE

EXAMPLES = ROOT / "examples" / "verify"
VERIRAMP = (sys.executable, "-m", "veriramp_operator.cli.main")
MORTAL = {"premises": ["Every man is mortal.", "Socrates is a man."], "claim": "Socrates is not mortal."}


def veriramp(*words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*VERIRAMP, *words], input=stdin, capture_output=True, check=False, timeout=200)


@pytest.mark.shows("S1-VER-10", "S1-FAIL-03")
@pytest.mark.parametrize(("output", "golden"), [("json", "verdicts.jsonl"), ("text", "verdicts.txt")])
def test_the_examples_print_what_is_kept_beside_them(output: str, golden: str) -> None:
    done = veriramp("verify", str(EXAMPLES / "texts.jsonl"), "-o", output)
    assert done.stderr == b""
    assert done.returncode == 0
    assert done.stdout.decode() == (EXAMPLES / golden).read_text(encoding="utf-8")


def test_the_walk_through_shows_what_is_printed() -> None:
    kept = (EXAMPLES / "verdicts.txt").read_text(encoding="utf-8")
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    shown = [block for block in readme.split("```")[1::2] if block.startswith("\n")]
    assert len(shown) == 2
    assert all(block.strip("\n") in kept for block in shown)
    judged = [json.loads(line) for line in (EXAMPLES / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(judged) == 10
    for one in judged:
        assert f"| {one['id']} | `{one['verdict']}` |" in readme


def test_the_first_page_shows_what_its_command_prints() -> None:
    (command,) = [line for line in shell_lines(ROOT / "README.md") if "veriramp verify" in line]
    done = veriramp(*shlex.split(command)[1:])
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (shown,) = [block for block in readme.split("```") if block.startswith("\ntext: ")]
    assert done.stdout.decode().startswith(shown.lstrip("\n"))


def test_verdicts_come_in_the_order_of_the_lines_and_extra_fields_do_no_harm() -> None:
    rows = [{"id": number, **MORTAL, "expected": "contradicted"} for number in range(30)]
    done = veriramp("verify", "-", "--solvers", "2", stdin="\n\n".join(map(json.dumps, rows)).encode())
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == [str(number) for number in range(30)]
    assert {answer["verdict"] for answer in answers} == {"contradicted"}
    assert done.returncode == 0


def test_each_bad_line_gets_a_sentence_and_the_others_their_verdict() -> None:
    lines = [b'{"text": "The moon is cheesy."}', b"{", b'{"id": "x"}', b"\xff", b'{"text": "The moon is old."}']
    done = veriramp("verify", "-", stdin=b"\n".join(lines))
    assert done.returncode == 1
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["1", "5"]
    told = done.stderr.decode().splitlines()
    assert [line.partition(": ")[2].partition(":")[0] for line in told] == ["line 2", "line 3", "line 4"]


def test_one_text_on_the_command_line() -> None:
    premises = [word for premise in MORTAL["premises"] for word in ("--premise", premise)]
    done = veriramp("verify", "--text", str(MORTAL["claim"]), *premises)
    assert done.returncode == 0
    assert done.stdout.decode().startswith("text: contradicted - cannot be true together with the premises\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "give a FILE"),
        (("-", "--text", "The moon is old."), "one of them"),
        (("-", "--premise", "The moon is old."), "--premise belongs to --text"),
        (("no/such.jsonl",), "no/such.jsonl: No such file or directory"),
        ((str(ROOT),), "Is a directory"),
        (("-", "--solvers", "0"), "write 1 to 64"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(words: tuple[str, ...], told: str) -> None:
    done = veriramp("verify", *words)
    assert done.returncode == 2
    assert told in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_without_the_solver_a_sentence_says_what_to_install_and_the_other_commands_work(tmp_path: Path) -> None:
    (tmp_path / "z3").mkdir()
    (tmp_path / "z3" / "__init__.py").write_text("raise ImportError(\"No module named 'z3'\", name='z3')\n")
    away = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [*VERIRAMP, "verify", "--text", "The moon is old."], env=away, capture_output=True, check=False, timeout=200
    )
    assert done.returncode == 2
    assert b"pip install 'veriramp[workers]'" in done.stderr
    assert subprocess.run([*VERIRAMP, "version"], env=away, capture_output=True, check=True, timeout=200).stdout


def test_a_terminal_is_told_how_many_were_judged() -> None:
    ours, theirs = pty.openpty()
    lines = f"{json.dumps(MORTAL)}\nnonsense\n".encode()
    subprocess.run(
        [*VERIRAMP, "verify", "-"], input=lines, stdout=subprocess.DEVNULL, stderr=theirs, check=False, timeout=200
    )
    os.close(theirs)
    told = b""
    with contextlib.suppress(OSError):  # the end of a terminal is an error
        while part := os.read(ours, 4096):
            told += part
    os.close(ours)
    assert b"error: line 2: this is no JSON" in told
    assert b"1 judged: 1 contradicted; 1 line could not be read" in told


def test_a_file_may_begin_with_a_byte_order_mark_and_end_its_lines_as_windows_does() -> None:
    done = veriramp(
        "verify", "-", stdin=b'\xef\xbb\xbf{"text": "The moon is old."}\r\n{"text": "The moon is old."}\r\n'
    )
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2)


@pytest.mark.parametrize("extra", [2, LONGEST_LINE, 3 * LONGEST_LINE + 7])
def test_a_line_that_is_too_long_is_one_line(extra: int) -> None:
    done = veriramp("verify", "-", stdin=b"x" * (LONGEST_LINE + extra) + b'\n{"text": "The moon is old."}')
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["2"]
    assert [line.partition(b"; ")[0] for line in done.stderr.splitlines()] == [
        b"error: line 1: the line is longer than 1048576 bytes"
    ]


def test_a_full_disk_is_one_sentence() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*VERIRAMP, "verify", "-"],
            input=json.dumps(MORTAL).encode(),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=200,
        )
    assert (done.returncode, done.stderr.decode()) == (
        1,
        "error: the verdicts cannot be written any further: No space left on device\n",
    )


def test_output_that_nobody_reads_ends_the_command() -> None:
    rows = "\n".join(json.dumps(MORTAL) for _ in range(200)).encode()
    with subprocess.Popen(
        [*VERIRAMP, "verify", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdin.write(rows + b"\n")
        running.stdin.flush()
        assert running.stdout.readline().startswith(b"{")
        running.stdout.close()
        assert running.wait(timeout=200) == 0
        assert b"Traceback" not in running.stderr.read()
