"""Selection of the video and audio tracks to read."""

from pathlib import Path
from typing import Literal

from langchain_videochat.errors import InputError, MediaError
from langchain_videochat.media.index import MediaIndex
from langchain_videochat.media.info import StreamInfo
from langchain_videochat.media.languages import same_language

Track = int | str
"""A track's number as in `StreamInfo.track`, or a language tag, which stands for the first track in that language."""

_MISSING = {
    "video": ("this file has no video stream", "Give a file with moving pictures"),
    "audio": ("this file has no audio", "Give a file with an audio stream"),
}
"""Problem and advice if a file has no track of a kind."""


def choose_video(path: Path, index: MediaIndex, track: int | None = None) -> int:
    """Return the number of the video track to read.

    Without a request, it is the one that players show: moving pictures before still ones, then the default track, then
    the largest, then the longest.

    Raises:
        MediaError: The file has no video stream (cover art does not count).
        InputError: The file has no such track.
    """
    return max(_candidates(path, index, "video", track), key=lambda one: _preference(index, one)).track


def choose_audio(path: Path, index: MediaIndex, track: Track | None = None) -> int:
    """Return the number of the audio track to read: the default track, or else the first.

    Raises:
        MediaError: The file has no audio.
        InputError: The file has no such track.
    """
    return max(_candidates(path, index, "audio", track), key=lambda one: one.is_default).track


def has_audio(index: MediaIndex) -> bool:
    """Return whether the file has an audio track."""
    return bool(_presented(index, "audio"))


def _candidates(
    path: Path, index: MediaIndex, kind: Literal["video", "audio"], track: Track | None
) -> list[StreamInfo]:
    """Return the requested track, or all tracks of a kind if none is requested."""
    presented = _presented(index, kind)
    if not presented:
        raise MediaError(path, *_MISSING[kind])
    matching = presented if track is None else [one for one in presented if _matches(one, track)][:1]
    if not matching:
        known = ", ".join(f"{one.track} ({one.language})" if one.language else str(one.track) for one in presented)
        raise InputError("track", f"{path.name} has no {kind} track {track!r}", f"Choose one of {known}")
    return matching


def _presented(index: MediaIndex, kind: str) -> list[StreamInfo]:
    return [one for one in index.tracks if one.kind == kind and one.track in index.streams]


def _matches(one: StreamInfo, track: Track) -> bool:
    if isinstance(track, str):
        return one.language is not None and same_language(track, one.language)
    return one.track == track


def _preference(index: MediaIndex, one: StreamInfo) -> tuple[bool, bool, int, float]:
    stream = index.streams[one.track]
    return len(stream.presented) > 1, one.is_default, one.width * one.height, stream.end - stream.start
