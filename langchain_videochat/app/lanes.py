"""Swim lanes of a timeline, as the page, the report and the picture draw them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from langchain_videochat.perception.modalities import find_modality
from langchain_videochat.perception.observation import Observation
from langchain_videochat.timeline import Timeline
from langchain_videochat.timeline.moments import with_text
from langchain_videochat.utils.untrusted_text import strip_invisible

MAX_ROWS = 8
"""Rows of a lane. More concurrent bars are drawn over others, so that no lane pushes the rest out of sight."""


@dataclass(frozen=True)
class Bar:
    """An observation in its lane."""

    start: float
    """Seconds from the start of the video."""

    end: float
    """Seconds from the start of the video, at least `start`."""

    row: int
    """Row in the lane, 0 at the top."""

    text: str
    """Text of the observation, without invisible characters."""


@dataclass(frozen=True)
class Lane:
    """All observations of one modality."""

    modality: str
    """Name of the modality."""

    label: str
    """Heading, for example "On screen"."""

    color: str
    """CSS color."""

    bars: tuple[Bar, ...]
    """Bars in time order. Bars in a row overlap only where more than `MAX_ROWS` are concurrent."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return 1 + max(bar.row for bar in self.bars)

    @property
    def has_thumbnails(self) -> bool:
        """Whether frames of the video are drawn above the bars, as they are for scenes."""
        return self.modality == "scene"


def make_lanes(timeline: Timeline) -> list[Lane]:
    """Sort a timeline's observations into lanes and rows.

    Returns:
        A lane for each modality with texts, in the order of their `Modality.order`.

    Example:
        >>> from langchain_videochat.media import VideoInfo
        >>> video = VideoInfo(source="/films/eggs.mp4", title="eggs", duration=10.0, width=640, height=360)
        >>> observations = [Observation(0, 9, "object", "bowl"), Observation(2, 4, "object", "egg")]
        >>> [(bar.row, bar.text) for bar in make_lanes(Timeline.of(video, "c0ffee", observations))[0].bars]
        [(0, 'bowl'), (1, 'egg')]
    """
    by_modality: defaultdict[str, list[Observation]] = defaultdict(list)
    for observation in with_text(timeline):
        by_modality[observation.modality].append(observation)
    modalities = sorted(map(find_modality, by_modality), key=lambda one: (one.order, one.name))
    return [Lane(one.name, one.label, one.color, tuple(_place(by_modality[one.name]))) for one in modalities]


def _place(observations: Iterable[Observation]) -> Iterator[Bar]:
    row_ends: list[float] = []
    for one in observations:
        row = next((row for row, end in enumerate(row_ends) if end <= one.start), len(row_ends))
        if row == MAX_ROWS:
            row = row_ends.index(min(row_ends))
        row_ends[row : row + 1] = [one.end]
        yield Bar(one.start, one.end, row, strip_invisible(one.attributed_text))
