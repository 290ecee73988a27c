"""Specs of every feature, out of bytes in fixed places: to change one byte is to edit one field.

Public: :data:`DNA_SIZE`, :func:`spec_of`, :func:`kinds_of`, :func:`with_arms`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from tests.support.walk.draws import Draws
from veriramp_operator.api.rollout import (
    AlertGate,
    ComparisonGate,
    GateSpec,
    OnInconclusive,
    OnNoData,
    OnRegression,
    PresenceSpec,
    Promotion,
    RampSpec,
    ReplicasSpec,
    RolloutSpec,
    Scaling,
    Shape,
    StageSpec,
    WindowSpec,
    WorkerSpec,
)
from veriramp_sdk.contract import Mode

STAGE_NAMES: Final = ("a", "b", "c", "d")
GATE_NAMES: Final = ("errors", "latency", "quality", "versus")
_GLOBALS: Final = 8
_STAGE: Final = 10
_GATE: Final = 8
DNA_SIZE: Final = _GLOBALS + _STAGE * len(STAGE_NAMES) + _GATE * len(GATE_NAMES)

_VERSUS_FIRST: Final = 2
"""The byte that says whether the comparison is the first of the gates."""
_RISE: Final = ((0, 1, 1, 2), (0, 1, 1, 1), (0,))
"""How many modes a stage may be above the one before, by that one's rank: mostly Live from the second stage on."""
_MODES: Final = (Mode.OFF, Mode.SHADOW, Mode.LIVE)
_PERCENTS: Final = (1.0, 5.0, 33.33, 50.0, 99.9, 100.0)
_HALVES: Final = RampSpec(duration=40.0, shape=Shape.STEPS, steps=(0.5, 1.0))
_UNEVEN: Final = RampSpec(duration=60.0, shape=Shape.STEPS, steps=(0.1, 0.25, 0.9))
_LINEAR: Final = RampSpec(duration=100.0, interval=10.0)
_COARSE: Final = RampSpec(duration=50.0, interval=45.0)
_REFUSED: Final = RampSpec(duration=0.0, interval=0.0)
"""Admission refuses it now; the object may be older than the rule."""
_RAMPS: Final = (None, *(_LINEAR, _COARSE, _LINEAR, _HALVES, None, _UNEVEN, _LINEAR) * 10, _REFUSED)

# The walks start on a Friday at 08:00 UTC.
_OPEN: Final = WindowSpec(days=(), from_="00:00", to="23:59")
_BERLIN: Final = WindowSpec(days=("Fri",), from_="09:00", to="09:02", timezone="Europe/Berlin")
_SATURDAY: Final = WindowSpec(days=("Sat",), from_="08:00", to="16:00")
_WINDOWS: Final = (*((),) * 6, (_OPEN,), (_BERLIN,), (_SATURDAY, _BERLIN), (_SATURDAY,))

_REPLICAS: Final = (
    None,
    None,
    ReplicasSpec(min=1),
    ReplicasSpec(scaling=Scaling.EXTERNAL),
    ReplicasSpec(min=1, max=8, scaling=Scaling.SAMPLING_RATE),
)
_ALERT: Final = AlertGate(expr="errors > 1", presence=PresenceSpec(query="requests", min=0.1))
_COMPARISON: Final = ComparisonGate(events="bad", total="all", min_users=0)
_ACTIONS: Final = (
    OnRegression.KILL_SWITCH,
    OnRegression.SHADOW,
    OnRegression.PREVIOUS_STAGE,
    OnRegression.PREVIOUS_STAGE,
    OnRegression.REPORT,
)


def spec_of(dna: bytes) -> RolloutSpec:
    """The spec that these bytes stand for; the same bytes give the same object."""
    return _spec(bytes(dna[:DNA_SIZE]))


def kinds_of(dna: bytes) -> dict[str, int]:
    """For each gate a number: which of its kinds it is, where gates ask monitoring."""
    last = _GLOBALS + _STAGE * len(STAGE_NAMES) + _GATE - 1
    return {name: dna[last + _GATE * index] for index, name in enumerate(GATE_NAMES)}


def with_arms(dna: bytes) -> bytes:
    """The same but for every other one in which arms are then compared, whatever it said."""
    return (
        dna[:_VERSUS_FIRST] + bytes([255 if dna[_VERSUS_FIRST] % 2 else dna[_VERSUS_FIRST]]) + dna[_VERSUS_FIRST + 1 :]
    )


@lru_cache(maxsize=256)
def _spec(dna: bytes) -> RolloutSpec:
    draws = Draws(dna[:_GLOBALS])
    count = 1 + draws.pick((1, 2, 3, 3, 2, 0))
    stages = _stages(dna[_GLOBALS:], count)
    names = [stage.name for stage in stages]
    chosen = draws.pick((1, 2, 3, 4, 2, 3, 0))
    at = _GLOBALS + _STAGE * len(STAGE_NAMES)
    gates = tuple(_gate(name, Draws(dna[at + _GATE * index :]), names) for index, name in enumerate(GATE_NAMES))
    gates = (gates[3:] + gates[:3])[:chosen] if draws.one_in(3) else gates[:chosen]
    replicas = draws.pick(_REPLICAS)
    action = draws.pick(("Hold", "PreviousStage", "Shadow"))
    unguarded = draws.one_in(4) or not any(gate.is_required for gate in gates)
    return RolloutSpec(
        stages=stages,
        gates=gates,
        workers=() if replicas is None else (WorkerSpec(profile="orchestrator", replicas=replicas),),
        on_no_data=OnNoData.model_validate({"after": 20.0, "action": action}),
        on_inconclusive=draws.pick(tuple(OnInconclusive)),
        windows=draws.pick(_WINDOWS),
        allow_unguarded=unguarded,
    )


def _stages(dna: bytes, count: int) -> tuple[StageSpec, ...]:
    stages = []
    rank, percent, names = 0, 0, list(STAGE_NAMES)
    for index in range(count):
        draws = Draws(dna[_STAGE * index : _STAGE * (index + 1)])
        name = names.pop(draws.below(len(names))) if draws.one_in(8) else names.pop(0)
        rank += draws.pick(_RISE[rank])
        live = _MODES[rank] is Mode.LIVE
        percent = min(percent + draws.below(3), len(_PERCENTS) - 1)
        bake = draws.pick((20.0, 0.0, 60.0))
        stages.append(
            StageSpec(
                name=name,
                mode=_MODES[rank],
                sampling_rate=draws.pick((0.05, None, 0.5, 0.0)),
                canary_percent=_PERCENTS[percent] if live and not draws.one_in(8) else None,
                ranking_weight=draws.pick((0.05, None, 0.15, 0.0)) if live else None,
                ramp=draws.pick(_RAMPS),
                bake=bake,
                max_bake=draws.pick((None, bake, bake + 30.0)),
                **_rarely(draws),
            )
        )
    return tuple(stages)


def _rarely(draws: Draws) -> dict[str, Any]:
    promotion = draws.pick((Promotion.AUTO, Promotion.AUTO, Promotion.AUTO, Promotion.MANUAL))
    return {"promotion": promotion, "top_k": draws.pick((None, None, 5, 40, 0))}


def _gate(name: str, draws: Draws, stages: list[str]) -> GateSpec:
    action = draws.pick(_ACTIONS)
    kind = {"comparison": _COMPARISON} if name == "versus" else {"alert": _ALERT, "selector": "requests"}
    named = (draws.pick(stages),) if draws.one_in(5) else ()
    required = False if action is not OnRegression.REPORT and draws.one_in(6) else None
    walks_down = action is OnRegression.PREVIOUS_STAGE and draws.one_in(3)
    return GateSpec(
        name=name,
        # In these walks everything happens at once, so a window of 0 would let a fall confirm itself.
        window=draws.pick((10.0, 5.0 if action is OnRegression.PREVIOUS_STAGE else 0.0, 30.0)),
        every=draws.pick((5.0, 15.0)),
        stages=named,
        required=required,
        on_regression=action,
        step_down=50.0 if walks_down else None,
        **kind,
    )
