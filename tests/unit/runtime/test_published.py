"""The flag ConfigMap remembers what was decided, the latch included, through any restart."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriramp_operator.api.object import Rollout, parse_rollout
from veriramp_operator.api.status import Severity
from veriramp_operator.api.vector import OFF, Vector
from veriramp_operator.engine.types import Direction, Latch, PublishFlags
from veriramp_operator.resources import flags
from veriramp_operator.resources.published import (
    config_map_of,
    document_from,
    document_request,
    narrowed,
    published_from,
)
from veriramp_sdk.contract import Mode

LIVE = Vector(mode=Mode.LIVE, sampling_rate=0.5, canary_percent=5, ranking_weight=0.05)
LATCH = Latch("errors", Severity.SHADOW, 1000.5, "canary", 3, OFF, 'rate 0.5 > "0.1"', 1001.25)

INSTANTS = st.integers(0, 4_000_000_000_000_000).map(lambda micros: micros / 1e6)
TEXTS = st.text(max_size=50)


def a_rollout(**spec: Any) -> Rollout:
    raw = {
        "metadata": {"namespace": "search", "name": "demo", "uid": "5f0c", "generation": 3, "resourceVersion": "7"},
        "spec": {
            "flags": {"key": "verification", "include": [{"attribute": "group", "equals": "staff"}]},
            "stages": [{"name": "canary", "mode": "Live", "canaryPercent": 5}],
            "workers": [{"profile": "orchestrator", "settings": {"maxConcurrent": 10}}],
            **spec,
        },
    }
    return parse_rollout(raw)


def a_command(vector: Vector = LIVE, latch: Latch | None = None) -> PublishFlags:
    return PublishFlags(vector, 7, Direction.RISE, "canary", "a" * 32, "b" * 32, latch)


def written(command: PublishFlags, now: float = 1_800_000_000.5, **precondition: str) -> dict[str, Any]:
    rollout = a_rollout()
    assert rollout.spec is not None
    request = document_request(rollout, rollout.spec, command)
    return config_map_of(rollout, flags.build(request), command, now, precondition, request)


def test_what_was_published_is_read_back() -> None:
    command = a_command(latch=LATCH)
    seen = published_from(written(command))
    assert seen is not None
    assert (seen.uid, seen.revision, seen.generation) == ("5f0c", 7, 3)
    assert (seen.vector, seen.direction, seen.stage, seen.latch) == (LIVE, Direction.RISE, "canary", LATCH)
    assert (seen.salt, seen.sample_salt, seen.published_at) == ("a" * 32, "b" * 32, 1_800_000_000.5)
    assert (seen.include, seen.exclude) == ((("group", "staff"),), ())


@given(
    gate=TEXTS,
    evidence=TEXTS,
    severity=st.sampled_from(Severity),
    at=INSTANTS,
    detected_at=INSTANTS,
    generation=st.integers(0, 2**31),
    target=st.sampled_from([OFF, LIVE, Vector(mode=Mode.SHADOW, sampling_rate=0.05)]),
    also_fell=st.lists(TEXTS, max_size=3).map(tuple),
)
def test_every_latch_survives(
    gate: str,
    evidence: str,
    severity: Severity,
    at: float,
    detected_at: float,
    generation: int,
    target: Vector,
    also_fell: tuple[str, ...],
) -> None:
    latch = Latch(gate, severity, at, "canary", generation, target, evidence, detected_at, also_fell)
    seen = published_from(written(a_command(latch=latch)))
    assert seen is not None
    assert seen.latch == latch


def test_a_latch_of_another_version_is_read() -> None:
    """An older one tells only who holds it; a newer one may tell more."""
    raw = written(a_command(latch=LATCH))
    notes = raw["metadata"]["annotations"]
    assert "veriramp.dev/also-fell" not in notes
    told = json.loads(notes["veriramp.dev/latch"])
    notes["veriramp.dev/latch"] = json.dumps({**told, "from_a_newer_version": 1})
    seen = published_from(raw)
    assert seen is not None
    assert seen.latch == LATCH


def test_an_older_version_reads_the_latch_whoever_else_fell() -> None:
    """It takes a document for lost whose latch has a field more, and goes up again as if nothing had fallen."""
    raw = written(a_command(latch=replace(LATCH, also_fell=("errors",))))
    told = json.loads(raw["metadata"]["annotations"]["veriramp.dev/latch"])
    known = {"at", "detected_at", "evidence", "from_stage", "gate", "generation", "severity", "target"}
    assert set(told) == known


def test_a_document_without_a_latch_has_none() -> None:
    raw = written(a_command())
    assert not any("latch" in name for name in raw["metadata"]["annotations"])
    seen = published_from(raw)
    assert seen is not None
    assert seen.latch is None


def test_preconditions_and_owner_are_in_the_metadata() -> None:
    metadata = written(a_command(), uid="cm-1", resourceVersion="12")["metadata"]
    assert (metadata["uid"], metadata["resourceVersion"]) == ("cm-1", "12")
    assert metadata["ownerReferences"][0]["uid"] == "5f0c"
    assert metadata["ownerReferences"][0]["blockOwnerDeletion"] is False


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw.pop("data"),
        lambda raw: raw.update(data={"flags.json": "{"}),
        lambda raw: raw.update(data={"theirs": "yes"}),
        lambda raw: raw["metadata"].pop("annotations"),
        lambda raw: raw["metadata"]["annotations"].update({"veriramp.dev/direction": "Sideways"}),
        lambda raw: raw["metadata"]["annotations"].update({"veriramp.dev/latch": "{}"}),
        lambda raw: raw["metadata"]["annotations"].update({"veriramp.dev/latch": "no json"}),
        lambda raw: raw["metadata"]["annotations"].update({"veriramp.dev/published-at": "yesterday"}),
        lambda raw: raw["metadata"]["annotations"].pop("veriramp.dev/revision"),
    ],
)
def test_what_somebody_else_damaged_says_nothing(damage: Any) -> None:
    raw = written(a_command(latch=LATCH))
    damage(raw)
    assert published_from(raw) is None


def test_a_revision_only_grows() -> None:
    raw = written(a_command())
    raw["metadata"]["annotations"]["veriramp.dev/revision"] = "9"
    seen = published_from(raw)
    assert seen is not None
    assert seen.revision == 9


def test_an_edit_by_hand_is_noticed() -> None:
    raw = written(a_command())
    assert document_from(raw) is not None
    raw["data"]["flags.json"] = raw["data"]["flags.json"].replace("0.05", "0.9")
    assert document_from(raw) is None


def test_a_request_takes_lists_and_settings_from_the_spec() -> None:
    rollout = a_rollout()
    assert rollout.spec is not None
    request = document_request(rollout, rollout.spec, a_command())
    assert (request.key, request.include, request.exclude) == ("verification", (("group", "staff"),), ())
    assert request.worker_settings == {"orchestrator": {"maxConcurrent": 10}}


def test_a_narrowed_request_exposes_nobody_new_and_forgets_no_exclusion() -> None:
    published = published_from(written(a_command()))
    assert published is not None
    published = replace(published, exclude=(("tenant", "regulated"),))
    rollout = a_rollout(
        flags={
            "include": [{"attribute": "group", "equals": "staff"}, {"attribute": "team", "equals": "all"}],
            "exclude": [{"attribute": "tenant", "equals": "new"}],
        }
    )
    assert rollout.spec is not None
    request = narrowed(document_request(rollout, rollout.spec, a_command()), published)
    assert request.include == (("group", "staff"),)
    assert request.exclude == (("tenant", "new"), ("tenant", "regulated"))
    assert narrowed(request, None).include == ()


def test_the_key_defaults_to_the_name() -> None:
    rollout = a_rollout(flags={})
    assert rollout.spec is not None
    assert document_request(rollout, rollout.spec, a_command()).key == "demo"
