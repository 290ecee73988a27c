"""The targeting rules of a flag document, as JSON Logic that Python and Node read alike.

Public: :func:`search_rule`, :func:`settings_rule`.

The order is fixed: lease, exclude, include, bucket. Every comparison of the bucket is guarded: in JSON Logic ``null``,
``true`` and ``"5"`` are numbers to ``<``, so that a bare comparison switches users on that have no bucket at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from veriramp_sdk.contract import BUCKET_ATTRIBUTE, BUCKETS, LEASE_VARIABLE, UNSTAMPED, Arm, Mode

Rule = dict[str, Any]
Match = tuple[str, str]
"""A context attribute and the text that it must equal."""

_BUCKET: Final[Rule] = {"var": [BUCKET_ATTRIBUTE, -1]}
_VALID: Final[Rule] = {
    "and": [
        # A number equals itself made into a number; null and texts do not.
        {"===": [_BUCKET, {"+": [_BUCKET]}]},
        # In Python true and false are numbers: their names give them away.
        {"!": [{"in": [{"cat": [_BUCKET]}, "true,True,false,False"]}]},
        {">=": [_BUCKET, 0]},
        {"<": [_BUCKET, BUCKETS]},
    ]
}


def search_rule(
    mode: Mode, canary_buckets: int, lease: bool, include: Iterable[Match], exclude: Iterable[Match]
) -> Rule | None:
    """Who gets which variant; None when everyone is off.

    ``canary_buckets``: users below this bucket (0..10000) are in treatment, in Live mode only.
    """
    if mode is Mode.OFF:
        return None
    branches: list[Any] = []
    for attribute, equals in exclude:
        branches += [_equals(attribute, equals), Arm.EXCLUDED.value]
    if mode is Mode.LIVE:
        for attribute, equals in include:
            branches += [_equals(attribute, equals), Arm.FORCED.value]
    branches += [{"!": [_VALID]}, Arm.OFF.value]
    if mode is Mode.LIVE and canary_buckets > 0:
        branches += [{"<": [_BUCKET, canary_buckets]}, Arm.TREATMENT.value]
    return _leased({"if": [*branches, Arm.CONTROL.value]}, lease)


def settings_rule(mode: Mode, lease: bool) -> Rule | None:
    """``on`` while the lease holds; None when the mode is Off or nothing has to be asked."""
    if mode is Mode.OFF or not lease:
        return None
    return _leased("on", lease, otherwise="off")


def _leased(inner: Any, lease: bool, otherwise: str = Arm.OFF.value) -> Rule:
    if not lease:
        rule: Rule = inner
        return rule
    return {"if": [{"<": [{"var": LEASE_VARIABLE}, UNSTAMPED]}, inner, otherwise]}


def _equals(attribute: str, text: str) -> Rule:
    return {"===": [{"var": attribute}, text]}
