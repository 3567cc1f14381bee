"""A timeline as swim lanes, which the page, the report and the picture draw alike."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from langchain_videochat.perception.observation import Modality, Observation
from langchain_videochat.text.prompts import visible
from langchain_videochat.timeline import Timeline
from langchain_videochat.timeline.moments import LABELS

MAX_ROWS = 8
"""Rows of a lane: what is more at once is drawn over the rest, so that no lane pushes the others out of sight."""

ORDER: tuple[Modality, ...] = (
    *("scene", "summary", "speech", "subtitle", "screen_text", "action", "caption", "object", "region", "tag"),
)
"""Lanes from above: first what tells where one is in the video."""

COLORS: dict[Modality, str] = {
    "scene": "#5d6670",
    "summary": "#7a5c00",
    "speech": "#1f6f8b",
    "subtitle": "#2a62b8",
    "screen_text": "#b04a16",
    "action": "#a02c4e",
    "caption": "#3b7233",
    "object": "#6b4fa0",
    "region": "#00706b",
    "tag": "#8a3f8f",
}
"""White letters are legible on all of them, and all stand out from white and from black."""


@dataclass(frozen=True)
class Bar:
    """An observation in its lane."""

    start: float
    """Seconds from the start of the video."""

    end: float
    """Seconds from the start of the video, not before `start`."""

    row: int
    """Counted from 0, from above."""

    text: str
    """What was noticed, without characters that no reader sees."""


@dataclass(frozen=True)
class Lane:
    """All that one kind of model noticed."""

    modality: Modality
    """Which kind."""

    label: str
    """How it is called, as "On screen"."""

    color: str
    """As CSS writes it."""

    bars: tuple[Bar, ...]
    """In time order; those of a row overlap only where there are more than `MAX_ROWS` at once."""

    @property
    def rows(self) -> int:
        """How many rows the bars take."""
        return 1 + max(bar.row for bar in self.bars)


def make_lanes(timeline: Timeline) -> list[Lane]:
    """Sort a timeline's observations into lanes, and each lane's into rows.

    Returns:
        One lane for each modality of which something was observed.

    Example:
        >>> from langchain_videochat.media import VideoInfo
        >>> video = VideoInfo(source="/films/eggs.mp4", title="eggs", duration=10.0, width=640, height=360)
        >>> seen = [Observation(0, 9, "object", "bowl"), Observation(2, 4, "object", "egg")]
        >>> [(bar.row, bar.text) for bar in make_lanes(Timeline.of(video, "c0ffee", seen))[0].bars]
        [(0, 'bowl'), (1, 'egg')]
    """
    by_modality: dict[Modality, list[Observation]] = {modality: [] for modality in ORDER}
    for observation in timeline:
        by_modality[observation.modality].append(observation)
    return [
        Lane(modality, LABELS[modality], COLORS[modality], tuple(_place(observations)))
        for modality, observations in by_modality.items()
        if observations
    ]


def _place(observations: Iterable[Observation]) -> Iterator[Bar]:
    free_from: list[float] = []
    for one in observations:
        row = next((row for row, time in enumerate(free_from) if time <= one.start), len(free_from))
        if row == MAX_ROWS:
            row = free_from.index(min(free_from))
        free_from[row : row + 1] = [one.end]
        yield Bar(one.start, one.end, row, visible(one.text))
