"""Listing the videos of paths, addresses, folders, glob patterns and manifests."""

import glob
import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import groupby
from pathlib import Path

from langchain_videochat.errors import SourceError, VideoChatError
from langchain_videochat.media.manifests import is_manifest, read_manifest
from langchain_videochat.media.sources import (
    VIDEO_SUFFIXES,
    file_path,
    is_remote_address,
    is_web_address,
    missing_file,
    safe_source,
)
from langchain_videochat.media.storage import is_storage_address, iter_storage

logger = logging.getLogger(__name__)

REMEMBERED_SOURCES = 10_000
"""Sources that `iter_sources` compares the next one with, to leave out repeated ones."""

OnSourceError = Callable[[str, VideoChatError], None]
"""Called with a source that cannot be listed, and the reason."""


def list_sources(source: str | Path | Iterable[str | Path]) -> list[str]:
    """List the videos of a source.

    Folders are searched recursively for files with a video suffix, except hidden files and folders. So are glob
    patterns (`**` for any depth), unless a file of exactly that name exists, and prefixes of object stores. A file
    given by name may have any suffix. Web addresses are not contacted.

    A manifest is a file whose name ends with `.jsonl`, with a JSON object in each line: `{"source": "talk.mp4"}`. Its
    sources are paths of files, relative to the folder of the manifest, and addresses; other keys are ignored.

    Args:
        source: A path, an `http:`, `https:` or `file:` address, an address of fsspec such as `s3://films/2024/`, a
            folder, a glob pattern, a manifest, or several of these.

    Returns:
        Paths and addresses in the given order, without duplicates; files of a folder are sorted by name. Each is in
        the form of `safe_source`.

    Raises:
        SourceError: A file does not exist, a folder or pattern contains no video, a line of a manifest is invalid, an
            address of fsspec cannot be opened, or no source is given.

    Example:
        >>> list_sources(["https://example.org/a.mp4", "https://example.org/a.mp4"])
        ['https://example.org/a.mp4']
    """
    found: dict[str, str] = {}
    for name in _iter_all(source, on_error=None):
        found.setdefault(_identity(name), safe_source(name))
    return list(found.values())


def iter_sources(source: str | Path | Iterable[str | Path], *, on_error: OnSourceError | None = None) -> Iterator[str]:
    """Yield the videos of a source one by one: any number of them takes the same memory.

    Folders are read one after the other. The files of each are sorted by name; the folders that match a glob pattern
    are in any order.

    Args:
        source: As for `list_sources`. An iterator is read as far as videos are requested, and may be endless.
        on_error: Called with each item that cannot be listed, for example a line of a manifest, instead of raising the
            error; the others follow.

    Yields:
        Paths and addresses in the form of `safe_source`. One that occurred among the last 10,000 is left out, unless
        `source` is an iterator, which may repeat a file because it has changed.

    Raises:
        SourceError: An item cannot be listed, and there is no `on_error`; see `list_sources`.

    Example:
        >>> list(iter_sources("no such file.mp4", on_error=lambda source, error: print(error.problem)))
        no such file
        []
    """
    names = _iter_all(source, on_error)
    if isinstance(source, str | Path | Collection):
        names = _without_repeated(names)
    yield from map(safe_source, names)


def iter_folder(folder: str, on_folder: Callable[[str], object] = lambda _: None) -> Iterator[str]:
    """Yield the videos in a folder and its subfolders, in the order of their names.

    Hidden files and folders, and symbolic links to folders, are left out. A subfolder that cannot be read is logged.

    Args:
        folder: Path of the folder.
        on_folder: Called with the path of the folder and of each subfolder.
    """
    on_folder(folder)
    try:
        with os.scandir(folder) as entries:
            found = sorted((one.name, one.is_dir(follow_symlinks=False)) for one in entries if _is_listed(one))
    except OSError as error:
        logger.warning("skipping %s: cannot be read (%s)", safe_source(folder), error.strerror)
        return
    for name, is_folder in found:
        path = os.path.join(folder, name)
        if is_folder:
            yield from iter_folder(path, on_folder)
        elif os.path.isfile(path):
            yield path


def _is_listed(entry: os.DirEntry[str]) -> bool:
    """Return whether a folder or file is visible and, unless it is a folder, has the name of a video."""
    if entry.name.startswith("."):
        return False
    return entry.name.lower().endswith(VIDEO_SUFFIXES) or entry.is_dir(follow_symlinks=False)


def _iter_all(source: str | Path | Iterable[str | Path], on_error: OnSourceError | None) -> Iterator[str]:
    given: Iterable[str | Path] = [source] if isinstance(source, str | Path) else source
    is_empty = True
    for item in map(str, given):
        is_empty = False
        try:
            yield from _expand(item, on_error)
        except VideoChatError as error:
            if on_error is None:
                raise
            on_error(safe_source(item), error)
    if is_empty and on_error is None:
        raise SourceError("source", "no video given", "Give a path, an address, a folder or a glob pattern")


def _expand(name: str, on_error: OnSourceError | None) -> Iterator[str]:
    if is_web_address(name):
        yield name
        return
    if is_storage_address(name):
        yield from _not_empty(name, iter_storage(name, VIDEO_SUFFIXES), "no video has this prefix")
        return
    path = file_path(name)
    if os.path.isdir(path):
        yield from _not_empty(name, iter_folder(path), "the folder contains no video")
    elif is_manifest(path) and os.path.isfile(path):
        yield from _not_empty(name, _iter_manifest(path, on_error), "the manifest lists no video")
    elif os.path.lexists(path):
        yield name
    elif glob.has_magic(path):
        yield from _not_empty(name, _iter_pattern(path), "no video matches this pattern")
    else:
        raise missing_file(name)


def _not_empty(name: str, videos: Iterator[str], problem: str) -> Iterator[str]:
    is_empty = True
    for video in videos:
        is_empty = False
        yield video
    if is_empty:
        raise SourceError(name, problem, "Check the path, and give files with unusual suffixes by name")


def _iter_pattern(pattern: str) -> Iterator[str]:
    for _, names in groupby(glob.iglob(pattern, recursive=True), os.path.dirname):
        for name in sorted(names):
            if name.lower().endswith(VIDEO_SUFFIXES) and os.path.isfile(name):
                yield name


def _iter_manifest(path: str, on_error: OnSourceError | None) -> Iterator[str]:
    for line in read_manifest(path):
        try:
            source = line.source()
        except SourceError as error:
            if on_error is None:
                raise
            on_error(safe_source(line.name), error)
        else:
            yield source


def _without_repeated(names: Iterator[str]) -> Iterator[str]:
    seen: OrderedDict[str, None] = OrderedDict()
    for name in names:
        identity = _identity(name)
        if identity in seen:
            continue
        seen[identity] = None
        if len(seen) > REMEMBERED_SOURCES:
            seen.popitem(last=False)
        yield name


def _identity(name: str) -> str:
    return name if is_remote_address(name) else os.path.realpath(file_path(name))
