"""The limits of Chroma Cloud, which every store keeps to, and reading within them.

The strictest of the published values: https://docs.trychroma.com/cloud/quotas-limits has been changed several times.
Stores in a directory keep to them too, so that there is one format.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from chromadb import Collection
from langchain_core.utils.iter import batch_iterate

MAX_RECORDS = 300
"""Maximum number of records per call that writes, reads or deletes."""

MAX_DOCUMENT_BYTES = 16_384
"""Maximum size of a document in UTF-8."""

MAX_VALUE_BYTES = 256
"""Maximum size of a metadata value in UTF-8."""

MAX_ID_BYTES = 128
"""Maximum size of the id of a record in UTF-8."""

MAX_PREDICATES = 8
"""Maximum number of comparisons in a filter."""

MAX_LISTED = 100
"""Maximum number of names in a filter, whose size is limited to 4,096 bytes."""


class Row(NamedTuple):
    """A record of a collection."""

    id: str
    document: str | None
    metadata: Mapping[str, Any]


def rows_of(found: Mapping[str, Any]) -> Iterator[Row]:
    """Return the records that Chroma has found, as rows."""
    nothing = [None] * len(found["ids"])
    rows = zip(found["ids"], found["documents"] or nothing, found["metadatas"] or nothing, strict=True)
    return (Row(one, document, metadata or {}) for one, document, metadata in rows)


def read_rows(collection: Collection, ids: Iterable[str]) -> Iterator[Row]:
    """Read the records with these ids that exist, in any order."""
    for batch in batch_iterate(MAX_RECORDS, ids):
        yield from rows_of(collection.get(ids=batch, include=["documents", "metadatas"]))


def scan_rows(collection: Collection, where: Any = None, *, ids_only: bool = False) -> Iterator[Row]:
    """Read all records that match a filter.

    Records that are written meanwhile may be left out. If some are deleted meanwhile, others may be left out too.
    """
    include: Any = [] if ids_only else ["documents", "metadatas"]
    offset = 0
    while True:
        found = collection.get(where=where, limit=MAX_RECORDS, offset=offset, include=include)
        yield from rows_of(found)
        offset += len(found["ids"])
        if len(found["ids"]) < MAX_RECORDS:
            return


def existing_ids(collection: Collection, ids: Iterable[str]) -> list[str]:
    """Return those of some ids for which there is a record."""
    return [one for batch in batch_iterate(MAX_RECORDS, ids) for one in collection.get(ids=batch, include=[])["ids"]]


def delete_records(collection: Collection, ids: Iterable[str]) -> None:
    """Delete the records with these ids that exist."""
    for batch in batch_iterate(MAX_RECORDS, ids):
        collection.delete(ids=batch)


def shorten(text: str, max_bytes: int) -> str:
    """Return a text of at most so many bytes in UTF-8; what is cut off is replaced by an ellipsis.

    Example:
        >>> shorten("whisked eggs", 8), shorten("eggs", 8)
        ('whisk…', 'eggs')
    """
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= max_bytes:
        return text
    return encoded[: max_bytes - len("…".encode())].decode("utf-8", "ignore") + "…"
