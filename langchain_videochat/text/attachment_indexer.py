"""Indexing the videos of messages, and saving those that come as data."""

import base64
import binascii
import hashlib
import mimetypes
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from langchain_core.messages import ToolCall
from langchain_core.tools import ToolException

from langchain_videochat.errors import InputError, SourceError, VideoChatError
from langchain_videochat.media import video_id
from langchain_videochat.media.sources import absolute_source, file_path, is_web_address, safe_file_name
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.text.agent_files import AgentFiles
from langchain_videochat.text.attachments import Attachment
from langchain_videochat.text.tools import IndexVideoTool
from langchain_videochat.text.video_overviews import VideoOverview, explain_failure, make_overview


class AttachmentIndexer:
    """Makes overviews of the videos of messages, and indexes those that are not stored yet.

    Args:
        store: The store that videos are added to.
        files: The files that may be opened. Data of videos are saved in its folder, so that frames can be viewed.
        profile: Perception models to use.
    """

    def __init__(self, store: VideoTimelineStore, files: AgentFiles, profile: str | Path) -> None:
        self._store = store
        self._files = files
        self._index_video = IndexVideoTool(store=store, files=files, profile=profile, handle_tool_error=False)
        self._uploading = threading.Lock()

    def resolve(self, name: str) -> str | None:
        """Return the source of the video that a path in a tool's result refers to; None if there is none.

        deepagents writes paths as if the folder were the root: "/talk.mp4".
        """
        if self._files.root is None:
            with suppress(VideoChatError):
                return name if self._stored(_location(name)) else None
            return None
        for path in (name, name.lstrip("/")):
            with suppress(SourceError):
                file = self._files.locate(path)
                if os.path.isfile(file):
                    return str(file)
        return None

    def overview(self, key: str, attachment: Attachment) -> VideoOverview:
        """Return an overview of a video, or an explanation if it cannot be opened.

        In a graph, progress is streamed as by the tool `index_video`.

        Args:
            key: Identifies the video in traces.
            attachment: The video.
        """
        try:
            if attachment.data:
                return self._index_data(key, attachment)
            if not attachment.source:
                raise InputError("video", "has neither a url nor base64 data", "Ask the user to attach the file itself")
            source = _location(attachment.source)
            stored = self._stored(source)
            return self._index(key, source) if stored is None else self._read(stored)
        except VideoChatError as error:
            return explain_failure(error)
        except ToolException as error:
            if not isinstance(error.__cause__, VideoChatError):
                raise
            return explain_failure(error.__cause__)

    def _stored(self, source: str) -> str | None:
        """Return the id of a video that is stored under an address, if there is no file to compare with."""
        if self._files.root is not None and not is_web_address(source):
            return None
        address, videos = absolute_source(source), self._store.videos()
        return next((one.video_id for one in videos if address in {each.address for each in one.sources}), None)

    def _index(self, key: str, source: str) -> VideoOverview:
        call = ToolCall(name=self._index_video.name, args={"source": source}, id=key, type="tool_call")
        result = self._index_video.invoke(call)
        return self._read(result.artifact["video_id"], result.artifact["problems"])

    def _index_data(self, key: str, attachment: Attachment) -> VideoOverview:
        try:
            data = base64.b64decode(attachment.data)
        except binascii.Error as error:
            raise InputError("video", f"is not valid base64 ({error})", "Ask the user to attach it again") from error
        content_id = hashlib.sha256(data).hexdigest()[:16]
        # Concurrent conversations may bring the same video: the second one finds it stored.
        with self._uploading:
            if any(one.video_id == content_id for one in self._store.videos()):
                return self._read(content_id)
            if self._files.root is None:
                advice = "Tell the user that the middleware needs a root_dir to keep it in"
                raise SourceError("video", "is not stored, and cannot be saved", advice)
            target = self._files.locate(_file_name(attachment, content_id))
            # A run may have been killed after saving it.
            if target.exists() and video_id(target) == content_id:
                return self._index(key, str(target))
            with self._files.create(target) as path:
                path.write_bytes(data)
                overview = self._index(key, str(target))
        return overview

    def _read(self, content_id: str, problems: Sequence[str] = ()) -> VideoOverview:
        return make_overview(self._store.timeline(content_id), problems)


def _location(source: str) -> str:
    """Return the path of a `file:` address; anything else stays as it is."""
    return source if is_web_address(source) else file_path(source)


def _file_name(attachment: Attachment, content_id: str) -> str:
    suffix = mimetypes.guess_extension(attachment.mime_type) or ".mp4"
    return f"{safe_file_name(Path(attachment.filename or 'video').stem)}-{content_id}{suffix}"
