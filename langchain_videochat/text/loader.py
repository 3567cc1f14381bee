"""VideoChat-Text as a LangChain document loader."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document
from langchain_core.documents.base import Blob

from langchain_videochat.errors import MediaError, SourceError
from langchain_videochat.media import list_sources, local_file
from langchain_videochat.media.sources import absolute_source
from langchain_videochat.perception import keep_models
from langchain_videochat.text.parser import VideoChatTextParser
from langchain_videochat.timeline import Granularity

logger = logging.getLogger(__name__)


class VideoChatTextLoader(BaseLoader):
    """Load videos as timestamped Documents (VideoChat-Text, paper 3.1).

    `lazy_load` yields Documents while a video is being processed, and its memory use does not grow with the video's
    length.

    Args:
        source: A path, an http or https URL, an address of an object store such as `s3://films/talk.mp4`, a folder, a
            glob pattern, a manifest (see `media.list_sources`), or several of these.
        profile: Perception models to use: "lite" (no downloads), "talk", "standard", "full", or a YAML file.
        granularity: One Document per "observation", or per "moment": a scene with all its observations.
        start: Where to start in each video, in seconds.
        end: Where to end in each video, in seconds, not included.
        on_error: "raise" an error at the first video that cannot be read, or "skip" it and log a warning.
        show_progress: Show a progress bar on standard error.

    Example:
        >>> loader = VideoChatTextLoader("talks/*.mp4", profile="lite")
        >>> for document in loader.lazy_load():  # doctest: +SKIP
        ...     print(document.metadata["citation"], document.page_content)
    """

    def __init__(
        self,
        source: str | Path | Iterable[str | Path],
        *,
        profile: str | Path = "standard",
        granularity: Granularity = "observation",
        start: float | None = None,
        end: float | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        show_progress: bool = False,
    ) -> None:
        self.source = source
        self.on_error = on_error
        self.parser = VideoChatTextParser(
            profile=profile, granularity=granularity, start=start, end=end, show_progress=show_progress
        )

    def lazy_load(self) -> Iterator[Document]:
        """Yield the Documents video by video, in the order of their start times.

        Metadata: `source` (an absolute path, or the URL), `video_id`, `start` and `end` (seconds), `modality` (or
        "moment"), `citation`, `title`. What could not be read of a file is logged as warnings.

        Raises:
            SourceError: A source does not exist or contains no video.
            MediaError: A file is not a readable video.
            ModelUnavailableError: A model of the profile is not available.
        """
        with keep_models():
            for source in list_sources(self.source):
                yield from self._load_one(source)

    def _load_one(self, source: str) -> Iterator[Document]:
        try:
            with local_file(source) as path:
                yield from self.parser.lazy_parse(Blob.from_path(path, metadata={"source": absolute_source(source)}))
        except (SourceError, MediaError) as error:
            if self.on_error == "raise":
                raise
            logger.warning("Skipped: %s", error)
