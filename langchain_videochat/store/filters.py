"""Conditions on the moments that a search may return."""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from langchain_videochat.errors import InputError
from langchain_videochat.perception.modalities import find_modality
from langchain_videochat.utils.interval import Interval


@dataclass(frozen=True)
class TimeBound:
    """A comparison of the start or the end of a moment with a time."""

    field: Literal["start", "end"]

    operator: Literal["<", "<=", "=", ">=", ">"]

    seconds: float
    """Seconds from the start of the video."""


@dataclass(frozen=True)
class Filter:
    """A condition on moments."""

    video_ids: tuple[str, ...] | None = None
    """Only moments of these videos; all if None."""

    interval: Interval | None = None
    """Only moments that overlap this interval; all if None."""

    modalities: tuple[str, ...] | None = None
    """Only moments with an observation of one of these modalities; all if None."""

    bounds: tuple[TimeBound, ...] = ()
    """Only moments whose start and end satisfy all of these."""

    @classmethod
    def of(
        cls,
        video_id: str | Collection[str] | None = None,
        start: float | None = None,
        end: float | None = None,
        modalities: str | Collection[str] | None = None,
    ) -> "Filter":
        """Build a filter from the arguments of a search.

        Raises:
            InputError: `start` is negative, or `end` is before `start`.

        Example:
            >>> Filter.of(video_id="c0ffee", start=3)
            Filter(video_ids=('c0ffee',), interval=Interval(start=3, end=inf), modalities=None, bounds=())
        """
        is_open = start is None and end is None
        interval = None if is_open else Interval(start or 0.0, math.inf if end is None else end)
        return cls(_tuple(video_id), interval, _tuple(modalities))

    def narrow(
        self,
        video_ids: Collection[str] | None = None,
        modalities: Collection[str] | None = None,
        bounds: Iterable[TimeBound] = (),
    ) -> "Filter":
        """Return this filter with more conditions.

        Raises:
            InputError: It already has modalities: a moment with observations of both may be of either.

        Example:
            >>> Filter.of(video_id=["c0ffee", "decade"]).narrow(video_ids=["decade", "facade"]).video_ids
            ('decade',)
        """
        if modalities is not None and self.modalities is not None:
            raise InputError("modalities", "are given twice", "Name all modalities in one list")
        if video_ids is not None and self.video_ids is not None:
            video_ids = [one for one in self.video_ids if one in video_ids]
        return replace(
            self,
            video_ids=self.video_ids if video_ids is None else tuple(video_ids),
            modalities=self.modalities if modalities is None else tuple(modalities),
            bounds=(*self.bounds, *bounds),
        )

    def check_modalities(self, stored: Collection[str]) -> None:
        """Check that the modalities exist.

        Args:
            stored: Names of the modalities in the store, whose plugins may no longer be installed.

        Raises:
            InputError: A modality is neither registered nor in the store.
        """
        for name in self.modalities or ():
            if name not in stored:
                try:
                    find_modality(name)
                except InputError as error:
                    raise InputError("modalities", error.problem, error.advice) from error


def _tuple(value: str | Collection[str] | None) -> tuple[str, ...] | None:
    return (value,) if isinstance(value, str) else None if value is None else tuple(value)
