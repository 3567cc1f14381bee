"""The records of a catalogue as Chroma stores them.

The sources are in the document, all other fields are a payload in the metadata: that of a video, and how it was made.
Sources and the mark `stale` can therefore be replaced without the rest, which another program may have written since.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_videochat.errors import InputError
from langchain_videochat.store.addresses import VideoSource, dump_sources, load_sources
from langchain_videochat.store.payloads import (
    PART_BYTES,
    SIZE,
    VALUE_KEYS,
    dump_payload,
    from_values,
    load_payload,
    to_values,
)
from langchain_videochat.store.quotas import MAX_DOCUMENT_BYTES, MAX_VALUE_BYTES, Row, shorten

VISIBLE = "complete"
"""False hides a record: the video was removed, or an earlier version was interrupted while it wrote the video."""

CHANGED = "changed"
"""The revision at which a record was changed; earlier versions have not written it."""

REMOVING = "removing"
"""True while the pages and moments of a removed video are being deleted."""

STALE = "stale"

_OLD_FIELDS = {"readable": "decoded_fraction", "lacking": "failures"}
"""Fields by the names under which earlier versions stored them."""

_NOT_FIELDS = {VISIBLE, CHANGED, REMOVING, SIZE, "revision", *VALUE_KEYS}

_OUTDATED = (
    *("profile", "observations", "moments", "pages", "decoded_fraction", "indexed_at", "damage", "failures"),
    *("sidecars", "save_id", "sources", "revision", *_OLD_FIELDS),
)
"""Metadata that earlier versions wrote. Chroma keeps the values of an earlier record unless they are set to None."""

_TEXT_LIMITS = (10_000, 1000, 200)
"""Numbers of bytes to which damage and failures are shortened, until a record fits."""


def dump_record(fields: Mapping[str, Any], sources: Sequence[VideoSource]) -> tuple[str, dict[str, Any]]:
    """Return the document and the metadata of a record; the errors are those of `dump_fitting_sources`."""
    kept = {key: value for key, value in fields.items() if key != STALE}
    dumped = next((one for one in map(dump_payload, _shortened(kept)) if len(one) <= PART_BYTES), "")
    marks = {VISIBLE: True, REMOVING: None, STALE: fields[STALE], SIZE: len(dumped)}
    return dump_fitting_sources(sources), dict.fromkeys(_OUTDATED) | marks | to_values(dumped)


def dump_tombstone(row: Row) -> tuple[str, dict[str, Any]]:
    """Return the document and the metadata that take the place of those of a video that is being removed."""
    return "", dict.fromkeys(row.metadata) | {VISIBLE: False, REMOVING: True}


def load_record(row: Row) -> tuple[dict[str, Any], tuple[VideoSource, ...] | None]:
    """Return the fields and the sources of a record; no sources if an earlier version had only one.

    Raises:
        ValueError: It is damaged.
    """
    if has_old_format(row):
        fields = {_OLD_FIELDS.get(key, key): value for key, value in row.metadata.items() if key not in _NOT_FIELDS}
        sources = fields.pop("sources", None)
        video = {"video": json.loads(row.document or "")}
        return fields | video, None if sources is None else load_sources(sources)
    fields = load_payload(from_values(row.metadata)[: row.metadata[SIZE]])
    return fields | {STALE: bool(row.metadata.get(STALE))}, load_sources(row.document or "")


def has_old_format(row: Row) -> bool:
    """Return whether an earlier version wrote a record: each field was a metadata value, the video the document."""
    return (row.document or "").startswith("{")


def dump_fitting_sources(sources: Sequence[VideoSource]) -> str:
    """Serialize as many sources as a document can hold: the first one, and of the others the latest.

    Raises:
        InputError: The first one is too long.
    """
    kept = [VideoSource(one.address, one.sidecars, shorten(one.title, MAX_VALUE_BYTES)) for one in sources]
    while len(dumped := dump_sources(kept)) > MAX_DOCUMENT_BYTES and len(kept) > 1:
        del kept[1]
    if len(dumped) > MAX_DOCUMENT_BYTES:
        problem = f"its address has {len(sources[0].address):,} characters, which is too long to be stored"
        raise InputError("source", problem, "Move the file, or use a shorter address")
    return dumped


def _shortened(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a record in full, then in shorter and shorter forms."""
    video = fields["video"]
    # The source is among the sources.
    video = video | {"source": "", "title": shorten(video["title"], MAX_VALUE_BYTES)}
    shorter = [
        {**fields, "video": video, **{key: shorten(fields[key], limit) for key in ("damage", "failures")}}
        for limit in _TEXT_LIMITS
    ]
    # Files can declare any number of streams and damaged timestamps.
    return [*shorter, {**shorter[-1], "video": video | {"streams": [], "damage": []}}]
