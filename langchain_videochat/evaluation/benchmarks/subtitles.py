"""Subtitles of the benchmarks' videos: published files, checked and bounded in size, as text for prompts."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from langchain_core.language_models import BaseChatModel
from pydantic import AliasChoices, AliasPath, BaseModel, BeforeValidator, Field, TypeAdapter

from langchain_videochat.embed.conversation import sampling_times
from langchain_videochat.errors import InputError
from langchain_videochat.evaluation.benchmarks.items import BenchmarkItem
from langchain_videochat.evaluation.benchmarks.rows import read_json_line_rows, read_json_rows
from langchain_videochat.evaluation.benchmarks.video_blocks import find_interval
from langchain_videochat.media.damage import log_damage
from langchain_videochat.media.subtitles.cues import MAX_LENGTH, ParsedCue
from langchain_videochat.media.subtitles.subtitle_files import read_subtitle_file
from langchain_videochat.text.context import TokenCounter
from langchain_videochat.utils.interval import Interval
from langchain_videochat.utils.plain_text import plain_line
from langchain_videochat.utils.timecode import parse_timecode

MAX_TOKENS = 32_768
"""Maximum tokens of a video's subtitles: those of more than an hour of speech."""

CONTEXT_SHARE = 2
"""Subtitles take at most 1 / `CONTEXT_SHARE` of a model's context; the rest is for the video and the question."""

_ADVICE = "Unpack the subtitles again"


def _parse_time(time: Any) -> Any:
    return parse_timecode(time) if isinstance(time, str) else time


_Seconds = Annotated[float, BeforeValidator(_parse_time), Field(ge=0)]


class _Line(BaseModel):
    """A subtitle of LongVideoBench: `{"start", "end", "line"}` with timecodes, or `{"timestamp": [...], "text"}`."""

    start: _Seconds = Field(validation_alias=AliasChoices("start", AliasPath("timestamp", 0)))
    # The end of a transcript's last line is null.
    end: _Seconds | None = Field(validation_alias=AliasChoices("end", AliasPath("timestamp", 1)))
    text: str = Field(validation_alias=AliasChoices("line", "text"))


class _Word(BaseModel):
    """A word of Video-MME v2."""

    text: str
    start_time: _Seconds
    end_time: _Seconds


_LINES = TypeAdapter(list[_Line])
_WORDS = TypeAdapter(list[_Word])


def format_subtitles(item: BenchmarkItem, model: BaseChatModel, num_frames: int | None) -> str:
    """Return the subtitles of a question's video in the format of its benchmark.

    Subtitles that do not fit into the model's context are left out at regular distances.

    Args:
        item: The question.
        model: The model, whose context limits the length.
        num_frames: Number of frames, as sampled by `VideoChatEmbed`; None if the model samples frames itself, so that
            their times are unknown.

    Returns:
        The text; empty if the question has no subtitles.

    Raises:
        SourceError: The subtitle file does not exist.
        InputError: The subtitle file is too large, or has another format.
        MediaError: The video cannot be read.
    """
    if item.subtitles is None or item.path is None:
        return ""
    form = item.prompt.subtitles
    interval = find_interval(item, item.path)
    cues = list(_clip(_read_cues(item.subtitles), item.subtitles_start, interval))
    if form.at_frames and num_frames is not None:
        times = sampling_times(interval, num_frames)
        cues = [cue for cue in cues if _is_displayed(cue, times, form.min_seconds)]
    texts = [form.template.format(start=cue.start, end=cue.end, text=cue.text) for cue in cues]
    units = [form.separator.join(texts[n : n + form.unit]) for n in range(0, len(texts), form.unit)]
    limit = (model.profile or {}).get("max_input_tokens")
    max_tokens = min(MAX_TOKENS, limit // CONTEXT_SHARE) if limit else MAX_TOKENS
    return _join_fitting(units, form.separator, max_tokens, TokenCounter(model))


def _read_cues(path: Path) -> list[ParsedCue]:
    match path.suffix:
        case ".json":
            lines = read_json_rows(path, _LINES, _ADVICE)
            return [ParsedCue(line.start, math.inf if line.end is None else line.end, line.text) for line in lines]
        case ".jsonl":
            words = read_json_line_rows(path, _WORDS, _ADVICE)
            return [ParsedCue(word.start_time, word.end_time, word.text) for word in words]
        case _:
            return _read_subtitle_file(path)


def _read_subtitle_file(path: Path) -> list[ParsedCue]:
    track = read_subtitle_file(path)
    if track.damage and not track.cues:
        raise InputError(path, f"no subtitle can be read ({track.damage[0]})", _ADVICE)
    for damage in track.damage:
        log_damage(damage)
    return list(track.cues)


def _clip(cues: Sequence[ParsedCue], video_start: float, interval: Interval) -> Iterator[ParsedCue]:
    """Yield the cues in an interval of the video, by start, each with its text on one line."""
    for cue in sorted(cues, key=lambda cue: cue.start):
        start = max(cue.start - video_start, interval.start)
        end = min(cue.end - video_start, interval.end)
        text = " ".join(plain_line(cue.text, MAX_LENGTH).split())
        if text and start <= end and start < interval.end:
            yield ParsedCue(start, end, text)


def _is_displayed(cue: ParsedCue, times: Sequence[float], min_seconds: float) -> bool:
    middle, half = (cue.start + cue.end) / 2, max(cue.end - cue.start, min_seconds) / 2
    return any(middle - half <= time < middle + half for time in times)


def _join_fitting(units: Sequence[str], separator: str, max_tokens: int, count_tokens: Callable[[str], int]) -> str:
    """Join as many units as fit into a number of tokens, evenly distributed."""
    kept, text = len(units), separator.join(units)
    while kept and (tokens := count_tokens(text)) > max_tokens:
        kept = min(kept - 1, kept * max_tokens // tokens)
        text = separator.join(units[n * len(units) // kept] for n in range(kept))
    return text
