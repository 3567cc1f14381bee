"""Subtitle files beside a video."""

import logging
import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from langchain_videochat.media.languages import find_language
from langchain_videochat.media.sources import VIDEO_SUFFIXES

logger = logging.getLogger(__name__)

SIDECAR_SUFFIXES = (".ass", ".srt", ".ssa", ".vtt")

# A single word, perhaps with subtags or a remark, then anything: ".pt-BR", ".English (SDH)", ".Deutsch.forced".
_TAGS = re.compile(r"\.[^\W\d_]{2,}([-_][^\W_]+)*( ?[(\[][^.]*)?(\..*)?")


@dataclass(frozen=True)
class _Match:
    """How the name of a subtitle file fits that of a video."""

    closeness: tuple[int, bool]
    """The number of equal characters, and whether they are equal in case and normalization, too."""

    language: str | None
    """Language in the name of the subtitle file."""


def find_sidecars(path: Path) -> list[Path]:
    """List the subtitle files beside a video, whether they can be read or not.

    The name of a subtitle file is that of the video, with or without its suffix, followed by nothing or by a language
    and remarks: `talk.srt`, `talk.mp4.srt`, `talk.pt-BR.srt`, `talk.English.forced.srt`, `talk_en.vtt`. Names are
    compared regardless of case and Unicode normalization. A file that fits the name of another video in the folder
    better, such as `talk.trailer.mp4`, is not listed.

    Args:
        path: The video.

    Returns:
        Absolute paths, sorted.

    Example:
        >>> find_sidecars(Path("talk.mp4"))  # doctest: +SKIP
        [PosixPath('/films/talk.de.srt'), PosixPath('/films/talk.srt')]
    """
    path = path.absolute()
    try:
        names = sorted(os.listdir(path.parent))
    except OSError as error:
        logger.warning("%s: cannot look for subtitle files: %s", path.parent, error)
        return []
    stem = _comparable(path.stem)
    names = [name for name in names if _comparable(name).startswith(stem)]  # cheap, for folders of thousands of videos
    sidecars = [name for name in names if name.lower().endswith(SIDECAR_SUFFIXES) and _match(path.name, name)]
    rivals = [name for name in names if _is_video(name)]
    return [
        path.with_name(name)
        for name in sidecars
        if _closeness(path.name, name) >= max((_closeness(rival, name) for rival in rivals), default=(0, False))
        and path.with_name(name).is_file()
    ]


def sidecar_language(path: Path, sidecar: Path) -> str | None:
    """Return the language in the name of a subtitle file, None if it has none.

    Args:
        path: The video.
        sidecar: One of its subtitle files.

    Example:
        >>> sidecar_language(Path("talk.mp4"), Path("talk.forced.pt-BR.srt"))
        'pt-BR'
    """
    match = _match(path.name, sidecar.name)
    return match.language if match else None


def _closeness(video: str, sidecar: str) -> tuple[int, bool]:
    match = _match(video, sidecar)
    return match.closeness if match else (0, False)


def _match(video: str, sidecar: str) -> _Match | None:
    name = unicodedata.normalize("NFC", Path(sidecar).stem)
    for base in (video, Path(video).stem):
        tags = _after(_comparable(base), name)
        if tags is None:
            continue
        words = re.split(r"[.\s()\[\]]+", tags.lstrip("-_"))
        # "talk.ts.srt" is of a transport stream, not in Tsonga.
        languages = (find_language(word) for word in words if not _is_video(f".{word}"))
        language = next(filter(None, languages), None)
        # After other separators than a dot only a language: "talk-show.srt" is not of talk.mp4.
        if not tags or _TAGS.fullmatch(tags) or (tags[0] in ".-_" and language):
            return _Match((len(_comparable(base)), sidecar.startswith(base)), language)
    return None


def _after(base: str, name: str) -> str | None:
    """Return what follows a base in a name."""
    if not _comparable(name).startswith(base):
        return None
    ends = (end for end in range(len(name) + 1) if _comparable(name[:end]) == base)
    return next((name[end:] for end in ends), None)


def _comparable(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _is_video(name: str) -> bool:
    return name.lower().endswith(VIDEO_SUFFIXES)
