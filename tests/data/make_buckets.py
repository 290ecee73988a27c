"""Write the golden bucket vectors from the formula, with nothing of the SDK: ``python tests/data/make_buckets.py``."""

from __future__ import annotations

import hashlib
import json
import pathlib

SALTS = ("", "s", "9b1d0f7c2a4e6d8833aa55cc77ee1122", "соль", "00112233445566778899aabbccddeeff")
IDS = (
    "a",
    "0",
    " ",
    "user-1",
    "user-2",
    "user-10000",
    "User-1",
    "user-1 ",
    "a:b",
    ":",
    "ünïcödé",
    "u\u0308",
    "用户一二三",
    "ユーザー",
    "사용자",
    "مستخدم",
    "👩‍🚀",
    "🇩🇪🇫🇷",
    "\u0000",
    "\ufeffbom",
    "line\nbreak",
    "507f1f77bcf86cd799439011",
    "3f0c9a52-6d0e-4e2b-9b64-0d6f1f7a2c11",
    "x" * 255,
)
LONG = ("y" * 10_000, "長" * 3_400)


def golden(salt: str, text: str) -> int:
    """The formula of the contract, by strings and hexadecimal digits instead of bytes."""
    return int(hashlib.sha256((salt + ":" + text).encode("utf-8")).hexdigest()[:8], 16) * 10_000 // 2**32


if __name__ == "__main__":
    pairs = [(salt, text) for salt in SALTS for text in IDS] + [(SALTS[2], text) for text in LONG]
    vectors = [{"salt": salt, "id": text, "bucket": golden(salt, text)} for salt, text in pairs]
    document = json.dumps(
        {"formula": "(uint32_be(sha256(utf8(salt + ':' + id))[0:4]) * 10000) >> 32", "vectors": vectors}
    )
    pathlib.Path(__file__).with_name("buckets.json").write_text(document + "\n", encoding="utf-8")
