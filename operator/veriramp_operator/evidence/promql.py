"""What a PromQL query says about time: how far back it looks, and whether it is a bare series selector.

Public: :func:`largest_range`, :func:`is_bare_selector`, :func:`metrics_of`, :func:`typos`. A tokenizer, not a parser:
Prometheus judges the syntax; here only strings, comments, brackets and durations must be told apart. Grammar:
prometheus.io/docs, "Querying basics".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import Final

_CACHED_QUERIES: Final = 4096


class _Kind(Enum):
    WORD = auto()  # names, keywords, numbers and durations
    STRING = auto()
    RANGE = auto()  # [5m] or [1h:5m], the brackets included
    BRACES = auto()  # {label="value"}, the braces included
    OPEN = auto()
    CLOSE = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: _Kind
    text: str


@lru_cache(maxsize=_CACHED_QUERIES)
def largest_range(query: str) -> float | None:
    """Seconds that the query's range selectors look back, or None where it has none.

    The largest one counts; a range on top of a range (a subquery) adds to it, because its oldest point looks back that
    much further. ``offset`` and ``@`` shift the time on purpose and do not count.
    """
    found = False
    outer: list[float] = []
    group = last = 0.0
    for token in _tokens(query):
        if token.kind is _Kind.RANGE:
            seconds = _seconds(token.text[1:].removesuffix("]").partition(":")[0])
            found = found or seconds is not None
            last += seconds or 0.0
            group = max(group, last)
        elif token.kind is _Kind.OPEN:
            outer.append(group)
            group = last = 0.0
        elif token.kind is _Kind.CLOSE and outer:
            last, group = group, max(outer.pop(), group)
        elif token.kind is not _Kind.BRACES:
            last = 0.0
    return max([group, *outer]) if found else None


@lru_cache(maxsize=_CACHED_QUERIES)
def is_bare_selector(query: str) -> bool:
    """True for a series selector and nothing else: ``name``, ``name{..}`` or ``{..}``, without range or offset.

    Only of such a query does ``timestamp()`` tell the age of the samples; of anything else it is the evaluation time.
    """
    match _tokens(query):
        case (_Token(_Kind.WORD, name),):
            return _is_metric_name(name)
        case (_Token(_Kind.WORD, name), _Token(_Kind.BRACES, _)):
            return _is_metric_name(name)
        case (_Token(_Kind.BRACES, text),):
            return text[1:-1].strip() != ""
        case _:
            return False


def metrics_of(query: str) -> frozenset[str]:
    """Names of the metrics that a query speaks of, as far as they stand before a selector or alone.

    Functions, operators, labels in ``by (..)`` and the like, numbers and durations are none.
    """
    found, tokens = set(), _tokens(query)
    depth_of_labels = 0
    for token, following in zip(tokens, (*tokens[1:], None), strict=True):
        opens = following is not None and (following.kind is _Kind.OPEN or following.text.lower() in _AGGREGATED)
        if token.kind is _Kind.WORD and token.text.lower() in _GROUPING:
            depth_of_labels = 1 if opens else 0
        elif token.kind is _Kind.CLOSE:
            depth_of_labels = 0
        elif token.kind is _Kind.WORD and _is_metric_name(token.text) and not (opens or depth_of_labels):
            found.add(token.text)
    return frozenset(found - _KEYWORDS)


def typos(query: str) -> tuple[str, ...]:
    """What can only be a slip of the pen: brackets and quotes left open, operators of other languages."""
    return tuple(_typos(query))


def _typos(query: str) -> Iterator[str]:
    depth, before = 0, _Token(_Kind.OPEN, "")
    for token in _tokens(query):
        depth += (token.kind is _Kind.OPEN) - (token.kind is _Kind.CLOSE)
        if depth < 0:
            yield 'a ")" too many'
            return
        if token.kind in _CLOSED_BY and not token.text.endswith(_CLOSED_BY[token.kind]):
            yield f'"{token.text[0]}" is never closed by "{_CLOSED_BY[token.kind]}"'
        elif token.kind is _Kind.RANGE and before.kind not in {_Kind.WORD, _Kind.BRACES, _Kind.CLOSE, _Kind.RANGE}:
            yield f"{token.text} follows no series; write for example rate(search_requests_total{token.text})"
        elif token.text in {'"', "'", "`"}:
            yield f"a {token.text} is never closed"
            return
        elif token.text + before.text in {"&&", "||"}:
            yield f'"{2 * token.text}" is no operator; write {"and" if token.text == "&" else "or"}'
        before = token
    if depth > 0:
        yield f'{depth} "(" never closed'
    texts = ["", *(token.text for token in _tokens(query)), ""]
    if any(
        text == "=" and {before, after}.isdisjoint("=!<>")
        for before, text, after in zip(texts, texts[1:], texts[2:], strict=False)
    ):
        yield '"=" outside of braces compares nothing; write "=="'


_PATTERNS: Final = re.compile(
    r"""
      (?P<SPACE>\s+ | \#[^\n]*)
    | (?P<STRING>"(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' | `[^`]*`)
    | (?P<WORD>[\w:.$]+)
    | (?P<BRACKET>[\[{])
    | (?P<OPEN>\()
    | (?P<CLOSE>\))
    | (?P<OTHER>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_CLOSING: Final = {"[": "]", "{": "}"}
_CLOSED_BY: Final = {_Kind.RANGE: "]", _Kind.BRACES: "}"}
_GROUPING: Final = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_AGGREGATED: Final = frozenset({"by", "without"})
_KEYWORDS: Final = _GROUPING | {"and", "or", "unless", "bool", "offset", "atan2", "start", "end"}
_METRIC_NAME: Final = re.compile(r"[A-Za-z_:][\w:]*\Z", re.ASCII)
_NUMBER_WORDS: Final = frozenset({"inf", "nan"})
_DURATION: Final = re.compile(r"(?:\d+(?:ms|[smhdwy]))+\Z")
_PART: Final = re.compile(r"(\d+)(ms|[smhdwy])")
_PLAIN_SECONDS: Final = re.compile(r"\d+(?:\.\d+)?\Z")
_UNIT_SECONDS: Final = {
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 7 * 86400.0,
    "y": 365 * 86400.0,
}


def _tokens(query: str) -> tuple[_Token, ...]:
    tokens = []
    position = 0
    while match := _PATTERNS.match(query, position):
        name, text = match.lastgroup, match.group()
        if name == "BRACKET":
            text = _bracketed(query, position)
            tokens.append(_Token(_Kind.RANGE if text[0] == "[" else _Kind.BRACES, text))
        elif name != "SPACE" and name is not None:
            tokens.append(_Token(_Kind[name], text))
        position += len(text)
    return tuple(tokens)


def _bracketed(query: str, start: int) -> str:
    """The text from an opening bracket to its partner (or the end), comments and strings inside respected."""
    closing = _CLOSING[query[start]]
    position = start + 1
    while match := _PATTERNS.match(query, position):
        position = match.end()
        if match.group() == closing:
            break
    return query[start:position]


def _is_metric_name(name: str) -> bool:
    return _METRIC_NAME.match(name) is not None and name.lower() not in _NUMBER_WORDS


def _seconds(text: str) -> float | None:
    text = text.strip()
    if _DURATION.match(text):
        return sum(int(number) * _UNIT_SECONDS[unit] for number, unit in _PART.findall(text))
    if _PLAIN_SECONDS.match(text):
        return float(text)
    return None
