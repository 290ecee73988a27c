"""``make pipeline``: broker, flag server, worker and search on this machine, from a request to a changed order."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, NoReturn

import httpx

from tools.demo.console import Console
from tools.gobuild import BuildFailed, ToolMissing
from tools.pipeline.parts import PartFailed, Parts, the_parts
from tools.pipeline.verdicts import Verdicts
from veriramp_search.corpus import shipped

ROOT: Final = Path(__file__).resolve().parent.parent.parent
FLAGS: Final = ROOT / "examples" / "pipeline" / "flags.yaml"
TEXTS: Final = ROOT / "examples" / "verify" / "texts.jsonl"
QUERY: Final = "Soneir bridge"
SECONDS: Final = 60.0
ARMS: Final = ("control", "treatment")
_WIDTH: Final = 60


def main() -> int:
    """Exit code 0 when the order changed by the verdicts and was restored by Off."""
    parser = argparse.ArgumentParser(prog="make pipeline", description=__doc__)
    keep = os.environ.get("KEEP", "") not in {"", "0"}
    parser.add_argument("--keep", action="store_true", default=keep, help="go on until Ctrl-C (KEEP=1)")
    parser.add_argument(
        "--brokers", default=os.environ.get("BROKERS", ""), help="a Kafka of yours, host:port (BROKERS=...)"
    )
    parser.add_argument("--build", type=Path, default=ROOT / "build/pipeline", help="folder of flag file and logs")
    arguments = parser.parse_args()
    folder: Path = arguments.build.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(ROOT)
    console = Console()
    console.section("1. Broker, flag server, worker and search, on loopback")
    with the_parts(folder, FLAGS.read_text(encoding="utf-8"), arguments.brokers, console.say) as parts:
        asyncio.run(_story(console, parts))
        if arguments.keep:
            _how_to_go_on(console, parts)
            signal.pause()
    console.say("everything is stopped")
    return 0


async def _story(console: Console, parts: Parts) -> None:
    verdicts = Verdicts(parts.brokers)
    async with verdicts.following(), httpx.AsyncClient(base_url=parts.search, trust_env=False) as client:
        console.section(f"2. {TEXTS.relative_to(ROOT)}: broker -> orchestrator -> verdict")
        await _by_hand(console, verdicts)
        search = _Search(client)
        console.section(f'3. A search for "{QUERY}" asks for the verification of its first ten results')
        users = await search.users()
        original = await search.ids(users["control"])
        console.say("its results, and what the worker says about each:")
        await _verified(console, verdicts, original)
        console.section("4. The same search again: the control as before, the treatment by the verdicts")
        changed = await _reordered(console, search, users, original)
        console.section("5. mode: Off in the flag file")
        await _off(console, parts, search, users, original)
    console.say(f"{changed} of {len(original)} results changed places, and went back")


async def _by_hand(console: Console, verdicts: Verdicts) -> None:
    began = time.time()
    lines = TEXTS.read_bytes().splitlines()
    for name, request in (await verdicts.ask(lines)).items():
        event = await verdicts.of(request.chunk_key, began)
        console.show(f"  {name:<18} {event.verdict:<17} {_short(event.reason or '')}")


async def _verified(console: Console, verdicts: Verdicts, ids: list[str]) -> None:
    documents = {document.id: document for document in shipped().documents}
    for place, name in enumerate(ids, 1):
        document = documents[name]
        event = await verdicts.of(document.key)
        console.show(f"  {place:>2}. {name:<18} {event.verdict:<17} {_short(document.text)}")


async def _reordered(console: Console, search: _Search, users: dict[str, str], original: list[str]) -> int:
    async def arrived() -> bool:
        page = await search.page(users["control"])
        return all(result["verification"]["state"] == "verified" for result in page["results"])

    await _until(arrived, "search to know the verdicts; see search.log")
    if await search.ids(users["control"]) != original:
        raise RuntimeError("the order of the control changed, which must not be")
    page = await search.page(users["treatment"])
    ids = [result["id"] for result in page["results"]]
    if ids == original:
        raise RuntimeError("the order of the treatment did not change; see search.log")
    console.say(f"{users['control']} is in the control: the order is the original one")
    console.say(f"{users['treatment']} is in the treatment, with weight {page['rankingWeight']}:")
    for place, result in enumerate(page["results"], 1):
        was = original.index(result["id"]) + 1 if result["id"] in original else 0
        moved = "" if was == place else f"was {was}" if was else "was below"
        console.show(f"  {place:>2}. {result['id']:<18} {result['verification']['verdict']:<17} {moved}".rstrip())
    return sum(here != there for here, there in zip(ids, original, strict=True))


async def _off(console: Console, parts: Parts, search: _Search, users: dict[str, str], original: list[str]) -> None:
    text = parts.file.read_text(encoding="utf-8")
    began = time.monotonic()
    parts.file.write_text(text.replace("mode: Live", "mode: Off "), encoding="utf-8")

    async def restored() -> bool:
        page = await search.page(users["treatment"])
        return page["mode"] == "Off" and [result["id"] for result in page["results"]] == original

    async def paused() -> bool:
        metrics = await search.get(f"{parts.worker}/metrics")
        return 'veriramp_bus_paused{reason="mode"} 1.0' in metrics.text

    await _until(restored, "the original order")
    console.say(f"the order of {users['treatment']} is the original one again, {time.monotonic() - began:.1f} s later")
    await _until(paused, "the worker to pause; see orchestrator.log")
    console.say("the worker reads no requests any more; what is asked for now waits in Kafka")


class _Search:
    """The search service as its users see it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def get(self, path: str, **parameters: str) -> httpx.Response:
        response = await self._client.get(path, params=parameters)
        return response.raise_for_status()

    async def page(self, user: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.get("/search", q=QUERY, user=user)).json()
        return found

    async def ids(self, user: str) -> list[str]:
        return [result["id"] for result in (await self.page(user))["results"]]

    async def users(self) -> dict[str, str]:
        """One user of each arm, once the flags have arrived."""
        users: dict[str, str] = {}

        async def both() -> bool:
            for number in range(1, 31):
                users.setdefault((await self.page(f"user-{number}"))["arm"], f"user-{number}")
            return set(ARMS) <= set(users)

        await _until(both, "flags in the search service; see flagserver.log and search.log")
        return users


async def _until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not await holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {SECONDS:g} s for {what}")
        await asyncio.sleep(0.1)


def _how_to_go_on(console: Console, parts: Parts) -> None:
    console.section("Everything is still running, and off; Ctrl-C stops it. In another terminal, try")
    file = parts.file.relative_to(ROOT) if parts.file.is_relative_to(ROOT) else parts.file
    console.show(
        f"  sed -i 's/^mode: Off /mode: Live/' {file}\n"
        f"  curl -s '{parts.search}/search?q=Guheld+tower&user=user-1' | python3 -m json.tool | head -60\n"
        f"  curl -s {parts.flags}/flags/search/search-verification | python3 -m json.tool | head -60\n"
        f"  curl -s {parts.worker}/metrics | grep ^verification_\n"
        f"  VERIRAMP_BROKERS={parts.brokers} .venv/bin/veriramp-worker topics\n"
        f"  tail -f {file.parent}/*.log"
    )


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"


def _stopped(_number: int, _frame: object) -> NoReturn:
    sys.exit(143)  # an exception, so that what was started is stopped


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stopped)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except (TimeoutError, RuntimeError, PartFailed, ToolMissing, BuildFailed) as trouble:
        sys.exit(f"pipeline: {trouble}")
