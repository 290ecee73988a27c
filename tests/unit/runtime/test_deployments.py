"""The worker Deployment: golden, and stable where it must be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from veriramp_operator.api.config import FlagServer, Profile
from veriramp_operator.api.object import Rollout, parse_rollout
from veriramp_operator.resources.deployments import SPEC_HASH, deployment_name, worker_deployment
from veriramp_operator.resources.events import event

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "runtime" / "deployment.json"
PROFILE = Profile(
    image="veriramp/workers:0.1",
    command=("veriramp-worker", "orchestrator"),
    args=("--quiet",),
    env={"VERIRAMP_BROKERS": "kafka:9092", "VERIRAMP_PROFILE": "ours wins"},
    env_from_secrets=("store",),
    files_from_secrets=("kafka.user", "kafka-ca"),
    resources={"requests": {"cpu": "100m"}},
    service_account_name="workers",
)


def a_rollout(uid: str = "5f0c", generation: int = 1, **spec: Any) -> Rollout:
    raw = {
        "metadata": {"namespace": "search", "name": "demo", "uid": uid, "generation": generation},
        "spec": {"flags": {"key": "verification"}, "stages": [{"name": "shadow", "mode": "Shadow"}], **spec},
    }
    return parse_rollout(raw)


def rendered(rollout: Rollout | None = None, profile: Profile = PROFILE, replicas: int | None = 2) -> dict[str, Any]:
    return worker_deployment(rollout or a_rollout(), "orchestrator", profile, FlagServer(), replicas)


@pytest.mark.shows("S1-DEP-01", "S1-OBS-02")
def test_golden() -> None:
    """To accept a change: write ``rendered()`` into the file, and read the difference."""
    assert rendered() == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_the_hash_follows_the_profile_and_nothing_that_a_ramp_moves() -> None:
    def digest(body: dict[str, Any]) -> str:
        return str(body["metadata"]["annotations"][SPEC_HASH])

    same = digest(rendered())
    assert digest(rendered(replicas=7)) == same
    assert digest(rendered(replicas=None)) == same
    assert digest(rendered(a_rollout(generation=9))) == same
    assert digest(rendered(profile=PROFILE.model_copy(update={"image": "veriramp/workers:0.2"}))) != same


@pytest.mark.shows("S2-OPS-01")
def test_a_count_of_somebody_else_is_not_applied() -> None:
    assert "replicas" not in rendered(replicas=None)["spec"]
    assert rendered(replicas=0)["spec"]["replicas"] == 0


def test_names_of_two_objects_never_meet() -> None:
    one, other = deployment_name(a_rollout("1"), "orchestrator"), deployment_name(a_rollout("2"), "orchestrator")
    assert one != other
    assert one.startswith("demo-orchestrator-")


def test_a_bare_profile_runs_what_the_image_says() -> None:
    container = rendered(profile=Profile(image="a"))["spec"]["template"]["spec"]["containers"][0]
    assert "command" not in container
    assert "envFrom" not in container
    assert "volumeMounts" not in container
    assert "args" not in container


@pytest.mark.parametrize("length", [10, 5000])
def test_an_event_is_about_the_rollout_and_not_longer_than_allowed(length: int) -> None:
    body = event(a_rollout(), "Warning", "Regression", "x" * length, 1_800_000_000.25, "operator_1" * 20)
    assert body["regarding"]["uid"] == "5f0c"
    assert len(body["note"]) == min(length, 1024)
    assert len(body["reportingInstance"]) <= 128
    assert body["eventTime"] == "2027-01-15T08:00:00.250000Z"
