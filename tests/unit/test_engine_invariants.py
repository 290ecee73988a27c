"""The ten invariants of the engine, each under everything that can happen to a rollout.

One campaign of walks shows them all: a test per invariant says what it found. ``HYPOTHESIS_PROFILE=soak`` walks long.
"""

from __future__ import annotations

import pytest

from tests.support.walk.campaign import CASES, SOAK, Found, campaign
from tests.support.walk.invariants import INVARIANTS

ENOUGH = 5000
REACHED = (
    "Fall AboveTarget",
    "Fall Deleting",
    "Fall FlagsMissing",
    "Fall KillSwitch",
    "Fall NoDataTooLong",
    "Fall Regression",
    "Fall ShadowRequested",
    "Hold ApprovalRequired",
    "Hold Baking",
    "Hold EvidenceLeansBad",
    "Hold Guarding",
    "Hold Inconclusive",
    "Hold NoConsumers",
    "Hold NoData",
    "Hold NotPropagated",
    "Hold Paused",
    "Hold PreconditionFailing",
    "Hold Ramping",
    "Hold RolledBack",
    "Hold SampleRatioMismatch",
    "Hold WorkersNotReady",
    "Rise Promote",
    "Rise RampStep",
)


@pytest.fixture(scope="module")
def found() -> Found:
    """What all the walks have found."""
    return campaign(INVARIANTS, CASES)


pytestmark = pytest.mark.timeout(36000 if SOAK else 300)


@pytest.mark.shows("S1-RAMP-01", "S1-ROLL-07", "S1-RBK-08")
@pytest.mark.parametrize("name", INVARIANTS)
def test_invariant(found: Found, name: str) -> None:
    found.shows(name)


@pytest.mark.skipif(CASES < ENOUGH, reason="too few walks to tell")
def test_the_walks_reach_every_row_of_both_tables(found: Found) -> None:
    seldom = {row: found.decisions[row] for row in REACHED if found.decisions[row] < CASES / 2000}
    assert not seldom, f"after {found.cases} cases and {found.passes} passes"
