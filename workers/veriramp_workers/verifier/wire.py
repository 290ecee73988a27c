"""What a worker and its solver processes exchange: bounds on the command line, then lines, one JSON object each.

Public names: :class:`Bounds`, :func:`encode_question`, :func:`decode_question`, :func:`encode_judgement`,
:func:`decode_judgement`, ``READY``.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from typing import Final

from veriramp_sdk.events import Verdict
from veriramp_workers.ports import Judgement, Question

READY: Final = b"ready\n"
"""What a solver process says once, before it takes questions."""


@dataclass(frozen=True)
class Bounds:
    """What one process may use: ``memory`` in MiB, ``cpu`` seconds for one question, ``questions`` in its life.

    ``steps`` and ``seconds`` bound one call of z3 as in :class:`~veriramp_workers.verifier.prover.Limits`.
    """

    memory: int
    cpu: float
    questions: int
    steps: int
    seconds: float

    def arguments(self) -> tuple[str, ...]:
        """Return the bounds as a command line; :meth:`read` reads it."""
        return tuple(str(value) for value in astuple(self))

    @classmethod
    def read(cls, arguments: list[str]) -> Bounds:
        """Read the bounds from a command line."""
        memory, cpu, questions, steps, seconds = arguments
        return cls(int(memory), float(cpu), int(questions), int(steps), float(seconds))


def encode_question(question: Question) -> bytes:
    """Return the line that asks."""
    return json.dumps({"text": question.text, "premises": question.premises}).encode() + b"\n"


def decode_question(line: bytes) -> Question:
    """Read the line that asks."""
    fields = json.loads(line)
    return Question(fields["text"], tuple(fields["premises"]))


def encode_judgement(judgement: Judgement) -> bytes:
    """Return the line that answers."""
    return json.dumps(vars(judgement)).encode() + b"\n"


def decode_judgement(line: bytes) -> Judgement:
    """Read the line that answers."""
    fields = json.loads(line)
    fields["verdict"] = Verdict(fields["verdict"])
    fields["conflict"] = tuple(fields["conflict"])
    fields["skipped"] = tuple(fields["skipped"])
    return Judgement(**fields)
