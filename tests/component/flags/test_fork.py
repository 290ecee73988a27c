"""Flags and fork: in a process of its own, because a fork of the test runner would take its threads along."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from tests.support.flags import Operator, a_document, free_ports
from veriramp_operator.flagserver.server import FlagServer

_SCRIPT = """
import os, sys, time
from prometheus_client import CollectorRegistry
from veriramp_sdk.flags import Flags
registry = CollectorRegistry()
flags = Flags(sys.argv[1], "search/demo", key="verification", registry=registry, process_id="P")
if sys.argv[2] == "used":
    assert flags.wait_ready(60)
    # gRPC knows of forks between two calls only: the first report has to be answered.
    series = "veriramp_flag_clock_skew_seconds", {"namespace": "search", "rollout": "demo", "process": "P"}
    while not registry.get_sample_value(*series):
        time.sleep(0.01)
child = os.fork()
if not child:
    print("child", flags.wait_ready(60 if sys.argv[3] == "1" else 1), flags.state().mode, flush=True)
    os._exit(0)
os.waitpid(child, 0)
print("parent", flags.wait_ready(60), flags.state().mode, flush=True)
flags.close()
"""


@pytest.mark.parametrize(
    ("before", "grpc_forks", "child"),
    [
        pytest.param("made", "0", "True Live", id="made before the fork, first used in the child"),
        pytest.param("used", "1", "True Live", id="used before the fork, gRPC told to expect forks"),
        pytest.param("used", "0", "False Off", id="used before the fork, gRPC not told: the child stays off"),
    ],
)
async def test_a_forked_child_follows_by_itself_or_is_off(before: str, grpc_forks: str, child: str) -> None:
    async with FlagServer(free_ports()) as server:
        operator = Operator(server)
        operator.publish(a_document())
        operator.renew()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", _SCRIPT, f"127.0.0.1:{server.grpc_port}", before, "1" if child == "True Live" else "0"),
            env={**os.environ, "GRPC_ENABLE_FORK_SUPPORT": grpc_forks},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 200)
    assert ("is off in this process" in err.decode()) == (child == "False Off")
    assert out.decode().splitlines() == [f"child {child}", "parent True Live"], err.decode()
