"""The tracks of a file that are read."""

from pathlib import Path

from langchain_videochat.errors import InputError, MediaError
from langchain_videochat.media.index import MediaIndex
from langchain_videochat.media.info import StreamInfo
from langchain_videochat.media.languages import same_language

Track = int | str
"""A track's number as in `StreamInfo.track`, or a language tag, of which the first track is meant."""


def choose_video(path: Path, index: MediaIndex, track: int | None = None) -> int:
    """Return the number of the video track to read.

    Without a request, it is the one that players show: moving pictures before still ones, then the default track, then
    the largest, then the longest.

    Raises:
        MediaError: The file has no video stream (cover art does not count).
        InputError: The file has no such track.
    """
    candidates = _candidates(index, "video")
    if not candidates:
        raise MediaError(path, "this file has no video stream", "Give a file with moving pictures")
    if track is not None:
        return _find(path, candidates, "video", track).track
    return max(candidates, key=lambda one: _preference(index, one)).track


def choose_audio(path: Path, index: MediaIndex, track: Track | None = None) -> int:
    """Return the number of the audio track to read: the default track, or else the first.

    Raises:
        MediaError: The file has no audio.
        InputError: The file has no such track.
    """
    candidates = _candidates(index, "audio")
    if not candidates:
        raise MediaError(path, "this file has no audio", "Give a file with an audio stream")
    if track is not None:
        return _find(path, candidates, "audio", track).track
    return max(candidates, key=lambda one: one.is_default).track


def has_audio(index: MediaIndex) -> bool:
    """Return whether the file has an audio track."""
    return bool(_candidates(index, "audio"))


def _candidates(index: MediaIndex, kind: str) -> list[StreamInfo]:
    return [one for one in index.tracks if one.kind == kind and one.track in index.streams]


def _preference(index: MediaIndex, one: StreamInfo) -> tuple[bool, bool, int, float]:
    stream = index.streams[one.track]
    return len(stream.presented) > 1, one.is_default, one.width * one.height, stream.end - stream.start


def _find(path: Path, candidates: list[StreamInfo], kind: str, track: Track) -> StreamInfo:
    for one in candidates:
        if one.track == track or (isinstance(track, str) and one.language and same_language(track, one.language)):
            return one
    known = ", ".join(f"{one.track} ({one.language})" if one.language else str(one.track) for one in candidates)
    raise InputError("track", f"{path.name} has no {kind} track {track!r}", f"Choose one of {known}")
