"""The open streams by rollout, each with room for one payload: a slow stream gets the latest, never a queue.

Public: :class:`Hub`, :class:`Subscription`, :class:`StreamsClosed`, :func:`close_when_stale`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from veriramp_operator.flagserver.store import Payload, Store

STALENESS_CHECK_SECONDS: Final = 1.0
UNCONFIRMED: Final = "the documents are not confirmed any more by what they come from (API server or file); try again"

_log = logging.getLogger("veriramp.flagserver")


class StreamsClosed(Exception):  # noqa: N818 - it is the end of a stream, not a fault of it
    """Every stream is closed; the message says why."""


class Subscription:
    """One stream's place: the payload that waits to be sent."""

    def __init__(self, first: Payload) -> None:
        self._waiting: Payload | None = first
        self._closed: str | None = None
        self._changed = asyncio.Event()
        self._changed.set()

    def offer(self, payload: Payload) -> None:
        """Replace what waits."""
        self._waiting = payload
        self._changed.set()

    def close(self, reason: str) -> None:
        """End the stream."""
        self._closed = reason
        self._changed.set()

    async def next(self) -> Payload:
        """Wait for the next payload; raise :class:`StreamsClosed` at the end."""
        await self._changed.wait()
        self._changed.clear()
        if self._closed is not None:
            raise StreamsClosed(self._closed)
        payload, self._waiting = self._waiting, None
        return payload if payload is not None else await self.next()


class Hub:
    """Pushes what the store serves to every stream."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._streams: defaultdict[str, set[Subscription]] = defaultdict(set)
        self.pushed = 0
        """Payloads handed to streams."""

    def subscribe(self, selector: str) -> Subscription:
        """Open a stream; its first payload is what is served now."""
        subscription = Subscription(self._store.payload(selector))
        self._streams[selector].add(subscription)
        return subscription

    def unsubscribe(self, selector: str, subscription: Subscription) -> None:
        """Close a stream; twice does no harm."""
        streams = self._streams.get(selector, set())
        streams.discard(subscription)
        if not streams:
            self._streams.pop(selector, None)

    def push(self, selectors: Iterable[str]) -> None:
        """Hand the current payload of rollouts to their streams."""
        for selector in selectors:
            payload = self._store.payload(selector)
            for subscription in self._streams.get(selector, ()):
                subscription.offer(payload)
                self.pushed += 1

    def close_all(self, reason: str) -> None:
        """End every stream."""
        for streams in self._streams.values():
            for subscription in streams:
                subscription.close(reason)

    def count(self, selector: str | None = None) -> int:
        """Open streams of a rollout, or of all."""
        if selector is not None:
            return len(self._streams.get(selector, ()))
        return sum(len(streams) for streams in self._streams.values())


async def close_when_stale(store: Store, hub: Hub, clock: Callable[[], float]) -> None:
    """End every stream when nobody confirms the documents any more; works until cancelled."""
    while True:
        await asyncio.sleep(STALENESS_CHECK_SECONDS)
        if not store.is_fresh(clock()) and hub.count():
            _log.error("the documents are not confirmed any more: closing %s streams", hub.count())
            hub.close_all(UNCONFIRMED)
