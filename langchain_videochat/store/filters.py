"""Which moments a search may find."""

import math
from collections.abc import Collection
from dataclasses import dataclass

from langchain_videochat.errors import InputError
from langchain_videochat.perception.observation import MODALITIES


@dataclass(frozen=True)
class Filter:
    """A condition on moments."""

    video_ids: tuple[str, ...] | None = None
    """Only moments of these videos; of all if None."""

    start: float | None = None
    """Only moments that hold at or after this time, in seconds."""

    end: float | None = None
    """Only moments that begin before this time, in seconds."""

    modalities: tuple[str, ...] | None = None
    """Only moments in which one of these was observed; all if None."""

    @classmethod
    def of(
        cls,
        video_id: str | Collection[str] | None = None,
        start: float | None = None,
        end: float | None = None,
        modalities: str | Collection[str] | None = None,
    ) -> "Filter":
        """Check a user's conditions.

        Raises:
            InputError: `end` lies before `start`, or there is no such modality.

        Example:
            >>> Filter.of(video_id="c0ffee", start=3).video_ids
            ('c0ffee',)
        """
        check_stretch(start, end)
        wanted = _tuple(modalities)
        unknown = [name for name in wanted or () if name not in MODALITIES]
        if unknown:
            raise InputError("modalities", f"{unknown[0]!r} is unknown", f"Take some of {', '.join(MODALITIES)}")
        return cls(_tuple(video_id), start, end, wanted)


def check_stretch(start: float | None, end: float | None) -> tuple[float, float]:
    """Fill in the open ends of a stretch of video.

    Args:
        start: Seconds; the beginning if None.
        end: Seconds; the end if None.

    Raises:
        InputError: `end` lies before `start`, or one is not a number.

    Example:
        >>> check_stretch(3, None)
        (3, inf)
    """
    low = 0.0 if start is None else start
    high = math.inf if end is None else end
    if not low <= high:
        raise InputError("end", f"{high} lies before start, {low}", "Give a later end, in seconds")
    return low, high


def _tuple(value: str | Collection[str] | None) -> tuple[str, ...] | None:
    return (value,) if isinstance(value, str) else None if value is None else tuple(value)
