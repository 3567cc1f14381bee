"""The video's own subtitles."""

from collections.abc import Iterator, Sequence

from langchain_videochat.media import Cue
from langchain_videochat.perception.base import Perceiver, Subtitles
from langchain_videochat.perception.observation import Observation


class SubtitleTracks(Perceiver[Sequence[Cue]]):
    """Takes over the cues of embedded and side-car subtitles."""

    modality = "subtitle"
    inputs = Subtitles()

    def perceive(self, batch: Sequence[Cue]) -> Iterator[Observation]:
        """Turn cues into Observations."""
        for cue in batch:
            yield Observation(cue.start, cue.end, "subtitle", cue.text, language=cue.language, source=cue.track)
