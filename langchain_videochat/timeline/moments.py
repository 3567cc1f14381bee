"""Moments: the intervals of a video that are embedded and retrieved."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from langchain_videochat.media import VideoInfo
from langchain_videochat.perception.modalities import Modality, list_modalities
from langchain_videochat.perception.observation import Observation

MOMENT_SECONDS = 30.0
"""Maximum length of a moment in seconds: quick for a person to check, short enough for an embedding model."""

MAX_OVERHANG_SECONDS = 600.0
"""Seconds by which audio or subtitles may outlast the frames; later times are taken for errors in the file."""


@dataclass(frozen=True)
class Moment:
    """A scene, or a part of one, with the observations that overlap it."""

    title: str
    """The video's title."""

    start: float
    """Seconds from the start of the video."""

    end: float
    """Seconds from the start of the video, exclusive."""

    observations: tuple[Observation, ...]
    """Observations that overlap the moment, in time order."""

    @property
    def modalities(self) -> list[str]:
        """Names of the modalities that were observed, in prompt order."""
        return [modality.name for modality in group_by_modality(self.observations)]

    @property
    def frames(self) -> list[Observation]:
        """Its frames with vectors: one that is shown when the moment starts belongs to the moment before."""
        return [one for one in self.observations if one.vector is not None and one.start >= self.start]

    @property
    def text(self) -> str:
        """The title, then one line per modality, with the names of speakers: the text that is embedded and searched.

        Scenes are left out: their text only repeats their times.
        """
        lines = [self.title]
        for modality, observations in group_by_modality(with_text(self.observations)).items():
            if modality.name != "scene":
                texts = dict.fromkeys(one.attributed_text for one in observations)
                lines.append(f"{modality.label}: {'; '.join(texts)}")
        return "\n".join(lines)


def with_text(observations: Iterable[Observation]) -> list[Observation]:
    """Return the observations that have a text: all but vectors of frames."""
    return [one for one in observations if one.text]


def group_by_modality(observations: Iterable[Observation]) -> dict[Modality, list[Observation]]:
    """Group observations by modality, in prompt order; modalities without observations are left out."""
    groups: dict[str, list[Observation]] = {}
    for one in observations:
        groups.setdefault(one.modality, []).append(one)
    return {modality: groups[modality.name] for modality in list_modalities() if modality.name in groups}


def split_into_moments(video: VideoInfo, observations: Sequence[Observation], moment_seconds: float) -> list[Moment]:
    """Split a video at its scene boundaries, and long scenes into equal parts.

    Args:
        video: Supplies the title and the duration.
        observations: In time order.
        moment_seconds: Maximum length of a moment in seconds.

    Returns:
        Moments in time order that do not overlap; those without observations are left out.
    """
    moments = []
    active: list[Observation] = []
    upcoming = list(reversed(observations))
    boundaries = _boundaries(video, observations, moment_seconds)
    for start, end in pairwise(boundaries):
        active = [one for one in active if one.end > start]
        while upcoming and (upcoming[-1].start < end or end == boundaries[-1]):
            active.append(upcoming.pop())
        if active:
            moments.append(Moment(video.title, start, end, tuple(active)))
    return moments


def _boundaries(video: VideoInfo, observations: Sequence[Observation], moment_seconds: float) -> list[float]:
    latest = max([video.duration, *(one.end for one in observations)])
    last = min(latest, video.duration + MAX_OVERHANG_SECONDS)
    # The start of the first scene is not a cut: the pictures may begin after the sound.
    scenes = sorted({one.start for one in observations if one.modality == "scene"})
    cuts = [start for start in scenes[1:] if 0 < start < last]
    return [*_split_long([0.0, *cuts, last], moment_seconds), last]


def _split_long(boundaries: list[float], moment_seconds: float) -> Iterator[float]:
    for start, end in pairwise(boundaries):
        parts = max(1, math.ceil(round((end - start) / moment_seconds, 6)))
        yield from (start + (end - start) * part / parts for part in range(parts))
