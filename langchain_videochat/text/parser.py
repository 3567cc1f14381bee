"""VideoChat-Text as a LangChain blob parser."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from langchain_core.document_loaders import BaseBlobParser
from langchain_core.documents import Document
from langchain_core.documents.base import Blob

from langchain_videochat.errors import SourceError
from langchain_videochat.media import probe, video_id
from langchain_videochat.perception import PerceptionCallbacks, perceive
from langchain_videochat.timeline import Granularity, Timeline
from langchain_videochat.utils.progress import video_progress


class VideoChatTextParser(BaseBlobParser):
    """Turn the bytes or the file of a video into timestamped Documents (VideoChat-Text, paper 3.1).

    Args:
        profile: Which models look and listen; "lite" needs no downloaded weights, a YAML file names your own.
        granularity: One Document an "observation", yielded while the video is still being read, or one a "moment",
            which holds everything about a scene and suits retrieval.
        start: Seconds at which to begin; the start of the video if None.
        end: Seconds, not included, at which to end; the end of the video if None.
        show_progress: Show a bar with the time left on the error stream.

    Example:
        >>> from langchain_core.documents.base import Blob
        >>> parser = VideoChatTextParser(profile="lite")
        >>> for document in parser.lazy_parse(Blob.from_path("talk.mp4")):  # doctest: +SKIP
        ...     print(document.metadata["start"], document.page_content)
    """

    def __init__(
        self,
        *,
        profile: str | Path = "standard",
        granularity: Granularity = "observation",
        start: float | None = None,
        end: float | None = None,
        show_progress: bool = False,
    ) -> None:
        self.profile = profile
        self.granularity = granularity
        self.start = start
        self.end = end
        self.show_progress = show_progress

    def lazy_parse(self, blob: Blob) -> Iterator[Document]:
        """Yield the Documents of one video in the order of their starts.

        Raises:
            SourceError: The blob has neither bytes nor a file.
            MediaError: It is no video.
            ModelUnavailableError: A model of the profile cannot be had.
            InputError: The profile, the granularity or the times make no sense.
        """
        with _file_of(blob) as path:
            video = replace(probe(path), source=str(blob.source or path))
            content = video_id(path)
            end = video.duration if self.end is None else min(self.end, video.duration)
            with video_progress(video.title, end, show=self.show_progress) as on_progress:
                listener = PerceptionCallbacks(on_progress)
                seen = perceive(path, self.profile, start=self.start, end=self.end, listener=listener)
                if self.granularity == "moment":
                    yield from Timeline.of(video, content, seen).to_documents("moment")
                    return
                for observation in seen:
                    yield from Timeline(video, content, (observation,)).to_documents(self.granularity)


@contextmanager
def _file_of(blob: Blob) -> Iterator[Path]:
    if blob.data is None:
        if blob.path is None:
            raise SourceError("blob", "it has neither data nor a path", "Make it with Blob.from_path or Blob.from_data")
        yield Path(blob.path)
        return
    with tempfile.TemporaryDirectory(prefix="videochat-") as folder:
        path = Path(folder, Path(blob.source or "video").name)
        path.write_bytes(blob.as_bytes())
        yield path
