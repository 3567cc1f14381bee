"""A timeline as a prompt, as WebVTT and as JSON."""

import html
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from langchain_videochat.errors import InputError
from langchain_videochat.media import VideoInfo
from langchain_videochat.perception.observation import Observation
from langchain_videochat.timeline.moments import LABELS
from langchain_videochat.utils.timecode import format_timecode


@dataclass(frozen=True)
class _Record:
    video_id: str
    video: VideoInfo
    observations: tuple[Observation, ...]


_RECORD = TypeAdapter(_Record)
_VIDEO = TypeAdapter(VideoInfo)
_OBSERVATIONS = TypeAdapter(list[Observation])


def to_prompt(video: VideoInfo, observations: Sequence[Observation]) -> str:
    """Write observations for a language model: one paragraph a modality, in the order of the paper's Table 1."""
    paragraphs = [f"{video.title} ({format_timecode(video.duration)})"]
    for modality, label in LABELS.items():
        lines = [_prompt_line(one) for one in observations if one.modality == modality]
        if lines:
            paragraphs.append("\n".join([f"{label}:", *lines]))
    return "\n\n".join(paragraphs)


def _prompt_line(one: Observation) -> str:
    times = f"{format_timecode(one.start)}-{format_timecode(one.end)}"
    # A scene's text says no more than its times.
    return times if one.modality == "scene" else f"{times} {one.text}"


def to_webvtt(observations: Sequence[Observation]) -> str:
    """Write observations as a WebVTT track; the voice tag tells the modality."""
    return "\n\n".join(["WEBVTT", *_cues(observations)]) + "\n"


def _cues(observations: Sequence[Observation]) -> Iterator[str]:
    for one in observations:
        text = html.escape(" ".join(one.text.split()), quote=False)  # an empty line would end the cue
        start = round(one.start * 1000)
        end = max(round(one.end * 1000), start + 1)
        yield f"{_webvtt_time(start)} --> {_webvtt_time(end)}\n<v {one.modality}>{text}"


def _webvtt_time(milliseconds: int) -> str:
    return f"{milliseconds // 3_600_000:02d}:{milliseconds // 60_000 % 60:02d}:{milliseconds % 60_000 / 1000:06.3f}"


def to_json(video: VideoInfo, video_id: str, observations: Sequence[Observation]) -> str:
    """Write a whole timeline as JSON."""
    return json.dumps(
        {"video_id": video_id, "video": dump_video(video), "observations": dump_observations(observations)},
        ensure_ascii=False,
    )


def from_json(text: str) -> tuple[VideoInfo, str, tuple[Observation, ...]]:
    """Read what `to_json` wrote.

    Raises:
        InputError: The text is no JSON, or a field of it is missing or out of range.
    """
    try:
        record = _RECORD.validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        problem = f"this is no timeline in JSON ({'.'.join(map(str, first['loc']))}: {first['msg']})"
        raise InputError("timeline", problem, "Give what to_json() wrote") from error
    return record.video, record.video_id, record.observations


def dump_video(video: VideoInfo) -> dict[str, Any]:
    """Turn a VideoInfo into what JSON can hold."""
    return asdict(video)


def load_video(record: dict[str, Any]) -> VideoInfo:
    """Read what `dump_video` made."""
    return _VIDEO.validate_python(record)


def dump_observations(observations: Sequence[Observation]) -> list[dict[str, Any]]:
    """Turn observations into what JSON can hold, leaving out what is unknown."""
    return [{key: value for key, value in asdict(one).items() if value is not None} for one in observations]


def load_observations(records: list[dict[str, Any]]) -> list[Observation]:
    """Read what `dump_observations` made."""
    return _OBSERVATIONS.validate_python(records)
