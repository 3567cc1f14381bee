"""Subtitles: cues of the video's own subtitle tracks."""

from collections.abc import Iterator, Sequence

from langchain_videochat.media import Cue
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.perceiver import Perceiver, SubtitleInputs


class SubtitleTracks(Perceiver[SubtitleInputs, Sequence[Cue]]):
    """Returns the cues of embedded and sidecar subtitles as Observations."""

    modality = "subtitle"
    inputs = SubtitleInputs()

    def perceive(self, batch: Sequence[Cue]) -> Iterator[Observation]:
        """Convert the cues of a segment."""
        for cue in batch:
            yield Observation(cue.start, cue.end, "subtitle", cue.text, language=cue.language, source=cue.track)
