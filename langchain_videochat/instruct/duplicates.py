"""Near-duplicate detection over a whole dataset.

Near-duplicates are marked at export, in the order of item identifiers: which one is kept must not depend on which was
finished first.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise

from langchain_videochat.instruct.items import GateFailure, InstructionItem
from langchain_videochat.instruct.sentences import split_words

MIN_SIMILARITY = 0.8
"""Jaccard similarity of the word trigrams of two items above which one of them is a duplicate."""

NUM_HASHES = 128
"""MinHash permutations. They estimate the similarity to about 0.04."""


def mark_duplicates(items: Iterable[InstructionItem]) -> Iterator[InstructionItem]:
    """Mark items that are nearly the same as an earlier one, by MinHash.

    Args:
        items: Items in a reproducible order: the first of several near-duplicates is kept.

    Yields:
        The items; duplicates have a GateFailure.
    """
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=MIN_SIMILARITY, num_perm=NUM_HASHES)
    hashes: dict[str, MinHash] = {}
    for item in items:
        minhash = MinHash(num_perm=NUM_HASHES)
        minhash.update_batch(_trigrams(item))
        # The index returns candidates, some of them below the threshold.
        similarities = {other: minhash.jaccard(hashes[other]) for other in sorted(index.query(minhash))}
        nearest = max(similarities, key=lambda other: similarities[other], default=None)
        if nearest is not None and similarities[nearest] >= MIN_SIMILARITY:
            failure = GateFailure(gate="duplicate", reason=f"it is nearly the same as {nearest}")
            yield item.model_copy(update={"failures": (failure,)})
            continue
        hashes[item.id] = minhash
        index.insert(item.id, minhash)
        yield item


def _trigrams(item: InstructionItem) -> list[bytes]:
    words = ["", *split_words(" ".join([*item.questions, *item.answers])), ""]
    return [f"{one} {two} {three}".encode() for (one, two), (_, three) in pairwise(pairwise(words))]
