"""Search quality with the default embedding model."""

from tests.benchmarks.retrieval import measure


def test_search_finds_the_right_moment_in_a_small_collection() -> None:
    targets = [measurement for measurement in measure(scale=0.2).measurements if measurement.target]
    assert len(targets) == 3
    assert [figure for figure in targets if not figure.met] == []
