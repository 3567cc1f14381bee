"""What clips have besides pictures and sound: subtitles, chapters, titles and languages."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ffmpeg

from langchain_videochat.media.clip_metadata import write_metadata
from langchain_videochat.media.clip_subtitles import SubtitleFormat, write_subtitles
from langchain_videochat.media.container import VIDEO_FORMATS
from langchain_videochat.media.ffmpeg import file_argument, input_file
from langchain_videochat.media.index import MediaIndex
from langchain_videochat.media.info import StreamInfo
from langchain_videochat.media.tracks import choose_audio, choose_video, has_audio
from langchain_videochat.utils.interval import Interval

_PICTURES_IN_MKV = {"hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle"}

SUBTITLE_FORMATS = {
    ".mp4": SubtitleFormat("mp4", "mov_text", frozenset({"mov_text", "dvd_subtitle"})),
    ".mkv": SubtitleFormat("matroska", "subrip", frozenset({"subrip", "ass", "webvtt"} | _PICTURES_IN_MKV)),
    ".webm": SubtitleFormat("matroska", "webvtt", frozenset({"webvtt"})),
}
"""The subtitles that clips can hold, by their suffix."""


@dataclass(frozen=True)
class ClipAdditions:
    """Files and options that make ffmpeg add subtitles and metadata to a clip."""

    subtitles: Path | None
    """File with subtitle tracks to copy, if there are any."""

    metadata: Path
    """File with description and chapters, in FFmpeg's text format."""

    tags: dict[str, str]
    """Options for the languages and titles of the tracks."""

    @classmethod
    def prepare(cls, path: Path, index: MediaIndex, interval: Interval, suffix: str, folder: Path) -> "ClipAdditions":
        """Write the additions for a clip.

        Args:
            path: The video.
            index: Its index.
            interval: The interval; its start becomes time 0.
            suffix: Suffix of the clip, one of `SUBTITLE_FORMATS`.
            folder: An empty folder for the files.

        Raises:
            MediaError: The video cannot be opened.
        """
        subtitles, metadata = folder / "subtitles", folder / "metadata.txt"
        subtitle_tracks = write_subtitles(path, interval, subtitles, SUBTITLE_FORMATS[suffix])
        write_metadata(path, index, interval, metadata)
        tags = _tags("v", index.tracks[choose_video(path, index)])
        if has_audio(index):
            tags |= _tags("a", index.tracks[choose_audio(path, index)])
        for number, track in enumerate(subtitle_tracks):
            # ffmpeg copies their languages, but no titles from an .mp4.
            if title := index.tracks[track].title:
                tags[f"metadata:s:s:{number}"] = f"title={title}"
        return cls(subtitles if subtitle_tracks else None, metadata, tags)

    def output(self, streams: Sequence[Any], target: Path, options: dict[str, Any]) -> Any:
        """Return an ffmpeg-python output with these additions.

        Args:
            streams: Picture and sound, from a single input.
            target: The file to write.
            options: Options of the encoders.
        """
        subtitles = [] if self.subtitles is None else [input_file(self.subtitles, VIDEO_FORMATS)["s"]]
        # ffmpeg-python has no inputs that only hold metadata. ffmpeg takes them anywhere, and numbers this one last.
        number = 1 + len(subtitles)
        sources = {"scodec": "copy", "map_metadata:g": f"{number}:g", "map_chapters": number}
        output = ffmpeg.output(*streams, *subtitles, file_argument(target), **options, **self.tags, **sources)
        return output.global_args("-f", "ffmetadata", "-i", file_argument(self.metadata))


def _tags(kind: str, track: StreamInfo) -> dict[str, str]:
    # Two names of the same stream, because ffmpeg-python takes an option once.
    tags = {f"metadata:s:{kind}": ("language", track.language), f"metadata:s:{kind}:0": ("title", track.title)}
    return {option: f"{name}={value}" for option, (name, value) in tags.items() if value}
