"""How often the embedded verifier is right, abstains or is wrong, and what one verdict costs.

Sets with known answers: ProofWriter (facts and rules, open world, depth 5) and ProntoQA (chains of invented nouns),
read from `VERIRAMP_DATA`; our own labelled texts with every verdict (`tests/data/verifier/labelled.jsonl`). *Abstained*
counts `not_formalisable`, `too_hard` and `inconsistent` where another verdict was right. ProofWriter's labels come from
forward chaining; what follows only by contraposition or from cases is *unknown* there and `entailed` here. Free English
(`free.jsonl` and `attacks.jsonl` in the same folder, and mutations of the sets) is text that the verifier cannot read,
or of which a careless reading would be decided: the bar for a false `entailed` or `contradicted` there is 0. CPU time
of one question is that of one process, premises included.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.bench import report
from tests.bench.puzzles import rows_of
from tests.bench.report import Figure, percentile, say
from tests.support.english import ATTACKS, FREE, LABELLED, Labelled, labelled, mutated
from veriramp_sdk.events import Verdict
from veriramp_workers.ports import Question
from veriramp_workers.verifier import judge
from veriramp_workers.verifier.english import formalise, sentences

BAR: Final = 97.0
DECISIVE: Final = frozenset({Verdict.ENTAILED, Verdict.CONTRADICTED})
ABSTAINED: Final = frozenset({Verdict.NOT_FORMALISABLE, Verdict.TOO_HARD, Verdict.INCONSISTENT})


@dataclass(frozen=True)
class Score:
    """What came out for a set of questions; the times are in milliseconds of CPU."""

    outcomes: Counter[str]
    false_decisive: int
    took: tuple[float, ...]

    @property
    def correct(self) -> float:
        return 100.0 * self.outcomes["correct"] / max(1, self.outcomes.total())


def score(rows: list[Labelled]) -> Score:
    """Judge every row; what is wrong is told."""
    outcomes: Counter[str] = Counter()
    took = []
    false_decisive = 0
    for row in rows:
        before = time.thread_time()
        judgement = judge(row.question)
        took.append((time.thread_time() - before) * 1e3)
        outcome = "correct" if judgement.verdict in row.expected else _other(judgement.verdict)
        outcomes[outcome] += 1
        false_decisive += judgement.verdict in DECISIVE - row.expected
        if outcome == "wrong":
            say(f"{row.id}: {judgement.verdict.value}, not {row.expected_names}: {judgement.reason}")
    return Score(outcomes, false_decisive, tuple(took))


def _other(verdict: Verdict) -> str:
    return "abstained" if verdict in ABSTAINED else "wrong"


def puzzles(name: str) -> Iterator[Labelled]:
    """The rows of one set from outside; none when it is not there."""
    for row in rows_of(name):
        yield Labelled(row["id"], Question(row["claim"], (row["premises"],)), frozenset({Verdict(row["expected"])}))


def figures_of(title: str, rows: list[Labelled]) -> Iterator[Figure]:
    """The figures of one set with known answers."""
    if not rows:
        return
    found = score(rows)
    yield report.at_least(f"{title}: correct", found.correct, "%", BAR)
    for outcome in ("abstained", "wrong"):
        yield report.stated(f"{title}: {outcome}", 100.0 * found.outcomes[outcome] / len(rows), "%")
    yield report.stated(f"{title}: entailed or contradicted against the label", found.false_decisive, "texts")
    yield report.stated(f"{title}: one question, p50", percentile(found.took, 0.5), "ms CPU")
    yield report.stated(f"{title}: one question, p99", percentile(found.took, 0.99), "ms CPU")


def reading(rows: list[Labelled]) -> Figure:
    """CPU time of reading a sentence that was not read before."""
    told = [one for row in rows for text in (row.question.text, *row.question.premises) for one in sentences(text)]
    before = time.thread_time()
    for sentence in told:
        formalise(sentence, premise=True)
    return report.stated("reading one sentence", (time.thread_time() - before) / len(told) * 1e6, "us CPU")


def main() -> None:
    """Measure and write build/bench/verifier.json."""
    sets = {"ProofWriter": list(puzzles("proofwriter")), "ProntoQA": list(puzzles("prontoqa"))}
    outside = [row for rows in sets.values() for row in rows]
    sets["own labelled texts"] = labelled(LABELLED)
    figures = [figure for title, rows in sets.items() for figure in figures_of(title, rows)]
    free = [*labelled(FREE), *labelled(ATTACKS), *mutated(outside, seed=1)]
    false = score(free).false_decisive
    figures.append(report.at_most("free English: false entailed or contradicted", false, "texts", 0))
    if outside:
        figures.append(reading(outside))
    sizes = {**{name: len(rows) for name, rows in sets.items()}, "free English": len(free)}
    report.write("verifier", figures, {name: f"{size} questions" for name, size in sizes.items()})


if __name__ == "__main__":
    main()
