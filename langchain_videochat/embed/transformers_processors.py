"""Probing how the processor of a model takes videos."""

from typing import Any

import numpy as np
from transformers import BatchFeature

from langchain_videochat.embed.conversation import Audio, Image, Turn, Video, Visual, silence
from langchain_videochat.embed.frame_sizes import noise
from langchain_videochat.embed.transformers_prompts import AudioInput, NativeVideos, PromptWriter, TimedFrames
from langchain_videochat.errors import InputError, ModelError
from langchain_videochat.utils.interval import Interval

PART_SECONDS = 30
"""Length of the parts of audio for processors that don't state their maximum, such as that of Gemma 4."""

PROBE_FRAMES = 4
PROBE_SIZE = (160, 96)
"""Number, width and height of the frames that a processor is probed with."""

_MARKER = "Mention zebras."

_IMAGE = Image(noise(1, *PROBE_SIZE)[0])


def choose_writer(processor: Any, config: Any, model: str) -> PromptWriter:
    """Return a writer of prompts that passes videos as such, or else as single images, each after its time.

    Args:
        processor: The processor of the model.
        config: The configuration of the model.
        model: Its name, for errors.

    Raises:
        ModelError: The processor takes neither a video nor several images.
    """
    audio = _find_audio_input(processor, config)
    native = PromptWriter(processor, NativeVideos(writes_times=True))
    if _accepts(native):
        early, late = (_convert(native, _video(start))["input_ids"].tolist() for start in (0.0, 60.0))
        videos = NativeVideos(writes_times=early != late, min_frames=1 if _accepts(native, num_frames=1) else 2)
        has_system_turns = _has_system_turns(native)
        return PromptWriter(processor, videos, mixes=_mixes(native), has_system_turns=has_system_turns, audio=audio)
    timed_frames = PromptWriter(processor, TimedFrames())
    if _accepts(timed_frames):
        return PromptWriter(processor, TimedFrames(), has_system_turns=_has_system_turns(timed_frames), audio=audio)
    problem = "its processor takes neither a video nor several images"
    raise ModelError(model, problem, "Use a model that was trained on video, such as a Qwen-VL, InternVL or SmolVLM2")


def _has_system_turns(writer: PromptWriter) -> bool:
    """Return whether a chat template writes system turns before videos.

    Some raise an error, some leave them out, and some expect a text instead of content items.
    """
    try:
        text = writer.write([Turn("system", (_MARKER,)), Turn("human", (_video(0.0), "What is it?"))]).text
    except InputError:
        return False
    return _MARKER in text and "'text'" not in text


def _find_audio_input(processor: Any, config: Any) -> AudioInput | None:
    """Return the audio input of a model; None if it has none."""
    extractor = getattr(processor, "feature_extractor", None)
    if extractor is None or getattr(config, "audio_config", None) is None:
        return None
    rate = int(getattr(extractor, "sampling_rate", 16_000))
    audio = AudioInput(rate, getattr(extractor, "n_samples", PART_SECONDS * rate))
    writer = PromptWriter(processor, TimedFrames(), audio=audio)
    audio_parts = (silence(Interval(0, seconds), rate) for seconds in (1, 2))
    try:
        lengths = [_convert(writer, one)["input_ids"].shape[1] for one in audio_parts]
    except Exception:  # processors raise errors of many kinds
        return None
    return audio if lengths[1] > lengths[0] else None


def _accepts(writer: PromptWriter, num_frames: int = PROBE_FRAMES) -> bool:
    """Return whether a processor accepts a video in this form."""
    try:
        lengths = [_convert(writer, *visuals)["input_ids"].shape[1] for visuals in ((), (_video(0.0, num_frames),))]
    except Exception:  # processors raise errors of many kinds
        return False
    return bool(lengths[1] > lengths[0] + num_frames)


def _mixes(writer: PromptWriter) -> bool:
    """Return whether a processor takes images and videos in one prompt: some overwrite one with the other."""
    try:
        counts = [
            sum(value.numel() for name, value in _convert(writer, *visuals).items() if name.startswith("pixel_values"))
            for visuals in ((_video(0.0),), (_IMAGE,), (_video(0.0), _IMAGE))
        ]
    except Exception:  # processors raise errors of many kinds
        return False
    return counts[0] + counts[1] == counts[2]


def _convert(writer: PromptWriter, *media: Visual | Audio) -> BatchFeature:
    return writer.convert([writer.write([Turn("human", (*media, "What is it?"))])])


def _video(start: float, num_frames: int = PROBE_FRAMES) -> Video:
    return Video(noise(num_frames, *PROBE_SIZE), tuple(start + np.arange(num_frames)))
