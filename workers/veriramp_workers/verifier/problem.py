"""Turn a question into a problem for the solver: declarations, premises and claim as SMT-LIB, each with its source.

Public names: :class:`Problem`, :class:`Assertion`, :func:`problem_of`, :func:`looks_like_smt_lib`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from veriramp_workers.ports import Question
from veriramp_workers.verifier.discourse import holds_together
from veriramp_workers.verifier.english import MAX_SENTENCE, NotFormalisableError, formalise, sentences
from veriramp_workers.verifier.facts import looks_like_facts, sentences_of_facts
from veriramp_workers.verifier.formula import ForAll, Parts, declarations, parts

MAX_TEXT: Final = 100_000
"""Longest text, premises included, in characters."""

MAX_SENTENCES: Final = 400
"""Most sentences, premises included, in one problem."""


@dataclass(frozen=True)
class Assertion:
    """One sentence and its SMT-LIB text."""

    source: str
    smt_lib: str


@dataclass(frozen=True)
class Problem:
    """``premises`` are taken for true, ``claim`` is judged; ``skipped`` premises could not be formalised.

    ``written``: the formulas of premises and claim, when the text was English; SMT-LIB has none.
    """

    declarations: str
    premises: tuple[Assertion, ...]
    claim: tuple[Assertion, ...]
    skipped: tuple[str, ...] = ()
    written: tuple[Parts, ...] = ()

    @property
    def smt_lib(self) -> str:
        """The whole problem as one SMT-LIB script; each assertion carries its sentence as a comment."""
        lines = [self.declarations]
        for title, assertions in (("premises", self.premises), ("claim", self.claim)):
            lines.append(f"; {title}")
            lines.extend(f"(assert {one.smt_lib}) ; {' '.join(one.source.split())}" for one in assertions)
        return "\n".join([*lines, "(check-sat)"])


def problem_of(question: Question) -> Problem:
    """Formalise a question; raises :class:`NotFormalisableError` with the sentence that is not understood."""
    size = len(question.text) + sum(len(premise) for premise in question.premises)
    if size > MAX_TEXT:
        raise NotFormalisableError(f"{size} characters are too many; at most {MAX_TEXT} are read")
    if looks_like_smt_lib(question.text):
        return _smt_problem(question)
    claim = _told(question.text)
    if not claim:
        raise NotFormalisableError("the text is empty")
    told = [_told_or_whole(premise) for premise in question.premises]
    prose = [not looks_like_facts(premise) for premise in question.premises]
    count = len(claim) + sum(map(len, told))
    if count > MAX_SENTENCES:
        raise NotFormalisableError(f"{count} sentences are too many; at most {MAX_SENTENCES} are read")
    if not looks_like_facts(question.text) and not holds_together(claim):
        raise NotFormalisableError("a sentence that speaks of texts, or a heading, may take back what stands beside it")
    claimed = [_explained(sentence) for sentence in claim]
    if not looks_like_facts(question.text) and not _hangs_together(claimed):
        raise NotFormalisableError("the text speaks of things that have nothing in common; judge them one by one")
    premises, skipped = _usable(told, prose)
    written = (*(read for _, read in premises), *claimed)
    return Problem(
        declarations(written),
        tuple(Assertion(source, read.text) for source, read in premises),
        tuple(Assertion(source, read.text) for source, read in zip(claim, claimed, strict=True)),
        skipped,
        written,
    )


def _told(text: str) -> tuple[str, ...]:
    return sentences_of_facts(text) if looks_like_facts(text) else sentences(text)


def _told_or_whole(premise: str) -> tuple[str, ...]:
    """Return the sentences of a premise; facts that are none come back whole, to be left out as not understood."""
    try:
        return _told(premise)
    except NotFormalisableError:
        return (premise,)


def looks_like_smt_lib(text: str) -> bool:
    """Say whether a text is meant as SMT-LIB: it starts with a parenthesis or a comment."""
    return text.lstrip().startswith(("(", ";"))


_DECLARING: Final = frozenset(
    {
        *("declare-const", "declare-fun", "declare-sort", "declare-datatype", "declare-datatypes"),
        *("define-const", "define-fun", "define-fun-rec", "define-funs-rec", "define-sort"),
    }
)
_IGNORED: Final = frozenset(
    {
        *("set-logic", "set-info", "check-sat", "get-model", "get-unsat-core", "get-proof", "exit"),
    }
)


def _explained(sentence: str) -> Parts:
    read = _read(sentence)
    if isinstance(read, str):
        raise NotFormalisableError(f"{sentence!r}: {read}")
    return read


def _usable(told: Sequence[tuple[str, ...]], prose: Sequence[bool]) -> tuple[list[tuple[str, Parts]], tuple[str, ...]]:
    usable: list[tuple[str, Parts]] = []
    skipped: list[str] = []
    for text, is_prose in zip(told, prose, strict=True):
        read = [(sentence, _read(sentence, premise=True)) for sentence in text]
        refused = [sentence for sentence, formula in read if isinstance(formula, str)]
        formulas = [formula for _, formula in read if not isinstance(formula, str)]
        # What is not understood may take back what stands beside it, in ways that no list of words knows all of.
        if is_prose and (refused or not holds_together(text) or not _hangs_together(formulas)):
            skipped.extend(text)
        else:
            skipped.extend(refused)
            usable.extend((sentence, formula) for sentence, formula in read if not isinstance(formula, str))
    return usable, tuple(skipped)


def _hangs_together(read: Sequence[Parts]) -> bool:
    """Say whether one leads from each sentence to each other by words and things that they have in common.

    "Anne whispers. The moon is red." may be speech, "The council is unsure. The fee is 5 euros." a doubt. A text with a
    rule may speak of anything.
    """
    if not read or any(isinstance(one.formula, ForAll) for one in read):
        return True
    found, left = set(read[0].declarations), list(read[1:])
    while near := [one for one in left if not found.isdisjoint(one.declarations)]:
        found.update(*(one.declarations for one in near))
        left = [one for one in left if found.isdisjoint(one.declarations)]
    return not left


def _read(sentence: str, *, premise: bool = False) -> Parts | str:
    """Return a sentence as a formula, or why it is not understood; chunks of one topic share their premises."""
    if len(sentence) > MAX_SENTENCE:
        return _read_now(sentence, premise)
    return _remembered(sentence, premise)


def _read_now(sentence: str, premise: bool) -> Parts | str:
    try:
        return parts(formalise(sentence, premise=premise))
    except NotFormalisableError as error:
        return str(error)


_remembered: Final = lru_cache(maxsize=4096)(_read_now)


def _smt_problem(question: Question) -> Problem:
    declarations: list[str] = []
    premises = _assertions("\n".join(question.premises), declarations)
    claim = _assertions(question.text, declarations)
    if not claim:
        raise NotFormalisableError("the SMT-LIB text asserts nothing")
    return Problem("\n".join(declarations), premises, claim)


def _assertions(text: str, declarations: list[str]) -> tuple[Assertion, ...]:
    """Collect the assertions of a script and append its declarations, each once."""
    found: list[Assertion] = []
    for command in _commands(text):
        name = _AFTER_A_NAME.split(command[1:-1].lstrip(), maxsplit=1)[0]
        if name == "assert":
            body = command[1:-1].strip().removeprefix("assert").strip()
            found.append(Assertion(" ".join(command.split()), body))
        elif name in _DECLARING:
            if command not in declarations:
                declarations.append(command)
        elif name not in _IGNORED:
            raise NotFormalisableError(
                f'a text that starts with "(" or ";" is read as SMT-LIB, of which "{name}" is no command that is '
                "accepted; declare, define and assert"
            )
    return tuple(found)


_AFTER_A_NAME: Final = re.compile(r"[\s()|]")


def _commands(text: str) -> list[str]:
    """Cut a script into its top-level commands; strings, quoted symbols and comments are respected."""
    commands: list[str] = []
    current: list[str] = []
    depth, quote = 0, ""
    for char in text:
        if quote:
            current.append("" if quote == "\n" else char)
            quote = "" if char == quote else quote
        elif char in '"|;':
            quote = "\n" if char == ";" else char
            current.append(" " if char == ";" else char)
        else:
            depth += {"(": 1, ")": -1}.get(char, 0)
            current.append(char)
            if depth < 0:
                raise NotFormalisableError("the SMT-LIB text closes a parenthesis that it did not open")
            if depth == 0 and char == ")":
                commands.append("".join(current).strip())
                current = []
    if depth or "".join(current).strip():
        raise NotFormalisableError("the SMT-LIB text ends inside a command")
    return commands
