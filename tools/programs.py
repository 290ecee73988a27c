"""What the dev cluster is made of: every program, the Go module that pins it, and how its version is told.

`PROGRAMS` and `MODULES` are the tables, `GROUPS` says who needs what, `pinned_version()` and `module_key()` read
the Go modules beside this file. Nothing here runs a program. Standard library only: this is imported before any
Python environment exists.
"""

from __future__ import annotations

import hashlib
import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TOOLS: Final = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Module:
    """One Go module below `tools/`, built with one `go build`.

    `ldflags` are `-X` assignments in which `{version}`, `{major}`, `{minor}`, `{client_minor}` and `{now}` are filled.
    """

    name: str
    folder: str
    tags: str = ""
    ldflags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Program:
    """One binary.

    `package` is what `go build` is given and `output` what Go calls the result; `requirement` is the Go module whose
    version in go.mod is the program's version; `version_args` make it print that version; `seconds` is the cold build
    on two cores, which is shown until a build on this machine was measured; `along` names the program whose packages
    are nearly all of this one's, so that building both at once costs seconds and building this one later minutes.
    """

    name: str
    module: str
    package: str
    requirement: str
    seconds: float
    version_args: tuple[str, ...] = ("--version",)
    output: str = ""
    from_path: bool = True
    along: str = ""

    @property
    def built_as(self) -> str:
        """The file name that `go build -o folder/` gives to this package."""
        return self.output or self.package.rsplit("/", 1)[-1]


BUILD_FLAGS: Final = ("-mod=readonly", "-trimpath")
LINKER_FLAGS: Final = "-s -w"  # no debug tables: a third less to write and to keep

_KUBERNETES_VERSION: Final = "k8s.io/component-base/version"
_PROMETHEUS_VERSION: Final = "github.com/prometheus/common/version"

MODULES: Final[dict[str, Module]] = {
    module.name: module
    for module in (
        Module(
            "kubernetes",
            "kubernetes",
            ldflags=(
                f"{_KUBERNETES_VERSION}.gitVersion=v{{version}}",
                f"{_KUBERNETES_VERSION}.gitMajor={{major}}",
                f"{_KUBERNETES_VERSION}.gitMinor={{minor}}",
                # A Go module carries no commit; go.sum is what proves its content.
                f"{_KUBERNETES_VERSION}.gitCommit=unknown",
                f"{_KUBERNETES_VERSION}.gitTreeState=clean",
                f"{_KUBERNETES_VERSION}.buildDate={{now}}",
            ),
        ),
        Module(
            "prometheus",
            "prometheus",
            # Two dozen cloud discoveries are most of Prometheus' size and build time; pods are all that is found here.
            tags="remove_all_sd,enable_kubernetes_sd",
            ldflags=(
                f"{_PROMETHEUS_VERSION}.Version={{version}}",
                f"{_PROMETHEUS_VERSION}.Branch=veriramp-tools",
                f"{_PROMETHEUS_VERSION}.BuildUser=veriramp-tools",
                f"{_PROMETHEUS_VERSION}.BuildDate={{now}}",
            ),
        ),
        Module(
            "cluster",
            "cluster",
            ldflags=(
                "helm.sh/helm/v3/internal/version.version=v{helm}",
                "helm.sh/helm/v3/internal/version.gitTreeState=clean",
                # Without these `helm template` pretends to be a Kubernetes 1.20 and refuses charts that ask for more.
                "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1",
                "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor={client_minor}",
                "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1",
                "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor={client_minor}",
                "sigs.k8s.io/kwok/pkg/consts.Version={kwok}",
                "main.version=v{kubeconform}",
            ),
        ),
        Module("broker", "cluster/broker"),
    )
}


def _kubernetes(name: str, seconds: float, version_args: tuple[str, ...] = ("--version",)) -> Program:
    return Program(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}", "k8s.io/kubernetes", seconds, version_args)


def _prometheus(name: str, seconds: float, along: str = "") -> Program:
    requirement = "github.com/prometheus/prometheus"
    return Program(name, "prometheus", f"{requirement}/cmd/{name}", requirement, seconds, along=along)


PROGRAMS: Final[dict[str, Program]] = {
    program.name: program
    for program in (
        Program("etcd", "kubernetes", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3", 30, output="server"),
        _kubernetes("kube-apiserver", 130),
        _kubernetes("kube-controller-manager", 50),
        _kubernetes("kube-scheduler", 25),
        _kubernetes("kubectl", 25, ("version", "--client")),
        _prometheus("prometheus", 110),
        _prometheus("promtool", 10, along="prometheus"),
        Program("helm", "cluster", "helm.sh/helm/v3/cmd/helm", "helm.sh/helm/v3", 50, ("version", "--short")),
        Program(
            "kubeconform",
            "cluster",
            "github.com/yannh/kubeconform/cmd/kubeconform",
            "github.com/yannh/kubeconform",
            3,
            ("-v",),
        ),
        Program("kwok", "cluster", "sigs.k8s.io/kwok/cmd/kwok", "sigs.k8s.io/kwok", 65),
        Program("broker", "broker", ".", "github.com/twmb/franz-go", 25, output="broker", from_path=False),
    )
}

_DEMO: Final = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
    "prometheus",
    "helm",
    "broker",
)
KAFKA: Final = "kafka"
"""The one part that is no Go program: a folder of jars, see `kafka/jars.py`."""

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "demo": _DEMO,
    "test": (*_DEMO, "promtool", "kubeconform", KAFKA),
    "all": (*_DEMO, "promtool", "kubeconform", "kwok", KAFKA),
}


def pinned_version(requirement: str, go_mod: str) -> str:
    """Version of the Go module `requirement` in the text of a go.mod, without the leading `v`.

    Prometheus numbers its Go module v0.315.0 for release 3.15.0 (its own RELEASE.md); the release is returned.
    Raises LookupError when go.mod does not require the module.
    """
    found = re.search(rf"^\s*(?:require\s+)?{re.escape(requirement)} v(\S+)", go_mod, flags=re.MULTILINE)
    if found is None:
        raise LookupError(f"go.mod does not require {requirement}: run `go get {requirement}` in its folder")
    version = found.group(1)
    if requirement == "github.com/prometheus/prometheus":
        _, minor, patch = version.split(".")
        return f"{int(minor) // 100}.{int(minor) % 100}.{patch}"
    return version


def version_of(program: Program, tools: Path = TOOLS) -> str:
    """Release of `program` that this tree pins, as in `1.35.4`."""
    return pinned_version(program.requirement, _go_mod(MODULES[program.module], tools))


def version_fits(pinned: str, printed: str) -> bool:
    """Whether what a program printed about itself is the pinned release or another patch of the same minor."""
    found = re.search(r"\bv?(\d+)\.(\d+)\.\d+", printed)
    return found is not None and list(found.groups()) == pinned.split(".")[:2]


def linker_values(module: Module, now: str, tools: Path = TOOLS) -> list[str]:
    """The module's `-X` assignments with versions and `now` (the build date, RFC 3339) filled in."""
    go_mod = _go_mod(module, tools)
    values = {p.name: version_of(p, tools) for p in PROGRAMS.values() if p.module == module.name}
    values["version"] = values.get("kubectl") or values.get("prometheus", "")
    values["major"], values["minor"] = ([*values["version"].split("."), "", ""])[:2]
    if "{client_minor}" in " ".join(module.ldflags):
        # client-go v0.37.0 belongs to Kubernetes 1.37.0.
        values["client_minor"] = pinned_version("k8s.io/client-go", go_mod).split(".")[1]
    return [text.format(now=now, **values) for text in module.ldflags]


def module_key(module: Module, tools: Path = TOOLS) -> str:
    """Cache folder of a module: changes with go.mod, go.sum, our own Go sources, build flags and machine type only.

    The compiler is not part of it (go.mod names the language version): looking a binary up must not need Go, and a
    patch of Go is no reason to build for seven minutes.
    """
    folder = tools / module.folder
    digest = hashlib.sha256()
    for text in (*BUILD_FLAGS, LINKER_FLAGS, module.tags, *module.ldflags, platform.system(), platform.machine()):
        digest.update(text.encode() + b"\0")
    own = sorted(path for path in folder.glob("*.go") if not path.name.endswith("_test.go"))
    for path in (folder / "go.mod", folder / "go.sum", *own):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{module.name}-{digest.hexdigest()[:16]}"


def _go_mod(module: Module, tools: Path) -> str:
    return (tools / module.folder / "go.mod").read_text(encoding="utf-8")
