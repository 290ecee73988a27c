"""One snapshot of all that is known round a rollout, for ``decide``."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from typing import Final

from veriramp_operator.api.config import OperatorConfig
from veriramp_operator.api.object import ABORT, REQUEST
from veriramp_operator.api.reasons import NoDataReason, Reason
from veriramp_operator.api.rollout import FlagsSpec, RolloutSpec, StageSpec
from veriramp_operator.api.vector import OFF, Vector
from veriramp_operator.engine.types import Observation, Problem, Requests, WorkerSeen
from veriramp_operator.evidence.types import Failure, Reading, Samples
from veriramp_operator.resources.deployments import deployment_name
from veriramp_operator.runtime.world import Entry

REFUSED_SECONDS: Final = 60.0
"""A rise whose document was refused is tried again after this time, or at once with a new generation."""


def spec_of(entry: Entry) -> RolloutSpec:
    """The spec, or where it cannot be read one that asks for exactly what is in force.

    What of it can be read still counts: its kill switch and its gates go on bringing the rollout down.
    """
    if entry.rollout.spec is not None:
        return entry.rollout.spec
    published = entry.config_map.published if entry.config_map else None
    vector = entry.status.parameters or (published.vector if published else OFF)
    readable = {"flags": _published_flags(entry), **entry.rollout.readable}
    return RolloutSpec(stages=(_stage_at(vector, entry),), allow_unguarded=True, **readable)


def observe(entry: Entry, samples: Mapping[str, Samples], config: OperatorConfig, now: float) -> Observation:
    """Snapshot the caches; ``now`` in seconds since the epoch."""
    rollout = entry.rollout
    published = entry.config_map.published if entry.config_map else None
    return Observation(
        namespace=rollout.namespace,
        name=rollout.name,
        uid=rollout.uid,
        generation=rollout.generation,
        deleting=rollout.deleting,
        requests=Requests(rollout.annotations.get(ABORT), rollout.annotations.get(REQUEST)),
        published=published if published and published.uid == rollout.uid else None,
        propagation=entry.propagation,
        samples=samples,
        workers=tuple(_workers(entry, now)),
        problems=tuple(_problems(entry, samples, config, now)),
        salts=(secrets.token_hex(16), secrets.token_hex(16)),
        max_ranking_weight=config.limits.max_ranking_weight,
    )


def _workers(entry: Entry, now: float) -> Iterator[WorkerSeen]:
    for worker in spec_of(entry).workers:
        seen = entry.deployments.get(deployment_name(entry.rollout, worker.profile))
        ready = seen is not None and seen.ready >= seen.desired
        if ready:
            entry.unready_since.pop(worker.profile, None)
            since = None
        else:
            since = entry.unready_since.setdefault(worker.profile, now)
        yield WorkerSeen(worker.profile, seen.desired if seen else None, seen.ready if seen else 0, since)


def _problems(entry: Entry, samples: Mapping[str, Samples], config: OperatorConfig, now: float) -> Iterator[Problem]:
    spec = spec_of(entry)
    if entry.rollout.spec is None:
        yield Problem(Reason.INVALID_SPEC, entry.rollout.spec_error)
    if spec.gates and spec.prometheus not in config.endpoints:
        known = ", ".join(sorted(config.endpoints)) or "none"
        yield Problem(
            Reason.UNKNOWN_ENDPOINT,
            f"spec.prometheus: {spec.prometheus!r} is no endpoint of the operator's configuration; "
            f"write one of: {known}",
        )
    for index, worker in enumerate(spec.workers):
        if worker.profile not in config.profiles:
            known = ", ".join(sorted(config.profiles)) or "none"
            yield Problem(
                Reason.UNKNOWN_PROFILE,
                f"spec.workers[{index}].profile: {worker.profile!r} is no profile of the operator's configuration; "
                f"write one of: {known}",
            )
    for name, holder in sorted(entry.conflicts.items()):
        yield Problem(Reason.NAME_CONFLICT, f"{name} exists and belongs to {holder}; rename the rollout or delete it")
    for profile, why in sorted(entry.refused_workers.items()):
        yield Problem(Reason.WORKERS_NOT_READY, f'Worker "{profile}": the API server refuses its Deployment: {why}')
    refused = entry.refused
    if refused and refused.generation == entry.rollout.generation and now < refused.at + REFUSED_SECONDS:
        yield Problem(Reason.DOCUMENT_REFUSED, refused.problem)
    yield from _refused_queries(spec, samples)


def _refused_queries(spec: RolloutSpec, samples: Mapping[str, Samples]) -> Iterator[Problem]:
    for index, gate in enumerate(spec.gates):
        readings = samples.get(gate.name, Samples()).readings
        refused = _refused(readings[-1]) if readings else None
        if refused is not None:
            yield Problem(
                Reason.QUERY_REFUSED,
                f"spec.gates[{index}] {gate.name!r}: Prometheus refuses its query: {refused.message}",
            )


def _refused(reading: Reading) -> Failure | None:
    answers = (
        reading.answer,
        reading.presence,
        reading.newest,
        reading.baseline,
        reading.lower,
        reading.upper,
        reading.rules,
    )
    failures = (answer for answer in answers if isinstance(answer, Failure))
    return next((failure for failure in failures if failure.reason is NoDataReason.BAD_QUERY), None)


def _published_flags(entry: Entry) -> FlagsSpec:
    """The key and lease that clients know: another key would be no flag at all to them."""
    document = entry.config_map.document if entry.config_map else None
    if document is None:
        return FlagsSpec()
    return FlagsSpec().model_copy(update={"key": document.key, "lease_seconds": document.lease_seconds})


def _stage_at(vector: Vector, entry: Entry) -> StageSpec:
    live = vector.mode.rank > 1
    return StageSpec(
        name=entry.status.stage.name if entry.status.stage else "unreadable",
        mode=vector.mode,
        sampling_rate=vector.sampling_rate,
        canary_percent=vector.canary_percent if live else None,
        ranking_weight=vector.ranking_weight if live else None,
        top_k=vector.top_k,
    )
