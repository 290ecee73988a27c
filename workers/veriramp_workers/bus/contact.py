"""Whether Kafka answers, and why not: for the log, for ``/readyz``, and for credentials that change.

Public names: :class:`Contact`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from veriramp_sdk.environment import ConfigurationError
from veriramp_sdk.kafka_rights import Right, asked_for
from veriramp_sdk.kafka_settings import KafkaSettings
from veriramp_sdk.kafka_trouble import why_unreachable

_log = logging.getLogger(__name__)


class Contact:
    """What one worker knows of its brokers. For the event loop's thread alone."""

    def __init__(
        self,
        kafka: KafkaSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        ask: Callable[[KafkaSettings, float], Awaitable[str]] = why_unreachable,
    ) -> None:
        self._kafka = kafka
        self._clock = clock
        self._ask = ask
        self._answered_at = clock()
        self._asked_at = -_ASK_SECONDS
        self._told_at = -_TELL_SECONDS
        self._cause = ""
        self._told = ""
        self._refused: dict[Right, None] = {}
        self._refused_told_at = -_TELL_SECONDS

    @property
    def cause(self) -> str:
        """What is wrong, as far as it is known; nothing after an answer."""
        return self._cause

    @property
    def refusal(self) -> str:
        """Which rights are missing, if any are, for ``/readyz``."""
        return asked_for(self._kafka, self._refused) if self._refused else ""

    @property
    def missing(self) -> str:
        """What ``/readyz`` says: for how long nothing has answered, and why; nothing for the first half minute."""
        silent = self._clock() - self._answered_at
        if silent < SILENT_SECONDS:
            return ""
        return f"no answer from Kafka for {silent:.0f} s{f': {self._cause}' if self._cause else ''}"

    def answered(self) -> None:
        """Note an answer of a broker, to whatever it was."""
        self._answered_at = self._clock()
        if self._told:
            _log.info("Kafka answers again")
        self._cause = self._told = ""

    def refused(self, rights: Iterable[Right]) -> None:
        """Note rights that Kafka missed; they are told at once when they are others than before, else once a minute."""
        before = len(self._refused)
        self._refused |= dict.fromkeys(rights)
        now = self._clock()
        if len(self._refused) > before or now - self._refused_told_at >= _TELL_SECONDS:
            _log.warning("%s", self.refusal)
            self._refused_told_at = now

    def allowed(self, operation: str, name: str | None = None) -> None:
        """Note that an operation works, on one topic or on all that it needs."""
        over = [one for one in self._refused if one.operation == operation and name in {None, one.name}]
        for one in over:
            del self._refused[one]
            _log.info("Kafka allows %s", one)

    async def why(self, error: BaseException) -> str:
        """Return the cause of an error in one sentence; it is looked for every ten seconds at most."""
        if isinstance(error, ConfigurationError):
            self._cause = str(error)
        elif self._clock() - self._asked_at >= _ASK_SECONDS:
            self._asked_at = self._clock()
            self._cause = await self._ask(self._kafka, _ASK_PATIENCE)
        return self._cause or ("no answer in time" if isinstance(error, TimeoutError) else repr(error))

    async def missed(self, what: str, error: BaseException) -> None:
        """Tell that ``what`` did not work and why: at once when that is new, else once a minute."""
        why = await self.why(error)
        if why != self._told or self._clock() - self._told_at >= _TELL_SECONDS:
            _log.warning("%s, trying again: %s", what, why)
            self._told, self._told_at = why, self._clock()


SILENT_SECONDS: Final = 30.0
"""A restart of a broker, or another leader, takes less; a rollout would be held for longer."""
_ASK_SECONDS: Final = 10.0
_ASK_PATIENCE: Final = 2.0  # nothing is committed meanwhile
_TELL_SECONDS: Final = 60.0
