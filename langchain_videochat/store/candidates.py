"""Candidates of a search: the moments that are scored, because they may be among the best."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from langchain_videochat.store.filters import Filter
from langchain_videochat.store.index_snapshot import IndexSnapshot
from langchain_videochat.store.word_matches import WordMatches

EXACT_LIMIT = 500
"""Up to this many matching moments are all scored; if there are more, candidates are selected first."""

FEW_MATCHES = 10_000
"""If fewer moments match a filter, candidates are selected among these; otherwise among all moments, and filtered
afterwards."""

CANDIDATES = 100
"""Minimum number of nearest vectors whose moments become candidates. Of the best results among 1,400 moments of
hand-written videos, 98.6 % are among the moments of the first 100 vectors."""

FRAME_CANDIDATES = 50
"""The same for frames, which take longer to read. Several frames of a moment usually look alike."""

WORD_CANDIDATES = 20
"""Minimum number of candidates that are chosen because they contain most of the query."""

WIDENING, MAX_WIDENING = 4, 64
"""Least and greatest factor by which the number of vectors grows while too few of their moments match the filter."""

MARGIN = 1.5
"""Factor by which more vectors are found than are expected to be enough."""


@dataclass(frozen=True)
class Neighborhood:
    """The vectors near a query."""

    nearest: Callable[[int, Sequence[int] | None], Collection[int]]
    """Returns the moments of so many nearest vectors, among the moments with these numbers or all."""

    size: int
    """Number of vectors."""

    count: int = CANDIDATES
    """Minimum number of nearest vectors whose moments become candidates."""


class Candidates:
    """Selects candidates among the moments that match a filter.

    Args:
        index: A snapshot of the local index.
        condition: The filter.
        k: Number of moments that are wanted.
    """

    def __init__(self, index: IndexSnapshot, condition: Filter, k: int) -> None:
        self._index = index
        self._condition = condition
        self._k = k
        matching = index.find(condition, EXACT_LIMIT + 1)
        self.every = matching if len(matching) <= EXACT_LIMIT else None
        """All moments that match the filter if they are few, else None."""
        self._among = self.every
        if self.every is None and condition != Filter() and index.count(condition, FEW_MATCHES) < FEW_MATCHES:
            self._among = index.find(condition, FEW_MATCHES)

    def near(self, vectors: Neighborhood) -> Collection[int]:
        """Return moments whose vectors are among the nearest to a query."""
        if self._among is not None:
            return self._widen(
                lambda count: vectors.nearest(count, self._among), vectors, min(self._k, len(self._among))
            )
        if self._condition == Filter():
            return self._widen(lambda count: vectors.nearest(count, None), vectors, self._k)

        def find(count: int) -> Collection[int]:
            return self._index.matching(vectors.nearest(count, None), self._condition)

        return self._widen(find, vectors, max(CANDIDATES // 4, self._k))

    def worded(self, words: WordMatches) -> Collection[int]:
        """Return moments that contain most of a query."""
        count = max(WORD_CANDIDATES, 2 * self._k)
        if self._among is not None:
            return words.best(words.shares.keys() & set(self._among), count)
        if self._condition == Filter():
            return words.best(words.shares, count)
        return self._index.matching(words.best(words.shares, WIDENING * count), self._condition)

    def _widen(self, find: Callable[[int], Collection[int]], vectors: Neighborhood, enough: int) -> Collection[int]:
        """Find moments among more and more of the nearest vectors, until they are enough or all vectors were used."""
        count = max(vectors.count, 2 * self._k)
        while len(found := find(count)) < enough and count <= vectors.size:
            # As many as will probably be enough, if the next ones match the filter as often.
            expected = MARGIN * count * enough // max(len(found), 1)
            count = min(max(WIDENING * count, round(expected)), MAX_WIDENING * count)
        return found
