"""The kill campaign: 10,000 messages, two workers of which one is killed -9 at a random moment, 20 times.

Requests for every verdict over both lanes, 5 % of them twice, 2 % unreadable, are judged without kills and with kills,
on kfake and on a real Kafka (KRaft, one node). Lost: an event or dead letter that only the run without kills has.
Counted twice: an event id that came with two answers, or that only the run with kills has. A sink that counts each
event id once has the same totals in all runs. Kills are drawn from a seed and come when so many answers are there.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from tests.bench.report import Figure, at_most, say, stated, write
from tests.support.campaign import Campaign, Run, table, workload
from tests.support.flags import LIVE, ROLLOUT, Operator, a_document, free_ports, obeyed
from tests.support.pipeline import a_broker, fresh_topics
from tools.kafka.cluster import a_kafka
from veriramp_operator.flagserver.server import FlagServer

MESSAGES: Final = 10_000
KILLS: Final = 20
SEED: Final = 20_261_121


async def main() -> int:
    """Run the campaign on both brokers; exit code 0."""
    work = workload(MESSAGES, SEED)
    runs: dict[str, Run] = {}
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="veriramp-campaign-")))
        server = await stack.enter_async_context(FlagServer(free_ports()))
        await stack.enter_async_context(obeyed(Operator(server), a_document(revision=1, vector=LIVE)))
        env = {
            "VERIRAMP_FLAGS_URL": f"127.0.0.1:{server.grpc_port}",
            "VERIRAMP_ROLLOUT": ROLLOUT,
            "VERIRAMP_FLAG_KEY": "verification",
            "VERIRAMP_SOLVERS": "1",
            "VERIRAMP_SESSION_SECONDS": "6",
        }
        kafka = stack.enter_context(a_kafka(folder)).bootstrap
        for name, kills in (("without kills", 0), ("with kills", KILLS)):
            for broker in ("kfake", "Kafka"):
                say(f"{broker}, {name}: {MESSAGES} messages")
                with a_broker(folder) as kfake:
                    brokers = kafka if broker == "Kafka" else kfake
                    await fresh_topics(brokers)
                    campaign = Campaign(
                        brokers, {**env, "VERIRAMP_BROKERS": brokers}, folder, kills=kills, seed=SEED, seconds=600
                    )
                    runs[f"{broker} {name}"] = await campaign.run(work)
    say("all runs\n" + table(runs))
    write("campaign", _figures(runs), {"messages": MESSAGES, "kills": KILLS, "seed": SEED, "workers": 2})
    return 0


def _figures(runs: dict[str, Run]) -> list[Figure]:
    expected = runs["kfake without kills"].totals
    figures = []
    for name, run in runs.items():
        lost = len(expected.verdicts.keys() - run.totals.verdicts.keys()) + len(expected.dead - run.totals.dead)
        # Also an event with another answer than the expected one.
        twice = run.contradictions + len(run.totals.verdicts.items() - expected.verdicts.items())
        figures += [
            at_most(f"{name}: lost", lost, "", 0),
            at_most(f"{name}: counted twice or otherwise", twice, "", 0),
            stated(f"{name}: records for {len(run.totals.verdicts)} events", run.answers, ""),
            stated(f"{name}: from the first message to the last offset", run.seconds, "s"),
            stated(f"{name}: most memory of a worker", run.peak_megabytes, "MB"),
        ]
    return figures


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
