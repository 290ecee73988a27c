from __future__ import annotations

import io

import pytest

from tools.progress import Progress, duration, progress_line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (95, "1 min 35 s"), (3600, "60 min 00 s")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (progress_line("etcd", 35, 260, 812), "  35 s of about 4 min 20 s (812 packages compiled): etcd"),
        (progress_line("etcd", 300, 260, 0), "  5 min 00 s of about 4 min 20 s, longer than expected: etcd"),
        (progress_line("waiting", 5, None, 0), "  5 s: waiting"),
    ],
)
def test_progress_line(line: str, text: str) -> None:
    assert line == text


def test_a_log_gets_a_line_at_once_and_then_one_each_15_s() -> None:
    stream = io.StringIO()
    progress = Progress(stream)
    for second in range(46):
        progress.tick("etcd", second, 60, 0)
    assert [line.split()[0] for line in stream.getvalue().splitlines()] == ["0", "15", "30", "45"]


def test_a_terminal_gets_one_line_that_updates_itself() -> None:
    stream = Terminal()
    progress = Progress(stream)
    for second in range(3):
        progress.tick("etcd, " * 40, second, 60, 0)
    progress.done("etcd: built in 3 s.")
    assert stream.getvalue().count("\n") == 1
    assert all(len(line) < 125 for line in stream.getvalue().split("\r"))
    assert stream.getvalue().endswith("\r\x1b[Ketcd: built in 3 s.\n")
