"""Waiting with an end.

Public names: :func:`unless`, :func:`signalled`, :func:`bounded`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from typing import Final

_log = logging.getLogger(__name__)


async def unless(stop: asyncio.Event, work: Coroutine[object, object, object]) -> bool:
    """Do the work, but give it up when ``stop`` is set; returns whether it was done."""
    doing, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            doing.result()
            return True
        return False
    finally:
        for task in (doing, stopping):
            task.cancel()
        await asyncio.gather(doing, stopping, return_exceptions=True)


async def signalled(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, at most for so long, and clear it."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
    event.clear()


async def bounded(work: Awaitable[object], seconds: float, what: str) -> None:
    """Do the work, at most for so long; that it failed is told and does no harm.

    It is a task of its own: while a broker is away, closing a Kafka client may end in a cancellation that nobody asked
    for.
    """
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=_LAST_SECONDS)
    if not done:
        _log.warning("%s takes longer than %g s and is left alone", what, seconds)
    elif task.cancelled() or task.exception() is not None:
        _log.warning("%s did not work: %r", what, "cancelled" if task.cancelled() else task.exception())


_LAST_SECONDS: Final = 0.5
