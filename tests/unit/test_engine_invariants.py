"""The ten invariants of the engine, each under everything that can happen to a rollout.

``HYPOTHESIS_PROFILE=soak`` runs them long.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Final

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.support.engine_machine import PROFILE, SOAK, RolloutMachine, Tick, latch_of, publication
from veriramp_operator.api.rollout import GateSpec, OnRegression
from veriramp_operator.api.status import GateStatus, Severity, VerdictKind
from veriramp_operator.api.vector import OFF
from veriramp_operator.engine.stages import plan_of
from veriramp_operator.engine.types import Direction, PublishFlags, ScaleWorkers
from veriramp_sdk.contract import Mode


def required(tick: Tick) -> list[tuple[GateSpec, GateStatus]]:
    """The required gates of a pass with their verdicts."""
    verdicts = {gate.name: gate for gate in tick.decision.status.gates}
    return [(gate, verdicts[gate.name]) for gate in tick.spec.gates if gate.is_required]


class Rises(RolloutMachine):
    def judge_tick(self, tick: Tick) -> None:
        if not tick.raised or tick.published_before is None:
            return
        good = {VerdictKind.PASS, VerdictKind.INCONCLUSIVE, VerdictKind.NOT_APPLICABLE}
        for gate, status in required(tick):
            assert status.verdict in good, f"rose although {gate.name} says {status.verdict}"
            if status.verdict is not VerdictKind.NOT_APPLICABLE:
                says = self.world.says.get(gate.name)
                assert says is None or not says(tick.now).leans_bad, f"rose although {gate.name} leans bad"


class Falls(RolloutMachine):
    def judge_tick(self, tick: Tick) -> None:
        if not tick.whole:
            return
        vector = OFF if tick.published is None else tick.published.vector
        if tick.spec.kill_switch or tick.seen.deleting:
            assert vector.mode is Mode.OFF
        handled = tick.before.last_handled_request
        if tick.seen.requests.abort and (handled is None or handled.abort != tick.seen.requests.abort):
            assert vector.mode is Mode.OFF
        worst = {
            gate.on_regression
            for gate in tick.spec.gates
            for status in tick.decision.status.gates
            if status.name == gate.name and status.verdict is VerdictKind.REGRESSION
        }
        if OnRegression.KILL_SWITCH in worst:
            assert vector.mode is Mode.OFF
        if OnRegression.SHADOW in worst:
            assert vector.mode is not Mode.LIVE
        if OnRegression.PREVIOUS_STAGE in worst:
            self._stepped_down(tick)
        for exposed in (tick.decision.vector, tick.after.parameters or OFF):
            assert vector.is_at_most(exposed)

    def _stepped_down(self, tick: Tick) -> None:
        stage, plan = tick.before.stage, plan_of(tick.spec)
        same_list = stage is not None and stage.index < len(plan.rungs) and plan.rungs[stage.index].hash == stage.hash
        if stage is None or not same_list or tick.edited or tick.lifts or tick.before.rollback is not None:
            return
        below = plan.below(stage.index)
        assert tick.published is None or tick.published.vector.is_at_most(below.vector if below else OFF)


class Monotone(RolloutMachine):
    def judge_tick(self, tick: Tick) -> None:
        now, before = tick.after.stage, tick.before.stage
        if tick.published is None or now is None:
            return
        plan = plan_of(tick.spec)
        if tick.whole and tick.after.rollback is None:
            assert tick.published.vector.is_at_most(plan.at(now).vector), "beyond the target"
        same = before is not None and before.name == now.name and before.entered_at == now.entered_at
        if same and tick.published_before is not None and tick.decision.direction is not Direction.FALL:
            recorded = tick.before.parameters or OFF
            if tick.published_before.vector == recorded:
                assert recorded.is_at_most(tick.published.vector), "fell without a fall"


class Latches(RolloutMachine):
    def __init__(self) -> None:
        super().__init__()
        self.latched: tuple[Severity, int] | None = None

    def forgotten(self) -> None:
        self.latched = None

    def may_lose_document(self) -> bool:
        """Not together with a status that predates the latch: then no record of it is left at all."""
        return self.latched is None or self.world.status.rollback is not None

    def judge_tick(self, tick: Tick) -> None:
        if self.latched is not None:
            severity, generation = self.latched
            newer = tick.seen.generation > generation and severity is not Severity.KILL_SWITCH
            if newer or tick.lifts:
                self.latched = None
        if self.latched is not None:
            assert not tick.raised, "rose through a latch"
            assert tick.decision.status.rollback is not None, "the latch is gone"
        latch = latch_of(tick.published)
        if tick.published is not tick.published_before and latch is not None:
            self.latched = (latch.severity, latch.generation)


class Blind(RolloutMachine):
    def judge_tick(self, tick: Tick) -> None:
        if any(status.verdict is VerdictKind.NO_DATA for _, status in required(tick)):
            assert tick.decision.direction is not Direction.RISE
            assert not tick.raised or tick.published_before is None


class Settled(RolloutMachine):
    def judge_tick(self, tick: Tick) -> None:
        if not tick.whole:
            return
        again = self.world.decide()
        assert publication(again) is None, f"published twice: {again.message}"
        writes = [command for command in tick.decision.commands if isinstance(command, PublishFlags | ScaleWorkers)]
        if tick.decision.direction is Direction.HOLD and not writes:
            assert again.status == self.world.status
            assert not [command for command in again.commands if isinstance(command, ScaleWorkers)]


class Salts(RolloutMachine):
    def __init__(self) -> None:
        super().__init__()
        self.salts: tuple[str, str] | None = None
        self.drawn = 0

    def forgotten(self) -> None:
        self.salts = None

    def tick(self, seconds: float, cut: int | None) -> None:
        self.drawn += 1
        self.world.salts = (f"salt-{self.drawn}", f"sample-{self.drawn}")
        super().tick(seconds, cut)

    def judge_tick(self, tick: Tick) -> None:
        if tick.published is None:
            return
        salts = (tick.published.salt, tick.published.sample_salt)
        assert self.salts in (None, salts)
        self.salts = salts


class Edits(RolloutMachine):
    def judge_tick(self, tick: Tick) -> None:
        if tick.edited:
            assert not tick.raised


class History(RolloutMachine):
    def judge_tick(self, tick: Tick) -> None:
        old, new = tick.before.history, tick.decision.status.history
        assert len(new) <= 20
        assert any(old[start:] == new[: len(old) - start] for start in range(len(old) + 1))
        assert len(new) >= len(old)
        revisions = [line.revision for line in new if line.direction != Direction.HOLD]
        assert all(earlier <= later for earlier, later in pairwise(revisions))


class Deterministic(RolloutMachine):
    def judge_tick(self, tick: Tick) -> None:
        world = replace(self.world, status=tick.before, published=tick.published_before)
        one = world.decide_from(tick.seen, tick.now)
        other = world.decide_from(tick.seen, tick.now)
        assert one == other
        assert one.status.model_dump_json() == other.status.model_dump_json()
        assert one == tick.decision


INVARIANTS: Final[dict[str, type[RolloutMachine]]] = {
    "I1_nothing_rises_without_good_evidence": Rises,
    "I2_after_a_fall_finding_the_published_vector_is_at_or_below_its_target": Falls,
    "I3_within_a_stage_each_parameter_is_monotone_and_within_the_target": Monotone,
    "I4_no_latch_is_lifted_but_by_a_person_or_a_new_generation": Latches,
    "I5_no_data_never_up": Blind,
    "I6_a_second_pass_at_the_same_instant_changes_nothing": Settled,
    "I7_the_salt_never_changes": Salts,
    "I8_a_spec_edit_raises_nothing_by_itself": Edits,
    "I9_history_is_append_only_and_bounded": History,
    "I10_the_same_inputs_give_the_same_bytes": Deterministic,
}


@pytest.mark.shows("S1-RAMP-01", "S1-ROLL-07", "S1-RBK-08")
@pytest.mark.timeout(36000 if SOAK else 120)
@pytest.mark.parametrize("name", INVARIANTS)
def test_invariant(name: str) -> None:
    run_state_machine_as_test(INVARIANTS[name], settings=PROFILE)
