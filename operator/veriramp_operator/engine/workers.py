"""How many replicas of each worker the vector in force asks for."""

from __future__ import annotations

import math

from veriramp_operator.api.rollout import Scaling, WorkerSpec
from veriramp_operator.api.status import WorkerStatus
from veriramp_operator.api.vector import Vector
from veriramp_operator.engine.scene import Scene
from veriramp_operator.engine.types import ScaleWorkers, WorkerSeen
from veriramp_sdk.contract import Mode

_NOT_THERE = WorkerSeen("", None, 0)


def wanted(worker: WorkerSpec, vector: Vector) -> int:
    """Replicas while this vector is in force; ``SamplingRate`` is clamp(ceil(max x rate), min..max), Off is 0."""
    least = 1 if worker.replicas.min is None else worker.replicas.min
    if vector.mode is Mode.OFF:
        return 0
    if worker.replicas.scaling is Scaling.FIXED or worker.replicas.max is None:
        return least
    return max(least, min(worker.replicas.max, math.ceil(worker.replicas.max * vector.sampling_rate - 1e-9)))


def scale(scene: Scene, vector: Vector, *, applied: bool) -> tuple[ScaleWorkers, ...]:
    """Commands for the workers whose count differs; ``applied``: the vector is known to be applied everywhere."""
    seen = {worker.profile: worker for worker in scene.seen.workers}
    commands = []
    for worker in scene.spec.workers:
        desired = seen.get(worker.profile, _NOT_THERE).desired
        if vector.mode is Mode.OFF and (desired is None or not applied):
            continue
        if worker.replicas.scaling is Scaling.EXTERNAL:
            if desired is None:
                commands.append(ScaleWorkers(worker.profile, None))
            continue
        count = wanted(worker, vector)
        if count != desired:
            commands.append(ScaleWorkers(worker.profile, count))
    return tuple(commands)


def worker_statuses(scene: Scene) -> tuple[WorkerStatus, ...]:
    """The workers as status shows them; the same tuple when nothing changed."""
    seen = {worker.profile: worker for worker in scene.seen.workers}
    new = tuple(
        WorkerStatus(profile=worker.profile, desired=known.desired or 0, ready=known.ready)
        for worker in scene.spec.workers
        for known in (seen.get(worker.profile, _NOT_THERE),)
    )
    return scene.status.workers if new == scene.status.workers else new
