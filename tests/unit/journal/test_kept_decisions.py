"""A journal that is kept tells when the rules by which decisions are made have changed."""

from __future__ import annotations

import pytest

from tests.data import make_decisions
from tests.data.make_decisions import differences, kept
from tests.support.walk.faults import FAULTS
from tests.support.walk.faults_of_evidence import FAULTS_OF_EVIDENCE
from veriramp_operator.cli.replay import Difference
from veriramp_operator.engine import RULES
from veriramp_operator.engine.types import Direction
from veriramp_operator.resources.journal import JournalEntry

_WHAT_NEXT = (
    "raise RULES when this is meant (veriramp_operator/engine/decide.py), and keep decisions by the new rules with "
    "python -m tests.data.make_decisions"
)


def test_the_rules_decide_as_those_of_the_same_number_did() -> None:
    otherwise = [
        f"{entry.decision.reason}: {found[0].field} was {found[0].recorded!r}, is {found[0].recomputed!r}"
        for entry, found in differences()
    ]
    assert not otherwise, f"{len(otherwise)} kept decisions are made otherwise; {_WHAT_NEXT}\n" + "\n".join(otherwise)


@pytest.mark.parametrize(("factor", "is_told"), [(1 + 1e-14, False), (1.001, True)])
def test_the_last_bits_of_another_machine_are_no_other_rules(
    factor: float, is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(entry: JournalEntry) -> list[Difference]:
        return [Difference("status.gates.0.value", 0.0627, 0.0627 * factor)]

    monkeypatch.setattr(make_decisions, "replayed", elsewhere)
    assert bool(make_decisions.differences()) is is_told


def test_the_kept_decisions_are_by_these_rules_and_of_every_kind() -> None:
    entries = list(kept())
    assert {entry.rules for entry in entries} == {RULES}, _WHAT_NEXT
    assert {entry.decision.direction for entry in entries} == set(Direction)
    assert len({entry.decision.reason for entry in entries}) > 25
    assert len(entries) > 300


@pytest.mark.parametrize("fault", ["windows do nothing", "a comparison that regresses only leans bad"])
def test_other_rules_are_noticed(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    {**FAULTS, **FAULTS_OF_EVIDENCE}[fault](monkeypatch)
    assert differences()
