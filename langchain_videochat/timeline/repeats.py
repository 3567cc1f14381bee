"""Merging of observations that repeat one another."""

from collections.abc import Iterable
from dataclasses import replace
from operator import attrgetter

from langchain_videochat.media.languages import same_language
from langchain_videochat.perception.observation import Observation

MAX_REPEAT_GAP = 2.0
"""Maximum gap in seconds between two equal observations that are merged: the sampling interval of `lite`."""


def merge_repeats(observations: Iterable[Observation], max_gap: float = MAX_REPEAT_GAP) -> list[Observation]:
    """Sort observations by `Observation.order` and merge repeats.

    Two observations of one modality are merged if their text is equal and the gap between them is at most `max_gap`
    seconds, unless their vectors differ or they are known to differ in language or speaker; objects also need boxes
    that touch. Scenes never overlap, so overlapping scenes are merged too.

    Example:
        >>> seen = [Observation(2, 4, "screen_text", "Whisk"), Observation(0, 2, "screen_text", "whisk ")]
        >>> [(one.start, one.end, one.text) for one in merge_repeats(seen)]
        [(0, 4, 'whisk')]
    """
    merged: list[Observation] = []
    open_positions: dict[tuple[str, ...], list[int]] = {}  # in `merged`, of those that a later repeat may extend
    normalized = (replace(one, text=" ".join(one.text.split())) for one in observations)
    for one in sorted(normalized, key=attrgetter("order")):
        candidates = open_positions.setdefault(_key(one), [])
        candidates[:] = [position for position in candidates if _is_close(merged[position], one, max_gap)]
        position = next((position for position in candidates if _is_same(merged[position], one)), None)
        if position is None:
            candidates.append(len(merged))
            merged.append(one)
        else:
            merged[position] = _merge(merged[position], one)
    return merged


def _key(one: Observation) -> tuple[str, ...]:
    return (one.modality,) if one.modality == "scene" else (one.modality, one.text.casefold())


def _is_close(earlier: Observation, later: Observation, max_gap: float) -> bool:
    if earlier.modality == "scene" and earlier.text != later.text:
        return later.start < earlier.end
    return later.start <= earlier.end + max_gap


def _is_same(earlier: Observation, later: Observation) -> bool:
    return (
        earlier.vector == later.vector
        and _is_same_language(earlier, later)
        and _is_same_speaker(earlier, later)
        and _is_same_place(earlier, later)
    )


def _is_same_language(earlier: Observation, later: Observation) -> bool:
    # A subtitle file may not say that it is a copy of the English track.
    one, other = earlier.language, later.language
    return one is None or other is None or same_language(one, other) or same_language(other, one)


def _is_same_speaker(earlier: Observation, later: Observation) -> bool:
    return earlier.speaker is None or later.speaker is None or earlier.speaker == later.speaker


def _is_same_place(earlier: Observation, later: Observation) -> bool:
    # Two dogs in different places are two observations with the same text.
    one, other = earlier.box, later.box
    if earlier.modality != "object" or one is None or other is None:
        return True
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


def _merge(earlier: Observation, later: Observation) -> Observation:
    scores = [one.score for one in (earlier, later) if one.score is not None]
    return replace(
        earlier,
        end=max(earlier.end, later.end),
        score=max(scores, default=None),
        language=earlier.language or later.language,
        speaker=earlier.speaker or later.speaker,
    )
