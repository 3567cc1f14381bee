"""Subtitles of a video: embedded text tracks and sidecar files."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from langchain_videochat.errors import InputError
from langchain_videochat.media.damage import Damage, OnDamage, log_damage
from langchain_videochat.media.index import index_media
from langchain_videochat.media.isolation import isolatable
from langchain_videochat.media.languages import find_language
from langchain_videochat.media.sources import local_path
from langchain_videochat.media.subtitles.cue_tracks import CueTrack, choose_tracks
from langchain_videochat.media.subtitles.cues import Cue, CueProblem, Problems, describe
from langchain_videochat.media.subtitles.embedded_subtitles import read_embedded_subtitles
from langchain_videochat.media.subtitles.sidecars import find_sidecars, sidecar_language
from langchain_videochat.media.subtitles.subtitle_files import read_subtitle_file
from langchain_videochat.media.subtitles.subtitle_text import check_encoding
from langchain_videochat.utils.interval import Interval
from langchain_videochat.utils.timecode import format_timecode

HOUR = 3600.0
MIN_FRACTION_INSIDE = 0.9
"""Fraction of its cues that a subtitle file has within the video, unless its times are those of a tape."""

# Marks of the direction of writing, and the byte order mark.
_INVISIBLE = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


@isolatable
def read_subtitles(
    source: str | Path,
    start: float | None = None,
    end: float | None = None,
    *,
    encoding: str | None = None,
    language: str | None = None,
    on_damage: OnDamage = log_damage,
) -> list[Cue]:
    """Read the text subtitles of a video, from the file itself and from sidecar files.

    Sidecar files are listed by `find_sidecars`: SubRip, WebVTT and SubStation Alpha beside the video, with its name.
    Of files with errors, every cue is kept that can be read. Tracks of pictures are read by `read_subtitle_pictures`.

    Args:
        source: A local file.
        start: Seconds from the start of the video; the start of the video if None.
        end: Seconds; the end of the video if None.
        encoding: Encoding of the sidecar files, for example "cp1253"; if None, UTF-8 or else the one that the text
            looks like.
        language: Read only subtitles in this language, for example "en" or "pt-BR"; if no track or file is marked
            with it, those of unknown language.
        on_damage: Called with what cannot be read or was repaired, in the whole file; logs a warning by default.

    Returns:
        All cues displayed at some time between `start` and `end`, with their full times, sorted by time.

    Raises:
        SourceError: The file does not exist.
        MediaError: The file cannot be read as a video.
        InputError: The times, the encoding or the language are invalid.

    Example:
        >>> read_subtitles("talk.mp4")  # doctest: +SKIP
        [Cue(start=1.0, end=2.5, text='Hello.', language='en', track='talk.en.srt', speaker=None), ...]
    """
    interval = Interval.of(start, end)
    check_encoding(encoding)
    check_language(language)
    path = local_path(source)
    tracks = [*read_embedded_subtitles(path, encoding), *_read_sidecars(path, encoding)]
    displayed = []
    for track in choose_tracks(tracks, language):
        early = Problems({CueProblem.BEFORE_VIDEO: sum(cue.start < 0 for cue in track.cues)})
        for damage in (*track.damage, *describe(track.name, early)):
            on_damage(damage)
        displayed += [cue for cue in _cues(track) if cue.end > interval.start and cue.start < interval.end]
    return sorted(displayed, key=lambda cue: (cue.start, cue.end))


def check_language(language: str | None) -> None:
    """Check a language tag.

    Raises:
        InputError: The language is unknown.
    """
    if language is not None and find_language(language) is None:
        raise InputError("language", f"unknown language {language!r}", 'Give a tag such as "en" or "pt-BR"')


def _read_sidecars(path: Path, encoding: str | None) -> Iterator[CueTrack]:
    for file in find_sidecars(path):
        track = read_subtitle_file(file, sidecar_language(path, file), encoding)
        yield _from_video_start(track, index_media(path).duration)


def _from_video_start(track: CueTrack, duration: float) -> CueTrack:
    """Move the cues of a file whose times are those of a tape: broadcasts begin at 10:00:00 or at another full hour."""
    offset = min((cue.start for cue in track.cues), default=0.0) // HOUR * HOUR
    needed = MIN_FRACTION_INSIDE * len(track.cues)
    inside, inside_after = (sum(cue.start - shift < duration for cue in track.cues) for shift in (0.0, offset))
    if offset <= 0 or not inside < needed <= inside_after:
        return track
    cues = tuple(cue._replace(start=cue.start - offset, end=cue.end - offset) for cue in track.cues)
    problem = f"{track.name}: starts at {format_timecode(offset)}, which was subtracted"
    return replace(track, cues=cues, damage=(*track.damage, Damage("subtitle", problem)))


def _cues(track: CueTrack) -> Iterator[Cue]:
    for cue in track.cues:
        text = " ".join(_INVISIBLE.sub("", cue.text).split())
        if text and cue.end > 0:
            yield Cue(max(cue.start, 0.0), cue.end, text, track.language, track.name, cue.speaker)
