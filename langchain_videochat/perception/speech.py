"""Speech: transcripts by Whisper."""

import math
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from typing_extensions import override

from langchain_videochat.errors import InputError, ModelUnavailableError
from langchain_videochat.media import AudioChunk, Damage
from langchain_videochat.media.tracks import Track
from langchain_videochat.models.cards import describe_size
from langchain_videochat.models.weights import Weights, model_errors
from langchain_videochat.perception.audio_windows import MAX_WINDOW_SECONDS, WindowCutter
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.passages import Passage, count_quiet_seconds
from langchain_videochat.perception.perceiver import AudioInputs
from langchain_videochat.perception.pretrained import ModelOptions, ModelPerceiver, earliest
from langchain_videochat.perception.transcripts import remove_hallucinations, split_sentences
from langchain_videochat.perception.whisper_decoding import transcribe

if TYPE_CHECKING:
    from whisper.decoding import DecodingOptions, DecodingResult
    from whisper.model import Whisper

ALIASES = {"large": "large-v3", "turbo": "large-v3-turbo"}
"""Models of openai-whisper whose files have another name."""

DTYPES = ("auto", "float32", "float16")
"""Dtypes that openai-whisper supports."""


class Speech(ModelPerceiver[AudioInputs, AudioChunk, "Whisper"]):
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
        model: A model of openai-whisper, for example "turbo" or "base.en", or the path of a .pt file in its format;
            "base" if None.
        language: A BCP 47 tag; detected in each window if None.
        translate: Translate to English; times are then less exact. "turbo" and the English models were not trained for
            this.
        word_times: Return one Observation per word, with its own times and score.
        prefer_subtitles: Skip videos that have subtitles.
        track: Number or language of the audio track, for example "de"; the default track if None.
        **options: `device`, `dtype` and `batch_size`; see `ModelPerceiver`. `dtype` is "float32" or "float16"; "auto"
            is float32 on the CPU and float16 on other devices.

    Raises:
        InputError: `batch_size` is not positive, or openai-whisper does not support the `dtype`.

    Example:
        >>> Speech("turbo", prefer_subtitles=True).inputs
        AudioInputs(chunk_seconds=30.0, prefer_subtitles=True, track=None)
    """

    modality = "speech"
    default_model = "base"

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        language: str | None = None,
        translate: bool = False,
        word_times: bool = False,
        prefer_subtitles: bool = False,
        track: Track | None = None,
        **options: Unpack[ModelOptions],
    ) -> None:
        super().__init__(model, **options)
        if self.weights.dtype not in DTYPES:
            problem = f"openai-whisper does not support {self.weights.dtype!r}"
            raise InputError("dtype", problem, f"Use one of {', '.join(DTYPES)}")
        self.inputs = AudioInputs(MAX_WINDOW_SECONDS, prefer_subtitles, track)
        self.language = language.split("-")[0].lower() if language else None
        self.translate = translate
        self.word_times = word_times
        self._cutter = WindowCutter()
        self._passages: list[Passage] = []

    @override
    @staticmethod
    def load_model(weights: Weights) -> "Whisper":
        return load_whisper(weights.model).to(weights.torch_device)

    @override
    def prepare(self, model: "Whisper") -> None:
        from whisper.tokenizer import LANGUAGES

        known = list(LANGUAGES)[: model.num_languages] if model.is_multilingual else ["en"]
        if self.language not in (None, *known):
            problem = f"{self.weights.model} does not support {self.language!r}"
            raise InputError("language", problem, f"Use one of {', '.join(known)}")

    @override
    def find(self) -> Path | None:
        file = find_file(self.weights.model)
        return file if file.is_file() else None

    @override
    def fetch(self) -> Path:
        load_whisper(self.weights.model)
        return find_file(self.weights.model)

    @property
    def pending_since(self) -> float | None:
        """Start of the audio that has not been transcribed yet, in seconds; None if there is none."""
        return earliest(self._cutter.pending_since, *(passage.audio.start for passage in self._passages))

    def perceive(self, batch: AudioChunk) -> Iterator[Observation]:
        """Transcribe full batches of windows."""
        self._passages += map(Passage, self._cutter.add(batch))
        while len(self._passages) >= self.batch_size:
            yield from self._process_batch()

    def finish(self, end: float) -> Iterator[Observation]:
        """Transcribe the remaining audio."""
        self._passages += map(Passage, self._cutter.finish())
        while self._passages:
            yield from self._process_batch()

    def _process_batch(self) -> Iterator[Observation]:
        batch, self._passages = self._passages[: self.batch_size], self._passages[self.batch_size :]
        windows = [passage.rest for passage in batch]
        transcripts = self.run_with_backoff(partial(transcribe, self.model, self._decoding_options()), windows)
        unfinished = []
        for passage, transcript in zip(batch, transcripts, strict=True):
            continued = passage.add(transcript)
            if continued.is_finished:
                yield from self._observe(continued, continued.result or transcript.result)
            else:
                unfinished.append(continued)
        self._passages = unfinished + self._passages

    def _observe(self, passage: Passage, result: "DecodingResult") -> Iterator[Observation]:
        language = "en" if self.translate else result.language
        sentences = remove_hallucinations(split_sentences(passage.words, language), result, passage.audio)
        if seconds := count_quiet_seconds(passage.audio, sentences):
            self.damage.append(Damage("sound", "too quiet to transcribe", seconds))
        for sentence in sentences:
            for part in sentence.split_words() if self.word_times else [sentence]:
                yield Observation(
                    start=part.start,
                    end=part.end,
                    modality="speech",
                    text=part.text,
                    score=round(part.words[0].probability if self.word_times else math.exp(result.avg_logprob), 4),
                    language=language,
                    source=f"whisper-{Path(self.weights.model).name.removesuffix('.pt')}",
                )

    def _decoding_options(self) -> "DecodingOptions":
        import torch
        from whisper.decoding import DecodingOptions

        return DecodingOptions(
            task="translate" if self.translate else "transcribe",
            language=self.language if self.model.is_multilingual else "en",
            fp16=self.weights.torch_dtype != torch.float32,
        )


def load_whisper(model: str) -> "Whisper":
    """Load a model of openai-whisper into memory, downloading it if necessary.

    Only tensors are read from files: a pickle that would run code is refused. Downloads are verified by SHA-256.

    Raises:
        ModelUnavailableError: There is no such model, or it cannot be downloaded.
        ModelError: The file is damaged, or not in the format of openai-whisper.
    """
    import whisper

    file = find_file(model)
    if file == Path(model):
        with model_errors(model):
            return whisper.load_model(str(file.absolute()), device="cpu")
    if model not in whisper.available_models():
        problem = "neither a file nor a model of openai-whisper"
        advice = f"Give the path of a .pt file, or one of {', '.join(whisper.available_models())}"
        raise ModelUnavailableError(model, problem, advice)
    try:
        return whisper.load_model(model, device="cpu", download_root=str(file.parent))
    except (OSError, RuntimeError) as error:
        problem = f"this Whisper model ({describe_size(model)}) is not on this machine, and the download failed"
        advice = "Connect to the network and try again, or give the path of a .pt file that contains it"
        raise ModelUnavailableError(model, problem, advice) from error


def find_file(model: str) -> Path:
    """Return the path of a model's file, which does not exist before it is downloaded."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(model) if Path(model).is_file() else Path(caches, "whisper", f"{ALIASES.get(model, model)}.pt")
