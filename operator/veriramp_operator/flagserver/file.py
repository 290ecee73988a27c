"""A flag document from a file instead of a cluster: for one machine, and for the tests of a search service.

Public: :class:`FileFollower`, :func:`document_of`, :data:`LOOK_SECONDS`.

The file says what one stage of a rollout says. It is looked at ten times a second, and each look that could read it
renews the lease, as the operator does in a cluster: a file that cannot be read, and a process that is gone, end in off
when the lease is over. The server counts revisions by itself, under an id of its own for each start, so that none goes
back, whatever is written into the file.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
import reprlib
import stat
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import Field, ValidationError

from veriramp_operator.api.base import Frozen
from veriramp_operator.api.config import Limits
from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.api.problems import problems
from veriramp_operator.api.rollout import FlagsSpec, Percent, Rate, RolloutSpec, StageSpec, WorkerSpec
from veriramp_operator.api.strict_yaml import load_strictly
from veriramp_operator.api.vector import DEFAULT_TOP_K, Vector
from veriramp_operator.flagserver.hub import Hub, close_when_stale
from veriramp_operator.flagserver.store import EVERYWHERE, Store
from veriramp_operator.resources.flags import (
    DocumentRequest,
    FlagDocument,
    all_off,
    all_off_after,
    build,
    self_check,
)
from veriramp_sdk.contract import Mode, selector

LOOK_SECONDS: Final = 0.1
"""A change counts once two looks have seen the same: an editor may have written only a part of the file yet."""

MOST_BYTES: Final = 65_536

_log = logging.getLogger("veriramp.flagserver")


class FileFollower:
    """Keeps a store in step with one file. What cannot be understood leaves the last good document in force."""

    def __init__(self, path: Path, store: Store, hub: Hub, clock: Callable[[], float]) -> None:
        self._path = path
        self._store = store
        self._hub = hub
        self._clock = clock
        self._uid = f"file-{uuid.uuid4()}"
        self._where = ""
        """Selector of the rollout in force."""
        self._seen: bytes | None = None
        self._taken: bytes | None = None
        self._unreadable = ""
        self._renewals = 0

    def begin(self) -> None:
        """Read the file for the first time; raise ConfigurationError when it is missing, unreadable or wrong."""
        try:
            content = _content(self._path)
        except OSError as error:
            raise ConfigurationError(f"{self._path}: {error.strerror}; name one that can be read") from error
        if content is None:
            raise ConfigurationError(f"{self._path}: there is no such file; write one, or name another with --file")
        self._publish(document_of(content, None, self._uid, str(self._path)))
        self._seen = self._taken = content
        for _ in range(2):  # the first renewal that a store sees might be an old one; this file was read just now
            self._confirm()

    async def run(self) -> None:
        """Look at the file until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(close_when_stale(self._store, self._hub, self._clock))
            tasks.create_task(self._look_for_ever())

    def look(self) -> None:
        """Look once: publish a change that has settled, and renew the lease."""
        try:
            content = _content(self._path)
        except OSError as error:
            if self._unreadable != str(error):
                self._unreadable = str(error)
                _log.warning("%s: %s; off when the lease ends, unless it can be read again", self._path, error.strerror)
            return
        if self._unreadable:
            self._unreadable = ""
            _log.info("%s can be read again", self._path)
        settled, self._seen = content == self._seen, content
        if not settled:
            return
        if content != self._taken:
            self._taken = content
            self._take(content)
        self._confirm()

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def _take(self, content: bytes | None) -> None:
        held = self._store.document(self._where)
        if content is None:
            self._hub.push(self._store.remove(self._where))
            _log.warning("%s is gone: everything is off", self._path)
            return
        try:
            document = document_of(content, held, self._uid, str(self._path))
        except ConfigurationError as error:
            if held is None or not says_off(content):
                in_force = f"revision {held.revision}, {held.vector}" if held else "nothing"
                _log.warning("%s. What stays in force: %s", error, in_force)
                return
            _log.warning("%s. It says mode: Off, so everything is off", error)
            document = all_off_after(held)
        self._publish(document)

    def _publish(self, document: FlagDocument) -> None:
        where = selector(document.namespace, document.rollout)
        if self._where and where != self._where:
            self._hub.push(self._store.remove(self._where))
        self._where = where
        self._hub.push(self._store.put(where, document))
        _log.info("%s: revision %s of %s is in force: %s", self._path, document.revision, where, document.vector)

    def _confirm(self) -> None:
        now = self._clock()
        self._store.confirm(EVERYWHERE, now)
        self._renewals += 1
        self._hub.push(self._store.lease_seen(str(self._renewals), now))


def document_of(content: bytes, held: FlagDocument | None, uid: str, name: str) -> FlagDocument:
    """The document that a file's content asks for: ``held`` itself when that is in force already, else the next.

    Raises ConfigurationError with one sentence that begins with ``name``. A document that does not evaluate as it
    should is refused, but where it would lower what is in force everything goes off instead.
    """
    try:
        return _document_of(_read(content, name), held, uid, name)
    except (ValueError, RecursionError) as error:  # a number or a text of a setting that JSON does not have
        raise ConfigurationError(f"{name}: no document can be made of it: {error}") from error


def _document_of(wanted: _FlagFile, held: FlagDocument | None, uid: str, name: str) -> FlagDocument:
    before = held if held and selector(held.namespace, held.rollout) == wanted.rollout else None
    if before and build(_request(wanted, before.revision, uid)) == before:
        return before
    # Counted over all rollouts that the file ever named: one that comes back has not been overtaken.
    request = _request(wanted, held.revision + 1 if held else 1, uid)
    document = build(request)
    if wrong := self_check(document, before, request.vector):
        if before and request.vector != before.vector and request.vector.is_at_most(before.vector):
            return all_off(request)
        raise ConfigurationError(f"{name}: {wrong[0]}")
    return document


def says_off(content: bytes) -> bool:
    """Tell whether a file says ``mode: Off``, also one that is no YAML: going down must not fail for a typing error."""
    try:
        raw = load_strictly(content)
    except yaml.YAMLError:
        return _OFF_LINE.search(content) is not None
    return isinstance(raw, dict) and (raw.get("mode") is False or str(raw.get("mode")).lower() == "off")


_OFF_LINE: Final = re.compile(rb"""^["']?mode["']?[ \t]*:[ \t]*["']?off\b""", re.IGNORECASE | re.MULTILINE)


class _Flags(FlagsSpec, extra="forbid"):
    pass


class _Worker(WorkerSpec, extra="forbid"):
    pass


class _FlagFile(Frozen, extra="forbid"):
    """What may stand in the file: whose flags, the words of a stage, and ``flags`` and ``workers`` of a rollout."""

    rollout: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$")]
    mode: Mode
    sampling_rate: Rate = 0.0
    canary_percent: Percent = 0.0
    ranking_weight: Annotated[float, Field(ge=0, le=Limits().max_ranking_weight)] = 0.0
    top_k: Annotated[int, Field(ge=0, le=200)] = DEFAULT_TOP_K
    flags: _Flags = _Flags()
    workers: Annotated[tuple[_Worker, ...], Field(max_length=16)] = ()


def _read(content: bytes, name: str) -> _FlagFile:
    try:
        raw = load_strictly(content.decode())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = getattr(error, "problem_mark", None)
        line = f" (line {place.line + 1})" if place else ""
        what = " ".join(str(getattr(error, "problem", error)).split())
        raise ConfigurationError(f"{name}: this is no YAML{line}: {what}") from error
    if not isinstance(raw, dict):
        raise ConfigurationError(
            f"{name}: it holds no fields; write at least rollout: namespace/name and mode: Off, Shadow or Live"
        )
    if raw.get("mode") is False:  # what YAML makes of a bare Off
        raw = {**raw, "mode": Mode.OFF.value}
    try:
        wanted = _FlagFile.model_validate_json(json.dumps(raw, default=str, skipkeys=True), strict=True)
    except (ValidationError, RecursionError, ValueError) as error:
        raise ConfigurationError(f"{name}: {_sentence(error)}") from error
    # As a rollout of one stage, so that the rules of the custom resource judge it. Numbers that its mode does not use
    # may stand there: who writes Shadow in place of Live wants to go down, and not to be taught.
    stage = StageSpec(name="file", mode=wanted.mode)
    if wrong := problems(
        RolloutSpec(flags=wanted.flags, workers=wanted.workers, stages=(stage,), allow_unguarded=True)
    ):
        raise ConfigurationError(f"{name}: {wrong[0]}")
    return wanted


def _request(wanted: _FlagFile, revision: int, uid: str) -> DocumentRequest:
    namespace, _, rollout = wanted.rollout.partition("/")
    vector = Vector(
        mode=wanted.mode,
        sampling_rate=wanted.sampling_rate,
        canary_percent=wanted.canary_percent,
        ranking_weight=wanted.ranking_weight,
        top_k=wanted.top_k,
    )
    return DocumentRequest(
        namespace=namespace,
        rollout=rollout,
        key=wanted.flags.key or rollout,
        uid=uid,
        revision=revision,
        generation=revision,
        vector=vector.settled().quantised(),
        salt=_salt(wanted.rollout, "users"),
        sample_salt=_salt(wanted.rollout, "queries"),
        lease_seconds=wanted.flags.lease_seconds,
        include=tuple((rule.attribute, rule.equals) for rule in wanted.flags.include),
        exclude=tuple((rule.attribute, rule.equals) for rule in wanted.flags.exclude),
        worker_settings={worker.profile: worker.settings for worker in wanted.workers},
    )


def _salt(rollout: str, of: str) -> str:
    """The same at each start and on each machine: whoever tests with a user wants the same arm tomorrow."""
    return hashlib.sha256(f"{rollout}:{of}".encode()).hexdigest()[:32]


def _sentence(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return f"it cannot be read: {error}"
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if not field:
        return f"it cannot be read: {first['msg']}"
    if first["type"] == "missing":
        return f"{field} is missing; {_MISSING.get(field, 'write it')}"
    if first["type"] == "extra_forbidden":
        return f"there is no field {field}; write one of {', '.join(_known(first['loc']))}"
    if field == "rollout":
        return f"rollout is {reprlib.repr(first['input'])}; write namespace/name, in lower case letters, digits and '-'"
    return f"{field}: {first['msg']} (found {reprlib.repr(first['input'])})"


_MISSING: Final = {"rollout": "write namespace/name, for example search/demo", "mode": "write Off, Shadow or Live"}


def _known(place: tuple[Any, ...]) -> list[str]:
    models: dict[Any, type[Frozen]] = {"flags": _Flags, "workers": _Worker}
    model = models.get(place[0], _FlagFile) if place[1:] else _FlagFile
    return [field.alias or name for name, field in model.model_fields.items()]


def _content(path: Path) -> bytes | None:
    """The file's bytes; None when it does not exist. Raises OSError for every other reason."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(0, "it is no regular file")  # to open a pipe would wait for a writer
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    if len(content) > MOST_BYTES:
        raise OSError(0, f"it has more than {MOST_BYTES} bytes")
    return content
