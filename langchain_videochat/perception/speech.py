"""Speech: transcripts by Whisper."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Unpack

from typing_extensions import override

from langchain_videochat.errors import InputError
from langchain_videochat.media import AudioChunk, Damage
from langchain_videochat.media.tracks import Track
from langchain_videochat.models.weights import Weights
from langchain_videochat.perception.audio_windows import MAX_WINDOW_SECONDS, WindowCutter
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.passages import Passage, count_quiet_seconds
from langchain_videochat.perception.perceiver import AudioInputs, RequiredModel
from langchain_videochat.perception.pretrained import ModelOptions, ModelPerceiver, earliest
from langchain_videochat.perception.speakers import create_speakers
from langchain_videochat.perception.transcripts import Sentence, remove_hallucinations, split_sentences
from langchain_videochat.perception.whisper_decoding import transcribe
from langchain_videochat.perception.whisper_formats import fetch_whisper, find_whisper, label, load_whisper
from langchain_videochat.perception.whisper_model import Task, WhisperModel


class Speech(ModelPerceiver[AudioInputs, AudioChunk, WhisperModel]):
    """Transcribes speech in the language that is spoken, one sentence per Observation.

    Sound is what rises above the noise floor of the recording, however quiet it is. It is cut at pauses into windows of
    at most 30 seconds, without the silence between, of which `batch_size` are decoded at once: greedily, then by beam
    search where that failed; never by sampling, so the result is deterministic. Where Whisper stops before the sound
    ends, the rest is decoded again. Known hallucinations over noise and music are removed, and sound that may be speech
    but is too quiet to transcribe is reported as damage.

    Sentences are split by punctuation, at pauses of 1.5 seconds, and where they are longer than 20 seconds. Their times
    are those of their words, which one more pass of the decoder aligns with the audio. The score is the geometric mean
    of the token probabilities of a window.

    Args:
        model: A Whisper model: a name of openai-whisper, for example "turbo" or "base.en"; an id on the Hugging Face
            Hub, for example "Systran/faster-whisper-base" (CTranslate2) or "openai/whisper-base" (transformers); or
            the path of a .pt file or a folder in one of these formats. `default_model` if None.
        language: A BCP 47 tag; detected in each window if None.
        translate: Translate to English; times are then less exact. "turbo" and the English models were not trained for
            this.
        word_times: Return one Observation per word, with its own times and score.
        speakers: Label who speaks: "Speaker 1" is the first, and a sentence is split where the speaker changes. True
            uses nvidia/Nemotron-3-Diarization; another model of its kind is given by its id or path. At most 8 speakers
            are distinguished, and where several speak at once, the one who speaks most is named.
        prefer_subtitles: Skip videos that have subtitles.
        track: Number or language of the audio track, for example "de"; the default track if None.
        **options: `device`, `dtype` and `batch_size`; see `ModelPerceiver`. `dtype` is "float32" or "float16", or on
            the CPU "int8" for CTranslate2; "auto" is int8 (CTranslate2) or float32 on the CPU, and float16 on other
            devices. CTranslate2 runs on the GPU only if `device` is "cuda", which needs the libraries of its version.

    Raises:
        InputError: `batch_size` is not positive.

    Example:
        >>> Speech("turbo", prefer_subtitles=True).inputs
        AudioInputs(chunk_seconds=30.0, prefer_subtitles=True, track=None)
    """

    modality = "speech"
    default_model = "Systran/faster-whisper-base"

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        language: str | None = None,
        translate: bool = False,
        word_times: bool = False,
        speakers: bool | str | Path = False,
        prefer_subtitles: bool = False,
        track: Track | None = None,
        **options: Unpack[ModelOptions],
    ) -> None:
        super().__init__(model, **options)
        self.inputs = AudioInputs(MAX_WINDOW_SECONDS, prefer_subtitles, track)
        self.language = language.split("-")[0].lower() if language else None
        self.task: Task = "translate" if translate else "transcribe"
        self.word_times = word_times
        self._speakers = create_speakers(speakers, self.weights.device)
        self._cutter = WindowCutter()
        self._passages: list[Passage] = []

    @override
    @staticmethod
    def load_model(weights: Weights) -> WhisperModel:
        return load_whisper(weights)

    @override
    def prepare(self, model: WhisperModel) -> None:
        if self.language not in (None, *model.languages):
            problem = f"{self.weights.model} does not support {self.language!r}"
            raise InputError("language", problem, f"Use one of {', '.join(model.languages)}")

    @property
    @override
    def required_models(self) -> tuple[RequiredModel, ...]:
        return (*super().required_models, *self._speakers.required_models)

    @override
    def find(self) -> Path | None:
        return find_whisper(self.weights)

    @override
    def fetch(self) -> Path:
        return fetch_whisper(self.weights)

    @override
    def load(self) -> None:
        super().load()
        self._speakers.load()

    @override
    def close(self) -> None:
        super().close()
        self._speakers.close()

    @property
    @override
    def state(self) -> str | None:
        return self._speakers.state

    @override
    def resume(self, state: str) -> None:
        self._speakers.resume(state)

    @property
    @override
    def is_sequential(self) -> bool:
        return self._speakers.is_sequential

    @property
    def pending_since(self) -> float | None:
        """Start of the audio that has not been transcribed yet, in seconds; None if there is none."""
        starts = (self._speakers.pending_since, self._cutter.pending_since)
        return earliest(*starts, *(passage.audio.start for passage in self._passages))

    def perceive(self, batch: AudioChunk) -> Iterator[Observation]:
        """Transcribe full batches of windows."""
        audio = self._speakers.add(batch, self.pending_since)
        self._passages += map(Passage, self._cutter.add(audio))
        while sum(not passage.is_finished for passage in self._passages) >= self.batch_size:
            yield from self._process_batch()

    def finish(self, end: float) -> Iterator[Observation]:
        """Transcribe the remaining audio."""
        self._passages += map(Passage, self._cutter.add(self._speakers.finish()))
        self._passages += map(Passage, self._cutter.finish())
        while self._passages:
            yield from self._process_batch()

    def _process_batch(self) -> Iterator[Observation]:
        unfinished = [number for number, passage in enumerate(self._passages) if not passage.is_finished]
        numbers = unfinished[: self.batch_size]
        windows = [self._passages[number].rest for number in numbers]
        transcripts = self.run_with_backoff(partial(transcribe, self.model, self.task, self.language), windows)
        for number, transcript in zip(numbers, transcripts, strict=True):
            self._passages[number] = self._passages[number].add(transcript)
        # In time order, because speakers are numbered by their first sentence.
        while self._passages and self._passages[0].is_finished:
            yield from self._observe(self._passages.pop(0))

    def _observe(self, passage: Passage) -> Iterator[Observation]:
        result = passage.result
        if result is None:
            self._report_quiet_sound(passage, [])
            return
        language = "en" if self.task == "translate" else result.language
        sentences = remove_hallucinations(split_sentences(passage.words, language), result, passage.audio)
        self._report_quiet_sound(passage, sentences)
        for sentence in sentences:
            for part in sentence.split_words() if self.word_times else self._speakers.split(sentence):
                yield Observation(
                    start=part.start,
                    end=part.end,
                    modality="speech",
                    text=part.text,
                    score=round(part.words[0].probability if self.word_times else math.exp(result.avg_logprob), 4),
                    language=language,
                    source=label(self.weights.model),
                    speaker=self._speakers.label(part),
                )

    def _report_quiet_sound(self, passage: Passage, sentences: Sequence[Sentence]) -> None:
        if seconds := count_quiet_seconds(passage.audio, sentences):
            self.damage.append(Damage("sound", "too quiet to transcribe", seconds))
