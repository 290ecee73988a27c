"""Kubernetes Events about a rollout."""

from __future__ import annotations

from typing import Any, Final

from veriramp_operator.api.base import format_instant
from veriramp_operator.api.object import Rollout
from veriramp_operator.api.rollout import GROUP, KIND, VERSION

_MAX_NOTE: Final = 1024


def event(rollout: Rollout, kind: str, reason: str, message: str, now: float, reporter: str) -> dict[str, Any]:
    """An events.k8s.io/v1 Event; ``now`` in seconds since the epoch makes its name unique."""
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{rollout.name}.{int(now * 1e6):x}", "namespace": rollout.namespace},
        "eventTime": format_instant(now),
        "reportingController": GROUP,
        "reportingInstance": reporter[:128],
        "action": reason,
        "reason": reason,
        "note": message[:_MAX_NOTE],
        "type": kind,
        "regarding": {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "namespace": rollout.namespace,
            "name": rollout.name,
            "uid": rollout.uid,
        },
    }
