"""The example of the integration guide, as it stands there, in a process of its own against a real flag server."""

from __future__ import annotations

import asyncio
import json
import os
import sys

import pytest

from tests.support.documents import GUIDE, blocks
from tests.support.flags import ROLLOUT, Operator, a_document, free_ports
from veriramp_operator.api.vector import Vector
from veriramp_operator.flagserver.server import FlagServer
from veriramp_sdk.bucket import bucket
from veriramp_sdk.contract import Mode

USERS = 50
FULL_WEIGHT = Vector(mode=Mode.LIVE, sampling_rate=1.0, canary_percent=50, ranking_weight=0.15)
ASK = f"""
import json
from prometheus_client import generate_latest

assert flags.wait_ready(60)
first = {{}}
for number in range({USERS}):
    order = search(f"user-{{number}}", "which mill is red")
    assert sorted(order) == sorted(name for name, _ in hits)
    first[f"user-{{number}}"] = order[0]
flags.close()
print(json.dumps({{"first": first, "metrics": generate_latest().decode()}}))
"""


@pytest.mark.shows("S1-CAN-04")
async def test_the_example_of_the_guide_runs() -> None:
    (example,) = [block for block in blocks("python", of=GUIDE / "search-integration.md") if block.mark == "runs"]
    document = a_document(key="demo", vector=FULL_WEIGHT, include=(), exclude=())
    async with FlagServer(free_ports()) as server:
        operator = Operator(server)
        operator.publish(document)
        operator.renew()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            example.text + ASK,
            env={
                **os.environ,
                "VERIRAMP_FLAGS_URL": f"127.0.0.1:{server.grpc_port}",
                "VERIRAMP_ROLLOUT": ROLLOUT,
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    told = json.loads(out)
    treatment = {user for user in told["first"] if bucket(document.salt, user) < 5000}
    # In the treatment the entailed doc-1 passes doc-0; everybody else sees the index's own order.
    assert {user for user, first in told["first"].items() if first == "doc-1"} == treatment
    assert 0 < len(treatment) < USERS
    arm = f'veriramp_search_requests_total{{arm="treatment",namespace="search",rollout="demo"}} {len(treatment)}.0'
    assert arm in told["metrics"]
