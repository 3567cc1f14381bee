"""Opening stores and looking up videos for the commands."""

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from langchain_videochat.errors import InputError

if TYPE_CHECKING:
    from langchain_videochat.store import VideoRecord, VideoTimelineStore


def open_store(
    place: str, embedding: str | None = None, *, visual_embedding: str | None = None, create: bool = False
) -> "VideoTimelineStore":
    """Open a store, given its folder or its address on a Chroma server.

    Raises:
        InputError: There is no store in the folder, and `create` is false, or the name of an embedding model is
            unknown.
        StoreError: The server does not answer.
    """
    from langchain_videochat.store import VideoTimelineStore

    if not create and not is_on_server(place) and not Path(place).is_dir():
        raise InputError("--store", f"there is no store in {place}", "Create one with `videochat index`")
    config = _server(place) if is_on_server(place) else {"persist_directory": place}
    return VideoTimelineStore.from_config({**config, "embedding": embedding, "visual_embedding": visual_embedding})


def is_on_server(place: str) -> bool:
    """Return whether a store is given by its address on a Chroma server.

    Example:
        >>> is_on_server("http://localhost:8000/films"), is_on_server("films")
        (True, False)
    """
    return place.startswith(("http://", "https://"))


def _server(address: str) -> dict[str, Any]:
    """Return the configuration of a store on a Chroma server."""
    parts = urlsplit(address)
    is_safe = parts.scheme == "https"
    try:
        port = parts.port or (443 if is_safe else 8000)
    except ValueError as error:
        raise InputError("--store", f"{address} has no valid port", "Write http://HOST:PORT/COLLECTION") from error
    if not parts.hostname or parts.username is not None:
        advice = "Write http://HOST:PORT/COLLECTION; open a server that requires a login in Python"
        raise InputError("--store", "is not the address of a Chroma server without login", advice)
    server = {"host": parts.hostname, "port": port, "ssl": is_safe}
    return {"server": server, "collection_name": parts.path.strip("/") or "videos"}


def absolute_store(place: str) -> str:
    """Return the folder or the address of a store, for programs with another current folder."""
    return place if is_on_server(place) else str(Path(place).absolute())


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


def find_source(video: str, store: str) -> str:
    """Return the source of a video: a file, also if it is not in the store, or else a video of the store.

    Raises:
        InputError: There is no such file, and no video matches, or several do.
    """
    return video if Path(video).is_file() else find_video(open_store(store), video).source
