"""What a search service or a worker asks: may this query be verified, may this user's ranking change.

Public: :class:`Flags`.

    with Flags("flagserver:8015", "search/search-verification") as flags:
        decision = flags.decide(user_id, query_id)

Nothing here raises or blocks on the way of a request; in any doubt the answer is off.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import grpc
from prometheus_client import REGISTRY, CollectorRegistry

from veriramp_sdk.arms import ArmMetrics, flag_metrics_of, search_metrics_of
from veriramp_sdk.contract import REPORT_INTERVAL_SECONDS, Arm, Role
from veriramp_sdk.decision import FlagState, VerificationDecision, WorkerSettings, off
from veriramp_sdk.document import Setting
from veriramp_sdk.provider import DocumentProvider
from veriramp_sdk.session import ChangeCallback, Session, Target

_log = logging.getLogger("veriramp.flags")


class Flags:
    """The flags of one rollout in one process.

    It connects at the first use (or on entering the context), so an object made before a fork and used after it is
    safe. A child of a process that *used* it starts a connection of its own, which gRPC allows only when
    ``GRPC_ENABLE_FORK_SUPPORT=1`` was in the environment from the start; without it the child stays off. Safe for use
    from many threads.
    """

    def __init__(
        self,
        url: str,
        rollout: str,
        *,
        role: Role = Role.SEARCH,
        process_id: str | None = None,
        key: str | None = None,
        token: str = "",
        credentials: grpc.ChannelCredentials | None = None,
        registry: CollectorRegistry = REGISTRY,
        clock: Callable[[], float] = time.time,
        report_interval: float = REPORT_INTERVAL_SECONDS,
    ) -> None:
        """Follow ``rollout`` ("namespace/name") on the flag server at ``url`` ("host:port", "grpc(s)://host:port").

        ``key`` is the flag's key where it differs from the rollout's name; ``process_id`` (made when left out) names
        this process in reports and metrics; ``report_interval`` is in seconds. Raises ``ValueError`` for a rollout or
        url of another form.
        """
        namespace, _, name = rollout.partition("/")
        if not namespace or not name or "/" in name:
            raise ValueError(f'rollout "{rollout}": write "namespace/name"')
        self._target = Target(url, namespace, name, key or name, role, token, credentials, report_interval, clock)
        self._target.endpoint("")
        self._given_id = process_id
        self._metrics = flag_metrics_of(registry)
        self._arms: ArmMetrics | None = None
        if role is Role.SEARCH:
            self._arms = ArmMetrics(search_metrics_of(registry), namespace, name, occupied=self._occupied)
        self._callbacks: list[ChangeCallback] = []
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._stopped: Session | None = None
        _start_anew_after_fork(self)

    def decide(
        self, user_id: str, query_id: str, attributes: Mapping[str, Setting] | None = None
    ) -> VerificationDecision:
        """Decide for one query of one user; never raises, never waits, off in any doubt.

        Without a user id pass the session's; without either the answer is off.
        """
        session = self._session or self._started()
        try:
            return session.evaluator.decide(user_id, query_id, attributes)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a document, the search goes on without it
            session.complain(error)
            return off()

    def observe(self, decision: VerificationDecision, seconds: float, *, error: bool = False) -> None:
        """Count one finished request in the arm that the decision gave it (duration in seconds); not in a worker."""
        if self._arms:
            self._arms.observe(decision.arm, seconds, error=error)

    def settings(self, profile: str = "") -> WorkerSettings:
        """The settings of a worker profile, with mode, sampling rate and top-k of what is in force."""
        return self._started().evaluator.settings(profile)

    def state(self) -> FlagState:
        """What is in force in this process now."""
        return self._started().evaluator.state()

    def on_change(self, callback: ChangeCallback) -> None:
        """Call back with the new state on every change, the end of the lease included.

        The callback runs in a thread of the SDK: an asyncio program passes it on with ``call_soon_threadsafe``. It is
        called at once when a state is already known.
        """
        session = self._started()
        self._callbacks.append(callback)
        if session.evaluator.document is not None:
            session.tell(callback)

    def wait_ready(self, timeout: float) -> bool:
        """Wait until a document was applied; False after ``timeout`` seconds (the answers are off until then)."""
        return self._started().ready.wait(timeout)

    @property
    def process_id(self) -> str:
        """The id of this process in reports and metrics."""
        return self._started().process

    @property
    def provider(self) -> DocumentProvider:
        """An OpenFeature provider over the same document: ``api.set_provider(flags.provider)``."""
        return DocumentProvider(lambda: self._started().evaluator.document)

    def close(self) -> None:
        """Stop following; every later answer is off."""
        with self._lock:
            session, self._session = self._session, None
            self._stopped = self._stopped or session or Session(self._target, "", [])
        if session:
            session.close()

    def __enter__(self) -> Self:
        self._started()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        self._started()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    def _started(self) -> Session:
        session = self._session or self._stopped
        if session is None:
            with self._lock:
                session = self._session or self._stopped
                if session is None:
                    process = self._given_id or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
                    session = self._session = Session(self._target, process, self._callbacks)
                    session.start(self._metrics)
        return session

    def _occupied(self, arm: Arm) -> int:
        session = self._session
        return session.evaluator.occupied(arm) if session else 0

    def _forked(self) -> None:
        # The parent's threads do not exist here and its channel must not be touched: leave both, connect anew.
        used, self._session = self._session is not None, None
        self._lock = threading.Lock()
        if self._given_id is not None:
            self._given_id = f"{self._given_id}-{os.getpid()}"
        if used and os.environ.get("GRPC_ENABLE_FORK_SUPPORT", "").lower() not in ("1", "true", "yes"):
            # gRPC may crash or hang in such a child; a process that stays off is the lesser harm.
            self._stopped = Session(self._target, "", [])
            _log.error(
                "verification is off in this process: it was forked from one that already follows the flags; make "
                "Flags in the child, or start the parent with GRPC_ENABLE_FORK_SUPPORT=1"
            )


def _start_anew_after_fork(flags: Flags) -> None:
    reference = weakref.ref(flags)

    def forked() -> None:
        alive = reference()
        if alive is not None:
            alive._forked()  # noqa: SLF001 - the other half of this class

    os.register_at_fork(after_in_child=forked)
