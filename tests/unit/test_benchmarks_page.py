"""docs/benchmarks.md is made from measured results and names every bench."""

from __future__ import annotations

from tools import benchmarks_page


def test_the_page_is_what_the_kept_results_say() -> None:
    assert benchmarks_page.PAGE.read_text(encoding="utf-8") == benchmarks_page.render()


def test_every_bench_has_a_section() -> None:
    names = {path.stem.removeprefix("bench_") for path in benchmarks_page.BENCHES.glob("bench_*.py")}
    assert names == set(benchmarks_page.TITLES)
