"""Prompts for models of transformers: conversations as text and media for the model's own processor."""

import re
import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from typing import Any, Protocol

import numpy as np
import torch
from jinja2.exceptions import TemplateError
from transformers import BatchFeature
from transformers.video_utils import VideoMetadata

from langchain_videochat.embed.backend import TokenIds
from langchain_videochat.embed.conversation import Audio, Image, Part, Turn, Video
from langchain_videochat.errors import InputError

_ROLES = {"system": "system", "human": "user", "assistant": "assistant"}

TICKS = 1000
"""Frames per second of the clock on which processors get the times of frames: times are exact to a millisecond."""

Item = Mapping[str, str]
"""A content item of a chat template: text, or the place of an image or video."""


@dataclass(frozen=True)
class WrittenPrompt:
    """A conversation, written with the model's chat template."""

    text: str
    images: list[Any]
    """Images in the order of their places in the text, [H, W, 3] each."""

    videos: list[Video]

    audio_parts: list[Audio]
    """The audio of videos and audio files, in parts that the processor takes."""

    @property
    def kinds(self) -> tuple[bool, bool, bool]:
        """Whether it contains images, videos and audio."""
        return bool(self.images), bool(self.videos), bool(self.audio_parts)


@dataclass(frozen=True, eq=False)
class TransformersPrompt:
    """A conversation as input of a model."""

    written: WrittenPrompt
    inputs: BatchFeature
    """Inputs of the model for a batch of one, on the CPU."""

    token_ids: TokenIds

    audio_tokens: int
    """How many of them are audio."""


@dataclass(frozen=True)
class AudioInput:
    """The audio that a processor takes."""

    sampling_rate: int
    """Samples per second."""

    max_samples: int
    """Maximum length. Longer audio is split."""


class VideoWriter(Protocol):
    """The form of videos in a prompt."""

    def items(self, video: Video) -> Iterator[Item]:
        """Yield the content items of the frames of a video."""

    def add(self, video: Video, written: WrittenPrompt) -> None:
        """Add the media that the items refer to."""


@dataclass(frozen=True)
class NativeVideos:
    """Videos for processors that take them."""

    writes_times: bool
    """Whether the processor writes the times of frames into the prompt."""

    min_frames: int = 1
    """Minimum number of frames: processors of the Qwen family need two."""

    def items(self, video: Video) -> Iterator[Item]:
        """Yield the place of the video, and the times of its frames if the processor does not write them."""
        yield {"type": "video"}
        if video.times and not self.writes_times:
            seconds, plural = ", ".join(f"{time:.1f}" for time in video.times), "s" if len(video.times) > 1 else ""
            yield _text(f"The video contains {len(video.times)} frame{plural} sampled at {seconds} seconds.")

    def add(self, video: Video, written: WrittenPrompt) -> None:
        """Add the video, with its frame repeated if it has fewer than the processor needs."""
        times, frames = video.times, video.frames
        written.videos.append(video if len(frames) >= self.min_frames else Video(frames.repeat(2, axis=0), times * 2))


class TimedFrames:
    """Videos as single images, for processors that take only these."""

    def items(self, video: Video) -> Iterator[Item]:
        """Yield the time and the place of each frame."""
        for number in range(len(video.frames)):
            yield _text(f"Frame at {video.times[number]:.1f} seconds:" if video.times else "Frame:")
            yield {"type": "image"}

    def add(self, video: Video, written: WrittenPrompt) -> None:
        """Add the frames."""
        written.images.extend(video.frames)


class PromptWriter:
    """Writes conversations as prompts, and converts them to the inputs of a model. Safe for use by several threads.

    Text cannot inject control tokens: a space is inserted into every special token that it spells.

    Args:
        processor: The processor of the model, which has a chat template.
        videos: The form of videos.
        mixes: Whether the processor takes images and videos in one prompt; if not, the videos become images.
        has_system_turns: Whether the chat template writes system turns; if not, the first human turn contains them.
        audio: The audio that the processor takes; None if it takes none.
    """

    def __init__(
        self,
        processor: Any,
        videos: VideoWriter,
        *,
        mixes: bool = True,
        has_system_turns: bool = True,
        audio: AudioInput | None = None,
    ) -> None:
        self.processor = processor
        self.audio = audio
        self.takes = "videos" if isinstance(videos, NativeVideos) else "images"
        self._videos = videos
        self._mixes = mixes
        self._has_system_turns = has_system_turns
        self._control = _compile_control_tokens(processor)
        names = ("image_token_id", "video_token_id", "audio_token_id")
        self._media_tokens = {getattr(processor, name, None) for name in names} - {None}
        self.reset()

    def reset(self) -> None:
        """Renew the lock. Needed in a forked process, in which a thread that holds it doesn't exist."""
        # Fast tokenizers fail if two threads use them at once.
        self._lock = threading.Lock()

    def write(self, turns: Sequence[Turn], *, add_generation_prompt: bool = True) -> WrittenPrompt:
        """Write a conversation.

        Raises:
            InputError: The chat template rejects it.
        """
        kinds = {part.kind for turn in turns for part in turn.content if isinstance(part, Image | Video)}
        videos = TimedFrames() if len(kinds) > 1 and not self._mixes else self._videos
        turns = turns if self._has_system_turns else _without_system(turns)
        messages = [{"role": _ROLES[turn.role], "content": list(self._items(turn, videos))} for turn in turns]
        try:
            text = self._apply_template(messages, add_generation_prompt)
        except (TemplateError, TypeError) as error:
            problem = f"the chat template of the model rejects it: {error}"
            raise InputError("conversation", problem, "Alternate human and assistant turns") from error
        written = WrittenPrompt(text, [], [], [])
        for part in (part for turn in turns for part in turn.content):
            if isinstance(part, Video):
                videos.add(part, written)
            elif isinstance(part, Image):
                written.images.append(part.pixels)
            written.audio_parts.extend(self._audio_parts(part))
        return written

    def convert(self, prompts: Sequence[WrittenPrompt]) -> BatchFeature:
        """Return the inputs of the model for a batch, padded on the left, on the CPU.

        Raises:
            InputError: The processor rejects an image or a video.
        """
        media: dict[str, Any] = {}
        if any(prompt.images for prompt in prompts):
            media["images"] = [prompt.images for prompt in prompts]
        videos = [video for prompt in prompts for video in prompt.videos]
        if videos:
            media["videos"] = [list(video.frames) for video in videos]
            media["video_metadata"] = [_metadata(video) for video in videos]
            media["do_sample_frames"] = False
        audio_parts = [audio for prompt in prompts for audio in prompt.audio_parts]
        if audio_parts:
            rate = audio_parts[0].sampling_rate
            # Models cannot process a few samples.
            media["audio"] = [np.pad(one.samples, (0, max(0, rate // 2 - len(one.samples)))) for one in audio_parts]
            media["sampling_rate"] = rate
        try:
            with self._lock:
                inputs: BatchFeature = self.processor(
                    text=[prompt.text for prompt in prompts],
                    padding=True,
                    padding_side="left",
                    return_tensors="pt",
                    # A chat template writes them itself.
                    add_special_tokens=False,
                    **media,
                )
        except (TypeError, ValueError, IndexError) as error:
            problem = f"the model's processor rejects it: {error}"
            raise InputError("conversation", problem, "Use videos and images of ordinary sizes") from error
        if "video_second_per_grid" in inputs:
            # The processors of the Omni family assume two frames per second.
            seconds_per_frame = [(_metadata(video).duration or 0) / len(video.frames) for video in videos]
            inputs["video_second_per_grid"] *= 2 * torch.tensor(seconds_per_frame)
        return inputs

    def count_tokens(self, turns: Sequence[Turn], *, add_generation_prompt: bool = True) -> int:
        """Return the number of tokens of a conversation; errors are those of `write` and `convert`."""
        written = self.write(turns, add_generation_prompt=add_generation_prompt)
        return int(self.convert([written])["input_ids"].shape[1])

    def count_visual_tokens(self, visual: Video | Image) -> int:
        """Return the number of tokens of a conversation that consists of a video or an image."""
        return self.count_tokens([Turn("human", (visual,))])

    def prompt(self, turns: Sequence[Turn]) -> TransformersPrompt:
        """Return a conversation as input of the model; errors are those of `write` and `convert`."""
        written = self.write(turns)
        inputs = self.convert([written])
        tokens: list[int] = inputs["input_ids"][0].tolist()
        audio_token = getattr(self.processor, "audio_token_id", -1)
        return TransformersPrompt(written, inputs, self._identify(tokens, written), tokens.count(audio_token))

    def _identify(self, tokens: Sequence[int], written: WrittenPrompt) -> TokenIds:
        """Return token ids in which those of images and videos identify their content."""
        content, media = _digest(written), self._media_tokens.intersection(tokens)
        if not media and any(written.kinds):
            media = set(tokens)  # the processor does not name them
        ids: Iterator[Hashable] = ((content, one) if one in media else one for one in tokens)
        return tuple(ids)

    def _items(self, turn: Turn, videos: VideoWriter) -> Iterator[Item]:
        """Yield the content items of a turn, with adjacent texts in one: templates write nothing between items."""
        for kind, group in groupby(self._parts(turn, videos), key=itemgetter("type")):
            items = list(group)
            yield from [_text("\n".join(item["text"] for item in items))] if kind == "text" else items

    def _parts(self, turn: Turn, videos: VideoWriter) -> Iterator[Item]:
        for part in turn.content:
            if isinstance(part, Video):
                yield from videos.items(part)
            elif isinstance(part, Image):
                yield {"type": "image"}
            elif isinstance(part, str):
                # Lone surrogates cannot be encoded.
                yield _text(self._control.sub(r"\g<0> ", part.encode(errors="replace").decode()))
            for audio in self._audio_parts(part):
                yield _text(f"Audio from {audio.start:.1f} to {audio.end:.1f} seconds:")
                yield {"type": "audio"}

    def _audio_parts(self, part: Part) -> list[Audio]:
        """Return the audio of a part of a turn, split as the processor needs it."""
        audio = part.audio if isinstance(part, Video) else part
        return audio.split(self.audio.max_samples) if isinstance(audio, Audio) and self.audio else []

    def _apply_template(self, messages: list[dict[str, Any]], add_generation_prompt: bool) -> str:
        return str(
            self.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=add_generation_prompt)
        )


def _compile_control_tokens(processor: Any) -> re.Pattern[str]:
    """Compile a pattern that matches the first character of each special token, and of the processor's placeholders."""
    added = processor.tokenizer.added_tokens_decoder.values()
    placeholders = {getattr(processor, name, None) for name in ("image_token", "video_token", "audio_token")} - {None}
    special = {*processor.tokenizer.all_special_tokens, *placeholders, *(str(one) for one in added if one.special)}
    tokens = sorted(token for token in special if len(token.strip()) > 1)
    return re.compile("|".join(f"{re.escape(token[0])}(?={re.escape(token[1:])})" for token in tokens) or "(?!)")


def _text(text: str) -> Item:
    return {"type": "text", "text": text}


def _without_system(turns: Sequence[Turn]) -> Sequence[Turn]:
    """Put the system turn at the start of the first human turn."""
    if turns[0].role != "system":
        return turns
    system, *others = turns
    first = others.pop(0).content if others and others[0].role == "human" else ()
    return [Turn("human", (*system.content, *first)), *others]


def _metadata(video: Video) -> VideoMetadata:
    """Return the times of the frames of a video for a processor, in ticks."""
    times = video.times or tuple(range(len(video.frames)))
    ticks = [round(time * TICKS) for time in times]
    step = (ticks[-1] - ticks[0]) / (len(ticks) - 1) if len(ticks) > 1 else TICKS
    height, width = video.frames.shape[1:3]
    total = max(1, round(step * len(ticks)))
    return VideoMetadata(total, float(TICKS), width, height, total / TICKS, "pyav", ticks)


def _digest(written: WrittenPrompt) -> bytes:
    """Return a value that identifies the images, videos and audio of a prompt."""
    digest = sha256(repr([video.times for video in written.videos]).encode())
    contents = (
        *written.images,
        *(video.frames for video in written.videos),
        *(one.samples for one in written.audio_parts),
    )
    for content in contents:
        digest.update(str(content.shape).encode())
        digest.update(np.ascontiguousarray(content).data)
    return digest.digest()
