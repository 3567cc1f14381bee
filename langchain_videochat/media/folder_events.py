"""Watching a folder: complete new videos, and what was removed."""

import logging
import os
import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from langchain_videochat.errors import SourceError
from langchain_videochat.media.changing_files import SETTLE_SECONDS, ChangingFiles, is_unfinished
from langchain_videochat.media.source_listing import iter_folder
from langchain_videochat.media.sources import VIDEO_SUFFIXES, safe_source
from langchain_videochat.media.subtitles.sidecars import SIDECAR_SUFFIXES

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.2
"""Seconds after which files that may have become complete are checked, if nothing changes."""

POLL_SECONDS = 5.0
"""Seconds between two checks of a folder whose changes the operating system does not report."""

WAIT_SECONDS = 1.0
"""Seconds between two checks for a folder that has vanished."""

_NETWORK = {"9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
"""File systems that do not report the changes that other machines make; so do those of FUSE."""


@dataclass(frozen=True)
class FileAdded:
    """A complete video: it existed when watching began, is new or was renamed, or its content was replaced."""

    path: str


@dataclass(frozen=True)
class PathRemoved:
    """A video, or a folder with all its videos, that no longer exists: it was deleted, renamed or moved away."""

    path: str


@dataclass(frozen=True)
class FolderListed:
    """All videos that existed when watching began have been found. Those that may still be written follow."""

    videos: int
    """Number of videos found; 0 perhaps because the disk of the folder is not mounted."""


FolderEvent = FileAdded | PathRemoved | FolderListed

_Changed = dict[str, bool]
"""Paths that have changed in any way, and whether they are new."""


def watch_sources(
    folder: str | Path, *, stop: threading.Event | None = None, settle_seconds: float = SETTLE_SECONDS
) -> Iterator[FolderEvent]:
    """Yield the videos in a folder and its subfolders, then what changes, until `stop` is set.

    The same files are found as by `list_sources`. A video counts as complete when its size and its time of change have
    stayed the same for some seconds, and its name is not that of an unfinished download. When its subtitle files
    change, it is yielded again. If the folder vanishes, for example because its disk is unmounted, nothing is reported
    as removed: watching begins again when it is back.

    Args:
        folder: The folder.
        stop: Ends the iteration within a second.
        settle_seconds: Seconds in which a new file must not change, and a removed one must not come back.

    Yields:
        An event for each change, after which the next one may be waited for. Between `FolderListed` and the next one,
        nothing is reported twice unless it has changed.

    Raises:
        SourceError: The folder does not exist when watching begins.
        KeyboardInterrupt: Ctrl-C was pressed.

    Example:
        Print the names of new videos:

            for event in watch_sources("talks/"):
                if isinstance(event, FileAdded):
                    print(event.path)
    """
    path = os.path.abspath(folder)
    if not os.path.isdir(path):
        raise SourceError(folder, "no such folder", "Check the path")
    watch = _FolderWatch(path, stop or threading.Event(), settle_seconds)
    while watch.wait_for_folder():
        yield from watch.run()


class _FolderWatch:
    """Watches a folder as long as it exists.

    Args:
        folder: Its absolute path.
        stop: Ends waiting.
        settle_seconds: As for `watch_sources`.
    """

    def __init__(self, folder: str, stop: threading.Event, settle_seconds: float) -> None:
        self._folder = folder
        self._stop = stop
        self._settle_seconds = settle_seconds
        self._polls = _is_on_network(folder)

    def wait_for_folder(self) -> bool:
        """Wait until the folder exists; return False if watching was stopped."""
        while not self._stop.is_set():
            if os.path.isdir(self._folder):
                return True
            self._stop.wait(WAIT_SECONDS)
        return False

    def run(self) -> Iterator[FolderEvent]:
        """Yield the events until the folder vanishes or is replaced, for example by a mounted disk."""
        identity = self._identity()
        changing = ChangingFiles(self._settle_seconds)
        folders: set[str] = set()
        is_listed = False
        with closing(self._changes()) as changes:
            for changed in changes:
                if identity is None or self._identity() != identity:
                    logger.warning("%s has vanished: waiting until it is back", safe_source(self._folder))
                    return
                if not is_listed:
                    # Only now: the operating system reports everything that changes from here on.
                    videos = yield from self._list(changing, folders)
                    if self._identity() != identity:
                        continue
                    yield FolderListed(videos)
                    is_listed = True
                self._note(changed, changing, folders)
                for path in changing.complete():
                    yield FileAdded(path)
                for path in changing.removed():
                    # The events of a disk that is being unmounted come before it is.
                    if self._identity() == identity:
                        yield PathRemoved(path)

    def _list(self, changing: ChangingFiles, folders: set[str]) -> Generator[FolderEvent, None, int]:
        """Yield the complete videos, and return the number of all."""
        videos = 0
        for path in iter_folder(self._folder, folders.add):
            if not is_unfinished(path):
                videos += 1
                if not changing.add_listed(path):
                    yield FileAdded(path)
        return videos

    def _note(self, changed: _Changed, changing: ChangingFiles, folders: set[str]) -> None:
        subtitles = []
        for path, is_new in changed.items():
            if os.path.isdir(path) and not os.path.islink(path):
                # One that was moved here comes with its files. Others change whenever a file in them does.
                for video in iter_folder(path, folders.add) if is_new or path not in folders else ():
                    self._note_video(video, changing)
            elif path.lower().endswith(VIDEO_SUFFIXES):
                self._note_video(path, changing)
            elif path.lower().endswith(SIDECAR_SUFFIXES):
                subtitles.append(path)
            elif path in folders and not os.path.lexists(path):
                folders.discard(path)
                changing.miss(path)
        for video in _videos_beside(subtitles):
            self._note_video(video, changing)

    @staticmethod
    def _note_video(path: str, changing: ChangingFiles) -> None:
        if os.path.isfile(path):
            if not is_unfinished(path):
                changing.add(path)
        elif not os.path.lexists(path):
            changing.miss(path)

    def _changes(self) -> Generator[_Changed]:
        """Yield what has changed, nothing after a moment without changes."""
        try:
            yield from self._watch()
        except (OSError, RuntimeError) as error:  # for example too many folders for the operating system
            if self._polls or not os.path.isdir(self._folder):
                return
            logger.warning("%s: looking for changes every few seconds (%s)", safe_source(self._folder), error)
            self._polls = True

    def _watch(self) -> Iterator[_Changed]:
        import watchfiles

        # Some operating systems report resolved paths.
        real = os.path.realpath(self._folder)
        batches = watchfiles.watch(
            real,
            watch_filter=None,
            stop_event=self._stop,
            rust_timeout=round(TICK_SECONDS * 1000),
            yield_on_timeout=True,
            force_polling=True if self._polls else None,
            poll_delay_ms=round(POLL_SECONDS * 1000),
            ignore_permission_denied=True,
        )
        with closing(batches):
            for batch in batches:
                new = {path for change, path in batch if change == watchfiles.Change.added}
                changed = {os.path.relpath(path, real): path in new for _, path in sorted(batch)}
                yield {
                    os.path.join(self._folder, path): is_new
                    for path, is_new in changed.items()
                    if path != os.curdir and self._is_visible(path)
                }

    def _is_visible(self, relative: str) -> bool:
        """Return whether a path is outside of hidden folders and of links to folders, which are not searched."""
        *parents, _ = parts = relative.split(os.sep)
        if any(part.startswith(".") for part in parts):
            return False
        folders = (os.path.join(self._folder, *parents[: count + 1]) for count in range(len(parents)))
        return not any(os.path.islink(folder) for folder in folders)

    def _identity(self) -> tuple[int, int] | None:
        """Return device and inode of the folder; None if it does not exist."""
        try:
            status = os.stat(self._folder)
        except OSError:
            return None
        return status.st_dev, status.st_ino


def _videos_beside(subtitles: list[str]) -> Iterator[str]:
    """Yield the videos that subtitle files may belong to, whether these exist or not."""
    folders: dict[str, list[str]] = {}
    for path in subtitles:
        folders.setdefault(os.path.dirname(path), []).append(os.path.basename(path).casefold())
    for folder, names in folders.items():
        try:
            entries = os.listdir(folder)
        except OSError:
            continue
        for entry in entries:
            stem = os.path.splitext(entry)[0].casefold()
            if entry.lower().endswith(VIDEO_SUFFIXES) and any(name.startswith(stem) for name in names):
                yield os.path.join(folder, entry)


def _is_on_network(folder: str) -> bool:
    import psutil

    real = os.path.realpath(folder)
    mounts = {one.mountpoint: one.fstype for one in psutil.disk_partitions(all=True)}
    above = [mount for mount in mounts if real == mount or real.startswith(os.path.join(mount, ""))]
    kind = mounts[max(above, key=len)].lower() if above else ""
    return kind in _NETWORK or kind.startswith("fuse.")
