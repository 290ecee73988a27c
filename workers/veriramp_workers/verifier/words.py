"""The words that controlled English reserves, and the few forms of open words that it understands.

Public names: the word sets, :func:`singular`, :func:`base_verb`.
"""

from __future__ import annotations

from typing import Final

COPULAS: Final = frozenset({"is", "are", "was", "were"})
AUXILIARIES: Final = frozenset({"does", "do"})
POSSESSIVES: Final = frozenset({"has", "have"})
PREDICATE_HEADS: Final = COPULAS | AUXILIARIES | POSSESSIVES
ARTICLES: Final = frozenset({"a", "an"})
UNIVERSAL: Final = frozenset({"every", "each", "all", "any"})
PRONOUNS: Final = frozenset({"it", "they", "he", "she"})
ANYTHING: Final = frozenset({"something", "someone", "somebody", "anything", "anyone", "anybody"})
EVERYTHING: Final = frozenset({"everything", "everyone", "everybody"})
NOTHING: Final = frozenset({"nothing", "nobody"})
THING_NOUNS: Final = frozenset({"thing", "person", "one"})
PREPOSITIONS: Final = frozenset({"in", "on", "at", "near", "inside", "above", "below", "behind", "beside", "of", "by"})

HEDGES: Final = frozenset(
    {
        *("may", "might", "can", "could", "should", "would", "will", "shall", "must", "need", "ought"),
        *("probably", "possibly", "perhaps", "maybe", "likely", "unlikely", "usually", "often", "sometimes", "rarely"),
        *("seldom", "generally", "typically", "normally", "mostly", "mainly", "partly", "almost", "nearly", "about"),
        *("approximately", "roughly", "around", "circa", "most", "many", "few", "several", "much", "very", "quite"),
        *("rather", "too", "so", "such", "only", "even", "just", "also", "still", "already", "never", "always", "yet"),
        *("formerly", "once", "soon", "later", "now", "today", "tomorrow", "yesterday", "currently", "recently"),
        *("believes", "believe", "says", "say", "claims", "claim", "thinks", "think", "knows", "know", "hopes", "hope"),
        *("said", "reported", "allegedly", "reportedly", "seems", "seem", "appears", "appear", "looks", "look"),
        *("but", "because", "although", "though", "while", "when", "until", "since", "unless", "except", "however"),
        *("than", "as", "like", "for", "with", "without", "from", "to", "into", "between", "among", "during", "if"),
        *("both", "either", "neither", "nor", "or", "and", "then", "not", "no", "some", "that", "which", "who"),
        *("what", "why", "how", "where", "this", "these", "those", "there", "here", "i", "we", "you", "them", "him"),
        *("her", "his", "its", "their", "my", "our", "your", "be", "been", "being", "had", "did", "other", "another"),
        *("same", "own", "itself", "himself", "herself", "themselves", "least", "exactly", "more", "less", "over"),
        *("under", "up", "down", "out", "off", "again", "enough", "half", "twice", "per"),
    }
)
"""Words that change what a sentence says in ways this language does not model: it abstains rather than drop them."""

VERBS_TOO: Final = frozenset({"like", "need"})
"""Reserved words that are plain verbs where a verb stands."""

MEASURES: Final = frozenset(
    {
        *("height", "length", "width", "depth", "age", "weight", "mass", "thickness", "diameter", "area", "volume"),
        *("capacity", "population", "price", "cost", "value", "speed", "temperature", "distance", "duration", "span"),
    }
)
"""What a thing has exactly one of: "has a height of 12 metres" twice may conflict, "has a bell of 2 tonnes" may not."""

_ORIGINS: Final = frozenset(
    {
        *("french", "dutch", "greek", "swiss", "thai", "czech", "welsh", "german", "roman", "norman", "american"),
        *("african", "mexican", "cuban", "tibetan", "moroccan", "arab", "turk", "muslim", "hindu", "sikh", "baroque"),
    }
)


def names_an_origin(word: str) -> bool:
    """Say whether a capitalised word looks like an adjective (French, Gothic, Victorian) and not like a name."""
    low = word.lower()
    return low in _ORIGINS or low.endswith(("ese", "ish", "ian", "ean", "ic", "ist"))


_IRREGULAR: Final = {
    "people": "person",
    "men": "man",
    "women": "woman",
    "children": "child",
    "mice": "mouse",
    "geese": "goose",
    "feet": "foot",
    "teeth": "tooth",
    "wolves": "wolf",
    "leaves": "leaf",
    "knives": "knife",
    "lives": "life",
    "oxen": "ox",
    "sheep": "sheep",
    "fish": "fish",
    "species": "species",
    "series": "series",
    "deer": "deer",
    "buses": "bus",
    "houses": "house",
    "horses": "horse",
    "bridges": "bridge",
    "cases": "case",
    "bases": "base",
}
_HISSING: Final = ("sses", "shes", "ches", "xes", "zzes", "oes")


def singular(noun: str) -> str:
    """Return the singular of a plural noun; a singular noun comes back as it is."""
    if noun in _IRREGULAR:
        return _IRREGULAR[noun]
    if noun.endswith("ies") and len(noun) > 4:  # noqa: PLR2004 - "ties" and "pies" keep their e
        return noun[:-3] + "y"
    if noun.endswith(_HISSING):
        return noun[:-2]
    if noun.endswith("s") and not noun.endswith(("ss", "us", "is")):
        return noun[:-1]
    return noun


def is_plural(noun: str) -> bool:
    """Say whether a noun looks like a plural."""
    return noun in _IRREGULAR or singular(noun) != noun


def base_verb(verb: str) -> str | None:
    """Return the base of a verb in the third person ("feeds" gives "feed"), or ``None`` for another form."""
    if not verb.endswith("s") or verb.endswith("ss") or len(verb) < 3:  # noqa: PLR2004 - "is", "as" are no verbs here
        return None
    if verb.endswith("ies") and len(verb) > 4:  # noqa: PLR2004 - "lies" and "ties" keep their e
        return verb[:-3] + "y"
    if verb.endswith(_HISSING):
        return verb[:-2]
    return verb[:-1]
