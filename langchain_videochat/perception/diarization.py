"""Speaker diarization by Nemotron 3 Diarization, a streaming Sortformer (arXiv 2507.18446)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.errors import ModelError
from langchain_videochat.models.weights import Weights, load_checkpoint
from langchain_videochat.perception.audio_windows import SAMPLE_RATE

if TYPE_CHECKING:
    import torch

MODEL_TYPE = "nemotron3_diarization"

RECORDING = "recording"
"""Name of the streaming mode that we add: the long chunks in which the model was evaluated on whole recordings."""

FRAMES_PER_SECOND = 100
"""Frames per second of probabilities."""

Probabilities = NDArray[np.float32]
"""Probability that each speaker speaks, [frames, speakers]. Speakers are in the order in which they first spoke."""

Memory = Mapping[str, "torch.Tensor"]
"""The speaker cache of a model: tensors by name."""


@dataclass(frozen=True, eq=False)
class Diarizer:
    """A diarization model and its processor."""

    model: Any
    processor: Any

    @property
    def max_speakers(self) -> int:
        """Number of speakers that it can distinguish."""
        return int(self.model.config.head_config.num_speakers)


def load_diarizer(weights: Weights) -> Diarizer:
    """Load a diarization model.

    Raises:
        ModelUnavailableError: It is not on this machine and cannot be downloaded.
        ModelError: It is a model of another kind, or its files are damaged.
    """
    from transformers import AutoConfig, Nemotron3DiarizationForAudioFrameClassification, Nemotron3DiarizationProcessor

    folder = weights.fetch()
    config = AutoConfig.from_pretrained(folder)
    if config.model_type != MODEL_TYPE:
        problem = f"a model of type {config.model_type!r} cannot distinguish speakers"
        raise ModelError(weights.model, problem, f"Use a model of type {MODEL_TYPE!r}")
    processor = Nemotron3DiarizationProcessor.from_pretrained(folder)
    chunk = (config.chunk_length, config.chunk_right_context)
    processor.streaming_modes = {**processor.streaming_modes, RECORDING: chunk}
    processor.set_streaming_mode(RECORDING)
    return Diarizer(load_checkpoint(Nemotron3DiarizationForAudioFrameClassification, folder, weights), processor)


class DiarizationStream:
    """Diarizes audio that arrives in parts. It keeps one chunk of about 30 seconds and the speaker cache.

    Args:
        diarizer: The model.
        memory: The `memory` of a stream that ended before this one starts; None if no speaker is known.

    Raises:
        ValueError: The memory belongs to another model.
    """

    def __init__(self, diarizer: Diarizer, memory: Memory | None = None) -> None:
        self._diarizer = diarizer
        self._cache = _restore_cache(diarizer, memory) if memory else _create_cache(diarizer)
        self._samples = np.zeros(0, dtype=np.float32)
        self._is_first = True

    @property
    def memory(self) -> Memory:
        """The speaker cache, in float16: about 0.3 MB."""
        cache = self._cache
        if not cache.is_initialized:
            return {}
        return {
            "embeds": cache.embeds[0, : cache.num_cache_frames].half().cpu(),
            "probs": cache.probs[0, : cache.num_cache_frames].half().cpu(),
            "fifo": cache.fifo[0, : cache.num_fifo_frames].half().cpu(),
            "is_compressed": _flag(cache.is_compressed),
        }

    def add(self, samples: NDArray[np.float32]) -> Probabilities:
        """Process the following audio.

        Args:
            samples: Mono samples from -1 to 1, 16,000 per second.

        Returns:
            The next probabilities; the model needs 3 seconds of audio after a frame, and processes 27 seconds at once.
        """
        self._samples = np.concatenate([self._samples, samples])
        found = [self._no_frames()]
        while len(self._samples) >= (length := self._chunk_samples()):
            step = self._step_samples()
            found.append(self._process(self._samples[:length], is_last=False))
            self._samples = self._samples[step:]
            self._is_first = False
        return np.concatenate(found)

    def finish(self) -> Probabilities:
        """Return the remaining probabilities; none if there is less audio than one frame of the encoder."""
        processor = self._diarizer.processor
        if len(self._samples) < processor.subsampling_factor * processor.feature_extractor.hop_length:
            return self._no_frames()
        return self._process(self._samples, is_last=True)

    def _chunk_samples(self) -> int:
        processor = self._diarizer.processor
        samples = processor.num_samples_first_audio_chunk if self._is_first else processor.num_samples_per_audio_chunk
        return int(samples)

    def _step_samples(self) -> int:
        """Return the number of samples from the start of this chunk to the start of the next one."""
        processor = self._diarizer.processor
        frames = processor.num_mel_frames_per_step
        samples = frames * processor.feature_extractor.hop_length
        return int(processor.audio_chunk_start(frames) if self._is_first else samples)

    def _process(self, samples: NDArray[np.float32], *, is_last: bool) -> Probabilities:
        import torch

        model = self._diarizer.model
        inputs = self._diarizer.processor(
            samples,
            sampling_rate=SAMPLE_RATE,
            is_streaming=True,
            is_first_audio_chunk=self._is_first,
            is_last_audio_chunk=is_last,
            return_tensors="pt",
        ).to(model.device, dtype=model.dtype)
        with torch.inference_mode():
            logits = model(**inputs, speaker_cache=self._cache).logits
        return np.asarray(logits[0].float().sigmoid().cpu().numpy(), dtype=np.float32)

    def _no_frames(self) -> Probabilities:
        return np.zeros((0, self._diarizer.max_speakers), dtype=np.float32)


def _create_cache(diarizer: Diarizer) -> Any:
    from transformers import Nemotron3DiarizationSpeakerCache

    config = diarizer.model.config
    # The sizes for recordings: a cache that the model creates in streaming mode has those for short chunks.
    return Nemotron3DiarizationSpeakerCache(
        config.streaming_config,
        fifo_length=config.fifo_length,
        speaker_cache_update_period=config.speaker_cache_update_period,
    )


def _restore_cache(diarizer: Diarizer, memory: Memory) -> Any:
    import torch

    cache, model = _create_cache(diarizer), diarizer.model
    embeds, probs, fifo = (memory.get(name, torch.zeros(0)) for name in ("embeds", "probs", "fifo"))
    width, frames = model.config.audio_config.hidden_size, len(embeds)
    if frames > cache.speaker_cache_length or len(fifo) > cache.fifo_length:
        raise ValueError("more frames than the model remembers")
    expected = [(frames, width), (frames, cache.num_speakers), (len(fifo), width)]
    if [tuple(one.shape) for one in (embeds, probs, fifo)] != expected:
        raise ValueError("other dimensions than those of the model")
    with torch.inference_mode():
        cache.lazy_initialization(torch.zeros(1, 1, width, device=model.device, dtype=model.dtype))
        cache.embeds[0, :frames] = embeds
        cache.probs[0, :frames] = probs
        cache.fifo[0, : len(fifo)] = fifo
    cache.num_cache_frames, cache.num_fifo_frames = frames, len(fifo)
    cache.is_compressed = bool(memory.get("is_compressed", _flag(False)).all())
    return cache


def _flag(value: bool) -> "torch.Tensor":
    import torch

    return torch.tensor([value])
