"""The few errors that are not values.

::

    VeriRampError
    ├── ConfigurationError   tell the person: settings, config file or command line are wrong
    ├── Unavailable          retry later: a peer does not answer or answers with a fault of its own
    ├── Conflict             read again: somebody else wrote in between, or the name is taken
    ├── NotFound             the object is gone
    ├── Refused              the API server refuses the request as it stands (4xx); retrying alone will not help
    └── Bug                  crash loudly: an invariant of ours is broken

Expected trouble is a value (a verdict, a finding), never one of these.
"""

from __future__ import annotations


class VeriRampError(Exception):
    """Root of the tree."""


class ConfigurationError(VeriRampError):
    """Settings, config file or command line are wrong."""


class Unavailable(VeriRampError):  # noqa: N818 the tree is drawn in the spec with these names
    """A peer does not answer, or answers with a fault of its own."""


class Conflict(VeriRampError):  # noqa: N818
    """Somebody else wrote in between, or the name is taken."""


class NotFound(VeriRampError):  # noqa: N818
    """The object is gone."""


class Refused(VeriRampError):  # noqa: N818
    """The API server refuses the request as it stands; ``status`` is its HTTP status, 0 where there was none."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Bug(VeriRampError):  # noqa: N818
    """An invariant of ours is broken."""
