"""LangChain's content blocks: each becomes a text, or a `MediaRef` that says what is shown. Other blocks raise."""

import re
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from langchain_videochat.embed.media_refs import DATA_ADDRESS, MAX_FRAMES, MediaRef
from langchain_videochat.errors import InputError
from langchain_videochat.utils.timecode import parse_timecode

Block = Mapping[str, Any]

_BOOKKEEPING = frozenset({"type", "id", "index", "file_id", "mime_type", "source_type", "cache_control", "extras"})
_SOURCES = frozenset({"url", "base64", "data"})
_QWEN_EXTRAS = {"video_start": "start", "video_end": "end", "nframes": "num_frames", "fps": "fps"}
_ADDRESS = re.compile(r"https?:|file:", re.IGNORECASE)


def read_block(block: Block) -> str | MediaRef:
    """Read a content block of LangChain (v1, v0), of OpenAI's chat completions, or of Qwen's.

    Raises:
        InputError: It is of another type, or something in it is not understood.

    Example:
        >>> read_block({"type": "video", "url": "file:///talk.mp4", "extras": {"end": "01:30", "fps": 0.5}})
        MediaRef(kind='video', source='file:///talk.mp4', start=None, end=90.0, num_frames=None, fps=0.5)
    """
    kind = str(block.get("type"))
    if kind not in _READERS:
        problem = f"a block of type {kind!r} is not understood"
        raise InputError("content", problem, f"Understood are {', '.join(_READERS)}")
    return _READERS[kind](block)


def _read_text(block: Block) -> str:
    return _string(block, "text")


def _read_document(block: Block) -> str:
    heading = [_string(block, name) for name in ("title", "context") if block.get(name)]
    return "\n".join([*heading, _string(block, "text")])


def _read_video(block: Block) -> MediaRef:
    if "video" not in block:
        _check_keys(block, _SOURCES)
        return MediaRef("video", _source(block), **_stretch(_extras(block)))
    _check_keys(block, {"video", *_QWEN_EXTRAS})
    extras = {_QWEN_EXTRAS[name]: value for name, value in block.items() if name in _QWEN_EXTRAS}
    return MediaRef("video", _path(block["video"]), **_stretch(extras | _extras(block)))


def _read_image(block: Block) -> MediaRef:
    _check_keys(block, {"image"} if "image" in block else _SOURCES)
    _check_no_extras(block)
    return MediaRef("image", _path(block["image"]) if "image" in block else _source(block))


def _read_video_url(block: Block) -> MediaRef:
    _check_keys(block, {"video_url"})
    return MediaRef("video", _nested_address(block, "video_url", {"url"}), **_stretch(_extras(block)))


def _read_image_url(block: Block) -> MediaRef:
    _check_keys(block, {"image_url"})
    _check_no_extras(block)
    # OpenAI's "detail" says what a picture may cost: here all cost the same.
    return MediaRef("image", _nested_address(block, "image_url", {"url", "detail"}))


def _read_file(block: Block) -> str | MediaRef:
    mime_type = str(block.get("mime_type"))
    kind = mime_type.partition("/")[0].lower()
    if kind not in _FILE_READERS:
        problem = f"what to do with mime_type {mime_type} is not known"
        raise InputError("file block", problem, "Give a video, an image or plain text, with its mime_type")
    return _FILE_READERS[kind](block)


_FILE_READERS: Mapping[str, Callable[[Block], str | MediaRef]] = {
    "video": _read_video,
    "image": _read_image,
    "text": _read_document,
}
_READERS: Mapping[str, Callable[[Block], str | MediaRef]] = {
    "text": _read_text,
    "text-plain": _read_document,
    "video": _read_video,
    "video_url": _read_video_url,
    "image": _read_image,
    "image_url": _read_image_url,
    "file": _read_file,
}


def _check_keys(block: Block, known: Collection[str]) -> None:
    unknown = block.keys() - _BOOKKEEPING - set(known)
    if unknown:
        advice = f"Known are {', '.join(sorted(known))}; what to show of a video is said in extras"
        raise InputError(f"{block['type']} block", f"it has an unknown {_names(unknown)}", advice)


def _string(block: Block, name: str) -> str:
    value = block.get(name)
    if not isinstance(value, str):
        raise InputError(f"{block['type']} block", f"its {name} is missing, or no text", f"Write {name} as text")
    return value


def _source(block: Block) -> str:
    """Find the address of what a block shows, or make one of its data."""
    given = [name for name in ("url", "base64", "data") if block.get(name)]
    if len(given) != 1:
        advice = "Give url, as file:///folder/talk.mp4, or base64; a file_id of another provider cannot be opened here"
        raise InputError(f"{block['type']} block", f"it has {_names(given) or 'no data and no address'}", advice)
    if given == ["url"]:
        return _address(block["url"])
    if not block.get("mime_type"):
        raise InputError(f"{block['type']} block", "it has data, but no mime_type", "Name it, as video/mp4")
    mime_type = _string(block, "mime_type").partition(";")[0].strip()
    return _address(f"data:{mime_type};base64,{_string(block, given[0])}")


def _nested_address(block: Block, name: str, known: Collection[str]) -> str:
    nested = block.get(name)
    if not isinstance(nested, Mapping):
        return _address(nested)
    unknown = nested.keys() - set(known)
    if unknown:
        raise InputError(name, f"it has an unknown {_names(unknown)}", f"Known are {', '.join(sorted(known))}")
    return _address(nested.get("url"))


def _address(value: Any) -> str:
    if isinstance(value, str) and (_ADDRESS.match(value) or DATA_ADDRESS.match(value)):
        return value
    problem = f"{str(value)[:80]!r} is no http:, https:, file: or base64 data: address"
    raise InputError("url", problem, "Write that of a file as Path(...).absolute().as_uri()")


def _path(value: Any) -> str:
    """Check what stands under the key of a Qwen block: a path or an address."""
    if not isinstance(value, str | Path):
        raise InputError("content", f"a {type(value).__name__} is no path and no address", "Give one video or image")
    return _address(value) if str(value).lower().startswith("data:") else str(value)


def _extras(block: Block) -> dict[str, Any]:
    extras = block.get("extras") or {}
    if not isinstance(extras, Mapping):
        raise InputError("extras", f"{extras!r} is no dictionary", 'Write {"start": 5, "end": "01:30"}')
    return {name: value for name, value in extras.items() if value is not None}


def _check_no_extras(block: Block) -> None:
    if _extras(block):
        raise InputError("extras", f"an image has no {_names(_extras(block))}", "Leave them out, or show a video")


def _stretch(extras: Mapping[str, Any]) -> dict[str, Any]:
    """Read what a block wants to be shown of a video."""
    unknown = extras.keys() - _EXTRAS.keys()
    if unknown:
        raise InputError("extras", f"{_names(unknown)} is unknown", f"Known are {', '.join(_EXTRAS)}")
    if {"num_frames", "fps"} <= extras.keys():
        raise InputError("extras", "num_frames and fps are both given", "Give one of them")
    return {name: _EXTRAS[name](name, value) for name, value in extras.items()}


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, str):
        return parse_timecode(value)
    if not _is_finite(value) or value < 0:
        raise InputError(name, f"{value!r} is no time of a video", 'Give seconds, or "mm:ss"')
    return float(value)


def _count(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_FRAMES:
        raise InputError(name, f"{value!r} is no number of frames", f"Give 1 to {MAX_FRAMES}")
    return value


def _rate(name: str, value: Any) -> float:
    if not _is_finite(value) or value <= 0:
        raise InputError(name, f"{value!r} is no number of frames a second", "Give one above 0, such as 0.5")
    return float(value)


_EXTRAS: Mapping[str, Callable[[str, Any], float]] = {
    "start": _seconds,
    "end": _seconds,
    "num_frames": _count,
    "fps": _rate,
}


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _names(keys: Collection[Any]) -> str:
    return " and ".join(sorted(map(str, keys)))
