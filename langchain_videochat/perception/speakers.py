"""Speaker labels: "Speaker 1" is the speaker of the first sentence of a video."""

import base64
import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from typing_extensions import override

from langchain_videochat.media import AudioChunk
from langchain_videochat.models.weights import Weights, share
from langchain_videochat.perception.audio_windows import SAMPLE_RATE
from langchain_videochat.perception.diarization import (
    FRAMES_PER_SECOND,
    DiarizationStream,
    Diarizer,
    Memory,
    Probabilities,
    load_diarizer,
)
from langchain_videochat.perception.perceiver import RequiredModel
from langchain_videochat.perception.transcripts import Sentence
from langchain_videochat.perception.word_alignment import Word

DEFAULT_MODEL = "nvidia/Nemotron-3-Diarization"

MIN_ACTIVITY = 0.2
"""Mean probability below which the speaker is unknown: the times of words include short pauses."""

MIN_TURN_SECONDS = 0.5
"""Length below which a turn within a sentence is an error: words are placed to within 0.2 seconds."""

_NUMBERED = "numbered"
"""Name of the tensor of a state that contains the speakers in the order of their numbers."""

NO_AUDIO = AudioChunk(np.zeros(0, dtype=np.float32), start=0.0)

logger = logging.getLogger(__name__)


class Speakers:
    """Labels the speakers of sentences. This base class labels none; `DiarizedSpeakers` does.

    The audio of a segment is passed through it, so that speakers are known before their words are transcribed.
    """

    @property
    def pending_since(self) -> float | None:
        """Start of the audio that has not been passed on, in seconds; None if there is none."""
        return None

    @property
    def state(self) -> str | None:
        """The state of the speakers for the next segment of the video; None if there is none."""
        return None

    def resume(self, state: str) -> None:
        """Continue from the `state` at the end of the previous segment."""

    @property
    def is_sequential(self) -> bool:
        """Whether they need the state of the previous segment."""
        return type(self).resume is not Speakers.resume

    @property
    def required_models(self) -> tuple[RequiredModel, ...]:
        """The pretrained models that it needs."""
        return ()

    def load(self) -> None:
        """Load the weights, downloading them if necessary.

        Raises:
            ModelUnavailableError: They are not on this machine and cannot be downloaded.
            ModelError: They are damaged or belong to another kind of model.
        """

    def close(self) -> None:
        """Release the weights; they are freed when no other perceiver uses them."""

    def add(self, audio: AudioChunk, needed_from: float | None) -> AudioChunk:
        """Process the following audio, and return the audio whose speakers have become known.

        Args:
            audio: The next part of the segment.
            needed_from: Time in seconds from which sentences are still to be labeled; None if there are none before
                this audio.
        """
        return audio

    def finish(self) -> AudioChunk:
        """Process the end of the segment, and return the remaining audio."""
        return NO_AUDIO

    def split(self, sentence: Sentence) -> list[Sentence]:
        """Split a sentence where the speaker changes."""
        return [sentence]

    def label(self, sentence: Sentence) -> str | None:
        """Return the label of the speaker who speaks most of a sentence; None if unknown."""
        return None


class DiarizedSpeakers(Speakers):
    """Labels the speakers of sentences by diarization, and numbers them in the order in which they are first labeled.

    Args:
        weights: The diarization model, its device and dtype.
    """

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self._diarizer: Diarizer | None = None
        self._stream: DiarizationStream | None = None
        self._resumed: str | None = None
        self._numbered: list[int] = []
        """The model's numbers of the speakers, in the order of ours."""
        self._held = NO_AUDIO
        self._activity = _Activity(0.0, np.zeros((0, 0), dtype=np.float32))

    @property
    @override
    def pending_since(self) -> float | None:
        return self._held.start if len(self._held.samples) else None

    @property
    @override
    def state(self) -> str | None:
        return _dump_state(self._stream.memory, self._numbered) if self._stream else self._resumed

    @override
    def resume(self, state: str) -> None:
        self._resumed = state

    @property
    @override
    def required_models(self) -> tuple[RequiredModel, ...]:
        return (RequiredModel(self.weights.model, self.weights.find, self.weights.fetch),)

    @override
    def load(self) -> None:
        self._diarizer = share(load_diarizer, self.weights)

    @override
    def close(self) -> None:
        self._diarizer = self._stream = None

    @override
    def add(self, audio: AudioChunk, needed_from: float | None) -> AudioChunk:
        self._stream = self._stream or self._open(audio.start)
        self._activity.forget(audio.start if needed_from is None else needed_from)
        self._activity.append(self._stream.add(audio.samples))
        self._held = AudioChunk(np.concatenate([self._held.samples, audio.samples]), self._held.start)
        return self._pass_on(max(0, round((self._activity.end - self._held.start) * SAMPLE_RATE)))

    @override
    def finish(self) -> AudioChunk:
        if self._stream is not None:
            self._activity.append(self._stream.finish())
        return self._pass_on(len(self._held.samples))

    @override
    def split(self, sentence: Sentence) -> list[Sentence]:
        by_speaker = groupby(sentence.words, lambda word: self._activity.find_speaker(word.start, word.end))
        turns = _join_short([_Turn(speaker, tuple(words)) for speaker, words in by_speaker])
        return [Sentence("".join(word.text for word in turn.words).strip(), turn.words) for turn in turns]

    @override
    def label(self, sentence: Sentence) -> str | None:
        speaker = self._activity.find_speaker(sentence.start, sentence.end)
        if speaker is None:
            return None
        if speaker not in self._numbered:
            self._numbered.append(speaker)
        return f"Speaker {self._numbered.index(speaker) + 1}"

    def _open(self, start: float) -> DiarizationStream:
        """Start at a time in seconds."""
        diarizer = self._diarizer or share(load_diarizer, self.weights)
        stream = self._resume(diarizer) or DiarizationStream(diarizer)
        self._held = AudioChunk(NO_AUDIO.samples, start)
        self._activity = _Activity(start, np.zeros((0, diarizer.max_speakers), dtype=np.float32))
        return stream

    def _resume(self, diarizer: Diarizer) -> DiarizationStream | None:
        if self._resumed is None:
            return None
        from safetensors import SafetensorError

        try:
            memory, numbered = _load_state(self._resumed)
            stream = DiarizationStream(diarizer, memory)
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            # It comes from a store, which other versions and other people may have written to.
            logger.warning("speakers are numbered from 1 again: those of the previous segment are unusable (%s)", error)
            return None
        self._numbered = numbered
        return stream

    def _pass_on(self, count: int) -> AudioChunk:
        samples, start = self._held.samples, self._held.start
        self._held = AudioChunk(samples[count:], start + count / SAMPLE_RATE)
        return AudioChunk(samples[:count], start)


@dataclass
class _Activity:
    """Speaker activity in the part of a segment that is still needed."""

    start: float
    """Start in seconds."""

    probabilities: Probabilities
    """Probabilities from then on."""

    @property
    def end(self) -> float:
        """End in seconds."""
        return self.start + len(self.probabilities) / FRAMES_PER_SECOND

    def append(self, probabilities: Probabilities) -> None:
        """Add the following frames."""
        self.probabilities = np.concatenate([self.probabilities, probabilities])

    def forget(self, before: float) -> None:
        """Remove the frames before a time."""
        count = min(max(0, math.floor((before - self.start) * FRAMES_PER_SECOND)), len(self.probabilities))
        self.probabilities = self.probabilities[count:]
        self.start += count / FRAMES_PER_SECOND

    def find_speaker(self, start: float, end: float) -> int | None:
        """Return the most active speaker between two times in seconds; None if there is none."""
        first = max(0, math.floor((start - self.start) * FRAMES_PER_SECOND))
        frames = self.probabilities[first : max(first + 1, math.ceil((end - self.start) * FRAMES_PER_SECOND))]
        if not len(frames):
            return None
        means = frames.mean(axis=0)
        return int(means.argmax()) if means.max() >= MIN_ACTIVITY else None


@dataclass(frozen=True)
class _Turn:
    """Successive words of one speaker."""

    speaker: int | None
    words: tuple[Word, ...]

    @property
    def is_short(self) -> bool:
        """Whether it is too short for a turn of its own, or its speaker is unknown."""
        return self.speaker is None or self.words[-1].end - self.words[0].start < MIN_TURN_SECONDS


def _join_short(turns: Iterable[_Turn]) -> list[_Turn]:
    """Join short turns with the turn before them, or the first one with the turn after it."""
    joined: list[_Turn] = []
    for turn in turns:
        if joined and joined[-1].is_short:
            joined[-1] = _Turn(turn.speaker, joined[-1].words + turn.words)
        elif joined and (turn.is_short or turn.speaker == joined[-1].speaker):
            joined[-1] = _Turn(joined[-1].speaker, joined[-1].words + turn.words)
        else:
            joined.append(turn)
    return joined


def _dump_state(memory: Memory, numbered: Sequence[int]) -> str:
    import torch
    from safetensors.torch import save

    return base64.b64encode(save({**memory, _NUMBERED: torch.tensor(numbered, dtype=torch.int64)})).decode()


def _load_state(state: str) -> tuple[Memory, list[int]]:
    from safetensors.torch import load

    memory = load(base64.b64decode(state, validate=True))
    return memory, memory.pop(_NUMBERED).tolist()


def create_speakers(speakers: bool | str | Path, device: str) -> Speakers:
    """Create the speaker labels of a segment.

    Args:
        speakers: The diarization model; True for `DEFAULT_MODEL`, False if speakers are not to be labeled.
        device: The device of the model.
    """
    if not speakers:
        return Speakers()
    return DiarizedSpeakers(Weights(DEFAULT_MODEL if speakers is True else str(speakers), device))
