"""Parsing content blocks: each becomes a text or a `MediaRef`. Unsupported blocks raise an error."""

import re
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from langchain_videochat.embed.media_refs import DATA_URL, MAX_FRAMES, MediaRef
from langchain_videochat.errors import InputError
from langchain_videochat.utils.interval import Interval
from langchain_videochat.utils.timecode import parse_timecode

Block = Mapping[str, Any]

_METADATA = frozenset({"type", "id", "index", "file_id", "mime_type", "source_type", "cache_control", "extras"})
_SOURCES = frozenset({"url", "base64", "data"})
_QWEN_EXTRAS = {"video_start": "start", "video_end": "end", "nframes": "num_frames", "fps": "fps"}
_URL = re.compile(r"https?:|file:", re.IGNORECASE)


def read_block(block: Block) -> str | MediaRef:
    """Parse a content block in LangChain's format (v1 or v0), or that of OpenAI's chat completions, Gemini or Qwen.

    Raises:
        InputError: The type of the block, or something in it, is not supported.

    Example:
        >>> block = {"type": "video", "url": "file:///talk.mp4", "extras": {"end": "01:30", "fps": 0.5}}
        >>> read_block(block)  # doctest: +NORMALIZE_WHITESPACE
        MediaRef(kind='video', source='file:///talk.mp4', interval=Interval(start=0.0, end=90.0),
                 num_frames=None, fps=0.5)
    """
    kind = str(block.get("type"))
    if kind not in _READERS:
        raise InputError("content", f"unsupported block type {kind!r}", f"Use one of {', '.join(_READERS)}")
    return _READERS[kind](block)


def _read_text(block: Block) -> str:
    return _string(block, "text")


def _read_document(block: Block) -> str:
    heading = [_string(block, name) for name in ("title", "context") if block.get(name)]
    return "\n".join([*heading, _string(block, "text")])


def _read_video(block: Block) -> MediaRef:
    if "video" not in block:
        _check_keys(block, _SOURCES)
        return _video(_source(block), _extras(block))
    _check_keys(block, {"video", *_QWEN_EXTRAS})
    extras = {_QWEN_EXTRAS[name]: value for name, value in block.items() if name in _QWEN_EXTRAS}
    return _video(_path(block["video"]), extras | _extras(block))


def _read_image(block: Block) -> MediaRef:
    _check_keys(block, {"image"} if "image" in block else _SOURCES)
    _check_no_extras(block)
    return MediaRef("image", _path(block["image"]) if "image" in block else _source(block))


def _read_audio(block: Block) -> MediaRef:
    _check_keys(block, {"audio"} if "audio" in block else _SOURCES)
    return _audio(_path(block["audio"]) if "audio" in block else _source(block), _extras(block))


def _read_audio_url(block: Block) -> MediaRef:
    _check_keys(block, {"audio_url"})
    return _audio(_nested_url(block, "audio_url", {"url"}), _extras(block))


def _read_input_audio(block: Block) -> MediaRef:
    """Parse a block of OpenAI."""
    _check_keys(block, {"input_audio"})
    audio = block["input_audio"]
    if not isinstance(audio, Mapping) or audio.keys() != {"data", "format"}:
        problem = f"must have data and format, got {_shorten(audio)}"
        raise InputError("input_audio", problem, 'Write {"data": "...", "format": "wav"}')
    return _audio(_url(f"data:audio/{audio['format']};base64,{audio['data']}"), _extras(block))


def _read_video_url(block: Block) -> MediaRef:
    _check_keys(block, {"video_url"})
    return _video(_nested_url(block, "video_url", {"url"}), _extras(block))


def _read_image_url(block: Block) -> MediaRef:
    _check_keys(block, {"image_url"})
    _check_no_extras(block)
    # OpenAI's "detail" sets the cost of an image. Here all images cost the same.
    return MediaRef("image", _nested_url(block, "image_url", {"url", "detail"}))


def _read_file(block: Block) -> str | MediaRef:
    if "file" in block:
        block = _unpack_file(block)
    mime_type = str(block.get("mime_type"))
    kind = mime_type.partition("/")[0].lower()
    if kind not in _FILE_READERS:
        problem = f"unsupported mime_type {mime_type}"
        advice = "Give a video, an image, audio or plain text, with its mime_type"
        raise InputError(f"{block['type']} block", problem, advice)
    return _FILE_READERS[kind](block)


def _unpack_file(block: Block) -> Block:
    """Convert a file block of OpenAI to LangChain's format."""
    _check_keys(block, {"file"})
    file = block["file"]
    if not isinstance(file, Mapping) or file.keys() - {"file_data", "filename"}:
        problem = f"file must have file_data and no other key than filename, got {_shorten(file)}"
        advice = (
            'Write {"file_data": "data:video/mp4;base64,..."}; files uploaded elsewhere (file_id) are not supported'
        )
        raise InputError("file block", problem, advice)
    data = DATA_URL.match(str(file.get("file_data")))
    if data is None:
        problem = f"file_data must be a base64 data: URL, got {_shorten(file.get('file_data'))}"
        raise InputError("file block", problem, "Write data:video/mp4;base64,...")
    others = {name: value for name, value in block.items() if name != "file"}
    return {**others, "url": data.string, "mime_type": data[1]}


def _read_media(block: Block) -> str | MediaRef:
    """Parse a block of Gemini."""
    _check_keys(block, {"data", "file_uri"})
    return _read_file({"url" if name == "file_uri" else name: value for name, value in block.items()})


_FILE_READERS: Mapping[str, Callable[[Block], str | MediaRef]] = {
    "video": _read_video,
    "image": _read_image,
    "audio": _read_audio,
    "text": _read_document,
}
_READERS: Mapping[str, Callable[[Block], str | MediaRef]] = {
    "text": _read_text,
    "text-plain": _read_document,
    "video": _read_video,
    "video_url": _read_video_url,
    "image": _read_image,
    "image_url": _read_image_url,
    "audio": _read_audio,
    "audio_url": _read_audio_url,
    "input_audio": _read_input_audio,
    "file": _read_file,
    "media": _read_media,
}


def _check_keys(block: Block, allowed: Collection[str]) -> None:
    unknown = block.keys() - _METADATA - set(allowed)
    if unknown:
        advice = f"Use {', '.join(sorted(allowed))}, and extras to select a part"
        raise InputError(f"{block['type']} block", f"unknown key {_names(unknown)}", advice)


def _string(block: Block, name: str) -> str:
    value = block.get(name)
    if not isinstance(value, str):
        raise InputError(f"{block['type']} block", f"{name} must be a string, got {value!r}", f"Set {name}")
    return value


def _source(block: Block) -> str:
    """Return the URL of a block, or a data URL made from its data."""
    given = [name for name in ("url", "base64", "data") if block.get(name)]
    if len(given) != 1:
        problem = f"it has both {_names(given)}" if given else "it has neither a URL nor data"
        advice = "Give either url, for example file:///folder/talk.mp4, or base64; file_id is not supported"
        raise InputError(f"{block['type']} block", problem, advice)
    if given == ["url"]:
        return _url(block["url"])
    if not block.get("mime_type"):
        raise InputError(f"{block['type']} block", "it has data but no mime_type", "Set it, for example to video/mp4")
    mime_type = _string(block, "mime_type").partition(";")[0].strip()
    return _url(f"data:{mime_type};base64,{_string(block, given[0])}")


def _nested_url(block: Block, name: str, allowed: Collection[str]) -> str:
    nested = block.get(name)
    if not isinstance(nested, Mapping):
        return _url(nested)
    unknown = nested.keys() - set(allowed)
    if unknown:
        raise InputError(name, f"unknown key {_names(unknown)}", f"Use {', '.join(sorted(allowed))}")
    return _url(nested.get("url"))


def _url(value: Any) -> str:
    if isinstance(value, str) and (_URL.match(value) or DATA_URL.match(value)):
        return value
    problem = f"must be an http:, https:, file: or base64 data: URL, got {_shorten(value)}"
    raise InputError("url", problem, "Convert a path with Path(...).absolute().as_uri()")


def _path(value: Any) -> str:
    """Validate the source in a Qwen block: a path or a URL."""
    if not isinstance(value, str | Path):
        problem = f"must be a path or a URL, got a {type(value).__name__}"
        raise InputError("content", problem, "Give one video or image per block")
    return _url(value) if str(value).lower().startswith("data:") else str(value)


def _extras(block: Block) -> dict[str, Any]:
    extras = block.get("extras") or {}
    if not isinstance(extras, Mapping):
        raise InputError("extras", f"must be a dictionary, got {extras!r}", 'Write {"start": 5, "end": "01:30"}')
    return {name: value for name, value in extras.items() if value is not None}


def _check_no_extras(block: Block) -> None:
    if _extras(block):
        raise InputError("extras", f"images do not support {_names(_extras(block))}", "Remove them, or send a video")


def _video(source: str, extras: Mapping[str, Any]) -> MediaRef:
    if {"num_frames", "fps"} <= extras.keys():
        raise InputError("extras", "num_frames and fps are mutually exclusive", "Give one of them")
    return MediaRef("video", source, **_values(extras, _VIDEO_EXTRAS))


def _audio(source: str, extras: Mapping[str, Any]) -> MediaRef:
    return MediaRef("audio", source, **_values(extras, _AUDIO_EXTRAS))


def _values(extras: Mapping[str, Any], readers: Mapping[str, Callable[[str, Any], float]]) -> dict[str, Any]:
    unknown = extras.keys() - readers.keys()
    if unknown:
        raise InputError("extras", f"unknown key {_names(unknown)}", f"Use {', '.join(readers)}")
    values: dict[str, Any] = {name: readers[name](name, value) for name, value in extras.items()}
    return values | {"interval": Interval.of(values.pop("start", None), values.pop("end", None))}


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, str):
        return parse_timecode(value)
    if not _is_finite(value) or value < 0:
        raise InputError(name, f"{value!r} is not a valid time", 'Give seconds or "mm:ss"')
    return float(value)


def _count(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_FRAMES:
        raise InputError(name, f"must be a number of frames, got {value!r}", f"Give 1 to {MAX_FRAMES}")
    return value


def _rate(name: str, value: Any) -> float:
    if not _is_finite(value) or value <= 0:
        raise InputError(name, f"must be positive, got {value!r}", "Give frames per second, for example 0.5")
    return float(value)


_AUDIO_EXTRAS: Mapping[str, Callable[[str, Any], float]] = {"start": _seconds, "end": _seconds}
_VIDEO_EXTRAS = {**_AUDIO_EXTRAS, "num_frames": _count, "fps": _rate}


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _shorten(value: Any) -> str:
    return repr(str(value)[:80])


def _names(keys: Collection[Any]) -> str:
    return " and ".join(sorted(map(str, keys)))
