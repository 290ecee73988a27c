"""What happens to a rollout on a walk: mostly time and good news, and between them everything else.

Public: :func:`walk`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from tests.support.builders import START
from tests.support.walk.specs import GATE_NAMES
from tests.support.walk.starts import restarted
from tests.support.walk.walk import CASE_SIZE, MOST_PASSES, Judge, Walk, told
from tests.support.walk.world import SAYINGS, Split
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.status import RolloutStatus
from veriramp_operator.api.vector import Vector
from veriramp_operator.engine.types import WorkerSeen
from veriramp_sdk.contract import Mode

_WHILE_UP: Final = ("promote", "skip-bake", "skip-bake", "promote", "shadow", "restart", "retry", "nonsense")
_WHILE_LATCHED: Final = ("retry", "retry", "restart", "retry", "promote", "skip-bake", "shadow")
_A_TOKEN_AGAIN: Final = 224
"""A byte from which on a request takes a token of before, not always the last one."""
_HIGH: Final = Vector(mode=Mode.LIVE, sampling_rate=1.0, canary_percent=100, ranking_weight=1.0, top_k=200)


def walk(data: bytes, judges: Sequence[Judge], kind: type[Walk] = Walk) -> Walk:
    """Walk one case to its end. Raises AssertionError of the judge that finds something, with the story as a note."""
    going = kind(data, judges)
    try:
        for _ in range(4 * MOST_PASSES):
            if going.passes >= MOST_PASSES:
                break
            act = _WHEEL[going.draws.byte()]
            going.story.append(act.__name__.strip("_"))
            act(going)
            going.disturbed = going.disturbed or act is not _time_passes
    except AssertionError as error:
        error.add_note(told(going.story))
        raise
    return going


def _time_passes(going: Walk) -> None:
    if going.world.status.rollback is not None and going.draws.one_in(3):
        _ask(going)
    for _ in range(1 + going.draws.below(3)):
        going.tick(going.draws.pick((None, None, None, None, 5.0, 1.0, 12.0, 30.0, 61.0)))


def _again_at_once(going: Walk) -> None:
    going.tick(0.0)


def _clock_jumps(going: Walk) -> None:
    seconds = going.draws.pick((3600.0, -1.0, -3600.0, 1e6))
    going.tick(seconds if going.world.now + seconds > START / 2 else 0.0)


def _gate_says(going: Walk) -> None:
    draws = going.draws
    length = draws.pick((1, 1, 2, 4, 9))
    names = [gate.name for gate in going.world.spec.gates] or GATE_NAMES
    saying = draws.pick(SAYINGS)
    if draws.one_in(8):  # a pause must mask nothing of it
        going.edit(going.world.spec.model_copy(update={"paused": True}))
    for name in names if draws.one_in(4) else (draws.pick(names),):
        going.world.begin_burst(name, saying, length)
    for _ in range(min(length, 3)):
        going.tick(draws.pick((5.0, 10.0, None, 30.0)))


def _crash(going: Walk) -> None:
    going.tick(going.draws.pick((None, 1.0, 10.0, 61.0)), cut=going.draws.below(3))


def _a_write_given_up_arrives_late(going: Walk) -> None:
    """Every write names the version that it replaces, so it arrives only if nothing else was written since."""
    if going.on_its_way is not None and going.world.published is going.on_its_way[0]:
        going.world._write(going.on_its_way[1])
    going.on_its_way = None


def _restart(going: Walk) -> None:
    restarted(going.world)
    going.world.operator_restarts()


def _users_are_dealt_out(going: Walk) -> None:
    going.world.split = going.draws.pick((Split.DOUBLED, Split.LOST, Split.STALE, Split.RIGHT, Split.UNKNOWN))
    going.tick()
    going.tick(going.draws.pick((None, 5.0, 30.0)))


def _stale_observation(going: Walk) -> None:
    """A cache that lags: what is written on its word is refused where it replaces something else."""
    stale = going.stale
    if stale is not None and stale.generation == going.world.generation:
        going.tick(going.draws.pick((1.0, 5.0)), seen=stale)


def _edit(going: Walk) -> None:
    for _ in range(going.draws.pick((1, 2, 4))):
        place = going.draws.below(len(going.dna))
        going.dna[place] = going.draws.byte()
    spec = going.world.spec
    kept = {"paused": spec.paused, "kill_switch": spec.kill_switch}
    going.edit(going.spec_of(bytes(going.dna)).model_copy(update=kept))


def _toggle(going: Walk) -> None:
    field = going.draws.pick(("paused", "kill_switch"))
    going.edit(going.world.spec.model_copy(update={field: not getattr(going.world.spec, field)}))


def _ask(going: Walk) -> None:
    status = going.world.status
    verb = going.draws.pick(_WHILE_LATCHED if status.rollback else _WHILE_UP)
    drawn = going.draws.byte()
    again = drawn >= _A_TOKEN_AGAIN and going.tokens > 0
    going.tokens += 0 if again else 1
    token = 1 + drawn % going.tokens if again else going.tokens
    stage = status.rollback.from_stage if status.rollback else (status.stage.name if status.stage else "a")
    going.world.requests = replace(going.world.requests, request=f"{verb}:{stage}@t{token}")
    going.tick(going.draws.pick((1.0, 10.0)))


def _abort(going: Walk) -> None:
    going.tokens += 1
    going.world.requests = replace(going.world.requests, abort=f"t{going.tokens}")


def _status_is_lost(going: Walk) -> None:
    going.world.status = RolloutStatus()
    going.memory.anew_from.clear()
    going.memory.tokens.clear()
    if going.world.published is None:
        going.forget()


def _document_is_lost(going: Walk) -> None:
    """Not together with a status that predates the latch: then no record of it is left at all."""
    if going.memory.latched is not None and going.world.status.rollback is None:
        return
    going.world.published = None
    if going.world.status.flags is None:
        going.forget()


def _remember_status(going: Walk) -> None:
    going.snapshot = going.world.status


def _older_status_comes_back(going: Walk) -> None:
    if going.snapshot is not None and going.world.published is not None:
        going.world.status = going.snapshot
        going.memory.anew_from.clear()
    going.memory.tokens.clear()


def _somebody_writes_the_document(going: Walk) -> None:
    if going.world.published is not None:
        vector = going.draws.pick((_HIGH, Vector()))
        going.world.published = replace(going.world.published, vector=vector, content_hash="other")


def _consumers_change(going: Walk) -> None:
    going.world.consumers = going.draws.pick((0, 3, 1))
    going.world.applied_revision = 0 if going.draws.one_in(2) else None
    going.world.processes_restart()
    going.tick()
    going.tick()


def _workers_break(going: Walk) -> None:
    for name in going.world.workers:
        going.world.workers[name] = WorkerSeen(name, 1, 0, since=going.world.now)


def _problem_appears(going: Walk) -> None:
    going.problem(going.draws.pick((Reason.UNKNOWN_PROFILE, Reason.INVALID_SPEC)))


def _is_deleted(going: Walk) -> None:
    going.world.deleting = True


def _all_is_well_again(going: Walk) -> None:
    """Without this nearly every walk would end held."""
    world = going.world
    if world.spec.paused or world.spec.kill_switch:
        going.edit(world.spec.model_copy(update={"paused": False, "kill_switch": False}))
    world.says.clear()
    world.bursts.clear()
    world.split = Split.RIGHT
    world.consumers, world.applied_revision, world.problems = 3, None, ()
    world.workers = {name: replace(seen, ready=seen.desired or 0) for name, seen in world.workers.items()}
    going.tick()


def _wheel() -> tuple[Callable[[Walk], None], ...]:
    shares: tuple[tuple[Callable[[Walk], None], int], ...] = (
        (_time_passes, 80),
        (_gate_says, 40),
        (_crash, 22),
        (_ask, 24),
        (_edit, 10),
        (_all_is_well_again, 14),
        (_again_at_once, 4),
        (_a_write_given_up_arrives_late, 6),
        (_stale_observation, 6),
        (_restart, 4),
        (_users_are_dealt_out, 8),
        (_toggle, 5),
        (_clock_jumps, 5),
        (_status_is_lost, 4),
        (_document_is_lost, 4),
        (_remember_status, 3),
        (_older_status_comes_back, 3),
        (_somebody_writes_the_document, 3),
        (_consumers_change, 5),
        (_abort, 2),
        (_workers_break, 2),
        (_problem_appears, 1),
        (_is_deleted, 1),
    )
    return tuple(act for act, share in shares for _ in range(share))


_WHEEL: Final = _wheel()
assert len(_WHEEL) == 256, "one act per value of a byte"

__all__ = ["CASE_SIZE", "walk"]
