"""Items that say nearly the same as others, over the whole set."""

from collections.abc import Iterable, Iterator
from itertools import pairwise

from langchain_videochat.instruct.items import Fault, Item
from langchain_videochat.instruct.wording import split_words

ALIKE = 0.8
"""Share of the word triples that two items have in common, of all that either has, from which on one is enough."""

HASHES = 128
"""Of each item. The share is estimated to about 0.04."""


def mark_duplicates(items: Iterable[Item]) -> Iterator[Item]:
    """Find items that say nearly the same as an earlier one, by MinHash.

    Args:
        items: In an order that is always the same, as the first of those that are alike stays.

    Yields:
        The items; those that are too much like another have that as a fault.
    """
    from datasketch import MinHash, MinHashLSH

    kept = MinHashLSH(threshold=ALIKE, num_perm=HASHES)
    hashes: dict[str, MinHash] = {}
    for item in items:
        hashed = MinHash(num_perm=HASHES)
        hashed.update_batch(_triples(item))
        # The index finds candidates, some of them less alike.
        likeness = {other: hashed.jaccard(hashes[other]) for other in sorted(kept.query(hashed))}
        twin = max(likeness, key=lambda other: likeness[other], default=None)
        if twin is not None and likeness[twin] >= ALIKE:
            fault = Fault(gate="duplicate", reason=f"it says nearly the same as {twin}")
            yield item.model_copy(update={"faults": (fault,)})
            continue
        hashes[item.id] = hashed
        kept.insert(item.id, hashed)
        yield item


def _triples(item: Item) -> list[bytes]:
    words = ["", *split_words(" ".join([*item.questions, *item.answers])), ""]
    return [f"{one} {two} {three}".encode() for (one, two), (_, three) in pairwise(pairwise(words))]
