"""The lines that a worker and its solver processes exchange: one JSON object each.

Public names: :func:`encode_question`, :func:`decode_question`, :func:`encode_judgement`, :func:`decode_judgement`.
"""

from __future__ import annotations

import dataclasses
import json

from veriramp_sdk.events import Verdict
from veriramp_workers.ports import Judgement, Question


def encode_question(question: Question) -> bytes:
    """Return the line that asks."""
    return json.dumps({"text": question.text, "premises": question.premises}).encode() + b"\n"


def decode_question(line: bytes) -> Question:
    """Read the line that asks."""
    fields = json.loads(line)
    return Question(fields["text"], tuple(fields["premises"]))


def encode_judgement(judgement: Judgement) -> bytes:
    """Return the line that answers."""
    return json.dumps(dataclasses.asdict(judgement)).encode() + b"\n"


def decode_judgement(line: bytes) -> Judgement:
    """Read the line that answers."""
    fields = json.loads(line)
    return Judgement(
        **{
            **fields,
            "verdict": Verdict(fields["verdict"]),
            "conflict": tuple(fields["conflict"]),
            "skipped": tuple(fields["skipped"]),
        }
    )
