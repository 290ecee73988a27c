"""The decision about one query, from the document that this process holds.

Public: :class:`Evaluator`. Documents come from another thread; every decision reads one immutable state, so that no
decision mixes two documents. Answers are remembered per document and bucket while the lease holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from openfeature.evaluation_context import EvaluationContext

from veriramp_sdk.bucket import bucket, sampled
from veriramp_sdk.contract import BUCKET_ATTRIBUTE, BUCKETS, Arm, Mode
from veriramp_sdk.decision import FlagState, VerificationDecision, WorkerSettings, off
from veriramp_sdk.document import NO_LEASE, Document, DocumentError, Setting

MAX_REMEMBERED: Final = 20_000
"""Answers kept for users with attributes that the rules ask for; beyond it the memory starts anew."""

Answer = tuple[VerificationDecision, VerificationDecision, float]
"""The decision for a query outside and inside the sample, with the sampling rate."""


class Evaluator:
    """Decides with the last document that was applied; off while there is none."""

    def __init__(self, key: str, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._clock = clock
        self._held: _Held | None = None
        self._highest: tuple[str, int] = ("", 0)

    @property
    def highest(self) -> int:
        """The highest revision known of the present rollout, also when its document is forgotten."""
        return self._highest[1]

    @property
    def document(self) -> Document | None:
        """The document in use, also when its lease is over; None before the first."""
        held = self._held
        return held.document if held else None

    def apply(self, document: Document) -> bool:
        """Use a document from now on; False when it is refused: a lower revision of the same object."""
        held = self._held
        uid, revision = self._highest
        if uid == document.uid and document.revision < revision:
            return False
        self._highest = (document.uid, document.revision)
        same_cohorts = (
            held is not None and held.document.uid == document.uid and (held.document.cohorts == document.cohorts)
        )
        occupied = held.occupied if held and same_cohorts else {arm: set() for arm in Arm}
        self._held = _Held(document, occupied)
        return True

    def forget(self) -> None:
        """Hold no document any more: everything is off. What was refused before stays refused."""
        self._held = None

    def decide(
        self, user_id: str, query_id: str, attributes: Mapping[str, Setting] | None = None
    ) -> VerificationDecision:
        """Decide for one query of one user. Raises what the evaluation raises: the caller turns that into off."""
        held = self._held
        if held is None:
            return off()
        document = held.document
        if not user_id or self._clock() >= document.lease_until:
            return off(document.revision)
        number = bucket(document.salt, user_id)
        outside, inside, rate = self._answer(held, number, attributes)
        if rate > 0 and query_id and sampled(document.sample_salt, query_id, rate):
            return inside
        return outside

    def state(self) -> FlagState:
        """What is in force now."""
        document = self.document
        if document is None:
            return FlagState()
        if self._clock() >= document.lease_until:
            return FlagState(document.uid, document.revision)
        return FlagState(document.uid, document.revision, document.mode, document.sampling_rate, document.top_k)

    def settings(self, profile: str) -> WorkerSettings:
        """The settings of a worker profile; values stay known when the lease is over, the mode is Off then."""
        document = self.document
        state = self.state()
        values = document.settings.get(profile, {}) if document else {}
        return WorkerSettings(state.mode, state.sampling_rate, state.top_k, state.revision, values)

    def lease_remaining(self) -> float:
        """Seconds until the document turns itself off (0 when it has; infinite without a lease)."""
        document = self.document
        if document is None:
            return 0.0
        if document.lease_until == NO_LEASE:
            return float("inf")
        return max(0.0, document.lease_until - self._clock())

    def occupied(self, arm: Arm) -> int:
        """Distinct buckets seen in an arm since the cohorts last changed."""
        held = self._held
        return len(held.occupied[arm]) if held else 0

    def _answer(self, held: _Held, number: int, attributes: Mapping[str, Setting] | None) -> Answer:
        names = held.document.attributes
        if not names or not attributes:
            answer = held.plain[number]
            if answer is None:
                answer = held.plain[number] = self._evaluate(held, number, {})
            return answer
        asked = {name: attributes[name] for name in names if name in attributes}
        key = (number, *((name, type(value), value) for name, value in asked.items()))
        known = held.by_attributes.get(key)
        if known is None:
            known = self._evaluate(held, number, asked)
            if len(held.by_attributes) >= MAX_REMEMBERED:
                held.by_attributes.clear()
            held.by_attributes[key] = known
        return known

    def _evaluate(self, held: _Held, number: int, attributes: Mapping[str, Setting]) -> Answer:
        context = EvaluationContext(attributes={**attributes, BUCKET_ATTRIBUTE: number})
        details = held.document.evaluator.resolve_object_value(self._key, {}, context)
        answer = _read_answer(details.value, held.document.revision)
        held.occupied[answer[0].arm].add(number)
        return answer


@dataclass(slots=True)
class _Held:
    document: Document
    occupied: dict[Arm, set[int]]
    plain: list[Answer | None] = field(default_factory=lambda: [None] * BUCKETS)
    by_attributes: dict[tuple[object, ...], Answer] = field(default_factory=dict)


def _read_answer(value: Any, revision: int) -> Answer:
    if not isinstance(value, Mapping) or value.get("revision") != revision:
        raise DocumentError(f"the flag's value {value!r} is not of revision {revision}")
    mode, arm = Mode(value["mode"]), Arm(value["arm"])
    rate, weight, top_k = float(value["samplingRate"]), float(value["rankingWeight"]), int(value["topK"])
    if not (0 <= rate <= 1 and 0 <= weight <= 1 and top_k >= 0):
        raise DocumentError(f"a number of {value!r} is out of range (rate and weight 0..1, topK from 0)")
    if mode is not Mode.LIVE or arm not in (Arm.TREATMENT, Arm.FORCED):
        weight = 0.0
    outside = VerificationDecision(mode, arm, False, weight, top_k, revision)
    if mode is Mode.OFF:
        return outside, outside, 0.0
    return outside, VerificationDecision(mode, arm, True, weight, top_k, revision), rate
