"""Collectors of metrics that belong to a registry, because one registry refuses a second of the same name.

Public: :func:`per_registry`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TypeVar

from prometheus_client import CollectorRegistry

_Made = TypeVar("_Made")


def per_registry(make: Callable[[CollectorRegistry], _Made]) -> Callable[[CollectorRegistry], _Made]:
    """``make``, done at the first call for a registry; later calls return the same, as long as the registry lives."""
    known: weakref.WeakKeyDictionary[CollectorRegistry, _Made] = weakref.WeakKeyDictionary()

    def of(registry: CollectorRegistry) -> _Made:
        made = known.get(registry)
        if made is None:
            made = known[registry] = make(registry)
        return made

    return of
