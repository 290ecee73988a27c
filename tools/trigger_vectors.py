"""Golden values of the trigger, from the Python SDK, for clients in other languages.

Public: :func:`trigger_vectors`, the text of ``tests/data/trigger.json``.
"""

from __future__ import annotations

import itertools
import json
from typing import Any, Final

from veriramp_sdk.bucket import sampled
from veriramp_sdk.budget import BUDGET_LEFT, BUDGET_UNTIL, BudgetShares, affordable, budget_headers
from veriramp_sdk.events import chunk_key, content_hash
from veriramp_sdk.message import message_of
from veriramp_sdk.selection import FRESH_MS, Chunk, Known, how_many, is_fresh, lane_of, percentiles, unit_problem
from veriramp_sdk.trigger_queue import Ask

NOW_MS: Final = 1_790_000_000_123
TEXTS: Final = (
    "The mill is red.",
    "Die Mühle ist rot: “3 € ≥ 2”.",
    "用户一二三 👩‍🚀 u\u0308",
    'quotes " \\ / \b\f\n\r\t \u0000 \u007f \u2028 </script>',
    "|a|b|",
)
SCORES: Final[tuple[tuple[float | None, ...], ...]] = (
    (),
    (5.0,),
    (5.0, 5.0),
    (100.0, *[1.0] * 29),
    tuple(float(30 - place) for place in range(30)),
    tuple(1 / (60 + place) for place in range(1, 31)),
    (*[50.0] * 8, *[1.0] * 22),
    (12.7, 9.1, 9.1, 3.3, 0.2, -4.0),
    (0.91, 0.9, 0.9, 0.9, 0.62, 0.61),
    (100.0, None, 1.0),
    (1.7e308, -1.7e308, -1.7e308),
)


def trigger_vectors() -> str:
    """Return the JSON text: one vector a line."""
    groups = {
        "keys": _keys(),
        "sampled": _sampled(),
        "howMany": _how_many(),
        "percentiles": [{"scores": list(scores), "percentiles": percentiles(scores)} for scores in SCORES],
        "lanes": [
            {"percentile": percentile, "verified": verified, "topic": lane_of(percentile, verified=verified)}
            for percentile, verified in itertools.product((0.0, 0.5, 0.69, 0.7, 0.9, 1.0), (False, True))
        ],
        "fresh": _fresh(),
        "units": [
            {"verifiedAtMs": time, "nowMs": NOW_MS, "wrong": unit_problem(Known("", "", time), NOW_MS) is not None}
            for time in (NOW_MS, NOW_MS // 1000, NOW_MS * 1000, 0, -1, 10**11, 10**11 - 1, NOW_MS + 86_400_001)
        ],
        "messages": _messages(),
        "budgets": _budgets(),
        "affordable": _affordable(),
    }
    parts = [
        f'"{name}": [\n' + ",\n".join(json.dumps(vector, ensure_ascii=True) for vector in vectors) + "\n]"
        for name, vectors in groups.items()
    ]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _keys() -> list[dict[str, Any]]:
    ids = (("org", "doc-1", "0"), ("", "", ""), ("ørg", "dö", "用|1"))
    return [
        {
            "orgId": org,
            "documentId": document,
            "blockId": block,
            "content": content,
            "contentHash": content_hash(content),
            "chunkKey": chunk_key(org, document, block, content),
        }
        for (org, document, block), content in itertools.product(ids, TEXTS)
    ]


def _sampled() -> list[dict[str, Any]]:
    salt = "00112233445566778899aabbccddeeff"
    # 0.00005 and 0.00015 are half a bucket: the rounding of the rate must be the same too.
    rates = (0.0, 0.00005, 0.00015, 0.01, 0.05, 0.5, 0.99995, 1.0)
    queries = ("", "query-1", "query-2", "3f0c9a52-6d0e-4e2b-9b64-0d6f1f7a2c11", "用户", *_first_and_second(salt))
    return [
        {"salt": salt, "queryId": query, "rate": rate, "sampled": sampled(salt, query, rate)}
        for query, rate in itertools.product(queries, rates)
    ]


def _first_and_second(salt: str) -> tuple[str, str]:
    """Queries in bucket 0 and in bucket 1, which only half a bucket tells apart."""
    names = [f"query-{number}" for number in range(100_000)]
    first = next(name for name in names if sampled(salt, name, 0.0001))
    second = next(name for name in names if sampled(salt, name, 0.0002) and not sampled(salt, name, 0.0001))
    return first, second


def _how_many() -> list[dict[str, Any]]:
    return [
        {
            "scores": list(scores),
            "ceiling": ceiling,
            "fewest": fewest,
            "share": share,
            "count": how_many(scores, ceiling, fewest=fewest, share=share),
        }
        for scores in SCORES
        for ceiling, fewest, share in ((20, None, 1.0), (20, 3, 1.0), (10, 1, 0.35), (-1, 3, 1.0), (20, 1, 0.0))
    ]


def _fresh() -> list[dict[str, Any]]:
    digest, verifier = content_hash(TEXTS[0]), "z3/1+1"
    cases = (
        (Known(digest, verifier, NOW_MS), verifier),
        (Known(digest, verifier, NOW_MS - FRESH_MS), verifier),
        (Known(digest, verifier, NOW_MS - FRESH_MS - 1), verifier),
        (Known(content_hash(TEXTS[1]), verifier, NOW_MS), verifier),
        (Known(digest, verifier, NOW_MS), "z3/2+1"),
        (Known(digest, verifier, NOW_MS), None),
        (None, verifier),
    )
    return [
        {
            "known": _known(known),
            "contentHash": digest,
            "verifier": current,
            "nowMs": NOW_MS,
            "fresh": is_fresh(known, digest, current, NOW_MS),
        }
        for known, current in cases
    ]


def _messages() -> list[dict[str, Any]]:
    old = NOW_MS - FRESH_MS - 1
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    made = []
    for place, text in enumerate(TEXTS):
        known = Known(content_hash(text), "z3/1+1", old) if place % 2 else None
        chunk = Chunk("org", f"doc-{place}", "0", text, TEXTS[:place], known=known)
        asked = {"query_id": f"query-{place}" if place else None, "traceparent": (trace, None, "no trace")[place % 3]}
        at, percentile = NOW_MS / 1000, 1.0 - place / 4
        ask = Ask(chunk, percentile, 7, asked["query_id"], asked["traceparent"], at)
        ask.digest, ask.key = content_hash(text), chunk_key("org", f"doc-{place}", "0", text)
        rollout = "search/demo" if place else None
        message = message_of(ask, rollout)
        made.append(
            {
                "chunk": {
                    "orgId": "org",
                    "documentId": f"doc-{place}",
                    "blockId": "0",
                    "content": text,
                    "premises": list(chunk.premises),
                    "known": _known(known),
                },
                "percentile": percentile,
                "atMs": int(at * 1000),
                "revision": 7,
                "rollout": rollout,
                "queryId": asked["query_id"],
                "traceparent": asked["traceparent"],
                "topic": message.topic,
                "key": message.key.decode(),
                "value": message.value.decode(),
                "headers": {name: value.decode() for name, value in message.headers},
            }
        )
    return made


def _budgets() -> list[dict[str, Any]]:
    """What the headers of answers tell, tenant by tenant: news that is heard, and the share that is in force then."""
    hour, month = 3_600_000, 30 * 86_400_000
    numbers = (
        "0.5",
        "0",
        "1",
        "1.0000",
        "0.00001",
        "",
        "1.1",
        "-0.1",
        "nan",
        "inf",
        "1e-1",
        " 0.5",
        "1_0",
        ".5",
        "0,5",
    )
    cases: list[list[tuple[dict[str, str], int] | int]] = [
        [({BUDGET_LEFT: left}, 0), 0, ({BUDGET_LEFT: "0.25"}, 1), 1] for left in numbers
    ]
    cases += [
        [({BUDGET_LEFT: "0.5", BUDGET_UNTIL: until}, 0), 0, 599_999, 600_000, 40 * 86_400_000]
        for until in ("", "soon", "-1", "9" * 15, "9" * 16, str(NOW_MS), str(NOW_MS + hour))
    ]
    told = [{name: value.decode() for name, value in budget_headers(left, NOW_MS + month)} for left in (0.25, 0.0)]
    cases += [
        [(told[0], 1_000), (told[1], 0), 1_000],
        [(told[1], 0), (told[0], 1_000), 1_000],
        [(told[1], 0), *range(0, 4 * hour, hour // 4), (told[1], 4 * hour), 4 * hour + 1, 5 * hour],
        [({}, 0), 0],
    ]
    return [_course(case) for case in cases]


def _course(case: list[tuple[dict[str, str], int] | int]) -> dict[str, Any]:
    shares, steps = BudgetShares(), list[dict[str, Any]]()
    for step in case:
        if isinstance(step, int):
            now = (NOW_MS + step) / 1000
            told = {"share": shares.of("org", now), "other": shares.of("other", now), "lowest": shares.lowest(now)}
            steps.append({"nowMs": NOW_MS + step, **told})
        else:
            headers, after = step
            shares.heard("org", [(name, value.encode()) for name, value in headers.items()], (NOW_MS + after) / 1000)
            steps.append({"headers": headers, "toldAtMs": NOW_MS + after})
    return {"steps": steps}


def _affordable() -> list[dict[str, Any]]:
    digest, other = content_hash(TEXTS[0]), content_hash(TEXTS[1])
    known = Known(digest, "z3/1+1", NOW_MS)
    found = (
        *[Chunk("org", "", "", "", known=known)] * 4,
        Chunk("org", "", "", ""),
        Chunk("other", "", "", ""),
        Chunk("org", "", "", "", content_hash=other, known=known),
        Chunk("other", "", "", "", content_hash=digest, known=known),
        *[Chunk("org", "", "", "", known=known)] * 2,
    )
    places = list(zip(found, percentiles([None] * len(found)), strict=True))
    wanted = [Ask(chunk, percentile, 7, None, None, NOW_MS / 1000) for chunk, percentile in places]
    return [
        {
            "wanted": [
                {
                    "chunk": {"orgId": chunk.org_id, "contentHash": chunk.content_hash, "known": _known(chunk.known)},
                    "percentile": percentile,
                }
                for chunk, percentile in places
            ],
            "shares": shares,
            "query": query,
            "kept": [wanted.index(ask) for ask in affordable(wanted, lambda org, of=shares: of[org], query)],  # type: ignore[misc]
        }
        for shares in ({"org": tenths / 10, "other": 1 - tenths / 10} for tenths in range(11))
        for query in ("query-1", "query-2", "用户")
    ]


def _known(known: Known | None) -> dict[str, Any] | None:
    if known is None:
        return None
    return {"contentHash": known.content_hash, "verifier": known.verifier, "verifiedAtMs": known.verified_at_ms}
