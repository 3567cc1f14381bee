"""What commands do with the store that they are given."""

from pathlib import Path
from typing import TYPE_CHECKING

from langchain_videochat.errors import InputError

if TYPE_CHECKING:
    from langchain_videochat.store import VideoRecord, VideoTimelineStore


def open_store(folder: Path, *, create: bool = False) -> "VideoTimelineStore":
    """Open the store of a folder.

    Raises:
        InputError: There is none, and `create` is not set.
    """
    from langchain_videochat.store import VideoTimelineStore

    if not create and not folder.is_dir():
        raise InputError("--store", f"there is no store in {folder}", "Make one with `videochat index`")
    return VideoTimelineStore(folder)


def find_video(store: "VideoTimelineStore", name: str) -> "VideoRecord":
    """Find the video that a user means by a path, an id or its beginning, or a title.

    Raises:
        InputError: The store has none such, or several.
    """
    from langchain_videochat.media import video_id

    content = video_id(name) if Path(name).is_file() else None
    found = [
        record for record in store.videos() if name in (record.source, record.title) or content == record.video_id
    ] or [record for record in store.videos() if record.video_id.startswith(name)]
    if len(found) != 1:
        problem = "no video of the store has this path, id or title" if not found else f"{len(found)} videos match"
        raise InputError(name, problem, "Give an id that `videochat videos` lists")
    return found[0]
