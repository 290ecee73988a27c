"""What the operator exports about itself and about each rollout."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from veriramp_operator.api.object import Rollout
from veriramp_operator.api.status import Phase, RolloutStatus
from veriramp_operator.engine.types import Decision

_SAFE_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_PASS_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)


class Metrics:
    """All series of the operator in one registry; times in seconds."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        rollout = ("namespace", "rollout")
        self.passes = Counter("veriramp_reconcile_passes", "Reconcile passes.", ("outcome",), registry=registry)
        self.pass_seconds = Histogram(
            "veriramp_reconcile_pass_seconds", "Time of one pass.", registry=registry, buckets=_PASS_BUCKETS
        )
        self.errors = Counter("veriramp_reconcile_errors", "Failed passes by reason.", ("reason",), registry=registry)
        self.decisions = Counter(
            "veriramp_decisions", "Decisions that changed the reason.", ("direction", "reason"), registry=registry
        )
        self.rollbacks = Counter(
            "veriramp_rollbacks", "Rollbacks by gate and severity.", (*rollout, "gate", "severity"), registry=registry
        )
        self.time_to_safe = Histogram(
            "veriramp_time_to_safe_seconds",
            "From detection to the published safe document, and from there to its application everywhere.",
            ("step",),
            registry=registry,
            buckets=_SAFE_BUCKETS,
        )
        self.verdicts = Gauge(
            "veriramp_gate_verdict",
            "1 for the gate's present verdict.",
            (*rollout, "gate", "verdict"),
            registry=registry,
        )
        self.weight = Gauge("veriramp_rollout_ranking_weight", "Ranking weight in force.", rollout, registry=registry)
        self.rate = Gauge("veriramp_rollout_sampling_rate", "Sampling rate in force.", rollout, registry=registry)
        self.canary = Gauge("veriramp_rollout_canary_percent", "Canary percent in force.", rollout, registry=registry)
        self.mode = Gauge("veriramp_rollout_mode", "0 Off, 1 Shadow, 2 Live.", rollout, registry=registry)
        self.stage = Gauge("veriramp_rollout_stage_index", "Index of the stage, from 0.", rollout, registry=registry)
        self.latched = Gauge("veriramp_rollout_latched", "1 while a rollback is latched.", rollout, registry=registry)
        self.revision = Gauge("veriramp_rollout_revision", "Revision last published.", rollout, registry=registry)
        self.leader = Gauge("veriramp_leader", "1 on the replica that leads.", registry=registry)
        self.rollouts = Gauge("veriramp_rollouts", "Rollouts known.", registry=registry)
        self.queue_depth = Gauge("veriramp_queue_depth", "Rollouts waiting for a pass.", registry=registry)
        self.queue_age = Gauge("veriramp_queue_age_seconds", "Longest wait for a pass.", registry=registry)
        self.journal = Counter(
            "veriramp_journal_lines", "Journal lines by what became of them.", ("outcome",), registry=registry
        )
        self.pushes = Counter("veriramp_alert_pushes", "Alertmanager pushes by answer.", ("code",), registry=registry)

    def after(self, rollout: Rollout, before: RolloutStatus, decision: Decision) -> None:
        """Count a decision and show what is in force."""
        labels = rollout.key
        status = decision.status
        if before.reason != status.reason:
            self.decisions.labels(decision.direction.value, decision.reason.value).inc()
        self.weight.labels(*labels).set(decision.vector.ranking_weight)
        self.rate.labels(*labels).set(decision.vector.sampling_rate)
        self.canary.labels(*labels).set(decision.vector.canary_percent)
        self.mode.labels(*labels).set(decision.vector.mode.rank)
        self.stage.labels(*labels).set(status.stage.index if status.stage else 0)
        self.latched.labels(*labels).set(status.phase is Phase.ROLLED_BACK)
        self.revision.labels(*labels).set(status.flags.revision if status.flags else 0)
        self._gates(rollout, before, status)

    def rollback(self, rollout: Rollout, before: RolloutStatus, after: RolloutStatus) -> None:
        """Count a rollback and time its steps, once each."""
        old, new = before.rollback, after.rollback
        if new is None:
            return
        fresh = old is None or old.at != new.at
        if fresh:
            self.rollbacks.labels(*rollout.key, new.gate, new.severity.value).inc()
        if new.published_at is not None and (fresh or old is None or old.published_at is None):
            self.time_to_safe.labels("published").observe(max(0.0, new.published_at - new.detected_at))
        if new.applied_at is not None and new.published_at is not None and (old is None or old.applied_at is None):
            self.time_to_safe.labels("applied").observe(max(0.0, new.applied_at - new.published_at))

    def forget(self, key: tuple[str, str]) -> None:
        """Drop the series of a rollout that is gone."""
        for gauge in (self.weight, self.rate, self.canary, self.mode, self.stage, self.latched, self.revision):
            if key in gauge._metrics:  # noqa: SLF001 the library offers no other way to ask
                gauge.remove(*key)
        self.verdicts.remove_by_labels({"namespace": key[0], "rollout": key[1]})

    def _gates(self, rollout: Rollout, before: RolloutStatus, after: RolloutStatus) -> None:
        old = {gate.name: gate.verdict for gate in before.gates}
        for gate in after.gates:
            previous = old.get(gate.name)
            if previous is not gate.verdict and previous is not None:
                self.verdicts.labels(*rollout.key, gate.name, previous.value).set(0)
            if previous is not gate.verdict:
                self.verdicts.labels(*rollout.key, gate.name, gate.verdict.value).set(1)
