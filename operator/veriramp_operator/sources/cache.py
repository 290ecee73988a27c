"""The evidence of all watched rollouts: a bounded row of readings and the pushed alerts of each gate.

Public: :class:`EvidenceCache`, :class:`Watch`. Nothing here asks anybody; the samplers and the receiver fill it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from veriramp_operator.api.rollout import GateSpec, RolloutSpec
from veriramp_operator.evidence import Mark, every_of, for_of, mark_of
from veriramp_operator.evidence.types import Answer, Counts, Failure, Occupied, PushedAlert, Reading, Samples
from veriramp_operator.sources.alertmanager import covers

Key = tuple[str, str]
"""(namespace, name) of a rollout."""

POLLS_KEPT_BEYOND_FOR: Final = 8
MOST_READINGS: Final = 512
MOST_PUSHES: Final = 100
Fingerprint = tuple[tuple[str, str], ...]


@dataclass(slots=True, eq=False)
class Watch:
    """One gate of one rollout and what is known for it."""

    key: Key
    gate: GateSpec
    scrape_interval: float
    endpoint: str = ""
    external_labels: tuple[str, ...] = ()
    readings: deque[Reading] = field(default_factory=deque)
    pushes: dict[Fingerprint, PushedAlert] = field(default_factory=dict)
    counts: Counts | None = None
    occupied: Occupied | None = None
    mark: Mark | None = None
    snapshot: Samples | None = None

    @property
    def keep_seconds(self) -> float:
        """How long a reading can matter to a verdict: ``for`` and a few polls more."""
        return for_of(self.gate) + POLLS_KEPT_BEYOND_FOR * every_of(self.gate)

    def add(self, reading: Reading) -> bool:
        """Remember a reading; True when the verdict can have changed by it (a bad one always can)."""
        if self.readings and reading.at <= self.readings[-1].at:
            # Our clock went back: what was read "later" than now would be ignored until the clock is there again.
            self.readings = deque(old for old in self.readings if old.at < reading.at)
        self.readings.append(reading)
        oldest = reading.at - self.keep_seconds
        while self.readings[0].at < oldest or len(self.readings) > MOST_READINGS:
            self.readings.popleft()
        self.snapshot = None
        before, self.mark = self.mark, mark_of(self.gate, reading, self.scrape_interval)
        return self.mark is not before or self.mark is Mark.BAD

    def count(self, reading: Reading, counts: Counts | None, occupied: Occupied | None) -> bool:
        """Remember what the compared counters grew by; True when asking begins to fail or to work again."""
        before = self.readings[-1].answer if self.readings else None
        self.counts, self.occupied = counts, occupied
        self.add(reading)
        return _reason(before) is not _reason(reading.answer)

    def uncount(self) -> None:
        """Forget what the compared counters grew by: another trial begins."""
        if self.counts is not None or self.readings:
            self.counts, self.occupied, self.snapshot = None, None, None
            self.readings.clear()

    def push(self, alert: PushedAlert, now: float) -> None:
        """Remember the latest news of an alert; expired ones go, and the oldest where there are too many."""
        self.pushes.pop(fingerprint(alert.labels), None)
        self.pushes = {name: known for name, known in self.pushes.items() if known.expires_at > now}
        self.pushes[fingerprint(alert.labels)] = alert
        while len(self.pushes) > MOST_PUSHES:
            resolved = (name for name, known in self.pushes.items() if not known.firing)
            del self.pushes[next(resolved, next(iter(self.pushes)))]
        self.snapshot = None

    def samples(self) -> Samples:
        """A frozen copy of everything known."""
        if self.snapshot is None:
            self.snapshot = Samples(
                tuple(self.readings),
                tuple(self.pushes.values()),
                self.scrape_interval,
                self.counts,
                self.occupied,
                external_labels=self.external_labels,
            )
        return self.snapshot


class EvidenceCache:
    """Watches by rollout and gate name."""

    def __init__(self) -> None:
        self._watches: dict[Key, dict[str, Watch]] = {}
        self._names: dict[str, set[str]] = {}

    def replace(
        self, key: Key, spec: RolloutSpec, scrape_interval: float, external_labels: tuple[str, ...] = ()
    ) -> tuple[list[Watch], list[Watch]]:
        """Watch exactly the gates of a spec at an endpoint. Returns (added, removed).

        What is known of an unchanged gate at an unchanged endpoint stays. Pushed alerts stay wherever the gate still
        names them: nobody can be asked for them again.
        """
        known = self._watches.get(key, {})
        watches: dict[str, Watch] = {}
        for gate in spec.gates:
            watch = known.get(gate.name)
            asked = (gate, scrape_interval, spec.prometheus)
            if watch is None or (watch.gate, watch.scrape_interval, watch.endpoint) != asked:
                pushes = {} if watch is None else watch.pushes
                watch = Watch(key, gate, scrape_interval, spec.prometheus, external_labels)
                watch.pushes = {name: alert for name, alert in pushes.items() if _names(gate, alert.alertname)}
            watches[gate.name] = watch
        added = [watch for name, watch in watches.items() if known.get(name) is not watch]
        removed = [watch for name, watch in known.items() if watches.get(name) is not watch]
        self._watches[key] = watches
        self._names.setdefault(key[0], set()).add(key[1])
        return added, removed

    def forget(self, key: Key) -> list[Watch]:
        """Drop a rollout; returns what was watched."""
        self._names.get(key[0], set()).discard(key[1])
        return list(self._watches.pop(key, {}).values())

    def watches(self, key: Key) -> Iterable[Watch]:
        """What is watched of a rollout."""
        return self._watches.get(key, {}).values()

    def samples(self, key: Key) -> Mapping[str, Samples]:
        """Everything known for the gates of a rollout, by gate name; empty for a rollout that is not watched."""
        return {name: watch.samples() for name, watch in self._watches.get(key, {}).items()}

    def push(self, alerts: Iterable[PushedAlert], now: float) -> dict[Key, tuple[PushedAlert, ...]]:
        """Hand pushed alerts to every gate that names them; returns who got which."""
        reached: dict[Key, list[PushedAlert]] = {}
        for alert in alerts:
            for key in self._meant(alert):
                interested = [watch for watch in self._watches[key].values() if _names(watch.gate, alert.alertname)]
                for watch in interested:
                    watch.push(alert, now)
                if interested:
                    reached.setdefault(key, []).append(alert)
        return {key: tuple(found) for key, found in reached.items()}

    def _meant(self, alert: PushedAlert) -> list[Key]:
        names = self._names.get(alert.labels.get("namespace", ""), set())
        keys = [(alert.labels["namespace"], name) for name in sorted(names)]
        return [key for key in keys if covers(alert, key)]


def fingerprint(labels: Mapping[str, str]) -> Fingerprint:
    """What tells one alert from another: its label set without ``alertstate``."""
    return tuple(sorted((name, value) for name, value in labels.items() if name != "alertstate"))


def _reason(answer: Answer | None) -> object:
    """What tells one kind of answer from another: the reason of a failure, or the type."""
    return answer.reason if isinstance(answer, Failure) else type(answer)


def _names(gate: GateSpec, alertname: str) -> bool:
    return gate.firing is not None and alertname in gate.firing.alertnames
