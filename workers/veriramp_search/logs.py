"""How the search service logs.

Public names: :func:`configure_logging`.
"""

from __future__ import annotations

import logging

from veriramp_sdk.logs import ExpectedTrouble


def configure_logging(level: str) -> None:
    """Log to standard error, one line each."""
    handler = logging.StreamHandler()
    handler.addFilter(ExpectedTrouble())
    logging.basicConfig(level=level, handlers=[handler], format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # It sets its own level to DEBUG.
    logging.getLogger("bm25s").setLevel(logging.WARNING)
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
