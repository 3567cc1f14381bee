"""Joining observations that say the same thing again."""

from collections.abc import Iterable
from dataclasses import replace
from operator import attrgetter

from langchain_videochat.perception.observation import Box, Observation

REPEAT_GAP = 2.0
"""Seconds that may lie between two equal observations for them to be one: one sampling interval of `lite`."""


def merge_repeats(observations: Iterable[Observation], gap: float = REPEAT_GAP) -> list[Observation]:
    """Sort observations by `Observation.order` and join neighbours that repeat one another.

    Equal text of one modality is one observation where the pause between is at most `gap` seconds; of objects, if their
    boxes touch.
    Scenes never overlap, so a scene that overlaps an earlier one continues it.

    Example:
        >>> seen = [Observation(2, 4, "screen_text", "Whisk"), Observation(0, 2, "screen_text", "whisk ")]
        >>> [(one.start, one.end, one.text) for one in merge_repeats(seen)]
        [(0, 4, 'whisk')]
    """
    merged: list[Observation] = []
    latest: dict[tuple[str, ...], list[int]] = {}
    tidy = (replace(one, text=_tidy(one.text)) for one in observations)
    for one in sorted(tidy, key=attrgetter("order")):
        going_on = latest.setdefault(_identity(one), [])
        going_on[:] = [position for position in going_on if _follows(merged[position], one, gap)]
        position = next((position for position in going_on if _continues(merged[position], one)), None)
        if position is None:
            going_on.append(len(merged))
            merged.append(one)
        else:
            merged[position] = _join(merged[position], one)
    return merged


def _identity(one: Observation) -> tuple[str, ...]:
    return (one.modality,) if one.modality == "scene" else (one.modality, one.text.casefold(), one.language or "")


def _follows(earlier: Observation, later: Observation, gap: float) -> bool:
    if earlier.modality == "scene" and earlier.text != later.text:
        return later.start < earlier.end
    return later.start <= earlier.end + gap


def _continues(earlier: Observation, later: Observation) -> bool:
    # Two dogs on the left are two observations of one text.
    if earlier.modality != "object" or earlier.box is None or later.box is None:
        return True
    return _touch(earlier.box, later.box)


def _touch(one: Box, other: Box) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


def _join(earlier: Observation, later: Observation) -> Observation:
    scores = [one.score for one in (earlier, later) if one.score is not None]
    return replace(earlier, end=max(earlier.end, later.end), score=max(scores, default=None))


def _tidy(text: str) -> str:
    return " ".join(text.split())
