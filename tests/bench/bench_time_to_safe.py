"""How long users stay exposed: from a push, a bad sample or a person's abort to the safe document in every process.

Two operators and two flag servers as the chart installs them, eight client processes with the SDK, four at each flag
server; every cycle brings a rollout up to Live and lets one thing happen. The moments are the clients' own. The *last*
client counts: a cycle is over when nobody is exposed any more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from time import time
from typing import Final

from tests.bench import report
from tests.bench.clients import Client, Seen, python_clients
from tests.bench.report import Figure, percentile, say
from tests.bench.stand import ALERT, NAMESPACE, ROLLOUT, Object, Stand, stand
from tests.support.waiting import wait_for
from veriramp_sdk.contract import Mode

CYCLES: Final = 50
CLIENTS: Final = 8
WARM_UP: Final = 3
BAD: Final = 0.9
SETTLED_SECONDS: Final = 1.3
SECONDS: Final = 60.0


def main() -> None:
    """Measure and write build/bench/time_to_safe.json."""
    rollout = f"{NAMESPACE}/{ROLLOUT}"
    with stand() as here, python_clients(here.flag_servers, rollout, ROLLOUT, CLIENTS) as clients:
        bench = Bench(here, clients)
        for number in range(WARM_UP):
            bench.cycle(bench.pushed, number)
        figures = _figures("push sent -> safe in all processes", bench.repeat("push", bench.pushed), 50, 250)
        pulled = bench.repeat("pull", bench.pulled)
        figures += _figures("first bad sample -> safe in all processes (every: 1s)", pulled, 600, 1300)
        figures += _figures("  the operator's read of it -> safe in all processes", bench.since_reading)
        figures += _figures("abort annotation sent -> off in all processes", bench.repeat("abort", bench.aborted))
    settings = {
        "cycles of each kind": CYCLES,
        "clients": f"{CLIENTS} Python processes with the SDK, half of them at each flag server",
        "operators": "2 replicas by the chart; pushes go to leader and standby by turns",
        "flag servers": "2 replicas by the chart",
        "scrape interval": "1s",
        "gate": "alert query, every: 1s, a new query (so a new phase of its clock) in every cycle",
    }
    report.write("time_to_safe", figures, settings)


class Bench:
    """One rollout that goes up and down, and what was measured on the way."""

    def __init__(self, here: Stand, clients: Sequence[Client]) -> None:
        self._here, self._clients = here, clients
        self._generation = 0
        self._revision = 0
        self._live_at = 0.0
        self._is_bad = True
        self.since_reading: list[float] = []

    def repeat(self, name: str, incident: Callable[[int], float]) -> list[float]:
        """Milliseconds from the incident to the last client, of each cycle."""
        took = []
        for number in range(CYCLES):
            took.append(self.cycle(incident, number))
            if (number + 1) % 10 == 0:
                say(f"{name}: {number + 1} of {CYCLES} cycles, median {percentile(took, 0.5):.1f} ms")
        return took

    def cycle(self, incident: Callable[[int], float], number: int) -> float:
        """Up to Live, the incident, down: milliseconds between the last two."""
        self._up()
        if incident != self.aborted:
            # Evidence may speak about the time before the latch was lifted until a window (1 s) has gone by.
            wait_for(lambda: time() > self._live_at + SETTLED_SECONDS, SECONDS, "a window without a rollback in it")
        return incident(number)

    def pushed(self, number: int) -> float:
        """Alertmanager posts; leader and standby by turns."""
        operator = self._here.operators[number % len(self._here.operators)]
        began = time()
        self._here.push(operator, "firing")
        ended = self._down()
        self._here.push(operator, "resolved")
        return (ended - began) * 1000

    def pulled(self, number: int) -> float:
        """The measured service turns bad; the clock starts when Prometheus has taken the first bad sample."""
        del number
        turned = time()
        self._is_bad = True
        self._here.says(BAD)
        ended = self._down()
        began = self._here.first_sample(turned, lambda value: value >= BAD)
        if began is None:
            raise RuntimeError("the rollout fell, but Prometheus has no bad sample")
        fallen = self._here.until("the rollback in status", lambda seen: seen.get("phase") == "RolledBack")
        gate = next(gate for gate in fallen["gates"] if gate["name"] == "errors")
        self.since_reading.append((ended - _instant(gate["observedAt"])) * 1000)
        return (ended - began) * 1000

    def aborted(self, number: int) -> float:
        """A person writes the abort annotation."""
        began = time()
        self._here.annotate("abort", f"{began}")
        ended = self._down()
        self._here.until("the kill switch in status", lambda seen: seen.get("phase") == "RolledBack")
        self._here.annotate("request", f"retry:live@{number}-{began}")
        return (ended - began) * 1000

    def _up(self) -> None:
        if self._is_bad:
            self._recover()
        # A new generation lifts the latch; the next client messages are about it.
        self._generation += 1
        self._here.apply(a_spec(self._generation))
        seen = [client.until(self._is_live) for client in self._clients]
        self._revision = max(message.revision for message in seen)
        self._live_at = max(message.at for message in seen)
        self._here.until("a settled rollout", lambda status: status.get("reason") == "Baking")

    def _recover(self) -> None:
        well = time()
        self._here.says(0)
        wait_for(lambda: self._here.first_sample(well, lambda value: value < BAD), SECONDS, "a good sample")
        self._is_bad = False

    def _down(self) -> float:
        """When the last client was not Live any more."""
        return max(client.until(self._is_safe).at for client in self._clients)

    def _is_live(self, seen: Seen) -> bool:
        return seen.mode is Mode.LIVE and seen.revision > self._revision

    def _is_safe(self, seen: Seen) -> bool:
        return seen.mode is not Mode.LIVE and seen.revision > self._revision


def a_spec(generation: int) -> Object:
    """One Live stage without a ramp; the alert's query differs with the generation, and means the same."""
    return {
        "flags": {"leaseSeconds": 60},
        "stages": [
            {
                "name": "live",
                "mode": "Live",
                "samplingRate": 1,
                "canaryPercent": 50,
                "rankingWeight": 0.1,
                "bake": "1h",
            }
        ],
        "gates": [
            {
                "name": "errors",
                "alert": {
                    "expr": f'test_errors{{case="bench"}} > 0.5{generation:04d}',
                    "presence": {"query": 'test_requests{case="bench"}', "min": 1},
                },
                "selector": 'test_requests{case="bench"}',
                "every": "1s",
                "window": "1s",
                "onRegression": "Shadow",
            },
            {
                "name": "pager",
                "firing": {"alertnames": [ALERT], "source": "Push"},
                "required": False,
                "window": "1s",
                "onRegression": "Shadow",
            },
        ],
    }


def _figures(what: str, took: Sequence[float], p50: float | None = None, p99: float | None = None) -> list[Figure]:
    figures = []
    for name, share, bar in (("p50", 0.5, p50), ("p99", 0.99, p99)):
        value = percentile(took, share)
        title = f"{what}, {name}"
        figures.append(report.stated(title, value, "ms") if bar is None else report.at_most(title, value, "ms", bar))
    return figures


def _instant(value: object) -> float:
    if isinstance(value, int | float):
        return float(value)
    return datetime.fromisoformat(str(value)).timestamp()


if __name__ == "__main__":
    main()
