"""Sentences that may be about other sentences of their text: what they take back must not be used.

Public names: :func:`holds_together`.

"The statement is invalid", "The poem begins", "Anne plays the queen" are understood, each by itself, and yet tell that
what stands beside them is not said for true.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from veriramp_workers.verifier.words import PREDICATE_HEADS, base_verb, plain_verb, singular


def holds_together(text: Sequence[str]) -> bool:
    """Say whether each sentence of a text may be taken by itself: no heading, and none that speaks of texts."""
    return len(text) < 2 or not any(_is_heading(said) or _speaks_of_texts(said) for said in text)  # noqa: PLR2004


def _is_heading(sentence: str) -> bool:
    """Say whether something stands before other sentences and is none, though it may look like one: "Fake news"."""
    return not sentence.endswith((".", ";", "!")) and PREDICATE_HEADS.isdisjoint(sentence.lower().split())


def _speaks_of_texts(sentence: str) -> bool:
    found = [word for words in _WORD.findall(sentence.lower()) for word in (words, *words.split("-"))]
    return any(not _TELLING.isdisjoint({word, singular(word), base_verb(word), plain_verb(word)}) for word in found)


_WORD: Final = re.compile(r"[^\W\d_][\w-]*")
_CARRIERS: Final = """
puppet dragon wizard witch unicorn ghost fairy elf mermaid vampire zombie troll goblin alien superhero monster oracle
prophet regulation rule ban law act decree directive order statute ordinance bylaw clause provision guideline tariff
speaker witness announcer spokesman spokeswoman reporter journalist sarcasm irony satire parody hoax kidding nonsense
rubbish text statement sentence paragraph page passage section chapter article essay story poem novel play drama film
movie book scene scenario script tale legend myth fable saga song lyric verse stanza quote quotation caption heading
title headline advert advertisement commercial slogan review comment post thread reply message letter email note memo
report rumour rumor gossip claim allegation accusation assertion proposition premise premiss assumption hypothesis
theory conjecture thesis argument proposal draft plan suggestion idea belief opinion view viewpoint perspective dream
vision nightmare hallucination delusion illusion fantasy fiction game simulation exercise quiz test exam question
answer puzzle riddle problem example illustration instance model case world universe episode series show sketch comedy
tragedy musical opera character role protagonist narrator hero heroine villain actor actress author writer poet
novelist storyteller playwright liar prankster comedian correction corrigendum erratum errata error mistake typo
exception exemption condition proviso caveat disclaimer footnote warning notice announcement update revision amendment
version edition copy translation forecast prediction prophecy projection estimate account narrative chronicle
description depiction portrayal picture painting photo photograph cartoon comic video clip podcast broadcast programme
program news newspaper magazine journal blog website site wiki encyclopedia dictionary entry list table chart diagram
map document file record archive transcript testimony speech lecture sermon interview conversation dialogue debate
discussion information info data fact facts detail content source reference link summary abstract introduction
conclusion preface appendix bullet line word language template placeholder sample mockup prank trick bluff deception
pretence pretense propaganda disinformation misinformation parable allegory metaphor figure joke lie falsehood
contradiction opposite contrary reverse converse alternative
"""
"""What holds words, pictures or thoughts, and who makes them."""

_STANDINGS: Final = """
variable flexible optional unofficial adjustable dependent estimated illustrative divided unsure uncertain undecided
sceptical skeptical doubtful suspicious unconvinced negotiable approximate unclear ambiguous vague dishonest gone dead
lifted over ended finished inactive scrapped dropped waived frozen moot ineffective unenforceable defunct invalid
erroneous false wrong untrue incorrect inaccurate obsolete outdated archived deprecated stale hypothetical imaginary
fictional fictitious imagined invented counterfactual unreal virtual tentative provisional preliminary temporary
pending conditional contingent void null cancelled canceled revoked repealed rescinded expired lapsed suspended
postponed abolished discontinued retired superseded replaced removed deleted withdrawn retracted overturned annulled
reversed corrected amended revised updated disputed contested ironic sarcastic humorous humourous satirical
metaphorical figurative symbolic allegorical speculative theoretical proposed planned suggested supposed alleged
presumed excluded exempt exempted inapplicable irrelevant misleading biased absurd ridiculous impossible implausible
unlikely dubious bogus phony fake forged staged scripted simulated sponsored unfounded groundless baseless nonsensical
meaningless unsupported unproven untested
"""
"""What may be said of a text, or of what it says."""

_RETRACTIONS: Final = """
accuse charge blame suspect shout whisper cry murmur portray act recite rehearse narrate depict describe tell cite
perform enact impersonate mimic pretend feign simulate imagine hallucinate invent fabricate forge jest tease fool
deceive mislead exaggerate replace supersede correct amend revise cancel revoke repeal rescind suspend overrule
overturn annul invalidate nullify negate refute rebut disprove debunk contradict retract withdraw deny dispute contest
challenge doubt exclude except omit waive presuppose assume suppose presume hypothesise hypothesize postulate propose
suggest believe think say state allege assert argue insist announce mention translate predict foresee speculate guess
misremember confuse expire lapse
"""
"""What may be done with a text, or with what it says."""

_TELLING: Final = frozenset(f"{_CARRIERS} {_STANDINGS} {_RETRACTIONS}".split())
