"""Fetches what a Kafka broker is made of with Maven into the tool cache, and keeps only what `kafka.lock` names.

`install()` fetches what is missing, `installed()` says where it is, `fetch()` and `write_lock()` renew the lock.
The lock has a SHA-256 and a file name (artifact and version) a line, as `sha256sum -c` reads it. What Maven downloads
for itself goes to a work folder that is dropped; the jars appear in the cache by rename, all or none.

Standard library only: this runs before any Python environment exists.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.gobuild import BuildFailed, ToolMissing, end, one_builder
from tools.programs import TOOLS

if TYPE_CHECKING:
    from tools.progress import Progress

POM: Final = TOOLS / "kafka" / "pom.xml"
LOCK: Final = TOOLS / "kafka" / "kafka.lock"
JAVA_WANTED: Final = 17
INSTALL: Final = "for instance: sudo apt-get install default-jre-headless maven"
_EXPECTED_SECONDS: Final = 40.0
_POLL_SECONDS: Final = 0.2
_JAVA_SECONDS: Final = 20.0
_LOG_TAIL_LINES: Final = 15


def version(pom: Path = POM) -> str:
    """The release of Kafka that the pom pins, as in `4.3.1`."""
    found = re.search(r"<artifactId>kafka_[\d.]+</artifactId>\s*<version>([\d.]+)</version>", pom.read_text("utf-8"))
    if found is None:
        raise LookupError(f"{pom.name} names no version of kafka_2.13")
    return found.group(1)


def locked(lock: Path = LOCK) -> dict[str, str]:
    """File names with their SHA-256, as the lock has them."""
    lines = lock.read_text("utf-8").splitlines()
    return {name: digest for digest, name in (line.split("  ") for line in lines)}


def folder(cache: Path) -> Path:
    """Where the jars of this tree's pom and lock are kept in `cache`, whether they are there or not."""
    digest = hashlib.sha256(POM.read_bytes() + b"\0" + LOCK.read_bytes()).hexdigest()
    return cache / f"kafka-{digest[:16]}"


def installed(cache: Path) -> Path:
    """The folder with the jars. Raises ToolMissing, which says what to run, when they are not there."""
    if not folder(cache).is_dir():
        raise ToolMissing(
            f"Kafka {version()} is not on this machine yet: run `python3 tools/toolchain.py build kafka` "
            f"(`make test` does it by itself)."
        )
    return folder(cache)


def java() -> str:
    """A Java that is new enough for a broker. Raises ToolMissing, which says what to install."""
    path = shutil.which("java")
    if path is None:
        raise ToolMissing(f"Kafka needs Java {JAVA_WANTED} or newer and there is no `java` on PATH; {INSTALL}")
    try:
        asked = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=_JAVA_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise ToolMissing(f"`{path} -version` does not work: {problem}; {INSTALL}") from problem
    # Up to Java 8 the number reads "1.8.0".
    found = re.search(r'version "(?:1\.)?(\d+)', asked.stderr)
    if found is None or int(found.group(1)) < JAVA_WANTED:
        said = (asked.stderr.splitlines() or ["nothing"])[0]
        raise ToolMissing(f"Kafka needs Java {JAVA_WANTED} or newer and `{path} -version` says: {said}; {INSTALL}")
    return path


def install(cache: Path, progress: Progress) -> Path:
    """Fetch the jars if they are not in `cache`, with progress; returns their folder.

    Raises ToolMissing when Java or Maven is missing, BuildFailed when Maven fails or what it brings is not what the
    lock names.
    """
    java()
    if folder(cache).is_dir():
        return folder(cache)
    cache.mkdir(parents=True, exist_ok=True)
    with one_builder(cache, progress):
        if not folder(cache).is_dir():
            fetched = fetch(cache / ".kafka", progress)
            if problems := differences(fetched, locked()):
                shutil.rmtree(cache / ".kafka")  # the next try downloads everything anew
                raise BuildFailed(f"Maven brought another Kafka than {LOCK.name} names: {'; '.join(problems)}")
            fetched.replace(folder(cache))
            shutil.rmtree(cache / ".kafka")
    return folder(cache)


def fetch(work: Path, progress: Progress) -> Path:
    """Let Maven resolve the pom into a fresh `work/jars`. Raises ToolMissing and BuildFailed as `install()` does."""
    maven = shutil.which("mvn")
    if maven is None:
        raise ToolMissing(f"Kafka {version()} is fetched with Maven and there is no `mvn` on PATH; {INSTALL}")
    jars, log = work / "jars", work / "maven.log"
    shutil.rmtree(jars, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    progress.say(f"Fetching Kafka {version()} with Maven, 40 MB (once: kept in {work.parent}).")
    command = [
        *(maven, "--batch-mode", "--file", str(POM), "dependency:copy-dependencies"),
        *(f"-DoutputDirectory={jars}", "-DincludeScope=runtime", f"-Dmaven.repo.local={work / 'repository'}"),
    ]
    began = time.monotonic()
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=work, start_new_session=True
        )
        try:
            while process.poll() is None:
                there = len(list((work / "repository").rglob("*.jar")))
                progress.tick(
                    f"Kafka {version()}, {there} files so far", time.monotonic() - began, _EXPECTED_SECONDS, 0
                )
                time.sleep(_POLL_SECONDS)
        finally:
            end(process)
    if process.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:])
        raise BuildFailed(f"Fetching Kafka {version()} with Maven failed; the log is {log}:\n{tail}")
    progress.done(f"Kafka {version()}: fetched in {time.monotonic() - began:.0f} s.")
    return jars


def differences(jars: Path, wanted: dict[str, str]) -> list[str]:
    """How the files of a folder differ from a lock: nothing, or a sentence for each file."""
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(jars.iterdir())}
    return [
        *(f"{name} is missing" for name in sorted(wanted.keys() - found.keys())),
        *(f"{name} is not in the lock" for name in sorted(found.keys() - wanted.keys())),
        *(f"{name} has SHA-256 {found[name]}" for name in found if name in wanted and found[name] != wanted[name]),
    ]


def write_lock(jars: Path, lock: Path = LOCK) -> None:
    """Write the lock of what is in a folder."""
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(jars.iterdir())]
    lock.write_text("".join(lines), encoding="utf-8")
