"""Subtitle tracks and files, read and put in order."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from langchain_videochat.media.damage import Damage
from langchain_videochat.media.languages import same_language
from langchain_videochat.media.subtitles.cues import ParsedCue, Problems, arrange, describe
from langchain_videochat.media.subtitles.rolling_captions import merge_rolling


@dataclass(frozen=True)
class CueTrack:
    """A subtitle track of a video or a subtitle file."""

    name: str
    """The name of the file, or "track 2" of the video itself."""

    language: str | None
    """Language tag; None if unknown."""

    cues: tuple[ParsedCue, ...] = ()
    """Cues with text, by start."""

    damage: tuple[Damage, ...] = ()
    """What could not be read or had to be repaired."""

    @classmethod
    def of(
        cls, name: str, language: str | None, cues: Iterable[ParsedCue], problems: Problems, remarks: Iterable[str] = ()
    ) -> "CueTrack":
        """Put the cues of a track in order.

        Args:
            name: The name of the track.
            language: Its language tag.
            cues: Its cues in file order, from which repeated lines are removed.
            problems: What was wrong with cues.
            remarks: What was wrong with the track.
        """
        arranged = merge_rolling(arrange(cues, problems))
        general = (Damage("subtitle", f"{name}: {remark}") for remark in remarks)
        return cls(name, language, tuple(arranged), (*general, *describe(name, problems)))


class _HasLanguage(Protocol):
    @property
    def language(self) -> str | None: ...


TrackT = TypeVar("TrackT", bound=_HasLanguage)


def choose_tracks(tracks: list[TrackT], language: str | None) -> list[TrackT]:
    """Return the tracks in a language; if none is known to be, those of unknown language; all if it is None."""
    if language is None:
        return tracks
    known = [track for track in tracks if track.language and same_language(language, track.language)]
    return known or [track for track in tracks if track.language is None]
