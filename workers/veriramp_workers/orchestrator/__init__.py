"""The orchestrator: each chunk that search asks about gets a verdict."""

from __future__ import annotations

from veriramp_workers.orchestrator.handler import Orchestrator, OrchestratorMetrics

__all__ = ["Orchestrator", "OrchestratorMetrics"]
