"""What goes over the wire between a verifier's client and its service, and what an answer means.

Public names: :class:`Request`, :class:`Answer`, :class:`Figures`, :class:`Proof`, :func:`judgement_of`,
:func:`refusal_of`, :func:`answer_of`, :func:`core_of`, :func:`any_json`, ``PROCESS_PATH``, ``HEALTH_PATH``,
``PREMISES``.

The contract is ``POST /pipeline/process`` with one text. The embedded service adds to it: ``premises`` in the request,
``verdict``, ``reason`` and ``skipped`` in the answer; ``GET /health`` lists ``premises`` under ``extensions`` there.
"""

from __future__ import annotations

import json
import math
import re
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from veriramp_sdk.events import MAX_CONTENT, Verdict
from veriramp_workers.ports import LONGEST_FORMULA, Judgement
from veriramp_workers.verifier_http.structure import beyond_theory

PROCESS_PATH: Final = "/pipeline/process"
HEALTH_PATH: Final = "/health"
PREMISES: Final = "premises"
"""The name under which a service says that it takes premises."""


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class Request(_Wire):
    """What is asked; ``premises`` is understood by the embedded service alone."""

    informal_text: Annotated[str, Field(min_length=1, max_length=MAX_CONTENT)]
    skip_formalization: bool = False
    enrich: bool = False
    premises: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """Return the JSON form; without ``premises`` when there are none, for services that do not know the field."""
        return json.dumps(self.model_dump(exclude=None if self.premises else {"premises"})).encode()


class _Reply(_Wire):
    @field_validator("*", mode="wrap")
    @classmethod
    def _without_what_is_strange(cls, value: object, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        try:
            return read(value)
        except ValidationError:
            # An answer may have taken minutes: a figure of another type does not cost the verdict.
            if info.field_name == "check_sat_result":
                raise
            return None


class Figures(_Reply):
    """Times (seconds), attempts and self-assessment of the three steps."""

    formalization_attempts: int | None = None
    final_formalization_similarity: float | None = None
    formalization_time_seconds: float | None = None
    extraction_attempts: int | None = None
    final_extraction_degradation: float | None = None
    extraction_time_seconds: float | None = None
    validation_attempts: int | None = None
    solver_execution_time_seconds: float | None = None
    total_time_seconds: float | None = None
    success: bool | None = None


class Proof(_Reply):
    """What the solver wrote, and a summary of it."""

    raw_output: str | None = None
    summary: str | None = None


class Answer(_Reply):
    """A 200 answer. Only ``check_sat_result`` is needed; what is missing or of another type is None.

    ``passed_all_checks`` is always true and never read.
    """

    informal_text: str | None = None
    enrichment_performed: bool | None = None
    enriched_text: str | None = None
    enrichment_search_count: int | None = None
    enrichment_sources: Any = None
    enrichment_time_seconds: float | None = None
    formal_text: str | None = None
    formalization_similarity: float | None = None
    smt_lib_code: str | None = None
    extraction_degradation: float | None = None
    check_sat_result: str
    model: Any = None
    unsat_core: str | None = None
    solver_success: bool | None = None
    proof: Proof | None = None
    metrics: Figures | None = None
    passed_all_checks: bool | None = None
    verdict: Verdict | None = None
    reason: str | None = None
    skipped: tuple[str, ...] | None = None


def judgement_of(answer: Answer) -> Judgement:
    """Say what an answer means: the service's own verdict if it gives one, else what its solver says about one text."""
    word = answer.check_sat_result.strip().lower()
    verdict, reason = _meaning(answer, word)
    figures = answer.metrics or Figures()
    return Judgement(
        verdict=answer.verdict or verdict,
        reason=_short(answer.reason or reason),
        check_sat=word if word in _WORDS else "error",
        smt_lib=_bounded(answer.smt_lib_code),
        conflict=core_of(_bounded(answer.unsat_core)) if word == "unsat" else (),
        skipped=answer.skipped or (),
        similarity=_finite(answer.formalization_similarity),
        degradation=_finite(answer.extraction_degradation),
        solver_seconds=max(0.0, _finite(figures.solver_execution_time_seconds) or 0.0),
        total_seconds=max(0.0, _finite(figures.total_time_seconds) or 0.0),
    )


def refusal_of(body: bytes) -> Judgement:
    """Say what a 422 means: the text is not formalisable, for the reason that either form of the body gives."""
    fields = any_json(body)
    detail = fields.get("detail") if isinstance(fields, dict) else None
    if isinstance(detail, dict):
        fields = detail
    if isinstance(detail, list | str):
        return Judgement(Verdict.NOT_FORMALISABLE, _short(_complaint(detail)))
    if not isinstance(fields, dict) or not isinstance(fields.get("error"), str):
        return Judgement(Verdict.NOT_FORMALISABLE, "the verifier refuses the text and gives no reason")
    details, diagnostics = (
        part if isinstance(part := fields.get(name), dict) else {} for name in ("details", "diagnostics")
    )
    skipped = diagnostics.get("skipped")
    return Judgement(
        Verdict.NOT_FORMALISABLE,
        _short(str(diagnostics.get("reason") or _failed_step(fields["error"], details))),
        skipped=tuple(map(str, skipped)) if isinstance(skipped, list) else (),
        similarity=_finite(details.get("final_similarity")),
    )


def answer_of(body: bytes) -> Answer:
    """Read a 200 answer; raises ``ValueError`` that names the field when it is none."""
    try:
        return Answer.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise ValueError(f"{where}: {first['msg']}") from error


def core_of(text: str) -> tuple[str, ...]:
    """Read an unsatisfiable core from its string: a JSON list, the solver's ``(a b |c d|)``, or one name a line."""
    text = text.strip()
    listed = any_json(text)
    if isinstance(listed, list):
        return tuple(str(one) for one in listed)
    if text[:1] + text[-1:] in {"()", "[]"}:
        return tuple(name for parts in _NAME.findall(text[1:-1]) if (name := "".join(parts)))
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def any_json(text: str | bytes) -> Any:
    """Read JSON that nobody has promised; None when it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _meaning(answer: Answer, word: str) -> tuple[Verdict, str]:
    if word in {"unknown", "timeout"}:
        if word == "unknown" and beyond_theory(_bounded(answer.smt_lib_code)):
            return Verdict.TOO_HARD, "theory_incomplete: no method decides all formulas of this kind"
        return Verdict.TOO_HARD, "timeout: the solver gives no answer within its limits"
    if word not in _WORDS or answer.solver_success is False:
        return Verdict.ERROR, f"the solver failed: {answer.check_sat_result.strip() or 'it says nothing'}"
    if word == "unsat":
        return Verdict.INCONSISTENT, "the text contradicts itself"
    return Verdict.UNDETERMINED, "consistent by itself; nothing to compare it with"


def _complaint(detail: list[Any] | str) -> str:
    first = detail[0] if isinstance(detail, list) and detail else detail
    if not isinstance(first, dict):
        return str(first) if first else "the verifier refuses the text and gives no reason"
    where = ".".join(str(part) for part in first.get("loc") or () if part != "body")
    return f"{where or 'request'}: {first.get('msg') or 'refused'}"


def _failed_step(error: str, details: dict[str, Any]) -> str:
    step, attempts = details.get("step"), details.get("attempts")
    if not step:
        return error
    return f"{error} (step {step}, attempts: {attempts or 1})"


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _short(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_REASON]


def _bounded(text: str | None) -> str:
    # What is published must fit into one message of the broker; half a formula would be worse than none.
    return text if text is not None and len(text) <= LONGEST_FORMULA else ""


_WORDS: Final = frozenset({"sat", "unsat", "unknown", "timeout"})
_NAME: Final = re.compile(r"""\|([^|]*)\||"([^"]*)"|'([^']*)'|([^\s,]+)""")
_LONGEST_REASON: Final = 500
