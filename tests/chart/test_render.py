"""What the chart makes of its values: roles, pods, configuration; and which values it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.chart.helm import CHART, NAMESPACE, HelmError, helm, of_kind, one, render
from tests.support.rollouts import CRD
from veriramp_operator.api.config import OperatorConfig
from veriramp_operator.flagserver.settings import read_settings
from veriramp_operator.runtime.journal import JournalSettings
from veriramp_operator.runtime.settings import Settings

WATCHED: Final = [
    (["veriramp.dev"], ["verificationrollouts"], ["get", "list", "watch", "patch"]),
    (["veriramp.dev"], ["verificationrollouts/status"], ["patch"]),
    ([""], ["configmaps"], ["get", "list", "watch", "create", "patch"]),
    (["apps"], ["deployments"], ["get", "list", "watch", "create", "patch"]),
    (["events.k8s.io"], ["events"], ["create"]),
]


def container(objects: list[dict[str, Any]], part: str) -> dict[str, Any]:
    found: dict[str, Any] = one(objects, "Deployment", f"veriramp-{part}")["spec"]["template"]["spec"]["containers"][0]
    return found


def environment(objects: list[dict[str, Any]], part: str) -> dict[str, str]:
    """Return the variables that have a value in the manifest, and the pod's own as a kubelet would set them."""
    given = {entry["name"]: entry["value"] for entry in container(objects, part)["env"] if "value" in entry}
    return given | {"POD_IP": "10.0.0.7", "POD_NAME": f"{part}-0", "POD_NAMESPACE": NAMESPACE}


def test_helm_lint_finds_nothing() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


@pytest.mark.shows("S4-SEC-03", "S1-OBS-02")
def test_two_of_each_and_the_probes_and_ports_of_the_contract() -> None:
    objects = render()
    for part, port, extra in (("operator", 8080, 8081), ("flagserver", 8016, 8015)):
        deployment = one(objects, "Deployment", f"veriramp-{part}")
        template = deployment["spec"]["template"]
        assert deployment["spec"]["replicas"] == 2
        assert template["metadata"]["annotations"]["prometheus.io/port"] == str(port)
        ports = {item["name"]: item["containerPort"] for item in container(objects, part)["ports"]}
        assert {port, extra} == set(ports.values())
        for probe, path in (("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
            check = container(objects, part)[probe]["httpGet"]
            assert (check["path"], ports[check["port"]]) == (path, port)
        service = one(objects, "Service", f"veriramp-{part}")
        assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
        assert {item["port"] for item in service["spec"]["ports"]} == {port, extra}


@pytest.mark.shows("S1-DEP-02")
def test_the_processes_read_what_the_chart_writes(tmp_path: Path) -> None:
    objects = render({"watchNamespaces": ["search", "shop"]})
    config = one(objects, "ConfigMap", "veriramp-operator")["data"]["config.yaml"]
    mounted = {mount["name"]: mount["mountPath"] for mount in container(objects, "operator")["volumeMounts"]}
    env = environment(objects, "operator")
    assert env["VERIRAMP_CONFIG"] == f"{mounted['config']}/config.yaml"
    assert env["VERIRAMP_ALERT_TOKEN_FILE"] == f"{mounted['alerts']}/token"
    (tmp_path / "config.yaml").write_text(config)
    (tmp_path / "token").write_text("secret")
    files = {"VERIRAMP_CONFIG": str(tmp_path / "config.yaml"), "VERIRAMP_ALERT_TOKEN_FILE": str(tmp_path / "token")}

    operator = Settings.from_environment(env | files)
    assert operator.namespaces == ("search", "shop")
    assert (operator.lease_namespace, operator.lease_name) == (NAMESPACE, "veriramp-operator")
    assert (operator.host, operator.health_port, operator.alerts_port) == ("10.0.0.7", 8080, 8081)
    flag_server = read_settings(environment(objects, "flagserver"))
    assert flag_server.watch_namespaces == operator.namespaces
    assert (flag_server.lease_namespace, flag_server.lease_name) == (operator.lease_namespace, operator.lease_name)
    assert (flag_server.grpc_port, flag_server.http_port) == (8015, 8016)


@pytest.mark.parametrize("release", ["veriramp", "prod", "veriramp-two"])
def test_the_configuration_points_at_the_flag_server_of_the_release(release: str) -> None:
    objects = render(release=release)
    (text,) = [item["data"]["config.yaml"] for item in of_kind(objects, "ConfigMap")]
    config = OperatorConfig.parse(yaml.safe_load(text), "config.yaml")
    service = one(objects, "Service", config.flag_server.service)
    assert service["metadata"]["namespace"] == config.flag_server.namespace
    wanted = dict(pair.split("=") for pair in config.flag_server.pod_selector.split(","))
    pods = one(objects, "Deployment", config.flag_server.service)["spec"]["template"]["metadata"]["labels"]
    assert wanted.items() <= pods.items()


@pytest.mark.parametrize(
    ("image", "workers", "prefix"),
    [
        ({}, "veriramp/workers:0.1.0", ("veriramp/",)),
        ({"registry": "r.example:5", "tag": "1.2"}, "r.example:5/veriramp/workers:1.2", ("r.example:5/veriramp/",)),
        ({"prefix": ""}, "workers:0.1.0", ()),
    ],
)
def test_profiles_use_the_charts_images_unless_they_name_one(
    image: dict[str, str], workers: str, prefix: tuple[str, ...]
) -> None:
    objects = render({"image": image})
    text = one(objects, "ConfigMap", "veriramp-operator")["data"]["config.yaml"]
    config = OperatorConfig.parse(yaml.safe_load(text), "config.yaml")
    assert config.profiles["orchestrator"].image == workers
    assert config.allowed_image_prefixes == prefix
    assert container(objects, "operator")["image"] == workers.replace("workers", "operator")


def test_a_profile_can_be_added_changed_and_removed() -> None:
    own = {"image": "veriramp/own:1", "command": ["own"], "env": {"A": "1"}}
    objects = render({"profiles": {"orchestrator": None, "own": own}})
    text = one(objects, "ConfigMap", "veriramp-operator")["data"]["config.yaml"]
    assert yaml.safe_load(text)["profiles"] == {"own": own}
    objects = render({"profiles": {"orchestrator": {"env": {"VERIRAMP_BROKERS": "b:1"}}}})
    profile = yaml.safe_load(one(objects, "ConfigMap", "veriramp-operator")["data"]["config.yaml"])["profiles"]
    assert profile["orchestrator"]["env"] == {"VERIRAMP_BROKERS": "b:1"}
    assert profile["orchestrator"]["command"] == ["veriramp-worker", "orchestrator"]


# Rights


def test_rights_are_few_and_per_namespace_by_default() -> None:
    objects = render({"watchNamespaces": ["search", "shop"]})
    assert not of_kind(objects, "ClusterRole", "ClusterRoleBinding")
    for namespace in ("search", "shop"):
        roles = [item for item in of_kind(objects, "Role") if item["metadata"]["namespace"] == namespace]
        rules = {role["metadata"]["name"]: role["rules"] for role in roles}
        of_operator = rules["veriramp-operator-rollouts"]
        assert [(rule["apiGroups"], rule["resources"], rule["verbs"]) for rule in of_operator] == WATCHED
        reads = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]}]
        assert rules["veriramp-flagserver-rollouts"] == reads


@pytest.mark.shows("S1-RBK-08", "S1-SEC-01")
@pytest.mark.parametrize("values", [{}, {"clusterWide": True}, {"watchNamespaces": ["a", "b"]}])
def test_no_role_reads_secrets_deletes_or_says_everything(values: dict[str, Any]) -> None:
    for role in of_kind(render(values), "Role", "ClusterRole"):
        for rule in role["rules"]:
            words = {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
            assert not words & {"*", "secrets", "delete", "deletecollection", "escalate", "bind", "impersonate"}


def test_cluster_mode_is_opt_in() -> None:
    objects = render({"clusterWide": True})
    assert {item["metadata"]["namespace"] for item in of_kind(objects, "Role")} == {NAMESPACE}
    assert len(of_kind(objects, "ClusterRole", "ClusterRoleBinding")) == 4
    assert environment(objects, "operator")["VERIRAMP_WATCH_NAMESPACES"] == ""
    with pytest.raises(HelmError, match="watchNamespaces has names and clusterWide is true; write one of them"):
        render({"clusterWide": True, "watchNamespaces": ["search"]})


def test_every_binding_names_an_account_and_a_role_that_exist() -> None:
    for values in ({}, {"clusterWide": True}, {"watchNamespaces": ["a", "b"]}):
        objects = render(values)
        names = {(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in objects}
        for binding in of_kind(objects, "RoleBinding", "ClusterRoleBinding"):
            role, subject = binding["roleRef"], binding["subjects"][0]
            assert (role["kind"], binding["metadata"].get("namespace"), role["name"]) in names
            assert ("ServiceAccount", subject["namespace"], subject["name"]) in names


def test_every_volume_is_below_one_folder() -> None:
    objects = render()
    for part in ("operator", "flagserver"):
        paths = [mount["mountPath"] for mount in container(objects, part)["volumeMounts"]]
        assert paths
        assert all(path.startswith("/run/veriramp/") for path in paths)


# Parts that can be switched


def test_the_crd_can_be_left_out_or_left_unprotected() -> None:
    assert not of_kind(render({"crds": {"enabled": False}}), "CustomResourceDefinition")
    (kept,) = of_kind(render(), "CustomResourceDefinition")
    assert kept["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    (loose,) = of_kind(render({"crds": {"keep": False}}), "CustomResourceDefinition")
    assert kept == loose == yaml.safe_load(CRD.read_text(encoding="utf-8"))


@pytest.mark.shows("S4-SEC-03")
def test_optional_objects() -> None:
    kinds = {item["kind"] for item in render()}
    assert "PodDisruptionBudget" in kinds
    assert not kinds & {"NetworkPolicy", "ServiceMonitor"}
    values = {
        "networkPolicy": {"enabled": True, "clients": [{"namespaceSelector": {}}]},
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "operator": {"replicas": 1},
        "flagServer": {"replicas": 1},
    }
    objects = render(values)
    assert len(of_kind(objects, "NetworkPolicy")) == len(of_kind(objects, "ServiceMonitor")) == 2
    assert not of_kind(objects, "PodDisruptionBudget")


@pytest.mark.shows("S1-SEC-01")
def test_the_alert_token_is_made_given_or_somebody_elses() -> None:
    first, second = (one(render(), "Secret", "veriramp-alerts")["data"]["token"] for _ in range(2))
    assert first != second  # without a cluster helm cannot know the one that is there
    assert one(render({"alerts": {"token": "abc"}}), "Secret", "veriramp-alerts")["data"] == {"token": "YWJj"}
    objects = render({"alerts": {"existingSecret": "mine", "key": "bearer"}})
    assert not of_kind(objects, "Secret")
    volumes = one(objects, "Deployment", "veriramp-operator")["spec"]["template"]["spec"]["volumes"]
    (secret,) = [volume["secret"] for volume in volumes if volume["name"] == "alerts"]
    assert secret == {"secretName": "mine", "items": [{"key": "bearer", "path": "token"}]}


@pytest.mark.shows("S4-SEC-05")
def test_the_journal_goes_where_it_is_told() -> None:
    def read(values: dict[str, Any]) -> tuple[JournalSettings, list[dict[str, Any]]]:
        objects = render({"journal": values})
        env = {
            name: value
            for name, value in environment(objects, "operator").items()
            if name.startswith("VERIRAMP_JOURNAL")
        }
        volumes = one(objects, "Deployment", "veriramp-operator")["spec"]["template"]["spec"]["volumes"]
        mounts = {mount["name"]: mount["mountPath"] for mount in container(objects, "operator")["volumeMounts"]}
        settings = Settings.from_environment(env).journal
        assert mounts.get("journal") == (str(settings.folder) if settings.folder else None)
        return settings, [volume for volume in volumes if volume["name"] == "journal"]

    assert read({}) == (JournalSettings(), [])
    settings, [volume] = read({"stdout": False, "files": {"enabled": True, "sizeMiB": 4, "count": 3}})
    assert not settings.stdout
    assert (settings.most_bytes, settings.most_files) == (4 * 1024**2, 3)
    assert volume["emptyDir"] == {"sizeLimit": "20Mi"}
    _, [volume] = read({"files": {"enabled": True, "existingClaim": "audit"}})
    assert volume["persistentVolumeClaim"] == {"claimName": "audit"}


def test_placement_and_extras_reach_the_pods() -> None:
    part = {
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"key": "x", "operator": "Exists"}],
        "priorityClassName": "high",
        "podLabels": {"team": "search"},
        "podAnnotations": {"note": "1"},
        "env": {"VERIRAMP_LOG_LEVEL": "DEBUG"},
        "affinity": {"nodeAffinity": {}},
    }
    objects = render({"operator": part, "flagServer": part, "image": {"pullSecrets": ["one"]}})
    for name in ("operator", "flagserver"):
        template = one(objects, "Deployment", f"veriramp-{name}")["spec"]["template"]
        assert template["spec"]["nodeSelector"] == part["nodeSelector"]
        assert template["spec"]["tolerations"] == part["tolerations"]
        assert template["spec"]["priorityClassName"] == "high"
        assert template["spec"]["affinity"] == part["affinity"]
        assert template["spec"]["imagePullSecrets"] == [{"name": "one"}]
        assert template["metadata"]["labels"]["team"] == "search"
        assert template["metadata"]["annotations"]["note"] == "1"
        assert environment(objects, name)["VERIRAMP_LOG_LEVEL"] == "DEBUG"


# Values that helm refuses


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"oprator": {}}, "oprator"),
        ({"operator": {"replica": 2}}, "replica"),
        ({"operator": {"replicas": 0}}, "replicas"),
        ({"operator": {"replicas": "2"}}, "replicas"),
        ({"operator": {"env": {"DEBUG": "1"}}}, "DEBUG"),
        ({"operator": {"env": {"VERIRAMP_LOG_LEVEL": 1}}}, "VERIRAMP_LOG_LEVEL"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"limits": {"maxRankingWeight": 1.5}}, "maxRankingWeight"),
        ({"watchNamespaces": ["Not_A_Name"]}, "watchNamespaces"),
        ({"watchNamespaces": "search"}, "watchNamespaces"),
        ({"endpoints": {"default": {"url": "prometheus:9090"}}}, "url"),
        ({"endpoints": {"second": {"scrapeInterval": "15s"}}}, "url"),
        ({"endpoints": {"default": {"scrapeInterval": "soon"}}}, "scrapeInterval"),
        ({"profiles": {"orchestrator": {"img": "x"}}}, "img"),
        ({"profiles": {"Orchestrator": {"image": "x"}}}, "Orchestrator"),
        ({"clusterWide": "yes"}, "clusterWide"),
    ],
)
def test_wrong_values_are_refused_by_name(values: dict[str, Any], says: str) -> None:
    with pytest.raises(HelmError) as refusal:
        render(values)
    assert says in str(refusal.value)


def test_as_a_dependency_it_takes_global_values() -> None:
    assert render({"global": {"anything": 1}})
