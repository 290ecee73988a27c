"""What the search service exports beside the metrics of the SDK (arms, trigger).

Public names: :func:`watch`.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from veriramp_search.quality import QualityBoard


def watch(registry: CollectorRegistry, board: QualityBoard) -> None:
    """Export the verdicts known, read at each scrape."""
    registry.register(_Watcher(board))


class _Watcher(Collector):
    def __init__(self, board: QualityBoard) -> None:
        self._board = board

    def collect(self) -> Iterator[Metric]:
        known = GaugeMetricFamily("veriramp_search_known_verdicts", "Chunks with this verdict", labels=["verdict"])
        for verdict, count in self._board.counts().items():
            known.add_metric([verdict], count)
        yield known
