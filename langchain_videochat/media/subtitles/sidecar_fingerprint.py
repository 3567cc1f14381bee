"""Fingerprints of the subtitle files beside a video, which show whether its timeline is up to date."""

import hashlib
from pathlib import Path

from langchain_videochat.media.subtitles.sidecars import find_sidecars, sidecar_language

MAX_BYTES = 2**24
"""Bytes of a subtitle file that are compared: larger ones are not read as subtitles."""


def sidecar_fingerprint(path: Path) -> str:
    """Return a fingerprint of the subtitle files of a video.

    It covers their contents, formats and languages. Their names are left out: a video that is renamed together with
    its subtitle files is still the same.

    Args:
        path: The video.

    Returns:
        16 hexadecimal digits; an empty text if the video has no subtitle files.

    Example:
        >>> sidecar_fingerprint(Path("demo/quick_recipes.mp4"))
        ''
    """
    files = sorted(_describe(path, file) for file in find_sidecars(path))
    return hashlib.sha256("\n".join(files).encode()).hexdigest()[:16] if files else ""


def _describe(path: Path, sidecar: Path) -> str:
    kind = f"{sidecar.suffix.lower()} {sidecar_language(path, sidecar)}"
    try:
        with sidecar.open("rb") as file:
            content = file.read(MAX_BYTES)
        return f"{kind} {sidecar.stat().st_size} {hashlib.sha256(content).hexdigest()}"
    except OSError:
        # It counts as a change when the file becomes readable.
        return f"{kind} unreadable"
