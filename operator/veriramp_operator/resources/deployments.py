"""The worker Deployment of one profile of a rollout."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from veriramp_operator.api.config import FlagServer, Profile
from veriramp_operator.api.object import Rollout
from veriramp_operator.api.rollout import GROUP, KIND, VERSION

ROLLOUT_LABEL: Final = "veriramp.dev/rollout"
PROFILE_LABEL: Final = "veriramp.dev/profile"
SPEC_HASH: Final = "veriramp.dev/spec-hash"
SECRETS_FOLDER: Final = "/etc/veriramp/secrets"


def deployment_name(rollout: Rollout, profile: str) -> str:
    """``<rollout>-<profile>-<hash>``; the hash keeps two rollouts from meeting in one name."""
    digest = hashlib.sha256(f"{rollout.uid}/{profile}".encode()).hexdigest()[:8]
    return f"{rollout.name}-{profile}-{digest}"


def worker_deployment(
    rollout: Rollout, profile_name: str, profile: Profile, flag_server: FlagServer, replicas: int | None
) -> dict[str, Any]:
    """Render the Deployment for server-side apply; ``replicas`` None leaves the count to another manager.

    Nothing in the pod template changes with a ramp step: the workers read their parameters from the flags.
    """
    labels = {
        ROLLOUT_LABEL: rollout.name,
        PROFILE_LABEL: profile_name,
        "app.kubernetes.io/managed-by": "veriramp",
    }
    spec: dict[str, Any] = {
        "selector": {"matchLabels": {ROLLOUT_LABEL: rollout.name, PROFILE_LABEL: profile_name}},
        "template": _template(rollout, profile_name, profile, flag_server, labels),
    }
    digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]
    if replicas is not None:
        spec["replicas"] = replicas
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": deployment_name(rollout, profile_name),
            "namespace": rollout.namespace,
            "labels": labels,
            "annotations": {SPEC_HASH: digest},
            "ownerReferences": [owner_reference(rollout)],
        },
        "spec": spec,
    }


def owner_reference(rollout: Rollout) -> dict[str, Any]:
    """The rollout as controller of its children; deletion of the rollout never waits for them."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "name": rollout.name,
        "uid": rollout.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def _template(
    rollout: Rollout, profile_name: str, profile: Profile, flag_server: FlagServer, labels: dict[str, str]
) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": "worker",
        "image": profile.image,
        "env": _environment(rollout, profile_name, profile, flag_server),
        "ports": [{"name": "metrics", "containerPort": profile.port}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "metrics"}, "periodSeconds": 2},
        "livenessProbe": {"httpGet": {"path": "/livez", "port": "metrics"}, "periodSeconds": 10, "failureThreshold": 6},
        "resources": profile.resources,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    if profile.env_from_secrets:
        container["envFrom"] = [{"secretRef": {"name": name}} for name in profile.env_from_secrets]
    if profile.command:
        container["command"] = list(profile.command)
    if profile.args:
        container["args"] = list(profile.args)
    pod: dict[str, Any] = {
        "containers": [container],
        "terminationGracePeriodSeconds": profile.termination_grace_period_seconds,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    if profile.files_from_secrets:
        volumes = [(f"secret-{number}", name) for number, name in enumerate(profile.files_from_secrets)]
        pod["volumes"] = [{"name": volume, "secret": {"secretName": name}} for volume, name in volumes]
        container["volumeMounts"] = [
            {"name": volume, "mountPath": f"{SECRETS_FOLDER}/{name}", "readOnly": True} for volume, name in volumes
        ]
    if profile.service_account_name:
        pod["serviceAccountName"] = profile.service_account_name
    return {
        "metadata": {
            "labels": labels,
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": str(profile.port)},
        },
        "spec": pod,
    }


def _environment(
    rollout: Rollout, profile_name: str, profile: Profile, flag_server: FlagServer
) -> list[dict[str, Any]]:
    address = f"{flag_server.service}.{flag_server.namespace}.svc:{flag_server.grpc_port}"
    key = rollout.spec.flags.key if rollout.spec and rollout.spec.flags.key else rollout.name
    ours = {
        "VERIRAMP_ROLLOUT": f"{rollout.namespace}/{rollout.name}",
        "VERIRAMP_FLAG_KEY": key,
        "VERIRAMP_FLAGS_URL": address,
        "VERIRAMP_PROFILE": profile_name,
        "VERIRAMP_PORT": str(profile.port),
    }
    fields = {"POD_IP": "status.podIP", "POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace"}
    return [
        *({"name": name, "value": value} for name, value in sorted((profile.env | ours).items())),
        *(
            {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}
            for name, path in fields.items()
        ),
    ]
