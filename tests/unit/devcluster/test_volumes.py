from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.devcluster.agent.environment import NotYetThereError, Surroundings
from tools.devcluster.agent.launch import Launch, Mount, mounts_of, script_of
from tools.devcluster.agent.volumes import PodVolumes, real_target, refused_volume, write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = st.sampled_from(["a", "b", "c.txt", "dir/one", "dir/two"])
CONTENTS = st.lists(st.dictionaries(NAMES, st.binary(max_size=8), max_size=4), min_size=1, max_size=5)


@given(contents=CONTENTS)
def test_a_folder_shows_exactly_the_last_content(
    tmp_path_factory: pytest.TempPathFactory, contents: list[dict[str, bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("volume")

    for content in contents:
        write_atomically(folder, content)

    seen = {
        str(path.relative_to(folder)): path.read_bytes()
        for name in folder.iterdir()
        if not name.name.startswith("..")
        for path in ([name] if name.is_file() else name.iterdir())
    }
    assert seen == contents[-1]
    assert len([path for path in folder.iterdir() if path.name.startswith("..")]) == 2, "..data and its folder"


def pod_with(mounts: Mapping[str, str], volume: Mapping[str, Any] | None = None) -> dict[str, Any]:
    volumes = [{"name": name, **(volume or {"emptyDir": {}})} for name in mounts]
    targets = [{"name": name, "mountPath": path} for name, path in mounts.items()]
    containers = [{"name": "main", "volumeMounts": targets}]
    metadata = {"namespace": "shop", "name": "web", "uid": "u1"}
    return {"metadata": metadata, "spec": {"volumes": volumes, "containers": containers}}


@pytest.mark.parametrize(
    ("mounts", "refused"),
    [
        ({"a": "/run/x"}, None),
        ({"a": "/var/run/x/../y"}, None),
        ({"a": "/tmp"}, None),
        ({"a": "/run/x", "b": "/run/x/y"}, None),
        ({"a": "/nowhere"}, "mount it below /run, for example at /run/nowhere"),
        ({"a": "/run/x", "b": "/runner"}, "for example at /run/runner"),
    ],
)
def test_where_volumes_may_be_mounted(mounts: dict[str, str], refused: str | None) -> None:
    answer = refused_volume(pod_with(mounts))
    assert (answer is None) if refused is None else (answer is not None and refused in answer)


def test_an_unsupported_volume_is_named() -> None:
    claim = {"persistentVolumeClaim": {"claimName": "x"}}
    expected = "volume 'data': persistentVolumeClaim is not supported by the dev cluster; use configMap, secret"
    assert str(refused_volume(pod_with({"data": "/run/x"}, claim))).startswith(expected)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/var/run/a/", "/run/a"), ("/var/run", "/run"), ("/var/runs", "/var/runs"), ("/a//b", "/a/b")],
)
def test_var_run_is_run(path: str, expected: str) -> None:
    assert real_target(path) == PurePosixPath(expected)


async def no_token(_pod: Any, audiences: list[str], seconds: int) -> str:
    return f"token for {audiences} of {seconds} s"


def volumes_in(folder: Path, objects: Mapping[str, Any]) -> PodVolumes:
    around = Surroundings(
        lambda _ns, name: objects.get(name), lambda _ns, name: objects.get(name), lambda _ns, _n: None
    )
    return PodVolumes(folder, around, no_token)


async def test_a_projected_volume_gathers_its_sources(tmp_path: Path) -> None:
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 600, "audience": "flags"}},
        {"configMap": {"name": "ca", "items": [{"key": "ca.crt", "path": "certs/ca.crt"}]}},
        {"secret": {"name": "none", "optional": True}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
    volumes = volumes_in(tmp_path, {"ca": {"data": {"ca.crt": "PEM", "other": "x"}}})

    await volumes.render(pod_with({"all": "/run/all"}, {"projected": {"sources": sources}}))

    seen = {name: (tmp_path / "all" / name).read_text() for name in ("token", "certs/ca.crt", "namespace")}
    assert seen == {"token": "token for ['flags'] of 600 s", "certs/ca.crt": "PEM", "namespace": "shop"}


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        ({"name": "none"}, 'configmap "none" not found'),
        ({"name": "ca", "items": [{"key": "b", "path": "b"}]}, "configmap \"ca\" has no key 'b'"),
    ],
)
async def test_missing_content_is_named(tmp_path: Path, reference: dict[str, Any], problem: str) -> None:
    volumes = volumes_in(tmp_path, {"ca": {"data": {"a": "x"}}})
    with pytest.raises(NotYetThereError, match=problem):
        await volumes.render(pod_with({"v": "/run/v"}, {"configMap": reference}))


def test_outer_mounts_come_first_and_quoting_holds(tmp_path: Path) -> None:
    pod = pod_with({"inner": "/run/x/y z", "outer": "/run/x"})
    volumes = volumes_in(tmp_path / "volumes", {})

    mounts = mounts_of(pod["spec"]["containers"][0], pod, volumes)
    script = script_of(Launch("main", tmp_path, tmp_path / "hosts", mounts, [], {}, "/it's", tmp_path / "log"))

    assert mounts == (
        Mount(tmp_path / "volumes/outer", PurePosixPath("/run/x"), read_only=False),
        Mount(tmp_path / "volumes/inner", PurePosixPath("/run/x/y z"), read_only=False),
    )
    assert script.index("mount --bind /run/.pod/volumes/outer /run/x\n") < script.index("'/run/x/y z'\n")
    assert "cd '/it'\"'\"'s'\n" in script
    assert script.endswith('exec "$@"\n')
