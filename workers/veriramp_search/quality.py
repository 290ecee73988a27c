"""What is known about each chunk: the latest verdict, from the events of the pipeline.

Public names: :class:`QualityBoard`, :class:`Quality`.
"""

from __future__ import annotations

from dataclasses import dataclass

from veriramp_sdk.events import Verdict, VerificationComplete
from veriramp_sdk.selection import Known


@dataclass(frozen=True)
class Quality:
    """The latest verdict on a chunk; ``signal`` is -1..1, ``known`` what the trigger asks about."""

    verdict: Verdict
    signal: float
    known: Known
    event_id: str

    @property
    def verified_at(self) -> float:
        """When it was verified, in seconds since the epoch."""
        return self.known.verified_at_ms / 1000


class QualityBoard:
    """Verdicts by chunk key, in memory; reading the topic from its beginning rebuilds it.

    Applying events twice or out of order gives the same board: the latest verdict wins.
    """

    def __init__(self) -> None:
        self._latest: dict[str, Quality] = {}

    def __len__(self) -> int:
        return len(self._latest)

    def apply(self, event: VerificationComplete) -> None:
        """Take one verdict in."""
        quality = Quality(event.verdict, event.signal, Known.of(event), event.event_id)
        known = self._latest.get(event.chunk_key)
        if known is None or (quality.verified_at, quality.event_id) > (known.verified_at, known.event_id):
            self._latest[event.chunk_key] = quality

    def get(self, key: str) -> Quality | None:
        """Return what is known about a chunk."""
        return self._latest.get(key)

    def counts(self) -> dict[Verdict, int]:
        """Return how many chunks have each verdict."""
        counts = dict.fromkeys(Verdict, 0)
        for quality in self._latest.values():
            counts[quality.verdict] += 1
        return counts
