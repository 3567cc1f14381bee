"""Manifests: JSON Lines files that list videos."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from langchain_videochat.errors import SourceError
from langchain_videochat.media.sources import file_path, is_remote_address

MANIFEST_SUFFIX = ".jsonl"

MAX_LINE_BYTES = 2**20
"""Maximum length of a line: a file of another kind may have no line breaks."""


@dataclass(frozen=True)
class ManifestLine:
    """A line of a manifest that is not empty."""

    name: str
    """Name of the manifest and number of the line, for error messages."""

    content: bytes
    folder: str
    """The folder of the manifest."""

    def source(self) -> str:
        """Return the source that the line names.

        Raises:
            SourceError: The line does not name a video, or the file does not exist.
        """
        advice = 'Write {"source": "talk.mp4"} in one line; other keys are ignored'
        if len(self.content) > MAX_LINE_BYTES:
            raise SourceError(self.name, f"is longer than {MAX_LINE_BYTES:,} bytes", advice)
        try:
            fields = json.loads(self.content)
        except (ValueError, RecursionError) as error:
            raise SourceError(self.name, "is not JSON", advice) from error
        source = fields.get("source") if isinstance(fields, dict) else None
        if not isinstance(source, str) or not source:
            raise SourceError(self.name, 'is not an object with the key "source"', advice)
        return self._check(source)

    def _check(self, source: str) -> str:
        if is_remote_address(source):
            return source
        if not source.lower().startswith("file:"):
            source = os.path.join(self.folder, source)
        path = file_path(source)
        if not os.path.lexists(path):
            raise SourceError(self.name, f"no such file: {path}", "Relative paths start at the manifest's folder")
        if os.path.isdir(path) or is_manifest(path):
            raise SourceError(self.name, f"is not a video: {path}", "List single videos in a manifest")
        return source


def is_manifest(path: str) -> bool:
    """Return whether a file is taken for a manifest: its name ends with ".jsonl".

    Example:
        >>> is_manifest("films.jsonl"), is_manifest("films.mp4")
        (True, False)
    """
    return path.lower().endswith(MANIFEST_SUFFIX)


def read_manifest(path: str) -> Iterator[ManifestLine]:
    """Yield the lines of a manifest, without reading it as a whole.

    Raises:
        SourceError: The file cannot be read.
    """
    folder = os.path.dirname(path)
    try:
        with open(path, "rb") as file:
            for number, content in enumerate(_read_lines(file), start=1):
                if content.strip():
                    yield ManifestLine(f"{path} line {number}", content, folder)
    except OSError as error:
        raise SourceError(path, f"cannot be read ({error.strerror})", "Check the file's permissions") from error


def _read_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield lines, cut off after one byte more than is allowed."""
    read = partial(file.readline, MAX_LINE_BYTES + 1)
    while line := read():
        rest = line
        while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = read()
        yield line
