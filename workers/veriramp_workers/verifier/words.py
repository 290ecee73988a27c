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

DISCOURSE: Final = _TAKEN_BACK | frozenset(
    {
        *(
            "true",
            "false",
            "untrue",
            "incorrect",
            "wrong",
            "following",
            "aforementioned",
            "above",
            "below",
            "myth",
            "myths",
        ),
        *("rumour", "rumours", "rumor", "rumors", "fiction", "fictional", "joke", "story", "novel", "claim", "claims"),
        *(
            "kidding",
            "suppose",
            "supposedly",
            "assume",
            "imagine",
            "hypothetical",
            "hypothetically",
            "contrary",
            "hoax",
        ),
        *("opposite", "mistake", "mistaken", "error", "legend", "legends", "lie", "lies", "allegedly", "reportedly"),
    }
)
"""Words by which a sentence that is not understood may take back its neighbours: its whole text is left out."""

POINTERS: Final = PRONOUNS | frozenset(
    {
        *("this", "that", "these", "those", "so", "such", "which", "here", "them", "him", "her", "his", "its", "their"),
        *("none", "neither", "nobody", "nothing", "both", "all", "everything"),
        *("sentence", "sentences", "text", "article", "source", "sources", "facts", "tale", "tales"),
        *("say", "says", "said", "think", "thinks", "thought", "believe", "believes", "believed", "reported"),
    }
)
"""The same: words by which such a sentence may point to its neighbours ("Historians have long doubted this.")."""

CONNECTIVES: Final = frozenset(
    {
        *("and", "or", "but", "if", "then", "however", "later", "yet", "unless", "until", "except"),
        *(
            "although",
            "though",
            "because",
            "when",
            "while",
            "since",
            "at",
            "provided",
            "sometimes",
            "maybe",
            "perhaps",
            "once",
            "formerly",
        ),
        *("now", "today", "only", "not", "nor", "even", "still", "otherwise", "instead", "rather", "before", "after"),
        *("whether", "given", "as", "like", "unlike", "contrary", "despite", "according", "in", "on", "for", "under"),
    }
)
"""The same, where such a sentence begins with them: "But only if the dam is old."."""

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

SEVERAL: Final = frozenset(
    {
        *(
            "sister",
            "brother",
            "sibling",
            "son",
            "daughter",
            "child",
            "grandchild",
            "friend",
            "cousin",
            "aunt",
            "uncle",
        ),
        *(
            "niece",
            "nephew",
            "relative",
            "neighbour",
            "neighbor",
            "colleague",
            "member",
            "employee",
            "student",
            "pupil",
        ),
        *("supporter", "enemy", "rival", "ally", "partner", "author", "editor", "founder", "co-founder", "inventor"),
        *("part", "piece", "example", "kind", "type", "resident", "citizen", "customer", "client", "player", "name"),
        *(
            "nickname",
            "alias",
            "synonym",
            "language",
            "religion",
            "branch",
            "subsidiary",
            "product",
            "tributary",
            "side",
        ),
        *("location", "place", "home", "origin", "birthplace", "residence", "site", "destination", "source", "genre"),
        *("style", "job", "occupation", "profession", "employer", "hobby", "teacher", "parent", "grandparent"),
        *("grandfather", "grandmother", "director", "star", "singer", "sponsor", "architect", "designer", "translator"),
        *("creator", "developer", "producer", "writer", "composer", "winner", "champion", "holder", "recipient"),
        *(
            "supplier",
            "colour",
            "color",
            "material",
            "nationality",
            "subject",
            "topic",
            "theme",
            "guest",
            "speaker",
            "favourite",
        ),
        *(
            "favorite",
            "cause",
            "reason",
            "effect",
            "result",
            "use",
            "feature",
            "symptom",
            "ingredient",
            "city",
            "town",
            "region",
        ),
    }
)
"""What a thing may have several of: "the sister of Anne" is not one person, so two of them do not conflict."""

SHARED: Final = frozenset({"joint", "part", "shared"})
"""By which even what is one becomes several: the joint owner."""

SUPERLATIVES: Final = frozenset(
    {
        *("best", "worst", "first", "second", "third", "last", "next", "same", "one", "tallest", "largest", "biggest"),
        *("smallest", "oldest", "youngest", "longest", "shortest", "highest", "lowest", "deepest", "widest", "fastest"),
        *("slowest", "heaviest", "lightest", "richest", "poorest", "strongest", "weakest", "greatest", "latest"),
        *("newest", "earliest", "nearest", "closest", "easiest", "hardest"),
    }
)
"""Which need a thing: "the tallest" of whom?"""

_ORIGINS: Final = frozenset(
    {
        *("french", "dutch", "greek", "swiss", "thai", "czech", "welsh", "german", "roman", "norman", "american"),
        *("african", "mexican", "cuban", "tibetan", "moroccan", "arab", "turk", "muslim", "hindu", "sikh", "baroque"),
        *("dane", "swede", "pole", "finn", "croat", "serb", "slovak", "slovene", "afghan", "pakistani", "israeli"),
        *("iraqi", "kuwaiti", "bengali", "nepali", "somali", "filipino", "korean", "puritan", "lutheran", "anglican"),
        *("protestant", "orthodox", "jew", "quaker", "tory", "whig", "labour", "conservative", "liberal", "green"),
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
