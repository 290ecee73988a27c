"""What gates say to people, word for word and with the number behind it (golden file)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests.support.evidence import NOW, alert_gate, baseline_gate, burn_gate, numbers, reading, threshold_gate
from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.rollout import GateSpec
from veriramp_operator.evidence import judge
from veriramp_operator.evidence.burn_rate import NUMBER
from veriramp_operator.evidence.types import Answer, Failure, Reading, Samples, Series

GOLDEN: Final = Path(__file__).parents[1] / "golden" / "evidence" / "sentences.txt"
LOST: Final = Failure(NoDataReason.TIMEOUT, "prometheus did not answer within 10 s")
PLAIN, BETWEEN = baseline_gate(), baseline_gate(lowerQuery="low", upperQuery="high")
BURN: Final = burn_gate()


def compared(
    value: float | Answer, baseline: float = 1.0, lower: float | Answer = 0.6, upper: float | Answer = 0.8
) -> Reading:
    answers = [numbers(one) if isinstance(one, (int, float)) else one for one in (value, baseline, lower, upper)]
    return replace(reading(NOW, answers[0]), baseline=answers[1], lower=answers[2], upper=answers[3])


def burning(long: float | None, short: float | None, rps: float = 10.0, *left_out: str) -> Reading:
    found = {"newest": NOW - 1, "exposed": 3.0}
    for seconds, share in ((3600, long), (300, short)):
        found |= {f"total {seconds}": rps} | ({} if share is None else {f"errors {seconds}": share * rps})
    kept = {name: value for name, value in found.items() if name not in left_out}
    return Reading(NOW, Series(tuple(kept.values()), tuple({NUMBER: name} for name in kept)))


def cases() -> Iterator[tuple[str, GateSpec, Reading, float | None]]:
    yield "alert, good", alert_gate(), reading(NOW, numbers()), None
    yield "alert, bad", alert_gate(), reading(NOW, Series((0.5, 0.7), ({"pod": "a"}, {"pod": "b"}))), None
    yield "alert, not present", alert_gate(), reading(NOW, numbers(), presence=numbers(0.01)), None
    yield "threshold, good", threshold_gate(), reading(NOW, numbers(1.5)), None
    yield "threshold, bad", threshold_gate(), reading(NOW, numbers(2.5)), None
    yield "threshold, bad for too short", threshold_gate(**{"for": "30s"}), reading(NOW, numbers(2.5)), None
    yield "threshold, two series", threshold_gate(), reading(NOW, numbers(1.0, 2.0)), None
    yield "threshold, lost", threshold_gate(), reading(NOW, LOST), None
    yield "baseline, good", PLAIN, compared(0.95), None
    yield "baseline, bad", PLAIN, compared(0.89), None
    yield "baseline of zero", PLAIN, compared(1.0, 0.0), None
    yield "baseline lost", PLAIN, replace(compared(1.0), baseline=LOST), None
    yield "interval, bad", BETWEEN, compared(0.7), None
    yield "interval, good", BETWEEN, compared(0.95, 1.0, 0.9, 1.0), None
    yield "interval of one point", BETWEEN, compared(0.95, 1.0, 0.95, 0.95), None
    yield "interval, unsure and bad", BETWEEN, compared(0.85, 1.0, 0.8, 0.95), None
    yield "interval, unsure and good", BETWEEN, compared(0.92, 1.0, 0.8, 0.95), None
    yield "interval, exchanged", BETWEEN, compared(0.7, 1.0, 0.8, 0.6), None
    yield "interval, no lower end", BETWEEN, compared(0.7, 1.0, LOST, 0.8), None
    yield "interval, no upper end", BETWEEN, compared(0.7, 1.0, 0.6, LOST), None
    yield "burn rate, good", BURN, burning(0.01, 0.02), None
    yield "burn rate, bad", BURN, burning(0.2, 0.3), None
    yield "burn rate, over by now", BURN, burning(0.2, 0.1), None
    yield "burn rate, bad and then idle", BURN, burning(0.2, 0.0, 0.05), None
    yield "burn rate, idle", BURN, burning(0.2, 0.3, 0.01), None
    yield "burn rate, old errors", BURN, burning(0.2, 0.3), NOW - 600
    yield "burn rate, no errors exposed", BURN, burning(None, None, 10.0, "exposed"), None
    yield "burn rate, too few samples", BURN, burning(0.2, 0.2, 10.0, "total 300"), None
    yield "burn rate, errors too few", BURN, burning(0.2, None), None
    yield "burn rate, no number", BURN, burning(math.inf, 0.1), None


def test_sentences() -> None:
    told = []
    for name, gate, poll, since in cases():
        verdict = judge(gate, Samples((poll,)), NOW, since)
        value = "" if verdict.value is None else f" [{verdict.value:.6g}]"
        lean = ", leans bad" if verdict.leans_bad else ""
        told.append(f"{name}\n    {verdict.kind} {verdict.reason}{lean}{value}: {verdict.message}\n")
    assert "".join(told) == GOLDEN.read_text(encoding="utf-8")
