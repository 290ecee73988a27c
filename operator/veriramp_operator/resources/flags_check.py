"""The check of a flag document before it may raise anything: it is evaluated, not believed.

Public: :func:`self_check`. The evaluator is the one that Python clients run (``openfeature-flagd-core``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import OpenFeatureError

from veriramp_operator.api.vector import Vector
from veriramp_operator.resources.flags_document import FlagDocument, canary_buckets, stamp
from veriramp_sdk.contract import BUCKET_ATTRIBUTE, BUCKETS, Arm, Mode, settings_key

FAR: Final = 2**40
"""A lease that ends in some 35,000 years: the document as a client sees it while the lease holds."""

_NO_BUCKETS: Final[tuple[Mapping[str, Any], ...]] = (
    {},
    *({BUCKET_ATTRIBUTE: value} for value in (None, -1, BUCKETS, True, False, "", "0", "5", "x")),
)


def self_check(document: FlagDocument, previous: FlagDocument | None, vector: Vector) -> tuple[str, ...]:
    """Sentences on what is wrong with a document that should put ``vector`` in force; empty when it may be published.

    It is evaluated at the boundary buckets (missing and malformed ones, first, last in, first out, last), unstamped
    and stamped, and held against the document before it: nobody leaves the treatment while the percent grows.
    """
    evaluator = FlagdCore()
    unstamped = FlagdCore()
    try:
        evaluator.set_flags(stamp(document, FAR))
        unstamped.set_flags(document.text)
    except (OpenFeatureError, ValueError, TypeError, KeyError, AttributeError) as error:
        return (f"clients refuse the document as a whole: {error!r}",)
    return (
        *_vector_problems(document, vector),
        *_arm_problems(_Reader(evaluator, document.key), document, vector),
        *_settings_problems(_Reader(evaluator, settings_key(document.key)), document, vector),
        *(_lease_problems(unstamped, document) if document.lease_seconds else ()),
        *(_history_problems(document, previous) if previous else ()),
    )


def arm_at(document: FlagDocument, attributes: Mapping[str, Any]) -> Arm:
    """The arm that a client of this document gets while the lease holds; off when the evaluation fails."""
    evaluator = FlagdCore()
    evaluator.set_flags(stamp(document, FAR))
    return Arm(_Reader(evaluator, document.key).value(attributes).get("arm", Arm.OFF))


class _Reader:
    """Evaluates one flag; a failing evaluation is what the client's own default makes of it: nothing, so off."""

    def __init__(self, evaluator: FlagdCore, key: str) -> None:
        self._evaluator = evaluator
        self._key = key

    def value(self, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            value = self._evaluator.resolve_object_value(
                self._key, {}, EvaluationContext(attributes=dict(attributes))
            ).value
        except (OpenFeatureError, ValueError, TypeError, ArithmeticError):
            return {}
        return value if isinstance(value, Mapping) else {}


def _vector_problems(document: FlagDocument, vector: Vector) -> Iterator[str]:
    if document.vector != vector:
        yield f"the document is for {document.vector}, not for {vector}"


def _arm_problems(reader: _Reader, document: FlagDocument, vector: Vector) -> Iterator[str]:
    for attributes in _NO_BUCKETS:
        value = reader.value(attributes)
        if not _is_off(value):
            yield f"a user without a valid bucket ({attributes}) is not off but gets {dict(value)}"
    limit = canary_buckets(vector)
    for number in sorted({0, limit - 1, limit, BUCKETS - 1} & set(range(BUCKETS))):
        value = reader.value({BUCKET_ATTRIBUTE: number})
        expected = _expected(vector, number < limit, document.revision)
        if dict(value) != expected:
            yield f"bucket {number} gets {dict(value)} instead of {expected}"


def _settings_problems(reader: _Reader, document: FlagDocument, vector: Vector) -> Iterator[str]:
    value = reader.value({})
    expected = {
        "mode": vector.mode.value,
        "samplingRate": 0.0 if vector.mode is Mode.OFF else vector.sampling_rate,
        "topK": vector.top_k,
        "salt": document.salt,
        "sampleSalt": document.sample_salt,
        "revision": document.revision,
    }
    got = {name: value.get(name) for name in expected}
    if got != expected:
        yield f"the settings flag gives {got} instead of {expected}"


def _lease_problems(unstamped: FlagdCore, document: FlagDocument) -> Iterator[str]:
    for key in (document.key, settings_key(document.key)):
        value = _Reader(unstamped, key).value({BUCKET_ATTRIBUTE: 0})
        if not _is_off(value):
            yield f'flag "{key}" is on without a lease: {dict(value)}'


def _history_problems(document: FlagDocument, previous: FlagDocument) -> Iterator[str]:
    if document.uid != previous.uid:
        return
    if document.revision <= previous.revision:
        yield f"revision {document.revision} does not follow {previous.revision}"
    if (document.salt, document.sample_salt) != (previous.salt, previous.sample_salt):
        yield "the salts differ from the document before: users would be dealt anew"
    if document.vector.mode is not Mode.LIVE or previous.vector.mode is not Mode.LIVE:
        return
    before, after = canary_buckets(previous.vector), canary_buckets(document.vector)
    if after < before:
        return
    for number in sorted({0, before // 2, before - 1} & set(range(BUCKETS))):
        if (
            arm_at(previous, {BUCKET_ATTRIBUTE: number}) is Arm.TREATMENT
            and arm_at(document, {BUCKET_ATTRIBUTE: number}) is not Arm.TREATMENT
        ):
            yield f"bucket {number} leaves the treatment while the percent does not fall"


def _expected(vector: Vector, treated: bool, revision: int) -> dict[str, Any]:
    on = vector.mode is not Mode.OFF
    arm = Arm.TREATMENT if treated else Arm.CONTROL
    return {
        "mode": vector.mode.value,
        "arm": (arm if on else Arm.OFF).value,
        "samplingRate": vector.sampling_rate if on else 0.0,
        "rankingWeight": vector.ranking_weight if treated else 0.0,
        "topK": vector.top_k,
        "revision": revision,
    }


def _is_off(value: Mapping[str, Any]) -> bool:
    return not value or value.get("mode") == Mode.OFF
