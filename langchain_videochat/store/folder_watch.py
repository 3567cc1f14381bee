"""Keeping a store up to date with a folder: the videos to index as they appear, and the removal of those deleted."""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from langchain_videochat.errors import StoreError, VideoChatError
from langchain_videochat.media import probe, video_id
from langchain_videochat.media.changing_files import SETTLE_SECONDS
from langchain_videochat.media.folder_events import FileAdded, FolderListed, PathRemoved, watch_sources
from langchain_videochat.media.source_listing import iter_folder
from langchain_videochat.media.sources import file_path, is_remote_address, safe_source
from langchain_videochat.media.subtitles.sidecar_fingerprint import sidecar_fingerprint
from langchain_videochat.store.addresses import VideoSource
from langchain_videochat.store.catalogue import VideoRecord
from langchain_videochat.store.indexing.planning import record_source
from langchain_videochat.store.local_index import LocalIndex
from langchain_videochat.store.saving import StoreCollections, remove

logger = logging.getLogger(__name__)


def watch_folder(
    collections: StoreCollections,
    index: LocalIndex,
    folder: str | Path,
    *,
    errors: Callable[[], AbstractContextManager[None]],
    stop: threading.Event | None = None,
    settle_seconds: float = SETTLE_SECONDS,
    on_removed: Callable[[VideoRecord], None] = lambda _: None,
) -> Iterator[str]:
    """Yield the videos of a folder to index, as they appear, and remove the deleted ones from the store.

    A video is removed if all its recorded sources are in the folder and none of them exists with its content any more.
    A renamed file is the same video: its new path is recorded. What was deleted and renamed while nobody watched is
    found when the folder has been listed once. If no video is left in it by then, its disk may not be mounted, and
    nothing is removed.

    Args:
        collections: The store.
        index: Knows the content of the files on this machine.
        folder: The folder.
        errors: Provides a context in which the store may be used, and which converts its errors to a StoreError.
        stop: Ends the iteration.
        settle_seconds: As for `watch_sources`.
        on_removed: Called with the record of each video that was removed.

    Yields:
        Paths in the form of `safe_source`; a path occurs again when its file or its subtitle files have changed. The
        iterator blocks until a file is complete.

    Raises:
        SourceError: The folder does not exist when watching begins.
    """
    keeper = _Keeper(collections, index, os.path.abspath(folder), errors, on_removed)
    for event in watch_sources(folder, stop=stop, settle_seconds=settle_seconds):
        if isinstance(event, FileAdded):
            keeper.check_content(event.path)
            yield safe_source(event.path)
        elif isinstance(event, PathRemoved):
            keeper.remove_missing({event.path})
        else:
            keeper.check_folder(event)


@dataclass
class _Keeper:
    """Removes the videos whose files in a folder are gone."""

    collections: StoreCollections
    index: LocalIndex
    folder: str
    errors: Callable[[], AbstractContextManager[None]]
    on_removed: Callable[[VideoRecord], None]
    missing: set[str] = field(default_factory=set)
    """Paths whose videos are still to be removed, because the store could not be used."""

    def check_content(self, path: str) -> None:
        """Remove the video that was in a file, if its content was replaced."""
        try:
            status = os.stat(path)
            with self.errors():
                known = self.index.last_content(Path(path))
                is_same = self.index.find_file(Path(path), status.st_size, status.st_mtime_ns) is not None
            if known is not None and not is_same and self._identify(path) != known.video_id:
                self.remove_missing({path})
        except (VideoChatError, OSError) as error:
            logger.warning("%s: %s", safe_source(path), error)  # the indexer reports what is wrong with the file

    def check_folder(self, event: FolderListed) -> None:
        """Remove what was deleted while the folder was not watched."""
        if event.videos:
            self.remove_missing({self.folder})
            return
        try:
            with self.errors():
                is_expected = any(self._is_inside(one) for record in self._records() for one in record.sources)
        except StoreError as error:
            logger.warning("%s", error)
            return
        if is_expected:
            place = safe_source(self.folder)
            logger.warning("%s holds no videos any more: nothing is removed, in case its disk is not mounted", place)

    def remove_missing(self, paths: set[str]) -> None:
        """Remove the videos that were at these paths, or below them, unless a file with their content is found."""
        self.missing |= paths
        identity = _identity(self.folder)
        try:
            with self.errors():
                gone = {one.video_id: one for one in self._records() if self._is_below(one) and self._is_gone(one)}
                if gone:
                    self._find_renamed(gone)
                for record in gone.values():
                    # Another program may have recorded a new source, and the disk may have been unmounted meanwhile.
                    latest = self.collections.catalogue.get(record.video_id)
                    if latest is not None and self._is_gone(latest) and _identity(self.folder) == identity:
                        remove(self.collections, latest.video_id)
                        logger.info("removed %s (%s): its file is gone", latest.title, latest.video_id)
                        self.on_removed(latest)
            self.missing.clear()
        except StoreError as error:
            logger.warning("deleted videos are removed later: %s", error)

    def _records(self) -> list[VideoRecord]:
        return self.collections.catalogue.all()

    def _is_below(self, record: VideoRecord) -> bool:
        """Return whether one of the missing paths concerns a video."""
        return any(_contains(path, _path(one)) for path in self.missing for one in record.sources)

    def _is_inside(self, source: VideoSource) -> bool:
        return _contains(self.folder, _path(source))

    def _is_gone(self, record: VideoRecord) -> bool:
        return all(self._is_inside(one) and not self._is_at(record.video_id, one) for one in record.sources)

    def _is_at(self, content_id: str, source: VideoSource) -> bool:
        """Return whether a video is still in one of its files, as far as this can be known."""
        try:
            os.stat(_path(source) or "")
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True  # A server that does not answer has not deleted its files.
        return self.index.has_video(content_id, source.address)

    def _find_renamed(self, gone: dict[str, VideoRecord]) -> None:
        """Record the new paths of videos, and drop them from `gone`; only files of their sizes are read."""
        sizes = {size for record in gone.values() for size in self._sizes(record)}
        for path in iter_folder(self.folder):
            if not gone:
                return
            try:
                size, content = self._known_content(path)
                if content is None and (size in sizes or None in sizes):
                    content = self._identify(path)
                record = gone.get(content or "")
                if record is not None:
                    source = VideoSource.of(path, sidecar_fingerprint(Path(path)))
                    record_source(self.collections.catalogue, self.index, record, source, probe(path).title)
                    del gone[record.video_id]
            except StoreError:
                raise
            except (VideoChatError, OSError) as error:
                logger.debug("%s: %s", safe_source(path), error)

    def _sizes(self, record: VideoRecord) -> Iterator[int | None]:
        """Yield the size that a video's file had; None if it is unknown, so that it may be any."""
        known = (self.index.last_content(Path(_path(one) or "")) for one in record.sources)
        sizes = [one.size for one in known if one is not None and one.video_id == record.video_id]
        yield from sizes
        if not sizes:
            yield None

    def _known_content(self, path: str) -> tuple[int, str | None]:
        """Return the size of a file, and the id of its video if it has not changed since it was last read."""
        status = os.stat(path)
        return status.st_size, self.index.find_file(Path(path), status.st_size, status.st_mtime_ns)

    def _identify(self, path: str) -> str:
        """Read a file, and remember its content, so that it is not read again to index it."""
        status = os.stat(path)
        content = video_id(path)
        self.index.remember_file(Path(path), status.st_size, status.st_mtime_ns, content)
        return content


def _path(source: VideoSource) -> str | None:
    """Return the path of a source; None if it is not a file."""
    return None if is_remote_address(source.address) else file_path(source.address)


def _contains(folder: str, path: str | None) -> bool:
    return path is not None and (path == folder or path.startswith(os.path.join(folder, "")))


def _identity(folder: str) -> tuple[int, int] | None:
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino
