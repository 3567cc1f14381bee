"""The Observations of one video in time order."""

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from langchain_core.documents import Document

from langchain_videochat.errors import InputError
from langchain_videochat.media import VideoInfo
from langchain_videochat.perception.observation import Observation
from langchain_videochat.timeline import documents, formats
from langchain_videochat.timeline.moments import MOMENT_SECONDS, Moment, split_into_moments
from langchain_videochat.timeline.repeats import merge_repeats
from langchain_videochat.utils.interval import Interval


@dataclass(frozen=True)
class Timeline:
    """The Observations of one video in time order (the textualized video of paper section 3.1.2).

    Build one with `Timeline.of`, which sorts and merges.

    Example:
        >>> from langchain_videochat.media import VideoInfo
        >>> video = VideoInfo(source="/films/eggs.mp4", title="eggs", duration=10.0, width=640, height=360)
        >>> seen = [Observation(4, 10, "screen_text", "Fold"), Observation(0, 4, "screen_text", "Whisk")]
        >>> timeline = Timeline.of(video, "c0ffee", seen)
        >>> [observation.text for observation in timeline.slice(start=5)]
        ['Fold']
    """

    video: VideoInfo
    """Metadata of the file: source, title, duration and streams."""

    video_id: str
    """Hash of the file's content, which does not change when the file is renamed."""

    observations: tuple[Observation, ...]
    """Sorted by `Observation.order`: by time, and by reading order if they start together."""

    @classmethod
    def of(cls, video: VideoInfo, video_id: str, observations: Iterable[Observation]) -> "Timeline":
        """Build a timeline: sort observations and merge those that repeat one another."""
        return cls(video, video_id, tuple(merge_repeats(observations)))

    def __iter__(self) -> Iterator[Observation]:
        return iter(self.observations)

    def __len__(self) -> int:
        return len(self.observations)

    def slice(
        self, start: float | None = None, end: float | None = None, modalities: Collection[str] | None = None
    ) -> "Timeline":
        """Return a timeline of the observations that overlap an interval.

        Args:
            start: Seconds from the start of the video; the start of the video if None.
            end: Seconds, exclusive; the end of the video if None.
            modalities: Names of the modalities to keep; all if None.

        Raises:
            InputError: `start` is negative, or `end` is before `start`.
        """
        interval = Interval(start or 0.0, math.inf if end is None else end)
        kept = (
            one
            for one in self.observations
            if one.start < interval.end
            and (one.end > interval.start or one.start >= interval.start)
            and (modalities is None or one.modality in modalities)
        )
        return replace(self, observations=tuple(kept))

    def moments(self, moment_seconds: float = MOMENT_SECONDS) -> list[Moment]:
        """Split the video at its scene boundaries, and long scenes into parts of at most `moment_seconds`.

        Moments without observations are left out.

        Raises:
            InputError: `moment_seconds` is not positive.
        """
        if not moment_seconds > 0:
            raise InputError("moment_seconds", f"must be positive, got {moment_seconds}", "Give a length in seconds")
        return split_into_moments(self.video, self.observations, moment_seconds)

    def to_prompt(self) -> str:
        """Format the timeline for a language model, in the order of the paper's Table 1."""
        return formats.to_prompt(self.video, self.observations)

    def to_webvtt(self) -> str:
        """Format the timeline as a WebVTT track with one cue per observation."""
        return formats.to_webvtt(self.observations)

    def to_json(self) -> str:
        """Serialize the timeline to JSON, for `from_json`."""
        return formats.to_json(self.video, self.video_id, self.observations)

    @classmethod
    def from_json(cls, text: str) -> "Timeline":
        """Parse the output of `to_json`.

        Raises:
            InputError: The text is not valid JSON, or a field is missing, out of range or of an unknown modality.
        """
        return cls(*formats.from_json(text))

    def to_documents(self, granularity: documents.Granularity = "observation") -> Iterator[Document]:
        """Convert the timeline to Documents, one per observation or one per moment.

        Metadata: `source`, `video_id`, `start` and `end` (seconds), `modality` (or "moment"), `citation`, `title`, and
        `document_id`, which is also the `id` of the Document. It is unique, and the same whenever the content is.

        Raises:
            InputError: The granularity is unknown.
        """
        documents.check_granularity(granularity)
        if granularity == "moment":
            return (documents.moment_document(self.video, self.video_id, one) for one in self.moments())
        return documents.observation_documents(self.video, self.video_id, self.observations)
