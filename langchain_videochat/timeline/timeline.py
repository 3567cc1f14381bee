"""One video's Observations in time order."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from langchain_core.documents import Document

from langchain_videochat.errors import InputError
from langchain_videochat.media import VideoInfo
from langchain_videochat.perception.observation import Modality, Observation
from langchain_videochat.timeline import documents, formats
from langchain_videochat.timeline.moments import MOMENT_SECONDS, Moment, split_into_moments
from langchain_videochat.timeline.repeats import merge_repeats


@dataclass(frozen=True)
class Timeline:
    """What is known of one video, in time order (the textualized video of paper 3.1.2).

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
    """The file's facts: source, title, duration and picture."""

    video_id: str
    """Hash of the file's content: a renamed file is the same video."""

    observations: tuple[Observation, ...]
    """Sorted by `Observation.order`: in time, and what begins together in the order of reading."""

    @classmethod
    def of(cls, video: VideoInfo, video_id: str, observations: Iterable[Observation]) -> "Timeline":
        """Sort observations and join those that repeat one another."""
        return cls(video, video_id, tuple(merge_repeats(observations)))

    def __iter__(self) -> Iterator[Observation]:
        return iter(self.observations)

    def __len__(self) -> int:
        return len(self.observations)

    def slice(
        self,
        start: float | None = None,
        end: float | None = None,
        modalities: Collection[Modality] | None = None,
    ) -> "Timeline":
        """Keep the observations that hold at some time of a stretch.

        Args:
            start: Seconds from the start of the video; the beginning if None.
            end: Seconds, not included; the end of the video if None.
            modalities: Keep only these; all if None.

        Raises:
            InputError: `end` lies before `start`.
        """
        low = 0.0 if start is None else start
        high = float("inf") if end is None else end
        if high < low:
            raise InputError("end", f"{high} lies before start, {low}", "Give a later end, in seconds")
        return replace(
            self,
            observations=tuple(
                one
                for one in self.observations
                if one.start < high
                and (one.end > low or one.start >= low)
                and (modalities is None or one.modality in modalities)
            ),
        )

    def moments(self, moment_seconds: float = MOMENT_SECONDS) -> list[Moment]:
        """Cut the video at its scenes, and scenes into stretches of at most `moment_seconds`.

        Moments in which nothing was observed are left out.

        Raises:
            InputError: `moment_seconds` is not above 0.
        """
        if not moment_seconds > 0:
            raise InputError("moment_seconds", f"{moment_seconds} is no length of time", "Give seconds above 0")
        return split_into_moments(self.video, self.observations, moment_seconds)

    def to_prompt(self) -> str:
        """Write the timeline for a language model, in the order of the paper's Table 1."""
        return formats.to_prompt(self.video, self.observations)

    def to_webvtt(self) -> str:
        """Write the timeline as a WebVTT track, one cue an observation."""
        return formats.to_webvtt(self.observations)

    def to_json(self) -> str:
        """Write the timeline as JSON that `from_json` reads back unchanged."""
        return formats.to_json(self.video, self.video_id, self.observations)

    @classmethod
    def from_json(cls, text: str) -> "Timeline":
        """Read what `to_json` wrote.

        Raises:
            InputError: The text is no JSON, or a field of it is missing or out of range.
        """
        return cls(*formats.from_json(text))

    def to_documents(self, granularity: documents.Granularity = "observation") -> Iterator[Document]:
        """Turn the timeline into Documents, one an observation or one a moment.

        Metadata: `source`, `video_id`, `start` and `end` (seconds), `modality` (or "moment"), `citation`, `title`.
        """
        if granularity == "moment":
            return (documents.moment_document(self.video, self.video_id, one) for one in self.moments())
        return (documents.observation_document(self.video, self.video_id, one) for one in self.observations)
