"""One process's session with the flag server: stream, evaluator and metrics, made anew in a child after a fork.

Public: :class:`Session`, :class:`Target`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import grpc

from veriramp_sdk.arms import FlagMetrics, ProcessMetrics
from veriramp_sdk.contract import Role, selector
from veriramp_sdk.decision import FlagState
from veriramp_sdk.document import NO_LEASE, read_document
from veriramp_sdk.evaluation import Evaluator
from veriramp_sdk.stream import Endpoint, FlagStream

ChangeCallback = Callable[[FlagState], None]

_IDLE_SECONDS: Final = 60.0
_log = logging.getLogger("veriramp.flags")


@dataclass(frozen=True, slots=True)
class Target:
    """What to follow, and as who."""

    url: str
    namespace: str
    rollout: str
    key: str
    role: Role
    token: str
    credentials: grpc.ChannelCredentials | None
    report_interval: float
    clock: Callable[[], float]

    def endpoint(self, process: str) -> Endpoint:
        """The flag server as this process calls it; raise ``ValueError`` for an address of another form."""
        return Endpoint(self.url, selector(self.namespace, self.rollout), process, self.token, self.credentials)


class Session:
    """Holds the document in use, tells who asked about changes, and reports what is applied."""

    def __init__(self, target: Target, process: str, callbacks: list[ChangeCallback]) -> None:
        self.process = process
        self.evaluator = Evaluator(target.key, target.clock)
        self.ready = threading.Event()
        self._target = target
        self._callbacks = callbacks
        self._told = FlagState()
        self._applied_at = 0.0
        self._complained = -1
        self._metrics: ProcessMetrics | None = None
        self._telling = threading.RLock()
        self._stream = FlagStream(
            target.endpoint(process),
            on_document=self._received,
            report=self._report,
            on_skew=self._skewed,
            on_tick=self._tell_all,
            until_tick=self._until_tick,
            clock=target.clock,
            report_interval=target.report_interval,
        )

    def start(self, metrics: FlagMetrics) -> None:
        """Connect in the background; returns at once."""
        self._metrics = ProcessMetrics(
            metrics,
            self._target.namespace,
            self._target.rollout,
            self.process,
            lease_remaining=self.evaluator.lease_remaining,
        )
        self._stream.start()

    def close(self) -> None:
        """Disconnect and forget the document: every later answer is off."""
        self._stream.close()
        self.evaluator.forget()
        if self._metrics:
            self._metrics.close()

    def complain(self, error: Exception) -> None:
        """Log once per revision that a decision failed."""
        document = self.evaluator.document
        revision = document.revision if document else 0
        if revision != self._complained:
            self._complained = revision
            _log.error("revision %s cannot be evaluated, verification is off: %r", revision, error)

    def tell(self, callback: ChangeCallback) -> None:
        """Tell one callback what is in force."""
        self._call(callback, self.evaluator.state())

    def _received(self, text: str) -> None:
        try:
            document = read_document(text, self._target.key)
        except Exception as error:  # noqa: BLE001 - a document must not end the thread that brings the next one
            self._doubt(error)
            return
        held = self.evaluator.document
        if not self.evaluator.apply(document):
            _log.warning(
                "refused revision %s: this process has had %s of the same rollout",
                document.revision,
                self.evaluator.highest,
            )
            return
        if held is None or (held.uid, held.revision) != (document.uid, document.revision):
            self._applied_at = self._target.clock()
            if self._metrics:
                self._metrics.applied(document.revision, self._applied_at)
        self.ready.set()
        self._stream.report_now()
        self._tell_all()

    def _doubt(self, error: Exception) -> None:
        _log.warning("verification is off: %s", error)
        self.evaluator.forget()
        if self._metrics:
            self._metrics.applied(0, self._target.clock())
        self._tell_all()

    def _tell_all(self) -> None:
        with self._telling:
            state = self.evaluator.state()
            if state == self._told:
                return
            self._told = state
            for callback in tuple(self._callbacks):
                self._call(callback, state)

    def _call(self, callback: ChangeCallback, state: FlagState) -> None:
        try:
            callback(state)
        except Exception:  # noqa: BLE001 - it is the application's code; the stream must outlive it
            _log.exception("a callback for flag changes failed")

    def _until_tick(self) -> float:
        document = self.evaluator.document
        if document is None or document.lease_until == NO_LEASE:
            return _IDLE_SECONDS
        rest = document.lease_until - self._target.clock()
        return rest if rest > 0 else _IDLE_SECONDS

    def _skewed(self, seconds: float) -> None:
        if self._metrics:
            self._metrics.skewed(seconds)

    def _report(self) -> dict[str, object]:
        document = self.evaluator.document
        return {
            "process": self.process,
            "uid": document.uid if document else "",
            "revision": document.revision if document else 0,
            "role": self._target.role,
            "namespace": self._target.namespace,
            "rollout": self._target.rollout,
            "appliedAt": self._applied_at,
        }
