"""The orchestrator: each chunk that search asks about gets a verdict.

Public names: :class:`Orchestrator`, :class:`OrchestratorMetrics`, :class:`GuardedVerifier`, :class:`RateLimiter`,
:class:`Backlog`, :class:`Ladder`, :class:`Tuning`, :func:`tuning_from`, ``BREAKER``, ``RATE``,
``OFF``.
"""

from __future__ import annotations

from veriramp_workers.orchestrator.backlog import Backlog, Ladder
from veriramp_workers.orchestrator.flow import BREAKER, OFF, RATE
from veriramp_workers.orchestrator.guard import GuardedVerifier
from veriramp_workers.orchestrator.handler import Orchestrator
from veriramp_workers.orchestrator.limiter import RateLimiter
from veriramp_workers.orchestrator.metrics import OrchestratorMetrics
from veriramp_workers.orchestrator.tuning import Tuning, tuning_from

__all__ = [
    "BREAKER",
    "OFF",
    "RATE",
    "Backlog",
    "GuardedVerifier",
    "Ladder",
    "Orchestrator",
    "OrchestratorMetrics",
    "RateLimiter",
    "Tuning",
    "tuning_from",
]
