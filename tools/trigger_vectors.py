"""Golden values of the trigger, from the Python SDK, for clients in other languages.

Public: :func:`trigger_vectors`, the text of ``tests/data/trigger.json``.
"""

from __future__ import annotations

import itertools
import json
from typing import Any, Final

from veriramp_sdk.bucket import sampled
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


def _known(known: Known | None) -> dict[str, Any] | None:
    if known is None:
        return None
    return {"contentHash": known.content_hash, "verifier": known.verifier, "verifiedAtMs": known.verified_at_ms}
