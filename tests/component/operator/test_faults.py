"""Faults of the peers: Prometheus away, the API server in conflict or unwell, watches stalled, a name taken."""

from __future__ import annotations

import itertools
import os

import pytest

from tests.support.proxy import Answer, Drop, Proxy, Request
from tests.support.replica import Operator
from tests.support.site import SECONDS, Site, canary, off_at, rises, vectors
from tests.support.waiting import wait_for
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.status import Phase, RolloutStatus
from veriramp_sdk.contract import Mode
from veriramp_sdk.flags import Flags

pytestmark = pytest.mark.timeout(600)

FULL = os.environ.get("VERIRAMP_CAMPAIGN") == "full"
SAMPLE = [Answer(409), Drop(after=True)]
EVERY = [*SAMPLE, Answer(409, after=True), Answer(503), Answer(429), Answer(500, after=True), Answer(422), Drop()]


@pytest.mark.shows("S1-ROLL-07", "S0-03", "S1-RAMP-02")
def test_without_prometheus_nothing_is_promoted_and_nothing_aborted(
    site: Site, operator: Operator, consumer: Flags, proxy: Proxy
) -> None:
    site.apply(canary(site.namespace, ramp=5))
    site.until_ramping()
    site.around.cluster.stop_component("prometheus")
    try:
        site.until("no evidence", lambda status: _condition(status, "EvidenceAvailable") == "False")
        before = len(proxy.documents())
        status = site.until_reason(Reason.NO_DATA)
        assert status.rollback is None
    finally:
        site.around.cluster.start_component("prometheus")
    status = site.until(
        "the guard with evidence",
        lambda status: status.phase is Phase.GUARDING and _condition(status, "EvidenceAvailable") == "True",
    )
    assert status.rollback is None
    path = vectors(proxy.documents()[before - 1 :])
    assert all(lower.is_at_most(higher) for lower, higher in itertools.pairwise(path))


@pytest.mark.parametrize("harm", SAMPLE if not FULL else EVERY, ids=str)
def test_a_storm_of_refusals_only_delays(
    site: Site, operator: Operator, consumer: Flags, proxy: Proxy, harm: Answer | Drop
) -> None:
    proxy.fail(_is_write, harm, times=5)
    site.apply(canary(site.namespace))
    status = site.until_guarding()
    assert status.rollback is None
    revisions = [document.revision for document in proxy.documents()]
    assert revisions == sorted(set(revisions))


def test_a_stalled_watch_lets_nothing_rise_on_stale_data(
    site: Site, operator: Operator, consumer: Flags, proxy: Proxy
) -> None:
    # Steps go on for as long as it takes: the abort is found by the next of them.
    site.apply(canary(site.namespace, ramp=100))
    site.until_ramping()
    proxy.stall_watches()
    site.annotate(abort="unheard")
    off_at(consumer)
    before = len(proxy.documents())
    proxy.resume_watches()
    proxy.cut_watches()
    site.until("the latch", lambda status: status.rollback is not None)
    assert not rises(vectors(proxy.documents()[before - 1 :]))


def test_cut_watches_are_opened_again(site: Site, operator: Operator, consumer: Flags, proxy: Proxy) -> None:
    site.apply(canary(site.namespace))
    site.until_guarding()
    proxy.cut_watches()
    site.annotate(abort="after the cut")
    off_at(consumer)


def test_a_name_taken_by_somebody_else_stalls_and_is_not_touched(
    site: Site, operator: Operator, consumer: Flags
) -> None:
    foreign = {"metadata": {"name": "demo-flags"}, "data": {"theirs": "yes"}}
    site.client.post(site.document_path.rpartition("/")[0], json=foreign).raise_for_status()
    site.apply(canary(site.namespace))
    status = site.until_reason(Reason.NAME_CONFLICT)
    assert status.phase is Phase.STALLED
    assert "demo-flags" in (status.message or "")
    assert site.client.get(site.document_path).json()["data"] == {"theirs": "yes"}
    site.client.delete(site.document_path).raise_for_status()
    site.until_guarding()


def test_a_flag_document_deleted_by_hand_is_off_at_once_and_comes_back_by_a_ramp(
    site: Site, operator: Operator, consumer: Flags, proxy: Proxy
) -> None:
    site.apply(canary(site.namespace))
    site.until_guarding()
    wait_for(lambda: consumer.state().mode is Mode.LIVE, SECONDS, "the client to be live")
    before = len(proxy.documents())
    # The operator writes nothing until the flag server's own Off was seen: the way back begins at once.
    proxy.fail(_is_write, Answer(503))
    site.client.delete(site.document_path).raise_for_status()
    off_at(consumer)
    proxy.heal()
    site.until("the loss noticed", lambda status: Reason.FLAGS_MISSING in [line.reason for line in status.history])
    status = site.until_guarding()
    assert status.rollback is None
    path = vectors(proxy.documents()[before:])
    assert path[0].mode is Mode.OFF
    assert len(rises(path)) >= 3


def test_a_flag_document_edited_by_hand_is_written_again(site: Site, operator: Operator, consumer: Flags) -> None:
    site.apply(canary(site.namespace))
    site.until_guarding()
    before = site.published()
    assert before is not None
    raw = site.client.get(site.document_path).json()
    raw["data"]["flags.json"] = raw["data"]["flags.json"].replace('"rankingWeight":0.1', '"rankingWeight":0.9')
    site.client.put(site.document_path, json=raw).raise_for_status()

    def repaired() -> bool:
        seen, state = site.published(), consumer.state()
        if seen is None or seen.revision == before.revision:
            return False
        assert seen.vector.is_at_most(before.vector)
        return seen.vector == before.vector and (state.mode, state.revision) == (Mode.LIVE, seen.revision)

    wait_for(repaired, SECONDS, "the same vector again, and the client to be live by it")
    site.until_guarding()


def _condition(status: RolloutStatus, kind: str) -> str:
    return next((found.status for found in status.conditions if found.type == kind), "")


def _is_write(request: Request) -> bool:
    return request.mutates and request.kind in {"configmaps", "verificationrollouts", "verificationrollouts/status"}
