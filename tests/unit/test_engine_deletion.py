"""Deletion: off first, applied everywhere, then the object may go."""

from __future__ import annotations

import pytest

from tests.support.builders import (
    a_running,
)
from veriramp_operator.api.status import Phase
from veriramp_operator.api.vector import OFF
from veriramp_operator.engine.types import (
    Announce,
    Decision,
    Direction,
    ReleaseFinalizer,
)


def released(decision: Decision) -> bool:
    return any(isinstance(command, ReleaseFinalizer) for command in decision.commands)


def test_deletion_goes_off_first_and_lets_go_when_it_is_applied() -> None:
    world = a_running()
    world.run_to("half")
    world.deleting = True

    falls, then = world.tick(1), world.tick(1)

    assert (falls.direction, released(falls), released(then)) == (Direction.FALL, False, True)
    assert world.vector() == OFF
    assert then.status.phase is Phase.DELETING


@pytest.mark.parametrize(("lease", "after"), [(240, 240), (0, 360)])
def test_deletion_does_not_wait_for_ever(lease: int, after: int) -> None:
    world = a_running()
    world.spec = world.spec.model_copy(update={"flags": world.spec.flags.model_copy(update={"lease_seconds": lease})})
    world.run_to("half")
    world.applied_revision = 3
    world.deleting = True
    world.tick(1)

    assert not released(world.tick(after - 1))
    last = world.tick(1)

    assert released(last)
    assert [command.reason for command in last.commands if isinstance(command, Announce)] == ["SafeOff"]


def test_deletion_of_what_was_never_published() -> None:
    world = a_running()
    world.deleting = True

    assert released(world.tick(1))
    assert world.published is None


def test_deletion_together_with_the_document_brings_nothing_back() -> None:
    world = a_running()
    world.run_to("half")
    assert world.status.flags is not None
    revision = world.status.flags.revision
    world.published = None
    world.deleting = True
    world.applied_revision = revision

    falls, waits = world.tick(1), world.tick(1)
    world.applied_revision = revision + 1
    then = world.tick(1)

    assert (world.published, released(falls), released(waits), released(then)) == (None, False, False, True)
