"""The documents say what the product does: every rollout, command, link, reason and program in them is checked."""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml
from prometheus_client import CollectorRegistry

from tests.support.documents import DOCUMENTS, GUIDE, Block, anchors, blocks, first_column, links, shell_lines, spans
from tests.support.rollouts import ROOT
from tools.devcluster.__main__ import _parser as devcluster_parser
from veriramp_operator.api.problems import problems
from veriramp_operator.api.reasons import NoDataReason, Reason
from veriramp_operator.api.rollout import KIND, RolloutSpec
from veriramp_operator.api.status import Phase
from veriramp_operator.cli.main import _parser, main
from veriramp_operator.engine.conditions import (
    EVIDENCE_AVAILABLE,
    PROPAGATION_CONFIRMED,
    READY,
    RECONCILING,
    ROLLED_BACK,
    STALLED,
)
from veriramp_operator.evidence.reasons import VerdictReason
from veriramp_sdk.arms import FlagMetrics, SearchMetrics
from veriramp_sdk.trigger_metrics import TriggerMetrics

ON_CALL: Final = GUIDE / "on-call.md"
ROLLOUTS: Final = GUIDE / "rollouts.md"
INTEGRATION: Final = GUIDE / "search-integration.md"
TARGET: Final = re.compile(r"\bmake ([a-z][a-z-]*)")
each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def rollouts() -> list[Block]:
    return [block for block in blocks("yaml") if (yaml.safe_load(block.text) or {}).get("kind") == KIND]


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_yaml_is_yaml(block: Block) -> None:
    assert yaml.safe_load(block.text)


@pytest.mark.parametrize("block", rollouts(), ids=str)
def test_rollouts_would_be_admitted(block: Block) -> None:
    spec = RolloutSpec.model_validate(yaml.safe_load(block.text)["spec"])
    assert problems(spec) == ()


@pytest.mark.parametrize(("path", "example"), [(ROOT / "README.md", "quickstart"), (ROLLOUTS, "ladder")])
def test_the_rollouts_shown_are_the_examples(path: Path, example: str) -> None:
    (shown,) = [block for block in rollouts() if block.path == path]
    file = ROOT / "examples" / "rollouts" / f"{example}.yaml"
    assert shown.text == file.read_text(encoding="utf-8").rstrip()


def test_the_values_of_the_installation_guide_exist() -> None:
    known = yaml.safe_load((ROOT / "charts" / "veriramp" / "values.yaml").read_text(encoding="utf-8"))
    (values,) = [block for block in blocks("yaml", of=GUIDE / "install.md") if "my-values" in block.text]
    assert set(yaml.safe_load(values.text)) <= set(known)
    named = [span for span in first_column(GUIDE / "install.md", "With helm") if span != "endpoints.*.scrapeInterval"]
    assert {span.split(".")[0].split(":")[0] for span in named} <= set(known)


@each_document
def test_links_lead_somewhere(path: Path) -> None:
    for link in links(path):
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{link}: there is no such file"
        assert not anchor or anchor in anchors(target), f"{link}: {target.name} has no such heading"


@each_document
def test_files_named_in_commands_exist(path: Path) -> None:
    named = [
        word for line in shell_lines(path) for word in shlex.split(line) if re.fullmatch(r"[\w./-]+/[\w.-]+", word)
    ]
    for word in named:
        known = word.startswith(("/", "verificationrollout/", "deployment/", "default/", ".venv/"))
        assert known or (ROOT / word).exists(), word


def commands(path: Path, program: str) -> Iterator[list[str]]:
    for line in shell_lines(path):
        if line.removeprefix(".venv/bin/").startswith(f"{program} "):
            yield shlex.split(line.removeprefix(".venv/bin/").removeprefix(program))


@pytest.mark.shows("S2-OBS-04")
@each_document
def test_commands_of_ours_are_understood(path: Path) -> None:
    for words in commands(path, "veriramp"):
        understood(words)
    for words in commands(path, "python -m tools.devcluster"):
        devcluster_parser().parse_args(words)


@each_document
def test_commands_of_ours_in_the_text_are_understood(path: Path) -> None:
    for span in spans(path):
        program, *words = span.removeprefix("kubectl ").split(" ")
        if program != "veriramp" or not words or span.endswith("..."):
            continue
        if len(words) == 1 and not words[0].startswith("-"):
            words.append("--help")  # a command without its arguments, as in "this is `veriramp get`", must exist
        understood(shlex.split(" ".join(words)))


def understood(words: list[str]) -> None:
    told, code = io.StringIO(), 0
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
        try:
            _parser().parse_args(words)
        except SystemExit as end:
            code = int(end.code or 0)
    assert code == 0, f"veriramp {shlex.join(words)}: {told.getvalue()}"


@each_document
def test_make_targets_exist(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    for text in (*spans(path), *shell_lines(path)):
        if text.startswith("make "):
            assert set(TARGET.findall(text)) <= targets, text


@pytest.mark.parametrize("command", ["plan", "simulate"])
def test_the_output_shown_is_the_output(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    (line,) = [line for line in shell_lines(ROLLOUTS) if line.startswith(f"veriramp {command} ")]
    words = shlex.split(line)[1:]
    if "--plot" in words:
        words[words.index("--plot") + 1] = str(tmp_path / "plot.png")
    assert main(words) == 0
    said = capsys.readouterr().out.rstrip()
    shown = [block.text for block in blocks("", of=ROLLOUTS)]
    assert said in shown, f"docs/guide/rollouts.md shows another output; put there what this prints: {line}\n{said}"


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_compiles_and_its_names_can_be_imported(block: Block) -> None:
    tree = ast.parse(block.text)
    compile(tree, str(block), "exec")
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")


@pytest.mark.shows("S2-OBS-04", "S4-DEP-04")
def test_every_reason_is_explained_to_people_on_call() -> None:
    assert sorted(first_column(ON_CALL, "Reasons")) == sorted(Reason)
    verdicts = {*NoDataReason, *VerdictReason, "AnotherStage"}
    assert sorted(first_column(ON_CALL, "Reasons of a verdict")) == sorted(verdicts)


def test_every_phase_and_condition_is_explained_to_people_on_call() -> None:
    assert sorted(first_column(ON_CALL, "Phases")) == sorted(Phase)
    conditions = {READY, RECONCILING, STALLED, ROLLED_BACK, PROPAGATION_CONFIRMED, EVIDENCE_AVAILABLE}
    assert set(first_column(ON_CALL, "Why")) == conditions


@pytest.mark.shows("S4-DEP-04")
def test_the_metrics_of_the_sdk_are_those_of_its_guide() -> None:
    registry = CollectorRegistry()
    FlagMetrics(registry)
    SearchMetrics(registry)
    TriggerMetrics(registry, "search/demo")
    exported = {f"{family.name}_total" if family.type == "counter" else family.name for family in registry.collect()}
    modules = ("veriramp_sdk.", "veriramp_search ")
    listed = {
        span for span in spans(INTEGRATION) if span.startswith("veriramp_") and not f"{span} ".startswith(modules)
    }
    assert exported == listed
