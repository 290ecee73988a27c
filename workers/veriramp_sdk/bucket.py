"""The bucket of an id: which users and which queries a rollout takes, the same in every language.

Public: :func:`bucket`, :func:`sampled`. ``tests/data/buckets.json`` holds golden values for other languages.
"""

from __future__ import annotations

import hashlib

from veriramp_sdk.contract import BUCKETS


def bucket(salt: str, id: str) -> int:  # noqa: A002 - the contract calls it id
    """Return the bucket 0..9999 of an id under a salt.

    ``(uint32_be(sha256(utf8(salt + ":" + id))[0:4]) * 10000) >> 32``: a salted cryptographic hash, so that neither
    sequential ids nor two rollouts correlate. Raises ``UnicodeEncodeError`` for a text with lone surrogates.
    """
    digest = hashlib.sha256(f"{salt}:{id}".encode()).digest()
    return (int.from_bytes(digest[:4], "big") * BUCKETS) >> 32


def sampled(sample_salt: str, query_id: str, rate: float) -> bool:
    """Tell whether a query is in the sample; ``rate`` is the share 0..1 of queries.

    The salt is another one than the users', so that sampled queries do not correlate with the cohort.
    """
    return bucket(sample_salt, query_id) < round(rate * BUCKETS)
