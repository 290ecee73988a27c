from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.programs import write_program
from tools import toolchain
from tools.gobuild import cache_folder, cached
from tools.programs import (
    GROUPS,
    KAFKA,
    MODULES,
    PROGRAMS,
    TOOLS,
    linker_values,
    module_key,
    pinned_version,
    version_fits,
    version_of,
)
from tools.toolchain import ToolMissing, binary, on_machine

CONTROL_PLANE = {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"}


# The tables


def test_the_demo_builds_neither_kwok_nor_kubeconform() -> None:
    assert set(GROUPS["demo"]) == CONTROL_PLANE | {"prometheus", "helm", "broker"}
    assert set(GROUPS["test"]) - set(GROUPS["demo"]) == {"promtool", "kubeconform", KAFKA}
    assert set(GROUPS["all"]) == {*PROGRAMS, KAFKA}


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_every_program_is_pinned_by_its_go_module_and_kept_by_go_sum(name: str) -> None:
    program = PROGRAMS[name]
    folder = TOOLS / MODULES[program.module].folder
    assert version_of(program).count(".") == 2
    go_sum = (folder / "go.sum").read_text(encoding="utf-8")
    assert f"\n{program.requirement} v" in f"\n{go_sum}"


@pytest.mark.parametrize("name", sorted(set(PROGRAMS) - {"broker"}))
def test_every_foreign_package_is_a_tool_of_its_module(name: str) -> None:
    program = PROGRAMS[name]
    go_mod = (TOOLS / MODULES[program.module].folder / "go.mod").read_text(encoding="utf-8")
    tools = go_mod.split("tool (", 1)[1].split(")", 1)[0].split()
    assert program.package in tools


def test_all_staging_modules_are_replaced_by_the_release_of_kubernetes() -> None:
    go_mod = (TOOLS / "kubernetes" / "go.mod").read_text(encoding="utf-8")
    replaced = [line.split() for line in go_mod.splitlines() if "=>" in line]
    patch = version_of(PROGRAMS["kube-apiserver"]).removeprefix("1.")
    assert len(replaced) == 31
    assert all(words == [words[0], "=>", words[0], f"v0.{patch}"] for words in replaced)


@pytest.mark.parametrize(
    ("requirement", "go_mod", "version"),
    [
        ("k8s.io/kubernetes", "require (\n\tk8s.io/kubernetes v1.35.4\n)", "1.35.4"),
        ("k8s.io/kubernetes", "require k8s.io/kubernetes v1.35.4", "1.35.4"),
        ("k8s.io/api", "\tk8s.io/apiserver v0.1.0 // indirect\n\tk8s.io/api v0.2.0 // indirect", "0.2.0"),
        ("github.com/prometheus/prometheus", "require github.com/prometheus/prometheus v0.315.0", "3.15.0"),
        ("github.com/prometheus/prometheus", "require github.com/prometheus/prometheus v0.300.12", "3.0.12"),
    ],
)
def test_pinned_version_is_read_from_go_mod(requirement: str, go_mod: str, version: str) -> None:
    assert pinned_version(requirement, go_mod) == version


def test_a_module_that_is_not_required_says_how_to_require_it() -> None:
    with pytest.raises(LookupError, match=r"go get k8s\.io/kubernetes"):
        pinned_version("k8s.io/kubernetes", "module x")


@pytest.mark.parametrize("name", sorted(MODULES))
def test_linker_values_have_no_open_place_and_tell_the_pinned_versions(name: str) -> None:
    values = linker_values(MODULES[name], "2026-01-02T03:04:05Z")
    assert not [value for value in values if "{" in value or value.endswith("=")]
    if name == "kubernetes":
        assert "k8s.io/component-base/version.gitVersion=v1.35.4" in values
        assert "k8s.io/component-base/version.gitMinor=35" in values
    if name == "prometheus":
        assert "github.com/prometheus/common/version.Version=3.15.0" in values
    if name == "cluster":
        assert "helm.sh/helm/v3/internal/version.version=v3.22.0" in values


# The key of the cache


@pytest.fixture
def copied_tools(tmp_path: Path) -> Path:
    for module in MODULES.values():
        folder = tmp_path / module.folder
        folder.mkdir(parents=True, exist_ok=True)
        for path in (TOOLS / module.folder).glob("*"):
            if path.is_file():
                shutil.copy(path, folder)
    return tmp_path


@pytest.mark.parametrize("name", sorted(MODULES))
def test_key_does_not_depend_on_place_or_time(copied_tools: Path, name: str) -> None:
    os.utime(copied_tools / MODULES[name].folder / "go.mod", (0, 0))
    assert module_key(MODULES[name], copied_tools) == module_key(MODULES[name])


@pytest.mark.parametrize("changed", ["go.mod", "go.sum", "main.go"])
def test_key_changes_with_what_is_built(copied_tools: Path, changed: str) -> None:
    before = module_key(MODULES["broker"], copied_tools)
    path = copied_tools / MODULES["broker"].folder / changed
    path.write_bytes(path.read_bytes() + b"\n// changed\n")
    assert module_key(MODULES["broker"], copied_tools) != before


def test_key_ignores_go_tests_and_the_module_below(copied_tools: Path) -> None:
    before = {name: module_key(module, copied_tools) for name, module in MODULES.items()}
    (copied_tools / MODULES["broker"].folder / "main_test.go").write_text("package main\n")
    assert {name: module_key(module, copied_tools) for name, module in MODULES.items()} == before
    (copied_tools / MODULES["broker"].folder / "more.go").write_text("package main\n")
    after = {name: module_key(module, copied_tools) for name, module in MODULES.items()}
    assert [name for name in MODULES if after[name] != before[name]] == ["broker"]


def test_key_changes_with_build_flags() -> None:
    module = MODULES["prometheus"]
    variants = [module, replace(module, tags="other"), replace(module, ldflags=())]
    assert len({module_key(variant) for variant in variants}) == 3


# Versions that fit


@pytest.mark.parametrize(
    ("pinned", "text", "fits"),
    [
        ("1.35.4", "Kubernetes v1.35.4", True),
        ("1.35.4", "Kubernetes v1.35.0", True),
        ("1.35.4", "Kubernetes v1.36.4", False),
        ("1.35.4", "Kubernetes v2.35.4", False),
        ("1.35.4", "Client Version: v1.35.9\nKustomize Version: v5.7.1", True),
        ("3.6.5", "etcd Version: 3.6.11\nGit SHA: 1234", True),
        ("3.6.5", "etcd Version: 3.5.5", False),
        ("3.15.0", "prometheus, version 3.15.2 (branch: HEAD)", True),
        ("3.22.0", "v3.22.1+g1234567", True),
        ("3.22.0", "v4.0.0", False),
        ("0.8.0", "development", False),
        ("0.8.0", "", False),
    ],
)
def test_version_fits_when_major_and_minor_are_the_pinned_ones(pinned: str, text: str, fits: bool) -> None:
    assert version_fits(pinned, text) is fits


@given(st.tuples(*[st.integers(0, 99)] * 3), st.tuples(*[st.integers(0, 99)] * 3))
def test_only_the_patch_may_differ(pinned: tuple[int, ...], found: tuple[int, ...]) -> None:
    texts = [".".join(map(str, version)) for version in (pinned, found)]
    assert version_fits(texts[0], f"program v{texts[1]}") is (pinned[:2] == found[:2])


def test_assets_come_before_path_and_a_version_that_does_not_fit_is_passed_over(tmp_path: Path) -> None:
    assets = write_program(tmp_path / "assets" / "kubectl", "echo Client Version: v1.35.1")
    on_path = write_program(tmp_path / "path" / "kubectl", "echo Client Version: v1.35.2")
    environment = {"KUBEBUILDER_ASSETS": str(assets.parent), "PATH": f"{on_path.parent}"}
    assert on_machine(PROGRAMS["kubectl"], environment) == assets
    write_program(assets, "echo Client Version: v1.34.1")
    assert on_machine(PROGRAMS["kubectl"], environment) == on_path
    write_program(on_path, "exit 3")
    assert on_machine(PROGRAMS["kubectl"], environment) is None


def test_a_broker_on_path_is_not_ours(tmp_path: Path) -> None:
    write_program(tmp_path / "broker", "echo broker 1.22.2")
    assert on_machine(PROGRAMS["broker"], {"PATH": str(tmp_path)}) is None


# What is missing


def test_binary_that_is_nowhere_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match=r"etcd 3\.6\.5 .*run `python3 tools/toolchain\.py build etcd`"):
        binary("etcd", {"PATH": "", "VERIRAMP_CACHE": str(tmp_path)})


def test_binary_is_found_in_the_cache_without_go(tmp_path: Path) -> None:
    kept = write_program(cached(PROGRAMS["etcd"], tmp_path / "tools"), "exit 0")
    assert binary("etcd", {"PATH": "", "VERIRAMP_CACHE": str(tmp_path)}) == kept


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no program 'kubelet'; write one of etcd, "):
        binary("kubelet")


# The command line, as a file and before any environment: -S leaves site-packages out


def run_file(*arguments: str, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "", "VERIRAMP_CACHE": str(cache)}
    command = [sys.executable, "-S", str(TOOLS / "toolchain.py"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_file_runs_with_the_standard_library_alone(tmp_path: Path) -> None:
    listed = run_file("list", cache=tmp_path)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == [*PROGRAMS, KAFKA]
    assert run_file("path", "etcd", cache=tmp_path).returncode == 1
    assert "no program 'x'" in run_file("build", "x", cache=tmp_path).stderr
    assert "no `go` on PATH" in run_file("build", "--for", "demo", cache=tmp_path).stderr


def test_path_prints_only_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VERIRAMP_CACHE", str(tmp_path))
    kept = write_program(cached(PROGRAMS["broker"], cache_folder()), "exit 0")
    assert toolchain.main(["path", "broker"]) == 0
    assert capsys.readouterr().out == f"{kept}\n"
