"""Whether search finds what is asked for, with the embedding model that everybody starts with."""

from tests.benchmarks.retrieval import measure


def test_the_right_moment_is_found_in_a_small_collection() -> None:
    aimed = [figure for figure in measure(scale=0.2).figures if figure.target]
    assert len(aimed) == 3
    assert [figure for figure in aimed if not figure.met] == []
