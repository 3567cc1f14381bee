"""Moments: the stretches of a video that are embedded and retrieved."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from langchain_videochat.media import VideoInfo
from langchain_videochat.perception.observation import MODALITIES, Modality, Observation

MOMENT_SECONDS = 30.0
"""The longest moment, in seconds: what a reader checks at one look, and what an embedding model takes in whole."""

LONGEST_OVERHANG = 600.0
"""Seconds by which sound or subtitles may outlast the pictures; a time beyond that is a slip in a file."""

LABELS: dict[Modality, str] = {
    "tag": "Tags",
    "caption": "Seen",
    "region": "In detail",
    "summary": "In general",
    "action": "Action",
    "object": "Objects",
    "speech": "Speech",
    "subtitle": "Subtitles",
    "screen_text": "On screen",
    "scene": "Scenes",
}
"""How each modality is called in text for people and language models, in the order of the paper's Table 1."""


@dataclass(frozen=True)
class Moment:
    """A scene, or a part of one, with everything that was observed in it."""

    title: str
    """The video's title."""

    start: float
    """Seconds from the start of the video."""

    end: float
    """Seconds from the start of the video, not included."""

    observations: tuple[Observation, ...]
    """All that hold at some time of the moment, in time order."""

    @property
    def modalities(self) -> list[Modality]:
        """The modalities that have something to say here."""
        present = {one.modality for one in self.observations}
        return [modality for modality in MODALITIES if modality in present]

    @property
    def text(self) -> str:
        """The title, then one line a modality: what is embedded and searched.

        Scenes delimit moments and say nothing of their content, so they are left out.
        """
        lines = [self.title]
        for modality, label in LABELS.items():
            texts = dict.fromkeys(one.text for one in self.observations if one.modality == modality)
            if texts and modality != "scene":
                lines.append(f"{label}: {'; '.join(texts)}")
        return "\n".join(lines)


def split_into_moments(video: VideoInfo, observations: Sequence[Observation], moment_seconds: float) -> list[Moment]:
    """Cut a video at its scenes, and long scenes into equal parts.

    Args:
        video: Gives the title and the duration.
        observations: In time order.
        moment_seconds: The longest moment, in seconds.

    Returns:
        Moments in time order, without overlap; those with nothing observed are left out.
    """
    moments = []
    active: list[Observation] = []
    upcoming = list(reversed(observations))
    borders = _borders(video, observations, moment_seconds)
    for start, end in pairwise(borders):
        active = [one for one in active if one.end > start]
        while upcoming and (upcoming[-1].start < end or end == borders[-1]):
            active.append(upcoming.pop())
        if active:
            moments.append(Moment(video.title, start, end, tuple(active)))
    return moments


def _borders(video: VideoInfo, observations: Sequence[Observation], moment_seconds: float) -> list[float]:
    latest = max([video.duration, *(one.end for one in observations)])
    last = min(latest, video.duration + LONGEST_OVERHANG)
    cuts = {one.start for one in observations if one.modality == "scene" and 0 < one.start < last}
    return [*_cut_long([0.0, *sorted(cuts), last], moment_seconds), last]


def _cut_long(borders: list[float], moment_seconds: float) -> Iterator[float]:
    for start, end in pairwise(borders):
        parts = max(1, math.ceil(round((end - start) / moment_seconds, 6)))
        yield from (start + (end - start) * part / parts for part in range(parts))
