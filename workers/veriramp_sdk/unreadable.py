"""Records that Kafka's client cannot read, and why; needs aiokafka.

Public names: :data:`UNREADABLE`, :func:`why_unreadable`.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from typing import Final

from aiokafka import codec
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError

UNREADABLE: Final[tuple[type[Exception], ...]] = (
    UnicodeDecodeError,
    UnsupportedCodecError,
    CorruptRecordException,
    # A right checksum over what its codec does not understand.
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    struct.error,
    # Who uses the SDK may have no cramjam: then all but gzip is unsupported.
    *([codec.cramjam.DecompressionError] if codec.cramjam else []),
)
"""What ``getmany`` raises at a record, or a batch, that no second look makes readable."""


def why_unreadable(error: Exception) -> str:
    """Say in a few words what is wrong with a record."""
    if isinstance(error, UnicodeDecodeError):
        return "the name of a header is no UTF-8"
    return f"{type(error).__name__}: {error.args[0] if error.args else ''}"
