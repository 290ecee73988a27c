"""Talks to the cluster through kubectl: every login that works there works here, and start-up stays short."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from veriramp_operator.api.errors import ConfigurationError, NotFound, Refused, Unavailable, VeriRampError
from veriramp_operator.api.object import Rollout, parse_rollout

RESOURCE: Final = "verificationrollouts.veriramp.dev"
_MISCONFIGURED: Final = ("stat ", 'context "', "Error in configuration")
DEADLINE_SECONDS: Final = 20.0
_LOGGED: Final = re.compile(r"[IWEF]\d{4} \d{2}:\d{2}:\d{2}\.\d+ ")


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl with the context, namespace and kubeconfig that the person asked for."""

    program: str
    flags: tuple[str, ...]

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Kubectl:
        """Find kubectl; raise ConfigurationError with what to install where there is none."""
        program = shutil.which("kubectl")
        if program is None:
            raise ConfigurationError(
                "kubectl is not on PATH; install it: veriramp uses its logins to reach the cluster"
            )
        flags = [
            flag
            for name in ("kubeconfig", "context", "namespace")
            if (value := getattr(arguments, name, None))
            for flag in (f"--{name}", value)
        ]
        return cls(program, tuple(flags))

    def rollout(self, name: str) -> Rollout:
        """One rollout; raise NotFound with a hint where there is none of that name."""
        return parse_rollout(self.json("get", RESOURCE, name))

    def json(self, *arguments: str) -> dict[str, Any]:
        """The answer of a command with ``-o json``."""
        answer: dict[str, Any] = json.loads(self.run(*arguments, "-o", "json"))
        return answer

    def run(self, *arguments: str) -> str:
        """Run a command.

        Raises ConfigurationError, NotFound, Refused or Unavailable with kubectl's own sentence.
        """
        try:
            done = subprocess.run(
                [self.program, *self.flags, *arguments],
                capture_output=True,
                text=True,
                check=False,
                timeout=DEADLINE_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"the API server did not answer within {DEADLINE_SECONDS:.0f} s") from error
        if done.returncode == 0:
            return done.stdout
        raise _fault(done.stderr)

    def follow(self, name: str) -> Iterator[Rollout]:
        """The rollout now and at each change, until kubectl ends; raises what :meth:`run` raises."""
        command = [self.program, *self.flags, "get", RESOURCE, name, "--watch", "-o", "json"]
        with (
            tempfile.TemporaryFile("w+") as said,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True) as process,
        ):
            assert process.stdout is not None  # noqa: S101 asked for above
            try:
                for document in _documents(process.stdout):
                    yield parse_rollout(document)
                if process.wait() != 0:
                    said.seek(0)
                    raise _fault(said.read())
            finally:
                process.terminate()


def add_cluster_flags(parser: argparse.ArgumentParser, *, all_namespaces: bool = False) -> None:
    """The flags that every command that talks to a cluster shares with kubectl."""
    parser.add_argument("-n", "--namespace", help="namespace (default: the context's)")
    parser.add_argument("--context", help="context of the kubeconfig")
    parser.add_argument("--kubeconfig", help="path of the kubeconfig")
    if all_namespaces:
        parser.add_argument("-A", "--all-namespaces", action="store_true", help="all namespaces")


def _fault(stderr: str) -> VeriRampError:
    """The error that kubectl's words stand for."""
    sentence = _sentence(stderr)
    if "NotFound" in sentence or "doesn't have a resource type" in sentence:
        return NotFound(f"{sentence}; see what there is with: veriramp list -A")
    if sentence.startswith(_MISCONFIGURED):
        return ConfigurationError(f"{sentence}; see what there is with: kubectl config get-contexts")
    if "refused" in sentence or "timeout" in sentence or "Unable to connect" in sentence:
        return Unavailable(sentence)
    return Refused(sentence)


def _sentence(stderr: str) -> str:
    """What kubectl says to people, without the lines that its libraries log."""
    lines = [line for line in stderr.strip().splitlines() if not _LOGGED.match(line)]
    return ("\n".join(lines) or stderr.strip()).removeprefix("error: ")


def _documents(lines: Sequence[str] | Any) -> Iterator[dict[str, Any]]:
    """Split kubectl's stream of pretty-printed objects: each ends with a brace in the first column."""
    buffer: list[str] = []
    for line in lines:
        buffer.append(line)
        if line.rstrip() == "}":
            yield json.loads("".join(buffer))
            buffer.clear()
