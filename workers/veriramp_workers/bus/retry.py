"""Where a message goes that could not be done: to the next retry topic, after the last one to the dead letters.

One that must wait through no fault of its own is deferred: it goes to another topic and keeps its attempts.

Public names: :class:`RetryTopic`, :class:`Failure`, :class:`Route`, :func:`not_before_ms`.

The record keeps key, value and headers; the bus adds headers of its own:

- ``veriramp-attempt``: how often it was tried, 1 after the first failure
- ``veriramp-not-before``: milliseconds since the epoch before which it is not tried again (topics with a delay only)
- ``veriramp-origin-topic``: the topic that it was in first
- ``veriramp-source``: ``topic/partition@offset`` that it was read from last
- ``veriramp-error-class`` and ``veriramp-reason``: why
- ``veriramp-deferred-since``: milliseconds since the epoch when it was deferred first
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from veriramp_workers.ports import Message, Record

ATTEMPT: Final = "veriramp-attempt"
NOT_BEFORE: Final = "veriramp-not-before"
ORIGIN: Final = "veriramp-origin-topic"
SOURCE: Final = "veriramp-source"
ERROR_CLASS: Final = "veriramp-error-class"
REASON: Final = "veriramp-reason"
LEFT_OUT: Final = "veriramp-left-out-bytes"
DEFERRED_SINCE: Final = "veriramp-deferred-since"


@dataclass(frozen=True)
class RetryTopic:
    """A topic whose messages are tried again ``seconds`` after they were put there."""

    topic: str
    seconds: float


@dataclass(frozen=True)
class Failure:
    """Why a record could not be done; ``final`` when trying again cannot help.

    ``last`` is published together with the dead letter, and only then.
    """

    error_class: str
    reason: str
    final: bool = False
    last: tuple[Message, ...] = ()


@dataclass(frozen=True)
class Route:
    """The way of failed records: the retry topics in their order, then the dead letters; and of deferred ones."""

    retries: Sequence[RetryTopic]
    dead_letters: str
    deferred: RetryTopic | None = None

    def counted(self, record: Record) -> Record:
        """Return the record with attempt, origin and since when it is deferred, as its headers and its topic say."""
        said = _number(_text(record, ATTEMPT)) or 0
        # A message that somebody copied into a retry topic by hand says nothing about its attempts.
        place = next((number for number, step in enumerate(self.retries, 1) if step.topic == record.topic), 0)
        attempt = max(said if said <= _MOST_ATTEMPTS else 0, place) + 1
        since = _number(_text(record, DEFERRED_SINCE)) or 0
        return replace(record, attempt=attempt, deferred_since_ms=since, origin=self.origin(record))

    def after(self, record: Record, failure: Failure, now_ms: int) -> tuple[Message, ...]:
        """Return what to publish so that the record may be left behind."""
        if failure.final or record.attempt > len(self.retries):
            return (*failure.last, self._moved(record, self.dead_letters, failure))
        step = self.retries[record.attempt - 1]
        later = (NOT_BEFORE, str(now_ms + round(step.seconds * 1000)).encode())
        return (self._moved(record, step.topic, failure, later),)

    def origin(self, record: Record) -> str:
        """The topic that the record was in before it was first retried."""
        is_ours = any(step.topic == record.topic for step in self._delayed)
        return _text(record, ORIGIN) or record.topic if is_ours else record.topic

    def back_to_origin(self, record: Record) -> Message:
        """Return the message that puts a record of a retry topic back where it came from; it keeps its attempts."""
        headers = tuple((name, value) for name, value in record.headers if name != NOT_BEFORE)
        return Message(self.origin(record), record.key, record.value, headers)

    def later(self, record: Record, topic: RetryTopic, seconds: float, reason: str, now_ms: int) -> Message:
        """Return the message that lets a record wait in ``topic``; the delay of that is the longest wait."""
        # In the order of the topic nobody waits for one that is due later than its own delay from now.
        wait = min(max(0.0, seconds), topic.seconds)
        ours = (
            (ORIGIN, self.origin(record).encode()),
            (SOURCE, _place(record)),
            (REASON, reason[:_LONGEST_REASON].encode(errors="replace")),
            (DEFERRED_SINCE, str(record.deferred_since_ms or now_ms).encode()),
            (NOT_BEFORE, str(now_ms + round(wait * 1000)).encode()),
            # That it waited counts as no attempt; the place in a retry topic that said so is lost.
            *([(ATTEMPT, str(record.attempt - 1).encode())] if record.attempt > 1 else []),
        )
        names = {name for name, _ in ours}
        kept = tuple((name, value) for name, value in record.headers if name not in names)
        return Message(topic.topic, record.key, record.value, (*kept, *ours))

    def without_value(self, record: Record, failure: Failure) -> Message:
        """Return a dead letter that tells where the record is, for one that the broker refuses as a whole."""
        key = record.key if record.key is not None and len(record.key) <= _LONGEST_KEY else None
        bare = replace(record, key=key, value=b"", headers=())
        size = (LEFT_OUT, str(len(record.value)).encode())
        return self._moved(bare, self.dead_letters, failure, size)

    @property
    def _delayed(self) -> tuple[RetryTopic, ...]:
        return (*self.retries, *([self.deferred] if self.deferred else []))

    def _moved(self, record: Record, topic: str, failure: Failure, *more: tuple[str, bytes]) -> Message:
        kept = tuple((name, value) for name, value in record.headers if name not in _OURS)
        ours = (
            (ATTEMPT, str(record.attempt).encode()),
            (ORIGIN, self.origin(record).encode()),
            (SOURCE, _place(record)),
            (ERROR_CLASS, failure.error_class.encode()),
            (REASON, failure.reason[:_LONGEST_REASON].encode(errors="replace")),
        )
        return Message(topic, record.key, record.value, (*kept, *ours, *more))


def not_before_ms(record: Record) -> int:
    """Milliseconds since the epoch before which a record is not to be tried; 0 when it says nothing readable."""
    return _number(_text(record, NOT_BEFORE)) or 0


def _place(record: Record) -> bytes:
    return f"{record.topic}/{record.partition}@{record.offset}".encode()


def _text(record: Record, header: str) -> str:
    value = next((value for name, value in reversed(record.headers) if name == header), b"")
    return (value or b"").decode(errors="replace")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None


_OURS: Final = frozenset({ATTEMPT, NOT_BEFORE, ORIGIN, SOURCE, ERROR_CLASS, REASON, LEFT_OUT, DEFERRED_SINCE})
_LONGEST_REASON: Final = 1_000
_LONGEST_KEY: Final = 1_000
_MOST_DIGITS: Final = 15
# Nobody tries that often; who says so cannot be believed.
_MOST_ATTEMPTS: Final = 1_000
