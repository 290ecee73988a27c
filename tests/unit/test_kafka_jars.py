"""The jars of the real Kafka, with scripts in place of Java and Maven: what is kept, what is refused, what is said."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tests.support.programs import write_program
from tools.kafka import jars
from tools.toolchain import BuildFailed, ToolMissing, binary, ensure

JAVA_17 = "echo 'openjdk version \"17.0.15\" 2025-04-15' >&2"
MAVEN = """
for word in "$@"; do case "$word" in -DoutputDirectory=*) out="${word#*=}";; esac; done
mkdir -p "$out" && printf broker > "$out/kafka-4.3.1.jar"
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with Java 17, a Maven that brings one jar, a lock that names it, and an empty cache."""
    write_program(tmp_path / "bin" / "java", JAVA_17)
    write_program(tmp_path / "bin" / "mvn", MAVEN)
    lock = tmp_path / "kafka.lock"
    lock.write_text(f"{hashlib.sha256(b'broker').hexdigest()}  kafka-4.3.1.jar\n")
    monkeypatch.setattr(jars, "LOCK", lock)
    monkeypatch.setattr(jars.locked, "__defaults__", (lock,))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setenv("VERIRAMP_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_jars_are_fetched_once_and_found_without_maven_later(machine: Path) -> None:
    with pytest.raises(ToolMissing, match=r"Kafka 4\.\d+\.\d+ is not on this machine yet: run `python3 tools/toolc"):
        binary("kafka")
    assert [path.name for path in ensure(["kafka"])["kafka"].iterdir()] == ["kafka-4.3.1.jar"]
    write_program(machine / "bin" / "mvn", "exit 1")
    assert ensure(["kafka"])["kafka"] == binary("kafka")
    assert sorted(path.name for path in (machine / "cache" / "tools").iterdir()) == [".lock", binary("kafka").name]


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("printf changed > $out/kafka-4.3.1.jar", r"kafka-4\.3\.1\.jar has SHA-256 [0-9a-f]{64}"),
        ("printf more > $out/more-1.0.jar", r"more-1\.0\.jar is not in the lock"),
        ("rm $out/kafka-4.3.1.jar", r"kafka-4\.3\.1\.jar is missing"),
    ],
)
def test_what_the_lock_does_not_name_is_refused_and_not_kept(machine: Path, written: str, sentence: str) -> None:
    write_program(machine / "bin" / "mvn", f"{MAVEN}\n{written}")
    with pytest.raises(BuildFailed, match=sentence):
        ensure(["kafka"])
    assert [path.name for path in (machine / "cache" / "tools").iterdir()] == [".lock"]
    write_program(machine / "bin" / "mvn", MAVEN)
    assert ensure(["kafka"])["kafka"].is_dir()


@pytest.mark.parametrize(
    ("program", "script", "sentence"),
    [
        ("java", None, r"needs Java 17 or newer and there is no `java` on PATH; .*default-jre-headless maven"),
        (
            "java",
            "echo 'java version \"1.8.0_402\"' >&2",
            r"says: java version \"1\.8\.0_402\"; .*maven",
        ),
        ("java", "exit 1", r"says: nothing; .*maven"),
        ("mvn", None, r"there is no `mvn` on PATH; .*default-jre-headless maven"),
    ],
)
def test_errors_name_what_to_install(
    machine: Path, monkeypatch: pytest.MonkeyPatch, program: str, script: str | None, sentence: str
) -> None:
    (machine / "bin" / program).unlink()
    if script is not None:
        write_program(machine / "bin" / program, script)
    monkeypatch.setenv("PATH", str(machine / "bin"))
    with pytest.raises(ToolMissing, match=sentence):
        ensure(["kafka"])


def test_a_maven_that_fails_is_quoted(machine: Path) -> None:
    write_program(machine / "bin" / "mvn", "echo 'cannot resolve kafka_2.13'; exit 1")
    with pytest.raises(BuildFailed, match=r"with Maven failed; the log is .*maven\.log:\ncannot resolve kafka_2\.13"):
        ensure(["kafka"])


def test_the_lock_of_this_tree_names_the_broker_that_the_pom_pins() -> None:
    assert f"kafka_2.13-{jars.version()}.jar" in jars.locked()
    assert all(len(digest) == 64 for digest in jars.locked().values())
