"""What a process exports about flags and searches, by its role."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from veriramp_sdk.contract import Role
from veriramp_sdk.decision import off
from veriramp_sdk.flags import Flags

SEARCH = {
    "veriramp_search_requests",
    "veriramp_search_errors",
    "veriramp_search_request_duration_seconds",
    "veriramp_occupied_buckets",
}


def exported(*roles: Role) -> set[str]:
    registry = CollectorRegistry()
    for role in roles:
        Flags("flagserver:8015", "search/demo", role=role, registry=registry).observe(off(), 0.1, error=True)
    return {family.name for family in registry.collect()}


def test_a_worker_exports_nothing_about_searches() -> None:
    """Its zeros would be an arm that is scraped and has no errors, where nobody measures anything."""
    assert not exported(Role.WORKER) & SEARCH
    assert exported(Role.SEARCH) >= SEARCH
    assert exported(Role.SEARCH) - exported(Role.WORKER) == SEARCH


def test_a_process_that_is_both_exports_both() -> None:
    assert exported(Role.WORKER, Role.SEARCH) == exported(Role.SEARCH, Role.WORKER) == exported(Role.SEARCH)
