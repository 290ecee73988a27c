"""Where the worker folders meet: the values and protocols that they share, without knowing each other.

Public names: :class:`Record`, :class:`Message`, :class:`Handler`, :class:`PoisonError`, :class:`RetryLaterError`,
:class:`PauseError`, :class:`DeferError` (bus);
:class:`Question`, :class:`Judgement`, :class:`Verifier`, :class:`VerifierUnavailableError`, :class:`BreakerOpenError`
(verifier); :class:`VerdictCache`, :class:`Budget`, :class:`Taken`, :class:`Bound`, :class:`BudgetUnavailableError`
(stores).

Errors: ``PoisonError`` (this message will never be readable), ``VerifierUnavailableError`` (asking again may help),
``BreakerOpenError`` (asking again before ``retry_after`` does not help), ``BudgetUnavailableError`` (nobody knows what
is left, so nothing may be spent).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from veriramp_sdk.events import Verdict

LONGEST_FORMULA: Final = 200_000
"""Characters of the formal text in a judgement; a longer one is left out, so that a verdict fits into one message."""


@dataclass(frozen=True)
class Record:
    """One message as the broker delivered it; ``attempt`` is which try this is, 1 for the first.

    ``deferred_since_ms``: when it was deferred first, in milliseconds since the epoch; 0 if it was not.
    ``origin``: the topic that it was in before it was first retried or deferred, that of its own if it was not.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    attempt: int = 1
    deferred_since_ms: int = 0
    origin: str = ""


@dataclass(frozen=True)
class Message:
    """One message to publish."""

    topic: str
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class PoisonError(Exception):
    """A message that no retry can make readable; it goes to the dead letter queue with this text as the reason."""


class RetryLaterError(Exception):
    """This message cannot be done now; it goes to the next retry topic, after the last one to the dead letters.

    ``last`` is published too when it goes to the dead letters, and only then.
    """

    def __init__(self, reason: str, *, last: tuple[Message, ...] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.last = last


class PauseError(Exception):
    """No message can be done now: read nothing for at most ``seconds`` and hand this record over again afterwards.

    ``reason`` is a short word, the label of a gauge: ``breaker``, ``budget``. With ``topics`` only these are paused,
    and the others go on.
    """

    def __init__(self, seconds: float, reason: str, *, topics: tuple[str, ...] = ()) -> None:
        super().__init__(f"{reason}: paused for at most {seconds:.0f} s")
        self.seconds = seconds
        self.reason = reason
        self.topics = topics


class DeferError(Exception):
    """This message waits out of the way of the others, in a topic of its own; that counts as no attempt.

    It comes again after ``seconds``, or after the delay of that topic if that is shorter. A bus without such a topic
    pauses instead.
    """

    def __init__(self, seconds: float, reason: str) -> None:
        super().__init__(reason)
        self.seconds = seconds
        self.reason = reason


class Handler(Protocol):
    """What a worker does with one record: return the messages that follow from it, or raise.

    :class:`PoisonError` sends the record to the dead letters, :class:`RetryLaterError` and every unexpected exception
    to the next retry topic; :class:`DeferError` lets the record wait elsewhere, :class:`PauseError` pauses the worker.
    The same record may come again after a crash; the messages returned must carry the same identity then.
    """

    async def __call__(self, record: Record) -> tuple[Message, ...]: ...


@dataclass(frozen=True)
class Question:
    """A text to judge, by itself or (a claim) against premises that are taken for true."""

    text: str
    premises: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """A verdict and its grounds.

    ``check_sat`` is the solver's word (sat, unsat, unknown, or error text); ``conflict`` the smallest set of sentences
    found that cannot be true together; ``skipped`` the premises that could not be formalised and were left out,
    each with its whole text. ``similarity`` and ``degradation`` (0..1) are what a formaliser says about its own
    work, None if it says nothing; they are shown and never decide. Times are in seconds, but ``judged_at_ms``, in
    milliseconds since the epoch, which is set for the cache; 0 if nobody noted it.
    """

    verdict: Verdict
    reason: str
    check_sat: str = "unknown"
    smt_lib: str = ""
    conflict: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    similarity: float | None = None
    degradation: float | None = None
    solver_seconds: float = 0.0
    total_seconds: float = 0.0
    judged_at_ms: int = 0


class VerifierUnavailableError(Exception):
    """The verifier could not be asked; the same question may succeed later.

    ``status`` is the HTTP status of the last answer if there was one, ``attempts`` how often it was tried and
    ``retry_after`` the seconds that the verifier asks to wait.
    """

    def __init__(
        self, message: str, *, status: int | None = None, attempts: int = 1, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.attempts = attempts
        self.retry_after = retry_after


class BreakerOpenError(VerifierUnavailableError):
    """The verifier was not asked, because it failed too often; ``retry_after`` is in seconds."""

    retry_after: float

    def __init__(self, name: str, retry_after: float) -> None:
        super().__init__(f"the breaker of {name} is open; ask again in {retry_after:.0f} s", retry_after=retry_after)


class Verifier(Protocol):
    """Judges texts. Trouble with the text is a verdict; only an absent verifier raises."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    async def judge(self, question: Question) -> Judgement: ...


class VerdictCache(Protocol):
    """Judgements by key (``veriramp_workers.caching.cache_key``), over all workers. Neither method ever raises.

    A judgement holds nothing of the chunk that it was made for: the same text elsewhere gets its own identity.
    """

    async def get(self, key: str) -> Judgement | None:
        """Return what was put and has not expired; None also when the cache cannot be read (counted)."""
        ...

    async def put(self, key: str, judgement: Judgement, ttl_seconds: float) -> None:
        """Keep it that long; nothing is kept for 0 seconds or less, when it is too large, or in trouble (counted)."""
        ...


class Bound(StrEnum):
    """What a budget ran into."""

    PACE = "pace"  # the share of the day's limit that is free so early in the day
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True)
class Taken:
    """The answer of a budget.

    ``used`` and ``limit`` are verifications of this tenant on this day, with this one if it was granted; ``resets_at``
    is the next local midnight. ``repeated``: paid before, so it is granted and costs nothing. If it was refused,
    ``refused_by`` says by what, and asking before ``next_at`` does not help. ``left`` (0..1) is the share of its demand
    that the tenant should ask for now, so that nobody is refused; it is 0 until ``spent_until`` when nothing is left.
    """

    granted: bool
    used: int
    limit: int
    resets_at: datetime
    next_at: datetime
    repeated: bool = False
    refused_by: Bound | None = None
    left: float = 1.0
    spent_until: datetime | None = None


class BudgetUnavailableError(Exception):
    """The budget could not be asked; nothing may be verified until it can be."""


class Budget(Protocol):
    """How many verifications a tenant may cost on a day, over all workers; a day starts at local midnight."""

    async def take(self, tenant: str, key: str, now: datetime, *, share: float = 1.0) -> Taken:
        """Pay for one verification, at the time ``now`` (aware).

        ``key`` names the request (``veriramp_workers.caching.payment_key``): a redelivered one is not paid twice on
        the same day.
        ``share`` (0..1) is how much of what is free now may be used up; what matters less leaves a rest for others.
        Raises :class:`BudgetUnavailableError`.
        """
        ...
