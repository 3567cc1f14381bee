"""Counts the writes of this process to each collection, so that its searches can see all of them."""

import threading
from collections import Counter
from uuid import UUID

_LOCK = threading.Lock()
_WRITES: Counter[UUID] = Counter()


def count_write(collection: UUID) -> None:
    """Record that this process has written to a collection."""
    with _LOCK:
        _WRITES[collection] += 1


def writes(collection: UUID) -> int:
    """Return how often this process has written to a collection."""
    return _WRITES[collection]
