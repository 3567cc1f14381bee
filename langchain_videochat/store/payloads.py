"""Payloads: JSON of any size in the metadata of records, in parts that Chroma Cloud accepts.

They are compressed, and in metadata values rather than in documents: for documents, Chroma builds a full-text index
that is several times as large and takes several times as long to write.
"""

import base64
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from chromadb import Collection
from langchain_core.utils.iter import batch_iterate

from langchain_videochat.store.quotas import MAX_RECORDS, MAX_VALUE_BYTES, Row, read_rows

VALUE_KEYS = tuple(f"{number:02d}" for number in range(15))
"""Keys of the metadata values that hold a part of a payload. The metadata of a record may have 4,096 bytes."""

PART_BYTES = MAX_VALUE_BYTES * len(VALUE_KEYS)
"""Size of the part of a payload that one record holds."""

SIZE = "size"
"""Key of the size of a payload in characters. Chroma keeps values of an earlier, longer payload."""


def dump_payload(content: Any) -> str:
    """Convert JSON-serializable content to ASCII characters."""
    return base64.b64encode(zlib.compress(json.dumps(content).encode())).decode("ascii")


def load_payload(dumped: str) -> Any:
    """Convert the output of `dump_payload` back.

    Raises:
        ValueError: It is damaged.
    """
    try:
        return json.loads(zlib.decompress(base64.b64decode(dumped)))
    except zlib.error as error:
        raise ValueError(str(error)) from error


def to_values(part: str) -> dict[str, str]:
    """Split a part of a payload into metadata values.

    Example:
        >>> {key: len(value) for key, value in to_values("x" * 300).items()}
        {'00': 256, '01': 44}
    """
    starts = range(0, len(part), MAX_VALUE_BYTES)
    return {key: part[start : start + MAX_VALUE_BYTES] for key, start in zip(VALUE_KEYS, starts, strict=False)}


def from_values(metadata: Mapping[str, Any]) -> str:
    """Join the metadata values of a part of a payload; there may be more characters than it has."""
    return "".join(str(metadata.get(key, "")) for key in VALUE_KEYS)


def write_payloads(collection: Collection, contents: Iterable[tuple[str, Any]], metadata: Mapping[str, Any]) -> None:
    """Write records with payloads to a collection that is not searched.

    A record has the given id, and the metadata that all have in common. If its payload is large, the parts after the
    first one are in records of their own, whose ids end with "#1", "#2" and so on.
    """
    parts = (part for record_id, content in contents for part in _split(record_id, dump_payload(content)))
    for batch in batch_iterate(MAX_RECORDS, parts):
        collection.upsert(
            ids=[part_id for part_id, _ in batch],
            # Chroma requires embeddings.
            embeddings=np.zeros((len(batch), 1), np.float32),
            metadatas=[{**metadata, **values} for _, values in batch],
        )


def read_payloads(collection: Collection, rows: Iterable[Row]) -> dict[str, Any]:
    """Return the payloads of records, which `write_payloads` has written, by id.

    Payloads of which a part is missing or damaged are left out: they are being written, or were not written whole.
    """
    first = {row.id: row.metadata for row in rows if SIZE in row.metadata}
    others = [part_id for record_id, metadata in first.items() for part_id in _other_ids(record_id, metadata[SIZE])]
    texts = {row.id: from_values(row.metadata) for row in read_rows(collection, others)}
    contents = {}
    for record_id, metadata in first.items():
        size = metadata[SIZE]
        parts = [from_values(metadata), *(texts.get(one, "") for one in _other_ids(record_id, size))]
        try:
            contents[record_id] = load_payload("".join(parts)[:size])
        except ValueError:
            continue
    return contents


def _split(record_id: str, dumped: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield record_id, {SIZE: len(dumped), **to_values(dumped[:PART_BYTES])}
    for number, part_id in enumerate(_other_ids(record_id, len(dumped)), start=1):
        yield part_id, to_values(dumped[number * PART_BYTES : (number + 1) * PART_BYTES])


def _other_ids(record_id: str, size: int) -> list[str]:
    """Return the ids of the parts of a payload after the first one."""
    return [f"{record_id}#{number}" for number in range(1, -(-size // PART_BYTES))]
