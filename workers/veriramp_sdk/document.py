"""A flag document as a client received it: checked, typed, with the lease that it carries.

Public: :class:`Document`, :class:`DocumentError`, :func:`read_document`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.exception import OpenFeatureError

from veriramp_sdk.contract import BUCKET_ATTRIBUTE, LEASE_VARIABLE, Mode, settings_key

Setting = str | int | float | bool

NO_LEASE: Final = 2**62
"""``lease_until`` of a document without a lease rule."""


class DocumentError(ValueError):
    """A document that this SDK cannot trust; whoever gets it stays off."""


@dataclass(frozen=True, slots=True)
class Document:
    """One flag document: identity, lease (seconds since 1970), salts, worker settings and its evaluator."""

    uid: str
    revision: int
    lease_until: int
    mode: Mode
    sampling_rate: float
    top_k: int
    salt: str
    sample_salt: str
    settings: Mapping[str, Mapping[str, Setting]]
    attributes: tuple[str, ...]
    """Names of the context attributes that the rules ask for (the bucket left out)."""
    cohorts: str
    """The rules without the lease, canonical: equal texts put every user into the same arm."""
    evaluator: FlagdCore


def read_document(text: str, key: str) -> Document:
    """Read the document of a flag key; raise :class:`DocumentError` with the reason when it cannot be trusted."""
    try:
        raw = json.loads(text)
        return _document(raw, text, key)
    except DocumentError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OpenFeatureError) as error:
        raise DocumentError(f'the document of flag "{key}" is malformed: {error!r}') from error


def lease_rules(node: Any) -> Iterator[list[Any]]:
    """Every ``[{"var": "$flagd.timestamp"}, until]`` of a targeting rule; the list may be changed in place."""
    if isinstance(node, dict):
        comparison = node.get("<")
        if isinstance(comparison, list) and comparison[:1] == [{"var": LEASE_VARIABLE}]:
            yield comparison
        for value in node.values():
            yield from lease_rules(value)
    elif isinstance(node, list):
        for value in node:
            yield from lease_rules(value)


def _document(raw: dict[str, Any], text: str, key: str) -> Document:
    flags = raw["flags"]
    if not flags:
        raise DocumentError("the flag server has no document of this rollout; is its name right, and is it published")
    if key not in flags or settings_key(key) not in flags:
        raise DocumentError(f'no flag "{key}" with "{settings_key(key)}" in the document; it has {", ".join(flags)}')
    metadata = raw["metadata"]
    leases = [rule[1] for rule in lease_rules(flags)]
    variants = flags[settings_key(key)]["variants"]
    settings = variants.get("on", variants["off"])
    revision = _integer(metadata["revision"], "revision")
    if settings["revision"] != revision or any(
        variant["revision"] != revision for variant in flags[key]["variants"].values()
    ):
        raise DocumentError(f"the parts of the document have different revisions (metadata: {revision})")
    evaluator = FlagdCore()
    evaluator.set_flags(text)
    targeting = flags[key].get("targeting") or {}
    return Document(
        uid=str(metadata["uid"]),
        revision=revision,
        lease_until=min((_integer(until, "leaseUntil") for until in leases), default=NO_LEASE),
        mode=Mode(settings["mode"]),
        sampling_rate=float(settings["samplingRate"]),
        top_k=_integer(settings["topK"], "topK"),
        salt=str(settings["salt"]),
        sample_salt=str(settings["sampleSalt"]),
        settings={profile: dict(values) for profile, values in settings["settings"].items()},
        attributes=tuple(sorted(set(_variables(targeting)) - {BUCKET_ATTRIBUTE, LEASE_VARIABLE})),
        cohorts=_without_lease(targeting),
        evaluator=evaluator,
    )


def _variables(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "var" in node:
            name = node["var"]
            yield str(name[0] if isinstance(name, list) else name)
        for value in node.values():
            yield from _variables(value)
    elif isinstance(node, list):
        for value in node:
            yield from _variables(value)


def _without_lease(targeting: Any) -> str:
    copy = json.loads(json.dumps(targeting))
    for rule in lease_rules(copy):
        rule[1] = None
    return json.dumps(copy, sort_keys=True)


def _integer(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise DocumentError(f"{name} {value!r} is not a whole number")
    return value
