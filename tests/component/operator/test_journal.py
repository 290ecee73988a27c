"""The journal of the real process: a run with rises, a crash and a rollback is decided again without a difference."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.component.operator.conftest import Replica
from tests.support.proxy import Proxy
from tests.support.replica import TOKEN, Operator
from tests.support.site import NAME, SECONDS, Site, canary, ramp_step
from tests.support.waiting import wait_for
from tools.toolchain import binary
from veriramp_operator.api.reasons import Reason
from veriramp_operator.cli.main import main
from veriramp_operator.resources.journal import LOGGER
from veriramp_sdk.flags import Flags

pytestmark = pytest.mark.timeout(600)


def journalling(replica: Replica, name: str, folder: Path) -> Operator:
    operator = replica(name)
    operator._environment["VERIRAMP_JOURNAL_DIR"] = str(folder)
    return operator.start()


def lines_of(text: str) -> list[dict[str, Any]]:
    every = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in every if line.get("logger") == LOGGER]


def logged(operator: Operator) -> list[dict[str, Any]]:
    return lines_of(operator.text())


def asked(operator: Operator, namespace: str) -> httpx.Response:
    address = f"http://127.0.0.1:{operator.health_port}/journal/{namespace}/{NAME}"
    return httpx.get(address, trust_env=False, timeout=30)


def rolled_back_once(
    site: Site, operator: Operator, proxy: Proxy, at_death: Callable[[], object] = lambda: None
) -> None:
    """Up, killed on the way, up again, and down by evidence; `at_death` is called before the kill, in a step's pass."""

    def kill() -> None:
        try:
            at_death()
        finally:
            operator.kill()

    proxy.once(ramp_step, kill, after=True)
    site.apply(canary(site.namespace, ramp=5))
    wait_for(lambda: not operator.is_running, SECONDS, "the operator to be dead")
    site.around.forget_lease()
    operator.start()
    site.until_guarding()
    site.around.says(site.namespace, errors=1.0)
    site.until("the fall applied", lambda status: bool(status.rollback and status.rollback.applied_at))


@pytest.mark.shows("S4-SEC-05")
def test_a_run_with_a_crash_and_a_rollback_replays_without_a_difference(
    site: Site, replica: Replica, consumer: Flags, proxy: Proxy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "journal"
    operator = journalling(replica, "operator", folder)

    def written() -> list[dict[str, Any]]:
        return lines_of("\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())))

    def journal_at_rest() -> None:
        # The step's line is handed over before the step is written; then its thread has nothing left to do.
        def rests() -> bool:
            try:
                told = written()
                return told == logged(operator) and told[-1]["decision"]["reason"] == Reason.RAMP_STEP
            except (ValueError, IndexError):  # a line is being written
                return False

        wait_for(rests, SECONDS, "the step's line in the file and in the log")

    rolled_back_once(site, operator, proxy, journal_at_rest)
    site.annotate(request=f"restart:{site.status().rollback.from_stage}@1")  # type: ignore[union-attr]
    site.around.says(site.namespace)
    site.until_guarding()
    assert operator.stop() == 0

    assert len(list(folder.glob("journal-*.jsonl"))) == 2, "one file per life of the process"
    told = written()
    assert {line["decision"]["direction"] for line in told} == {"Rise", "Hold", "Fall"}
    assert [line["name"] for line in told] == [NAME] * len(told)
    assert logged(operator) == told, "the log has the same lines"
    assert TOKEN not in operator.text()
    for what in (folder, operator.log):
        code = main(["replay", str(what)])
        out = capsys.readouterr().out
        assert code == 0, out
        assert f"{len(told)} decisions of 1 rollout" in out


def test_the_leader_tells_its_decisions_and_the_standby_who_leads(site: Site, replica: Replica, tmp_path: Path) -> None:
    leader = journalling(replica, "leader", tmp_path / "journal").ready()
    wait_for(lambda: leader.leads, SECONDS, "the first to lead")
    standby = replica("standby").start().ready()
    site.apply(canary(site.namespace))
    site.until_reason(Reason.NO_CONSUMERS)
    answer = asked(leader, site.namespace)
    assert answer.status_code == 200
    assert [line["decision"]["reason"] for line in lines_of(answer.text)][:1] == ["Pending"]
    wait_for(lambda: asked(standby, site.namespace).status_code == 421, SECONDS, "the standby to know who leads")
    assert "this replica does not lead; ask the one that does: http://127.0.0.1:" in asked(standby, site.namespace).text


def test_a_rollback_is_explained_from_the_live_object(
    site: Site,
    operator: Operator,
    consumer: Flags,
    proxy: Proxy,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rolled_back_once(site, operator, proxy)
    monkeypatch.setenv("PATH", str(binary("kubectl").parent), prepend=os.pathsep)
    command = ["explain", NAME, "-n", site.namespace, "--kubeconfig", str(site.around.cluster.kubeconfig)]
    assert main(command) == 0
    page = capsys.readouterr().out
    assert page.startswith(f"{site.namespace}/{NAME}: OFF. Nothing is verified, the ranking is untouched.\n")
    assert 'errors sent it from stage "canary" to Off' in page
    assert "applied everywhere " in page
    assert f"kubectl veriramp retry {NAME} -n {site.namespace}" in page
    assert main([*command, "-o", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["phase"], said["direction"], said["rollback"]["gate"]) == ("RolledBack", "Hold", "errors")
    assert said["next"]["commands"][0] == f"kubectl veriramp retry {NAME} -n {site.namespace}"
