"""The words that controlled English reserves, and the few forms of open words that it understands.

Public names: the word sets, :func:`points`, :func:`singular`, :func:`base_verb`.
"""

from __future__ import annotations

import re
from typing import Final

COPULAS: Final = frozenset({"is", "are", "was", "were"})
AUXILIARIES: Final = frozenset({"does", "do"})
POSSESSIVES: Final = frozenset({"has", "have"})
PREDICATE_HEADS: Final = COPULAS | AUXILIARIES | POSSESSIVES
ARTICLES: Final = frozenset({"a", "an"})
UNIVERSAL: Final = frozenset({"every", "each", "all", "any"})
PRONOUNS: Final = frozenset({"it", "they", "he", "she"})
ANYTHING: Final = frozenset({"something", "someone", "somebody", "anything", "anyone", "anybody"})
PERSONAL: Final = frozenset({"someone", "somebody", "anyone", "anybody"})
EVERYTHING: Final = frozenset({"everything", "everyone", "everybody"})
NOTHING: Final = frozenset({"nothing", "nobody"})
THING: Final = "thing"
PERSON: Final = "person"
PREPOSITIONS: Final = frozenset({"in", "on", "at", "near", "inside", "above", "below", "behind", "beside", "of", "by"})

_TAKEN_BACK: Final = frozenset(
    {
        *("disputed", "contested", "doubtful", "dubious", "questionable", "unverified", "unconfirmed", "apocryphal"),
        *("satirical", "joking", "kidding", "fictional", "fictitious", "fabricated", "invented", "misleading"),
        *("debunked", "refuted", "retracted", "disproved", "withdrawn", "superseded", "outdated", "inaccurate"),
        *("hoax", "rumour", "rumours", "rumor", "rumors", "fiction", "falsehood", "fallacy", "misconception"),
        *("misconceptions", "satire", "parody", "fantasy", "nonsense", "rubbish", "myth", "myths", "hypothesis"),
        *("hypotheses", "assumption", "assumptions"),
        *("lie", "lies", "joke", "jokes", "dream", "dreams", "wish", "wishes", "disagree", "disagrees", "doubt"),
        *("doubts", "deny", "denies", "dispute", "disputes", "imagine", "imagines", "pretend", "pretends", "fool"),
        *("fools", "exaggerate", "exaggerates", "suspect", "suspects", "assume", "assumes", "suppose", "supposes"),
        *("guess", "guesses", "reject", "rejects", "refute", "refutes", "contradict", "contradicts", "retract"),
        *("retracts", "rejected", "denied", "doubted", "liar", "liars", "lying", "mistaken", "unreliable", "uncertain"),
        *("untrustworthy", "certain", "truth", "reality", "evidence"),
    }
)
"""Words by which a sentence says of others that they do not hold, or that nobody knows."""

HEDGES: Final = _TAKEN_BACK | frozenset(
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
        *("true", "false", "untrue", "incorrect", "wrong", "following", "aforementioned", "former", "alleged", "fake"),
        *("under", "up", "down", "out", "off", "again", "enough", "half", "twice", "per"),
    }
)
"""Words that change what a sentence says in ways this language does not model: it abstains rather than drop them."""

POINTING: Final = frozenset(
    {
        *("one", "ones", "mine", "yours", "hers", "ours", "theirs", "latter", "former", "rest", "remainder", "others"),
        *("none", "neither", "either", "both", "all", "most", "half", "enough", "plenty", "lots", "everything", "self"),
        *("today", "tomorrow", "yesterday", "tonight", "now", "then", "here", "there", "time", "date", "moment"),
        *("day", "night", "morning", "afternoon", "evening", "noon", "midnight", "week", "weekend", "month", "year"),
        *("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "january", "february"),
        *("march", "april", "may", "june", "july", "august", "september", "october", "november", "december"),
        *("spring", "summer", "autumn", "winter", "christmas", "easter", "season", "weather"),
        *("current", "present", "next", "previous", "prior", "preceding", "subsequent", "succeeding", "earlier"),
        *(
            "later",
            "late",
            "latest",
            "last",
            "recent",
            "upcoming",
            "coming",
            "forthcoming",
            "ongoing",
            "past",
            "future",
        ),
        *("new", "newer", "older", "younger", "bigger", "larger", "smaller", "other", "another", "second", "third"),
        *("final", "initial", "original", "ultimate", "penultimate", "respective", "relevant", "given", "said"),
        *("certain", "particular", "specific", "same", "different", "opposite", "remaining", "additional", "extra"),
        *("usual", "typical", "average", "local", "nearby", "foreign", "domestic", "home", "temporary", "acting"),
        *("daily", "weekly", "monthly", "annual", "yearly", "quarterly", "interim", "so-called", "would-be"),
        *("alternative", "only", "sole", "aforesaid", "above", "below"),
    }
)
"""Words that mean now this and now that, by who says them, when, and after what: of no use as a name of a thing."""


def points(word: str) -> bool:
    """Say whether a word of a name or a description points (next, mine, Monday, fourth, oldest) and does not name."""
    return word in POINTING or bool(_ORDINAL.fullmatch(word)) or (word.endswith("est") and word not in _EST_BUT_NO_RANK)


_ORDINAL: Final = re.compile(
    r"\d+(?:st|nd|rd|th)|first|(?:[a-z]+-)?(?:second|third)|"
    r"(?:[a-z]+-)?(?:four|fif|six|seven|eigh|nin|ten|eleven|twelf|[a-z]+teen|[a-z]+tie|hundred|thousand|million)th"
)
_EST_BUT_NO_RANK: Final = frozenset(
    {
        *("west", "northwest", "southwest", "forest", "guest", "chest", "nest", "test", "priest", "harvest", "request"),
        *("contest", "interest", "arrest", "protest", "quest", "vest", "crest", "invest", "conquest", "tempest"),
        *("budapest", "bucharest", "brest", "ernest", "everest", "rainforest", "pest", "zest", "jest", "digest"),
    }
)


KINDWISE: Final = frozenset(
    {
        *("rare", "common", "uncommon", "widespread", "extinct", "endangered", "numerous", "abundant", "plentiful"),
        *("scarce", "ubiquitous", "diverse", "prevalent", "varied", "countless", "identical", "equal", "similar"),
        *("different", "alike", "related", "adjacent", "parallel", "separate", "distinct"),
    }
)
"""What is said of a kind, or of several together, and not of each one: "herons are rare"."""

TOGETHER: Final = frozenset(
    {
        *("gather", "meet", "surround", "outnumber", "assemble", "congregate", "disperse", "scatter", "collide"),
        *("form", "constitute", "comprise", "differ", "vary", "abound", "unite", "fit", "fill"),
    }
)
"""The same, for verbs."""

TELLING: Final = frozenset(
    {
        *("write", "tell", "ask", "argue", "insist", "allege", "announce", "mention", "explain", "reply", "answer"),
        *("object", "protest", "laugh", "complain", "sing"),
    }
)
"""Verbs of which, without an object, what stands beside them may be the content: "Anne writes. The mill is red."."""

RECURRING: Final = frozenset(
    {
        *("birthday", "anniversary", "holiday", "election", "festival", "feast", "season", "ceremony", "tournament"),
        *("championship", "fair", "sale", "show", "concert", "term", "semester", "shift", "week", "month", "race"),
        *("match", "game", "lesson", "class", "course", "service", "school", "vacation", "carnival", "parade"),
    }
)
"""What comes again, so that two dates do not conflict."""

DATED_ONCE: Final = frozenset(
    {
        *("lease", "contract", "licence", "license", "patent", "mandate", "warranty", "guarantee", "agreement"),
        *("treaty", "loan", "passport", "visa", "permit", "project", "deadline", "bid", "construction", "expiry"),
        *("maturity", "wedding", "funeral", "probation", "tenancy", "mortgage", "policy", "trial"),
    }
)
"""What begins or ends once, so that two dates conflict; a tour, an offer, a season may do so again."""

PLACEHOLDERS: Final = frozenset(
    {
        *("unknown", "anonymous", "none", "tbd", "tba", "unnamed", "various", "undisclosed", "unclear", "vacant"),
        *("null", "na", "undetermined", "unspecified", "confidential"),
    }
)
"""What stands where a name is missing."""

LABELS: Final = frozenset({"version", "edition", "code", "id", "identifier", "isbn", "phone", "address", "serial"})
"""Whose numbers are names: version 3.1 is not version 3.10."""

VERBS_TOO: Final = frozenset({"like", "need", "own"})
"""Reserved words that are plain verbs where a verb stands."""

MEASURING: Final = {"cost": "price", "weigh": "weight", "last": "duration"}
"""Verbs that say a measure: "the mill costs 5 euros"."""

ENDING: Final = frozenset({"begin", "end", "expire", "start"})
"""Verbs of what a thing does once, at a time: "the lease ends on 4 May 2025"."""

MEASURES: Final = frozenset(
    {
        *("height", "length", "width", "depth", "age", "weight", "mass", "thickness", "diameter", "area", "volume"),
        *("capacity", "population", "price", "cost", "value", "speed", "temperature", "distance", "duration", "span"),
    }
)
"""What a thing has exactly one of: "has a height of 12 metres" twice may conflict, "has a bell of 2 tonnes" may not."""

UNIQUE: Final = MEASURES | frozenset(
    {
        *("capital", "mayor", "mother", "father", "owner", "headquarters", "radius", "circumference", "perimeter"),
        *("elevation", "size", "fee", "tax", "toll", "start", "end"),
        *("beginning", "deadline", "share", "power", "roof", "centre", "center", "surface"),
    }
)
"""What a thing has one of, so that two names for it conflict. Of any other noun a thing may have several."""

NAMED: Final = frozenset({"capital", "mayor", "mother", "father", "owner"})
"""Of which a word with a capital is a name: the owner is Low. A size or a surface may be any word: Large, Gravel."""

OF_SOMEONE: Final = frozenset({"mother", "father"})
"""What is one of a person or an animal only: the father of medicine is not."""

AMOUNTS: Final = UNIQUE | frozenset({"deposit", "fine", "wage", "premium", "debt", "charge", "duty", "levy", "total"})
"""Of which a number tells how much: the fee is 5 euros. A code, a room, a score and a result are numbered otherwise."""

COLLECTIVE: Final = frozenset(
    {
        *("police", "staff", "cattle", "family", "team", "crowd", "couple", "crew", "public", "army", "group", "media"),
        *("band", "pair", "jury", "committee", "council", "government", "board", "party", "gang", "audience", "press"),
        *("folk", "youth", "navy", "company", "club", "class", "clergy", "majority", "minority"),
    }
)
"""Which "they" may mean, like a plural."""

BOUNDING: Final = frozenset({"maximum", "minimum", "total"})
"""By which a measure stays one of its kind: the maximum speed."""

_ORIGINS: Final = frozenset(
    {
        *("french", "dutch", "greek", "swiss", "thai", "czech", "welsh", "german", "roman", "norman", "american"),
        *("african", "mexican", "cuban", "tibetan", "moroccan", "arab", "turk", "muslim", "hindu", "sikh", "baroque"),
        *("dane", "swede", "pole", "finn", "croat", "serb", "slovak", "slovene", "afghan", "pakistani", "israeli"),
        *("iraqi", "kuwaiti", "bengali", "nepali", "somali", "filipino", "korean", "puritan", "lutheran", "anglican"),
        *("protestant", "orthodox", "jew", "quaker", "tory", "whig", "labour", "conservative", "liberal", "green"),
        *("private", "public", "foreign", "municipal", "deceased", "dead", "alive", "absent", "missing", "royal"),
        *("republican", "democrat", "mormon", "samaritan", "gothic", "modern", "medieval", "english", "latin"),
    }
)


def names_an_origin(word: str) -> bool:
    """Say whether a capitalised word looks like an adjective (French, Gothic, Victorian) and not like a name."""
    low = word.lower()
    return low in _ORIGINS or low.endswith(("ese", "ish", "ian", "ean", "ic", "ist", "ite"))


_IRREGULAR: Final[dict[str, str]] = {
    "people": "person",
    **dict(
        zip(("men", "women", "children", "mice", "geese"), ("man", "woman", "child", "mouse", "goose"), strict=True)
    ),
    **dict(zip(("feet", "teeth", "oxen", "gases", "lenses"), ("foot", "tooth", "ox", "gas", "lens"), strict=True)),
    **{f"{word}ves": f"{word}f" for word in ("wol", "lea", "cal", "shel", "thie", "el", "hal", "loa")},
    **{f"{word}ves": f"{word}fe" for word in ("kni", "li", "wi")},
    **{f"{word}es": f"{word}is" for word in ("analys", "cris", "thes", "oas")},
    **{f"{word}s": word for word in ("movie", "cookie", "calorie", "shoe", "toe", "canoe", "axe", "cache", "ache")},
    **{f"{word}s": word for word in ("house", "warehouse", "lighthouse", "cause", "clause", "spouse", "fuse", "use")},
    **{word: word for word in ("sheep", "fish", "species", "series", "deer", "aircraft")},
}
_HISSING: Final = ("sses", "shes", "ches", "xes", "zzes", "oes", "uses")
_WHOLE: Final = frozenset(_IRREGULAR.values())


def singular(noun: str) -> str:
    """Return one form for singular and plural of a noun: the singular, with few exceptions (``ruse``: ``rus``)."""
    if noun in _IRREGULAR:
        return _IRREGULAR[noun]
    if noun in _WHOLE:
        return noun
    if _ends_in_plural_s(noun):
        return _without_s(noun)
    return _as_if_cut(noun)


def is_plural(noun: str) -> bool:
    """Say whether a noun looks like a plural."""
    return noun in _IRREGULAR or (noun not in _WHOLE and _ends_in_plural_s(noun))


def base_verb(verb: str) -> str | None:
    """Return the base of a verb in the third person ("feeds" gives "feed"), or ``None`` for another form."""
    if not verb.endswith("s") or verb.endswith("ss") or len(verb) < 3:  # noqa: PLR2004 - "is", "as" are no verbs here
        return None
    return _without_s(verb)


def plain_verb(verb: str) -> str:
    """Return the same form as :func:`base_verb` for a verb without its s ("feed", "cache")."""
    return _as_if_cut(verb)


def is_adverb(word: str) -> bool:
    """Say whether a word looks like an adverb (barely, reportedly): it changes what the rest of the sentence says."""
    return word.endswith("ly") and len(word) > _SHORTEST_ADVERB and word not in _LY_BUT_NO_ADVERB


_SHORTEST_ADVERB: Final = 4
_LY_BUT_NO_ADVERB: Final = frozenset(
    {
        *("friendly", "lonely", "lovely", "ugly", "silly", "holy", "elderly", "deadly", "costly", "lively", "orderly"),
        *("family", "assembly", "supply", "reply", "ally", "rally", "belly", "jelly", "lily", "bully", "butterfly"),
        *("anomaly", "monopoly", "italy", "july", "sicily", "emily", "sally", "molly", "kelly", "billy", "woolly"),
        *("polly", "holly", "beverly", "kimberly", "carly", "shelly", "lilly", "dolly", "willy", "wally", "bradly"),
        *("curly", "hilly", "chilly", "smelly", "ghostly", "comply", "apply", "imply", "multiply", "rely", "dragonfly"),
    }
)


def _ends_in_plural_s(noun: str) -> bool:
    return noun.endswith("s") and not noun.endswith(("ss", "us", "is"))


def _without_s(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("ies") and len(word) > 4:  # noqa: PLR2004 - "lies" and "ties" keep their e
        return word[:-3] + "y"
    return word[:-2] if word.endswith(_HISSING) else word[:-1]


def _as_if_cut(word: str) -> str:
    """Do to a word without its s what :func:`_without_s` does to the same word with it."""
    return word if word in _WHOLE else _without_s(word + "s") if word.endswith("e") else word
