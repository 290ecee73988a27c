"""Real Redis and PostgreSQL for tests, as Debian's packages bring them: started by hand, never as system services.

Public names: :class:`Server`, :func:`a_redis`, :func:`a_postgres`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.pipeline import free_port
from tests.support.waiting import wait_for

PASSWORD = "s3cret-of-the-store"
START_SECONDS = 60.0
STOP_SECONDS = 60.0


@dataclass
class Server:
    """One server on a port of loopback that it keeps over restarts; ``url`` has the password in it."""

    url: str
    port: int
    log: Path
    command: Sequence[str]
    answers: Callable[[], bool]
    stop_signal: signal.Signals
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        """Start it, again and again while what is left of the last one goes away, and wait until it answers."""
        wait_for(self._starts, START_SECONDS, f"{self.command[0]} to answer; see {self.log}")

    def stop(self) -> None:
        """Stop it in order."""
        if self.process is not None:
            self.process.send_signal(self.stop_signal)
            self._wait()

    def kill(self) -> None:
        """kill -9, with all its processes."""
        self._tell(signal.SIGKILL)
        self._wait()

    def hang(self) -> None:
        """Make it neither work nor go away; nothing else notices."""
        self._tell(signal.SIGSTOP)

    def go_on(self) -> None:
        """End :meth:`hang`."""
        self._tell(signal.SIGCONT)

    def pids(self) -> list[int]:
        """The server and its children: PostgreSQL has one for each connection."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="ascii")
        return [self.process.pid, *(int(pid) for pid in children.split())]

    def _starts(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            with self.log.open("ab") as output:
                self.process = subprocess.Popen(
                    self.command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd="/"
                )
        return self.answers()

    def _tell(self, number: signal.Signals) -> None:
        for pid in self.pids():
            # A connection that has ended takes its process with it.
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _wait(self) -> None:
        assert self.process is not None
        self.process.wait(timeout=STOP_SECONDS)
        self.process = None


@contextmanager
def a_redis(folder: Path, *, fsync: str = "everysec") -> Iterator[Server]:
    """A Redis with a password that writes down every change, with ``fsync`` always before it is answered."""
    program = _program("redis-server", (), "redis-server")
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "redis.conf"
    lines = ("bind 127.0.0.1", f"port {port}", f"dir {folder}", f"requirepass {PASSWORD}", 'save ""')
    settings.write_text("\n".join((*lines, "appendonly yes", f"appendfsync {fsync}\n")), encoding="utf-8")
    ping = (_program("redis-cli", (), "redis-tools"), "-p", str(port), "ping")
    with _running(
        Server(
            url=f"redis://:{PASSWORD}@127.0.0.1:{port}/0",
            port=port,
            log=folder / "redis.log",
            command=(program, str(settings)),
            answers=lambda: b"NOAUTH" in _output(ping),
            stop_signal=signal.SIGTERM,
        )
    ) as server:
        yield server


@contextmanager
def a_postgres(folder: Path) -> Iterator[Server]:
    """A PostgreSQL with a password, for its owner ``veriramp``; ``folder`` gets the log."""
    folder.mkdir(parents=True, exist_ok=True)
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    user = _unprivileged()
    port = free_port()
    # pytest's folders belong to root alone, whom initdb refuses.
    with tempfile.TemporaryDirectory(prefix="veriramp-pg-") as home:
        if user is not None:
            shutil.chown(home, user)
        data = f"{home}/data"
        secret = Path(home, "password")
        secret.write_text(PASSWORD, encoding="utf-8")
        secret.chmod(0o644)
        initdb = _program("initdb", places, "postgresql")
        arguments = ("-D", data, "-U", "veriramp", "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync")
        made = (*_as(user), initdb, *arguments, "--encoding=UTF8", "--locale=C")
        subprocess.run(made, check=True, capture_output=True, cwd="/")
        options = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "shared_buffers": "16MB",
        }
        ready = (_program("pg_isready", places, "postgresql-client"), "-q", "-h", "127.0.0.1", "-p", str(port))
        command = [*_as(user), _program("postgres", places, "postgresql"), "-D", data]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        with _running(
            Server(
                url=f"postgresql://veriramp:{PASSWORD}@127.0.0.1:{port}/postgres",
                port=port,
                log=folder / "postgres.log",
                command=command,
                answers=lambda: subprocess.run(ready, check=False).returncode == 0,
                stop_signal=signal.SIGINT,
            )
        ) as server:
            yield server


@contextmanager
def _running(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        if server.process is not None:
            server.go_on()
            try:
                server.stop()
            except subprocess.TimeoutExpired:
                server.kill()
                raise


def _program(name: str, places: Sequence[Path], package: str) -> str:
    found = shutil.which(name) or next((str(path / name) for path in places if (path / name).exists()), None)
    assert found, f"{name} is not installed: apt-get install {package}"
    return found


def _unprivileged() -> str | None:
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _as(user: str | None) -> tuple[str, ...]:
    return (
        () if user is None else ("setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups")
    )


def _output(command: Sequence[str]) -> bytes:
    done = subprocess.run(command, check=False, capture_output=True)
    return done.stdout + done.stderr
