"""Opening stores and looking up videos for the commands."""

from pathlib import Path
from typing import TYPE_CHECKING

from langchain_videochat.errors import InputError

if TYPE_CHECKING:
    from langchain_videochat.store import VideoRecord, VideoTimelineStore


def open_store(
    folder: Path, embedding: str | None = None, *, visual_embedding: str | None = None, create: bool = False
) -> "VideoTimelineStore":
    """Open the store in a folder.

    Raises:
        InputError: There is no store in it, and `create` is false, or the name of an embedding model is unknown.
    """
    from langchain_videochat.store import VideoTimelineStore

    if not create and not folder.is_dir():
        raise InputError("--store", f"there is no store in {folder}", "Create one with `videochat index`")
    return VideoTimelineStore(folder, embedding=embedding, visual_embedding=visual_embedding)


def find_video(store: "VideoTimelineStore", name: str) -> "VideoRecord":
    """Find a video by path, content, title, id or the beginning of its id.

    Raises:
        InputError: No video matches, or several do.
    """
    from langchain_videochat.media import video_id
    from langchain_videochat.media.sources import absolute_source

    source = absolute_source(name)
    content = video_id(name) if Path(name).is_file() else None
    found = [
        record
        for record in store.videos()
        if name == record.title or source in [one.address for one in record.sources] or content == record.video_id
    ] or [record for record in store.videos() if record.video_id.startswith(name)]
    if len(found) != 1:
        problem = f"{len(found)} videos match" if found else "no video in the store has this path, title or id"
        raise InputError(name, problem, "Pass an id from `videochat videos`")
    return found[0]


def find_source(video: str, store: Path) -> str:
    """Return the source of a video: a file, also if it is not in the store, or else a video of the store.

    Raises:
        InputError: There is no such file, and no video matches, or several do.
    """
    return video if Path(video).is_file() else find_video(open_store(store), video).source
