"""Open files, reached through links in a private folder: they stay the same, whatever happens to their names.

A path is looked up again each time it is opened, so that a folder which was checked can be replaced by a link before it
is used. A descriptor is not; Linux gives it a path of its own, which other processes of the user can open, too.
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PROCESS = Path("/proc/self")

CAN_HOLD = hasattr(os, "O_PATH") and (_PROCESS / "fd").is_dir()
"""Whether this system gives open files a path of their own: Linux does, others do not."""


@dataclass(frozen=True)
class HeldFile:
    """An open file or folder."""

    descriptor: int

    @property
    def path(self) -> Path:
        """A path by which this file can be opened as long as it is held, in other processes, too."""
        return _PROCESS.resolve() / "fd" / str(self.descriptor)

    @property
    def place(self) -> Path:
        """Where the file is, without links."""
        return Path(os.readlink(self.path))

    @property
    def is_regular(self) -> bool:
        """Whether it is neither a folder nor a device."""
        return stat.S_ISREG(os.fstat(self.descriptor).st_mode)


@contextmanager
def hold(path: Path) -> Iterator[HeldFile]:
    """Find a file or folder and hold it, without opening it for reading: that would wait for a pipe, or start a device.

    Raises:
        OSError: It does not exist.
    """
    descriptor = os.open(path, os.O_PATH)
    try:
        yield HeldFile(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def link_folder() -> Iterator[Path]:
    """Create a private folder, which is removed at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="videochat-") as folder:
        yield Path(os.path.realpath(folder))


@contextmanager
def writable_path(descriptor: int, name: str) -> Iterator[Path]:
    """Provide a path to write to an open file, under a name of its own.

    Where open files have no path, what was written is copied into the file at the end of the block.
    """
    with link_folder() as folder:
        path = folder / name
        if CAN_HOLD:
            path.symlink_to(HeldFile(descriptor).path)
            yield path
            return
        yield path
        with path.open("rb") as written, os.fdopen(os.dup(descriptor), "wb") as file:
            shutil.copyfileobj(written, file)
