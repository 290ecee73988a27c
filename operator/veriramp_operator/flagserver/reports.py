"""Which process applied which revision, as the processes themselves report it.

Public: :class:`Reports`, :class:`Applied`. Pure: instants are passed in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import Field, ValidationError

from veriramp_operator.api.base import Frozen
from veriramp_operator.api.errors import Refused
from veriramp_sdk.contract import REPORT_INTERVAL_SECONDS, Role, selector

FORGET_SECONDS: Final = 60 * REPORT_INTERVAL_SECONDS
MAX_PROCESSES: Final = 20_000
MAX_REPORT_BYTES: Final = 4096

_Name = Annotated[str, Field(min_length=1, max_length=253)]


class Applied(Frozen):
    """One process's report, with the server's view of when it came."""

    process: _Name
    role: Role
    uid: _Name
    revision: Annotated[int, Field(ge=0)]
    namespace: Annotated[_Name, Field(exclude=True)]
    rollout: Annotated[_Name, Field(exclude=True)]
    applied_at: Annotated[float, Field(allow_inf_nan=False)]
    """The process's own clock at the application, seconds since 1970."""
    reported_at: float = 0.0
    first_seen_at: float = 0.0


class Reports:
    """The latest report of every process."""

    def __init__(self) -> None:
        self._latest: dict[tuple[str, str], Applied] = {}

    def record(self, body: bytes, now: float) -> Applied:
        """Take in a report; raise :class:`Refused` with the reason when it is none."""
        if len(body) > MAX_REPORT_BYTES:
            raise Refused(f"a report has at most {MAX_REPORT_BYTES} bytes, this one {len(body)}")
        try:
            report = Applied.model_validate(json.loads(body))
        except (ValidationError, ValueError, RecursionError) as error:
            raise Refused(f"not a report: {error}") from error
        where = (selector(report.namespace, report.rollout), report.process)
        known = self._latest.get(where)
        if known is None and len(self._latest) >= MAX_PROCESSES:
            self.forget(now)
            if len(self._latest) >= MAX_PROCESSES:
                raise Refused(f"more than {MAX_PROCESSES} processes report")
        report = report.model_copy(update={"reported_at": now, "first_seen_at": known.first_seen_at if known else now})
        self._latest[where] = report
        return report

    def of(self, rollout: str) -> Iterator[Applied]:
        """The reports of a rollout (``namespace/name``), in order of process."""
        for (where, _), report in sorted(self._latest.items(), key=lambda item: item[0]):
            if where == rollout:
                yield report

    def forget(self, now: float) -> None:
        """Drop processes that have not reported for ten minutes."""
        old = [key for key, report in self._latest.items() if now - report.reported_at > FORGET_SECONDS]
        for key in old:
            del self._latest[key]
