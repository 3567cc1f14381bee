"""Timelines as prompts, WebVTT and JSON."""

import html
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from langchain_videochat.errors import InputError
from langchain_videochat.media import VideoInfo
from langchain_videochat.perception.modalities import modality_or_default
from langchain_videochat.perception.observation import Observation
from langchain_videochat.timeline.moments import group_by_modality, with_text
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
    """Format observations for a language model: one paragraph per modality, in the order of the paper's Table 1."""
    paragraphs = [f"{video.title} ({format_timecode(video.duration)})"]
    for modality, group in group_by_modality(with_text(observations)).items():
        paragraphs.append("\n".join([f"{modality.label}:", *map(_prompt_line, group)]))
    return "\n\n".join(paragraphs)


def _prompt_line(one: Observation) -> str:
    times = f"{format_timecode(one.start)}-{format_timecode(one.end)}"
    # The text of a scene only repeats its times.
    return times if one.modality == "scene" else f"{times} {one.attributed_text}"


def to_webvtt(observations: Sequence[Observation]) -> str:
    """Format observations as a WebVTT track.

    The voice of each cue is its speaker, with the modality as the voice's class, or the modality if the speaker is
    unknown.
    """
    return "\n\n".join(["WEBVTT", *_cues(observations)]) + "\n"


def _cues(observations: Sequence[Observation]) -> Iterator[str]:
    for one in with_text(observations):
        text = _escape(one.text)
        voice = f".{one.modality} {_escape(one.speaker)}" if one.speaker else f" {one.modality}"
        start = round(one.start * 1000)
        end = max(round(one.end * 1000), start + 1)
        yield f"{_webvtt_time(start)} --> {_webvtt_time(end)}\n<v{voice}>{text}"


def _escape(text: str) -> str:
    # An empty line would end the cue.
    return html.escape(" ".join(text.split()), quote=False)


def _webvtt_time(milliseconds: int) -> str:
    return f"{milliseconds // 3_600_000:02d}:{milliseconds // 60_000 % 60:02d}:{milliseconds % 60_000 / 1000:06.3f}"


def to_json(video: VideoInfo, video_id: str, observations: Sequence[Observation]) -> str:
    """Serialize a timeline to JSON."""
    return json.dumps(
        {"video_id": video_id, "video": asdict(video), "observations": dump_observations(observations)},
        ensure_ascii=False,
    )


def from_json(text: str) -> tuple[VideoInfo, str, tuple[Observation, ...]]:
    """Parse the output of `to_json`; the errors are those of `Timeline.from_json`."""
    try:
        record = _RECORD.validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        problem = f"not a timeline in JSON ({'.'.join(map(str, first['loc']))}: {first['msg']})"
        raise InputError("timeline", problem, "Give the output of to_json()") from error
    return record.video, record.video_id, record.observations


def load_video(record: dict[str, Any]) -> VideoInfo:
    """Convert the `asdict` of a VideoInfo back to a VideoInfo."""
    return _VIDEO.validate_python(record)


def dump_observations(observations: Sequence[Observation]) -> list[dict[str, Any]]:
    """Convert observations to JSON-serializable dicts, without fields that are None."""
    return [{key: value for key, value in asdict(one).items() if value is not None} for one in observations]


def load_observations(records: list[dict[str, Any]]) -> list[Observation]:
    """Convert the output of `dump_observations` back to Observations."""
    for modality in {record["modality"] for record in records}:
        modality_or_default(modality)  # registers modalities of plugins that are no longer installed
    return _OBSERVATIONS.validate_python(records)
