"""Joining observations that say the same thing again."""

from collections.abc import Iterable
from dataclasses import replace
from operator import attrgetter

from langchain_videochat.perception.observation import Observation

REPEAT_GAP = 2.0
"""Seconds that may lie between two equal observations for them to be one: one sampling interval of `lite`."""


def merge_repeats(observations: Iterable[Observation], gap: float = REPEAT_GAP) -> list[Observation]:
    """Sort observations by `Observation.order` and join neighbours that repeat one another.

    Equal text of one modality is one observation where the pause between is at most `gap` seconds.
    Scenes never overlap, so a scene that overlaps an earlier one continues it.

    Example:
        >>> seen = [Observation(2, 4, "screen_text", "Whisk"), Observation(0, 2, "screen_text", "whisk ")]
        >>> [(one.start, one.end, one.text) for one in merge_repeats(seen)]
        [(0, 4, 'whisk')]
    """
    merged: list[Observation] = []
    latest: dict[tuple[str, ...], int] = {}
    for one in sorted(observations, key=attrgetter("order")):
        key = _identity(one)
        position = latest.get(key)
        if position is not None and _continues(merged[position], one, gap):
            merged[position] = _join(merged[position], one)
        else:
            latest[key] = len(merged)
            merged.append(replace(one, text=_tidy(one.text)))
    return merged


def _identity(one: Observation) -> tuple[str, ...]:
    return (
        (one.modality,) if one.modality == "scene" else (one.modality, _tidy(one.text).casefold(), one.language or "")
    )


def _continues(earlier: Observation, later: Observation, gap: float) -> bool:
    if earlier.modality == "scene" and earlier.text != later.text:
        return later.start < earlier.end
    return later.start <= earlier.end + gap


def _join(earlier: Observation, later: Observation) -> Observation:
    scores = [one.score for one in (earlier, later) if one.score is not None]
    return replace(earlier, end=max(earlier.end, later.end), score=max(scores, default=None))


def _tidy(text: str) -> str:
    return " ".join(text.split())
