"""The ``firing`` gate: alerts by name, pulled from Prometheus beside healthy rules, and pushed by Alertmanager."""

from __future__ import annotations

import math
from typing import Final

from veriramp_operator.api.rollout import AlertSource, FiringGate, GateSpec
from veriramp_operator.cli.simulation.signals import Signal
from veriramp_operator.cli.simulation.traffic import Traffic
from veriramp_operator.evidence.types import PushedAlert, Reading, RuleSeen, Samples, Series

RULE_INTERVAL: Final = 15.0


class FiringSignal(Signal):
    """An alert that fires from the onset of its injection on; a push is there at once, a pull sees it at its poll."""

    def __init__(self, gate: GateSpec, traffic: Traffic, firing: FiringGate) -> None:
        super().__init__(gate, traffic)
        self._firing = firing

    def samples(self, now: float) -> Samples:
        """The newest poll with the rules it names, and the push."""
        source = self._firing.source
        pulled = () if source is AlertSource.PUSH else (self._reading(self.last_tick(now)),)
        pushed = () if source is AlertSource.PULL else self._pushes(now)
        return Samples(pulled, pushed, scrape_interval=self.traffic.scrape)

    def next_bad(self, after: float, until: float) -> float | None:
        """When the alert fires, as far as the gate's source shows it."""
        onset = self.onset
        if onset is None:
            return None
        if self._firing.source is not AlertSource.PUSH:
            seen = math.ceil(onset / self.every) * self.every
            onset = seen if self._firing.source is AlertSource.PULL or onset <= after else onset
        return onset if after < onset <= until else None

    def _fires(self, at: float) -> bool:
        return self.onset is not None and self.onset <= at < self.ended

    def _reading(self, tick: float) -> Reading:
        name = self._firing.alertnames[0]
        rules = tuple(RuleSeen(each, "ok", tick, RULE_INTERVAL) for each in self._firing.alertnames)
        firing = self._fires(tick) and self.onset is not None
        # The value is the time at which the expression first held.
        answer = Series((self.onset or 0.0,), ({"alertname": name},)) if firing else Series(())
        return Reading(tick, answer, rules=rules)

    def _pushes(self, now: float) -> tuple[PushedAlert, ...]:
        if self.onset is None or not self._fires(now):
            return ()
        name = self._firing.alertnames[0]
        return (PushedAlert(name, True, self.onset, self.onset, math.inf, {"alertname": name}),)
