"""What the flag server serves: the documents, and until when they may be on.

Public: :class:`Store`, :class:`Payload`. Pure: every instant is passed in, in seconds since 1970.

The lease: a document may be on until (local time at which this server last saw the operator's Lease change) + the
document's lease seconds, stamped anew at a quarter of it. A server that never saw the Lease change stamps nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from openfeature.schemas.protobuf.flagd.sync.v1 import sync_pb2

from veriramp_operator.resources.flags import FlagDocument, all_off_after, stamp
from veriramp_sdk.contract import UNSTAMPED

CONFIRMATION_SECONDS: Final = 60.0
"""Documents that no list or bookmark confirmed for so long are not served any more."""

LEASE_GAP_SECONDS: Final = 60.0
"""A change of the Lease counts only between two looks at it that are closer than this: after a gap the change may be
old, and its author dead since."""

RESTAMP_FRACTION: Final = 0.25

TOMBSTONE_SECONDS: Final = 3600.0
"""How long the all-off document of a deleted rollout is served; after that its clients have no flag, which is off."""

EVERYWHERE: Final = ""
"""The scope of a server that watches all namespaces."""


@dataclass(frozen=True, slots=True)
class Payload:
    """What a client gets."""

    text: str
    etag: str
    message: bytes
    """The same as a serialised ``SyncFlagsResponse``: made once, sent to every stream."""


def payload(text: str) -> Payload:
    """Render a document's text for the wire."""
    etag = hashlib.sha256(text.encode()).hexdigest()[:32]
    return Payload(text, f'"{etag}"', sync_pb2.SyncFlagsResponse(flag_configuration=text).SerializeToString())


UNKNOWN: Final = payload('{"flags":{}}')
"""For a rollout without a document: no flag, so every client falls back to its own default."""


@dataclass(slots=True)
class _Entry:
    document: FlagDocument
    tombstone: bool
    stamped: int
    payload: Payload
    gone_since: float | None = None
    """When a complete list first showed that the ConfigMap is gone."""


class Store:
    """The documents by selector (``namespace/rollout``); methods return the selectors whose clients need a push."""

    def __init__(self, scopes: Iterable[str] = (EVERYWHERE,)) -> None:
        self._entries: dict[str, _Entry] = {}
        self._confirmed: dict[str, float | None] = dict.fromkeys(scopes)
        self._lease_value: str | None = None
        self._lease_looked: float | None = None
        self._lease_changed: float | None = None
        self.refused = 0
        """Documents not served because clients already have a later revision of the same rollout."""

    def replace(self, scope: str, found: Mapping[str, FlagDocument | None], now: float) -> set[str]:
        """A complete list of a scope (a namespace, or everywhere); None stands for a document that cannot be read."""
        changed: set[str] = set()
        for selector, document in found.items():
            changed |= self.put(selector, document)
        missing = [selector for selector in self._entries if _within(selector, scope) and selector not in found]
        for selector in missing:
            changed |= self.remove(selector)
            self._bury(selector, now)
        self.confirm(scope, now)
        return changed

    def put(self, selector: str, document: FlagDocument | None) -> set[str]:
        """A new or changed document; None when it cannot be read, which is the same as gone."""
        if document is None:
            return self.remove(selector)
        held = self._entries.get(selector)
        if held and held.document.uid == document.uid:
            if document.revision < held.document.revision:
                self.refused += 1
                return set()
            if document == held.document:
                held.tombstone, held.gone_since = False, None
                return set()
        return self._hold(selector, document, tombstone=False)

    def remove(self, selector: str) -> set[str]:
        """The ConfigMap is gone: what clients knew becomes an all-off document at the next revision."""
        held = self._entries.get(selector)
        if held is None or held.tombstone:
            return set()
        return self._hold(selector, all_off_after(held.document), tombstone=True)

    def confirm(self, scope: str, now: float) -> None:
        """The documents of a scope are known to be current (a list or a bookmark)."""
        self._confirmed[scope] = now

    def confirmed_at(self) -> float | None:
        """When the least recently confirmed scope was confirmed; None before all were."""
        instants = [instant for instant in self._confirmed.values() if instant is not None]
        return min(instants) if len(instants) == len(self._confirmed) else None

    def is_fresh(self, now: float) -> bool:
        """True while every document is confirmed recently enough to be served."""
        confirmed = self.confirmed_at()
        return confirmed is not None and now - confirmed <= CONFIRMATION_SECONDS

    def lease_seen(self, renew_time: str | None, now: float) -> set[str]:
        """A look at the operator's Lease (None when it does not exist); returns what has to be stamped anew."""
        known, looked = self._lease_value, self._lease_looked
        self._lease_value, self._lease_looked = renew_time, now
        if looked is None or now - looked > LEASE_GAP_SECONDS:
            return set()
        if renew_time is None or known is None or renew_time == known:
            return set()
        self._lease_changed = now
        stale = {selector: entry for selector, entry in self._entries.items() if self._wants_stamp(entry)}
        for selector, entry in stale.items():
            self._hold(selector, entry.document, tombstone=False)
        return set(stale)

    @property
    def lease_changed_at(self) -> float | None:
        """When this server last saw the operator's Lease change."""
        return self._lease_changed

    def payload(self, selector: str) -> Payload:
        """What clients of a rollout get now."""
        entry = self._entries.get(selector)
        return entry.payload if entry else UNKNOWN

    def document(self, selector: str) -> FlagDocument | None:
        """The document that is served for a rollout."""
        entry = self._entries.get(selector)
        return entry.document if entry else None

    def __len__(self) -> int:
        return len(self._entries)

    def _hold(self, selector: str, document: FlagDocument, *, tombstone: bool) -> set[str]:
        until = self._lease_until(document)
        self._entries[selector] = _Entry(document, tombstone, until, payload(stamp(document, until)))
        return {selector}

    def _bury(self, selector: str, now: float) -> None:
        """Forget a rollout long gone: else every one that ever was would be kept and stamped for ever."""
        entry = self._entries[selector]
        if entry.gone_since is None:
            entry.gone_since = now
        elif now - entry.gone_since > TOMBSTONE_SECONDS:
            del self._entries[selector]

    def _wants_stamp(self, entry: _Entry) -> bool:
        if entry.tombstone:
            return False
        seconds = entry.document.lease_seconds
        gained = self._lease_until(entry.document) - entry.stamped
        return seconds > 0 and gained >= RESTAMP_FRACTION * seconds

    def _lease_until(self, document: FlagDocument) -> int:
        if self._lease_changed is None:
            return UNSTAMPED
        return int(self._lease_changed + document.lease_seconds)


def _within(selector: str, scope: str) -> bool:
    return scope == EVERYWHERE or selector.startswith(f"{scope}/")
