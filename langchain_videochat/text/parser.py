"""VideoChat-Text as a LangChain blob parser."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from langchain_core.document_loaders import BaseBlobParser
from langchain_core.documents import Document
from langchain_core.documents.base import Blob

from langchain_videochat.errors import SourceError
from langchain_videochat.media import Damage, VideoInfo, probe, sum_damage, video_id
from langchain_videochat.media.sources import absolute_source
from langchain_videochat.perception import PerceptionCallbacks, perceive
from langchain_videochat.timeline import Granularity, Timeline
from langchain_videochat.timeline.documents import check_granularity, observation_documents
from langchain_videochat.utils.progress import video_progress

logger = logging.getLogger(__name__)


class VideoChatTextParser(BaseBlobParser):
    """Parse a video into timestamped Documents (VideoChat-Text, paper 3.1).

    Args:
        profile: Perception models to use: "lite" (no downloads), "talk", "standard", "full", or a YAML file.
        granularity: One Document per "observation", yielded while the video is being processed, or per "moment": a
            scene with all its observations, which suits retrieval.
        start: Where to start, in seconds; the start of the video if None.
        end: Where to end, in seconds, not included; the end of the video if None.
        show_progress: Show a progress bar on standard error.

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
        """Yield the Documents of a video in the order of their start times.

        What could not be read of the file is logged as warnings.

        Raises:
            SourceError: The blob has neither data nor a path.
            MediaError: The blob is not a readable video.
            ModelUnavailableError: A model of the profile is not available.
            InputError: The profile, the granularity or the time range is invalid.
        """
        check_granularity(self.granularity)
        with _blob_file(blob) as path:
            video = replace(probe(path), source=_source(blob, path))
            content_id = video_id(path)
            end = video.duration if self.end is None else min(self.end, video.duration)
            with video_progress(video.title, end, show=self.show_progress) as on_progress, _log_damage(video) as damage:
                callbacks = PerceptionCallbacks(on_progress, damage.append)
                observations = perceive(path, self.profile, start=self.start, end=self.end, callbacks=callbacks)
                if self.granularity == "moment":
                    yield from Timeline.of(video, content_id, observations).to_documents("moment")
                    return
                yield from observation_documents(video, content_id, observations)


@contextmanager
def _log_damage(video: VideoInfo) -> Iterator[list[Damage]]:
    """Collect damage, and log it once with the name of the file."""
    damage: list[Damage] = []
    try:
        yield damage
    finally:
        for one in sum_damage(damage):
            logger.warning("%s: %s", video.source, one)


def _source(blob: Blob, path: Path) -> str:
    is_named = blob.data is not None or "source" in blob.metadata
    return str(blob.source or path) if is_named else absolute_source(str(path))


@contextmanager
def _blob_file(blob: Blob) -> Iterator[Path]:
    if blob.data is None:
        if blob.path is None:
            raise SourceError("blob", "has neither data nor a path", "Create it with Blob.from_path or Blob.from_data")
        yield Path(blob.path)
        return
    with tempfile.TemporaryDirectory(prefix="videochat-") as folder:
        path = Path(folder, Path(blob.source or "video").name)
        path.write_bytes(blob.as_bytes())
        yield path
