"""What the search service exports beside the arms' metrics of the SDK.

Public names: :func:`watch`.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from veriramp_sdk.trigger import VerificationTrigger
from veriramp_search.quality import QualityBoard


def watch(registry: CollectorRegistry, board: QualityBoard, trigger: VerificationTrigger) -> None:
    """Export the verdicts known and what became of the requests for verification, read at each scrape."""
    registry.register(_Watcher(board, trigger))


class _Watcher(Collector):
    def __init__(self, board: QualityBoard, trigger: VerificationTrigger) -> None:
        self._board = board
        self._trigger = trigger

    def collect(self) -> Iterator[Metric]:
        known = GaugeMetricFamily("veriramp_search_known_verdicts", "Chunks with this verdict", labels=["verdict"])
        for verdict, count in self._board.counts().items():
            known.add_metric([verdict], count)
        yield known
        counts = self._trigger.counts
        asked = CounterMetricFamily("veriramp_trigger_chunks", "Chunks offered for verification", labels=["outcome"])
        for outcome in ("queued", "sent", "dropped", "failed", "fresh"):
            asked.add_metric([outcome], getattr(counts, outcome))
        yield asked
