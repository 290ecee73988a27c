"""What a real API server makes of rollouts: accepts, refuses with a sentence, ratchets, explains and prints."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from tests.support.product import kstatus
from tests.support.rollouts import CRD, ROOT, BadRollout, bad_rollouts, complete, patched
from tests.support.waiting import wait_for
from tools.devcluster.cluster import DevCluster
from tools.devcluster.errors import DevClusterError
from veriramp_operator.api.problems import problems
from veriramp_operator.api.rollout import RolloutSpec

API: Final = "/apis/veriramp.dev/v1alpha1"
CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/verificationrollouts.veriramp.dev"
MERGE: Final = {"Content-Type": "application/merge-patch+json"}
SECONDS: Final = 30.0


@pytest.fixture(scope="module")
def api(control_plane: DevCluster) -> Iterator[httpx.Client]:
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
    with control_plane.client() as client:
        wait_for(lambda: client.get(f"{API}/verificationrollouts").is_success, SECONDS, "the resource to be served")
        yield client


@pytest.fixture
def search(api: httpx.Client) -> str:
    """Return a fresh namespace; the API server alone does not finish deletions, so it stays until the end."""
    name = f"search-{uuid.uuid4().hex[:8]}"
    api.post("/api/v1/namespaces", json={"metadata": {"name": name}}).raise_for_status()
    return name


def create(api: httpx.Client, namespace: str, manifest: dict[str, Any], **query: str) -> httpx.Response:
    body = manifest | {"metadata": {**manifest["metadata"], "namespace": namespace}}
    path = f"{API}/namespaces/{namespace}/verificationrollouts"
    return api.post(path, json=body, params={"fieldValidation": "Strict"} | query)


def stored(api: httpx.Client, namespace: str, patch: Sequence[dict[str, Any]] = ()) -> str:
    """Create the (patched) complete rollout and return its path."""
    response = create(api, namespace, patched(complete(), patch))
    assert response.is_success, response.text
    return f"{API}/namespaces/{namespace}/verificationrollouts/{response.json()['metadata']['name']}"


# Accepted


@pytest.mark.shows("S1-FLAG-01")
def test_the_complete_example_is_accepted_and_reads_back_as_the_same_plan(api: httpx.Client, search: str) -> None:
    path = stored(api, search)
    spec = api.get(path).json()["spec"]
    assert RolloutSpec.model_validate(spec) == RolloutSpec.model_validate(complete()["spec"])


@pytest.mark.shows("S1-CAN-01", "S4-DEP-03")
@pytest.mark.parametrize("file", sorted((ROOT / "examples" / "rollouts").glob("*.yaml")), ids=lambda file: file.name)
def test_each_example_is_accepted(api: httpx.Client, search: str, file: Path) -> None:
    spec = create(api, search, yaml.safe_load(file.read_text(encoding="utf-8"))).raise_for_status().json()["spec"]
    assert problems(RolloutSpec.model_validate(spec)) == ()


@pytest.mark.shows("S1-FLAG-01")
def test_the_server_fills_in_the_defaults_of_the_models(api: httpx.Client, search: str) -> None:
    small = {
        "apiVersion": "veriramp.dev/v1alpha1",
        "kind": "VerificationRollout",
        "metadata": {"name": "small"},
        "spec": {"stages": [{"name": "shadow", "mode": "Shadow"}], "workers": [{"profile": "orchestrator"}]},
    }
    spec = create(api, search, small).raise_for_status().json()["spec"]
    assert spec == {
        "allowUnguarded": False,
        "flags": {"leaseSeconds": 240, "propagation": {"quorum": 0.95, "timeout": "2m"}},
        "killSwitch": False,
        "onInconclusive": "Hold",
        "onNoData": {"action": "Hold", "after": "5m"},
        "paused": False,
        "prometheus": "default",
        "stages": [{"mode": "Shadow", "name": "shadow", "promotion": "Auto"}],
        "workers": [{"profile": "orchestrator", "replicas": {"scaling": "Fixed"}}],
    }
    assert RolloutSpec.model_validate(spec).to_api() == RolloutSpec.model_validate(small["spec"]).to_api()


def test_a_rollout_that_no_operator_has_seen_is_not_taken_for_settled(api: httpx.Client, search: str) -> None:
    raw = api.get(stored(api, search)).json()
    assert raw["status"] == {"observedGeneration": -1}
    assert kstatus(raw) == "InProgress"


@pytest.mark.parametrize(
    "expression",
    [
        "up",
        "job:errors:ratio",
        "{__name__='x'}",
        'search_requests_total{namespace="search"}',
        'search_requests_total{path=~"/a{2}",namespace!="x\\"y"}',
    ],
)
def test_a_bare_query_is_its_own_selector(api: httpx.Client, search: str, expression: str) -> None:
    change = [
        {"op": "replace", "path": "/spec/gates/1/threshold/query", "value": expression.replace("'", '"')},
        {"op": "remove", "path": "/spec/gates/1/selector"},
    ]
    response = create(api, search, patched(complete(), change), dryRun="All")
    assert response.is_success, response.text


@pytest.mark.shows("S1-FLAG-02")
def test_settings_keep_their_type(api: httpx.Client, search: str) -> None:
    settings = {"maxConcurrentVerifications": 10, "timeout": 1.5, "enrich": False, "model": "small"}
    path = stored(api, search, [{"op": "replace", "path": "/spec/workers/0/settings", "value": settings}])
    assert api.get(path).json()["spec"]["workers"][0]["settings"] == settings


@pytest.mark.parametrize("value", [{"deep": 1}, [1], "x" * 1025])
def test_a_setting_is_one_short_value(api: httpx.Client, search: str, value: object) -> None:
    change = [{"op": "replace", "path": "/spec/workers/0/settings", "value": {"k": value}}]
    assert create(api, search, patched(complete(), change), dryRun="All").status_code in {400, 422}


# Refused


@pytest.mark.parametrize("bad", bad_rollouts(), ids=lambda bad: bad.name.replace(" ", "-"))
@pytest.mark.shows("S1-FLAG-07", "S1-SEC-03")
def test_refused_with_a_sentence_that_says_what_to_write(api: httpx.Client, search: str, bad: BadRollout) -> None:
    response = create(api, search, bad.manifest(), dryRun="All")
    assert response.status_code in {400, 422}, response.text
    assert bad.says in response.json()["message"]
    assert "evaluated with error" not in response.json()["message"]


def test_kubectl_apply_shows_the_sentence(control_plane: DevCluster, search: str, tmp_path: Path) -> None:
    file = tmp_path / "rollout.yaml"
    for bad in bad_rollouts()[:10]:
        file.write_text(yaml.safe_dump(bad.manifest()).replace("namespace: search", f"namespace: {search}"))
        with pytest.raises(DevClusterError) as refusal:
            control_plane.kubectl("apply", "-n", search, "-f", str(file))
        assert bad.says in str(refusal.value)


@pytest.mark.parametrize(
    ("before", "after"),
    [({"key": "verification"}, {"key": "other"}), ({"key": "verification"}, {"key": None}), ({}, {"key": "added"})],
    ids=["changed", "removed", "added"],
)
def test_the_flag_key_never_changes(api: httpx.Client, search: str, before: dict[str, Any], after: object) -> None:
    path = stored(api, search, [{"op": "replace", "path": "/spec/flags", "value": before}])
    response = api.patch(path, json={"spec": {"flags": after}}, headers=MERGE)
    assert response.status_code == 422
    assert f'flags.key cannot change from "{before.get("key", "")}" to "' in response.json()["message"]
    assert "put it back, or make a new rollout" in response.json()["message"]


def test_other_fields_beside_the_key_may_change(api: httpx.Client, search: str) -> None:
    path = stored(api, search)
    assert api.patch(path, json={"spec": {"flags": {"leaseSeconds": 60}}}, headers=MERGE).is_success
    assert api.patch(path, json={"spec": {"flags": {"leaseSeconds": None}}}, headers=MERGE).is_success


def test_the_complete_plan_cannot_be_left_without_its_gates(api: httpx.Client, search: str) -> None:
    path = stored(api, search)
    assert api.patch(path, json={"spec": {"gates": None}}, headers=MERGE).status_code == 422
    assert api.patch(path, json={"spec": {"gates": None, "allowUnguarded": True}}, headers=MERGE).is_success


# Ratcheting: an object from before a rule


@pytest.fixture
def lax(api: httpx.Client) -> Iterator[None]:
    """Remove every rule while the test stores an object, as if it were older than the rules; see `tighten`."""
    definition: dict[str, Any] = yaml.safe_load(CRD.read_text(encoding="utf-8"))
    replace_crd(api, without_rules(definition))
    yield
    tighten(api)


def tighten(api: httpx.Client) -> None:
    replace_crd(api, yaml.safe_load(CRD.read_text(encoding="utf-8")))
    bad = bad_rollouts()[0].manifest()
    wait_for(lambda: create(api, "default", bad, dryRun="All").status_code == 422, SECONDS, "the rules to be in force")


def replace_crd(api: httpx.Client, definition: dict[str, Any]) -> None:

    def replaced() -> bool:
        version = api.get(CRDS).raise_for_status().json()["metadata"]["resourceVersion"]
        body = definition | {"metadata": definition["metadata"] | {"resourceVersion": version}}
        answer = api.put(CRDS, json=body)
        # The API server itself may write the status of the definition in between.
        return answer.status_code != httpx.codes.CONFLICT and answer.raise_for_status().is_success

    wait_for(replaced, SECONDS, "the definition to be replaced")
    if definition == without_rules(definition):
        bad = bad_rollouts()[0].manifest()
        wait_for(lambda: create(api, "default", bad, dryRun="All").is_success, SECONDS, "the rules to be gone")


def without_rules(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: without_rules(value) for key, value in node.items() if key != "x-kubernetes-validations"}
    return [without_rules(item) for item in node] if isinstance(node, list) else node


BROKEN: Final[list[dict[str, Any]]] = [
    {"op": "replace", "path": "/metadata/name", "value": "an-old-rollout-with-a-name-that-is-far-too-long"},
    {"op": "replace", "path": "/spec/stages/4/canaryPercent", "value": 1},
    {"op": "replace", "path": "/spec/stages/2/maxBake", "value": "1h"},
    {"op": "remove", "path": "/spec/gates/0/alert/presence"},
    {"op": "add", "path": "/spec/gates/1/stages", "value": ["gone"]},
]


@pytest.mark.usefixtures("lax")
def test_an_old_object_that_breaks_new_rules_can_still_be_run_and_stopped(api: httpx.Client, search: str) -> None:
    path = stored(api, search, BROKEN)
    tighten(api)
    assert create(api, search, patched(complete(), BROKEN), dryRun="All").status_code == 422
    # The operator is not fooled by what the API server had to let through.
    assert len(problems(RolloutSpec.model_validate(api.get(path).json()["spec"]))) == len(BROKEN) - 1

    status = {"status": {"phase": "Stalled", "reason": "InvalidSpec"}}
    assert api.patch(f"{path}/status", json=status, headers=MERGE).is_success
    finalizers = {"metadata": {"finalizers": ["veriramp.dev/safe-off"]}}
    assert api.patch(path, json=finalizers, headers=MERGE).is_success
    stop = api.patch(path, json={"spec": {"killSwitch": True}}, headers=MERGE)
    assert stop.is_success, stop.text
    assert api.delete(path).is_success
    assert api.patch(path, json={"metadata": {"finalizers": []}}, headers=MERGE).is_success
    assert api.get(path).status_code == 404


@pytest.mark.usefixtures("lax")
def test_what_was_sound_in_an_old_object_must_stay_so(api: httpx.Client, search: str) -> None:
    path = stored(api, search, BROKEN)
    tighten(api)
    response = api.patch(path, json={"spec": {"flags": {"leaseSeconds": 5}}}, headers=MERGE)
    assert response.status_code == 422
    assert "leaseSeconds 5 is too short" in response.json()["message"]
    assert "maxBake" not in response.json()["message"]


# Status, merging and what people see


def test_the_order_of_stages_follows_the_last_apply(control_plane: DevCluster, search: str) -> None:
    manifest = patched(complete(), [{"op": "remove", "path": "/metadata/namespace"}])
    insert = {"op": "add", "path": "/spec/stages/3", "value": {"name": "c", "mode": "Live", "canaryPercent": 10}}
    for change in ([], [insert], [{"op": "remove", "path": "/spec/stages/1"}]):
        manifest = patched(manifest, change)
        text = yaml.safe_dump(manifest)
        control_plane.kubectl("apply", "--server-side", "-n", search, "-f", "-", stdin=text)
        read = yaml.safe_load(control_plane.kubectl("get", "vr", "-n", search, "-o", "yaml"))["items"][0]
        names = [stage["name"] for stage in read["spec"]["stages"]]
        assert names == [stage["name"] for stage in manifest["spec"]["stages"]]


def test_explain_teaches(control_plane: DevCluster, api: httpx.Client) -> None:
    def taught() -> bool:
        text = " ".join(control_plane.kubectl("explain", "vr.spec.gates.required", check=False).split())
        return "Promotion needs its Pass; default true unless onRegression is Report." in text

    wait_for(taught, SECONDS, "the schema to be published")
    assert "vr,vrollout" in control_plane.kubectl("api-resources", "--api-group=veriramp.dev")


def test_get_prints_the_columns(control_plane: DevCluster, api: httpx.Client, search: str) -> None:
    path = stored(api, search)
    ready = {"type": "Ready", "status": "False", "reason": "Baking", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {
        "phase": "Progressing",
        "stage": {"name": "canary-5", "index": 2, "hash": "h", "enteredAt": "2026-01-01T00:00:00.000000Z"},
        "parameters": {"mode": "Live", "samplingRate": 0.05, "canaryPercent": 5, "rankingWeight": 0.0312, "topK": 10},
        "conditions": [ready],
        "flags": {"revision": 7},
        "propagation": {"applied": 4},
        "nextDecisionAt": "2026-01-01T00:10:00.000000Z",
    }
    api.patch(f"{path}/status", json={"status": status}, headers=MERGE).raise_for_status()
    head, row = control_plane.kubectl("get", "vr", "-n", search, "-o", "wide").splitlines()
    names = ["NAME", "READY", "PHASE", "STAGE", "MODE", "CANARY", "RATE", "WEIGHT", "REASON", "AGE"]
    assert head.split() == [*names, "REVISION", "APPLIED", "NEXT"]
    words = row.split()
    assert words[:5] == ["search-verification", "False", "Progressing", "canary-5", "Live"]
    assert words[5:9] == ["5", "0.05", "0.0312", "Baking"]
    assert words[10:] == ["7", "4", "2026-01-01T00:10:00.000000Z"]
    assert head.split()[:10] == control_plane.kubectl("get", "vrollout", "-n", search).splitlines()[0].split()
    assert "search-verification" in control_plane.kubectl("get", "veriramp", "-n", search)
