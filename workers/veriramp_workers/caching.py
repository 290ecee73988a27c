"""What of a judgement may be used again and for which question, and what was paid for already.

Public names: :func:`cache_key`, :func:`lifetime_seconds`, :func:`answers`, :func:`payment_key`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Final

from veriramp_sdk.events import Verdict, VerifyChunk
from veriramp_workers.ports import Judgement


def cache_key(
    *,
    tenant: str,
    content_hash: str,
    premises: Sequence[str],
    verifier: str,
    verifier_version: str,
    formaliser_version: str,
) -> str:
    """Return ``verification:`` and 64 hexadecimal digits; different for any difference in what leads to a verdict.

    ``verifier_version`` tells the solver's version too. Premises count in their order. Tenants share nothing, not even
    that a text is known.
    """
    parts = [tenant, content_hash, list(premises), verifier, verifier_version, formaliser_version]
    return f"verification:{hashlib.sha256(json.dumps(parts).encode()).hexdigest()}"


def lifetime_seconds(verdict: Verdict) -> float:
    """Return how long a verdict may be used again: decisive ones 30 days, errors never, all others an hour."""
    if verdict is Verdict.ERROR:
        return 0.0
    return _DECISIVE_SECONDS if verdict in _DECISIVE else _UNDECIDED_SECONDS


def answers(known: Judgement, request: VerifyChunk) -> bool:
    """Tell whether a judgement may answer a request: who has an old one and asks anew must not get it as news."""
    if request.newer_than_ms is None:
        return True
    # Many stores keep times in whole seconds, which are before the very judgement that they are of.
    return known.judged_at_ms >= request.newer_than_ms + _MS_PER_SECOND


def payment_key(request: VerifyChunk, *, verifier: str, verifier_version: str, formaliser_version: str) -> str:
    """Return ``payment:`` and 64 hexadecimal digits: the same for every delivery of a request to one verifier.

    It is known before the verdict. A request that is made anew, and so has another time, is paid for anew.
    """
    question = [request.chunk_key, request.content_hash, list(request.premises), request.enqueued_at_ms]
    parts = [*question, verifier, verifier_version, formaliser_version]
    return f"payment:{hashlib.sha256(json.dumps(parts).encode()).hexdigest()}"


_DECISIVE: Final = frozenset({Verdict.ENTAILED, Verdict.CONTRADICTED})
_DECISIVE_SECONDS: Final = 30 * 86_400.0
_UNDECIDED_SECONDS: Final = 3_600.0
_MS_PER_SECOND: Final = 1_000
