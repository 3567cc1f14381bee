"""The moments that contain words of a query."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate

from langchain_videochat.store.hits import informative_words, word_weight
from langchain_videochat.store.index_snapshot import IndexSnapshot
from langchain_videochat.store.words import query_words

WORD_BUDGET = 1000
"""Maximum number of matches of all words of a query; the most common words are skipped beyond it."""


@dataclass(frozen=True)
class WordMatches:
    """The moments that contain words of a query."""

    shares: dict[int, float] = field(default_factory=dict)
    """The share of the query that each moment contains, 0 to 1, by its number; rare words make up more of it. Words
    that no moment contains count: a moment that contains one word of a paraphrase has little of the query."""

    weights: dict[str, float] = field(default_factory=dict)
    """The rarer words of the query with their weights."""

    def best(self, numbers: Iterable[int], count: int) -> list[int]:
        """Return the moments among `numbers` that contain most."""
        return sorted(numbers, key=lambda number: (-self.shares[number], number))[:count]


def match_words(index: IndexSnapshot, query: str) -> WordMatches:
    """Find the moments that contain words of a query."""
    size = index.size()
    counts = {word: index.count_phrase(word.phrase, WORD_BUDGET + 1) for word in query_words(query)}
    rarest_first = sorted(counts.items(), key=lambda item: item[1])
    totals = accumulate(count for _, count in rarest_first)
    used = [word for (word, _), total in zip(rarest_first, totals, strict=True) if total <= WORD_BUDGET]
    weights = {word: word_weight(word, counts[word], size) for word in used}
    whole = sum(weights.values())
    shares: defaultdict[int, float] = defaultdict(float)
    for word, weight in weights.items():
        for number in index.find_phrase(word.phrase) if counts[word] else ():
            shares[number] += weight / (whole or 1)
    return WordMatches(dict(shares), informative_words({word: counts[word] for word in used}, size))
