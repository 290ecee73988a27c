"""CEL validation rules as values: one rule of the CRD with the sentence that a person reads when it is broken.

Public: :class:`Rule`, :func:`say`, :func:`raw`, :func:`unless_old`. The rules themselves are in ``rules.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of ``x-kubernetes-validations``.

    ``rule`` must be true. ``message`` is the literal sentence; ``say`` a CEL expression that makes a better one, with
    the values of the object (the API server falls back to the literal where it cannot be evaluated). ``field`` is the
    path that the error points at, relative to the node. ``with_old``: ``oldSelf`` is an optional, empty on creation.
    """

    rule: str
    message: str
    say: str | None = None
    field: str | None = None
    with_old: bool = False

    def to_api(self) -> dict[str, Any]:
        """Render as the API server wants it."""
        entry: dict[str, Any] = {"rule": self.rule, "message": self.message}
        if self.say is not None:
            entry["messageExpression"] = self.say
        if self.field is not None:
            entry["fieldPath"] = self.field
        if self.with_old:
            entry["optionalOldSelf"] = True
        return entry


def unless_old(condition: str, message: str, say: str, field: str | None = None) -> Rule:
    """A rule on a whole node: ``condition`` (of ``self``) holds, or did not hold for the old value either."""
    before = condition.replace("self.", "oldSelf.value().")
    return Rule(f"({condition}) || (oldSelf.hasValue() && !({before}))", message, say, field, with_old=True)


def raw(pattern: str) -> str:
    """A pattern as a raw CEL string."""
    return f"r'''{pattern}'''"


def say(sentence: str, *values: str) -> str:
    """A CEL expression for a sentence with values in place of each ``%s``.

    ``format`` and not ``+``: the API server takes the length of a joined text for unbounded and refuses the rule.
    """
    return f"'{sentence}'.format([{', '.join(f'dyn({value})' for value in values)}])"
