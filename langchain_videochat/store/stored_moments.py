"""Moments as Chroma stores them: within the limits of Chroma Cloud, and with marks to filter by."""

from collections.abc import Mapping
from typing import Any

from langchain_core.documents import Document

from langchain_videochat.store.quotas import MAX_DOCUMENT_BYTES, MAX_VALUE_BYTES, shorten

_MARK = "modality:"
"""Begins the keys of marks: Chroma cannot search the list of modalities in one value."""

_CUT = "is_cut"
"""Key of the mark of a moment whose text is longer than Chroma stores; all of it is in the pages."""

MAX_KEY_BYTES = 36
"""Maximum size of a metadata key."""

MAX_MARKS = 20
"""Maximum number of marks: records may have 32 metadata values."""


def to_stored(moment: Document) -> Document:
    """Return a moment as it is stored.

    Values that are too long are left out: `source` and `citation`, which readers take from the catalogue. So are the
    last ones of an unusual number of modalities.
    """
    text = shorten(moment.page_content, MAX_DOCUMENT_BYTES)
    names = moment.metadata["modalities"].split(",")
    marks = {mark_of(name): True for name in names[:MAX_MARKS]}
    while len(",".join(names).encode()) > MAX_VALUE_BYTES:
        names.pop()
    values = moment.metadata | {"modalities": ",".join(names)}
    fitting = {key: value for key, value in values.items() if len(str(value).encode()) <= MAX_VALUE_BYTES}
    cut = {} if text == moment.page_content else {_CUT: True}
    return Document(page_content=text, metadata=fitting | marks | cut, id=moment.id)


def from_stored(text: str, metadata: Mapping[str, Any]) -> Document:
    """Return a stored moment without marks."""
    kept = {key: value for key, value in metadata.items() if key != _CUT and not key.startswith(_MARK)}
    return Document(page_content=text, metadata=kept)


def is_cut(metadata: Mapping[str, Any]) -> bool:
    """Return whether the text of a stored moment is longer than what is stored."""
    return _CUT in metadata


def mark_of(modality: str) -> str:
    """Return the key of the mark of moments with observations of a modality.

    Example:
        >>> mark_of("speech")
        'modality:speech'
    """
    return shorten(f"{_MARK}{modality}", MAX_KEY_BYTES)
