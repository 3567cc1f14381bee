"""Speech: transcripts by Whisper."""

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from typing_extensions import override

from langchain_videochat.errors import InputError, ModelUnavailableError
from langchain_videochat.media import AudioChunk
from langchain_videochat.models.cards import describe_size
from langchain_videochat.models.weights import Weights
from langchain_videochat.perception.audio_windows import (
    EMPTY_AUDIO,
    MAX_WINDOW_SECONDS,
    concatenate,
    cut_at_pauses,
    duration,
    is_silent,
    skip_silence,
    slice_audio,
)
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.perceiver import AudioInputs
from langchain_videochat.perception.pretrained import ModelOptions, ModelPerceiver
from langchain_videochat.perception.transcripts import (
    Segment,
    is_confident,
    needs_beam_search,
    parse_segments,
    remove_hallucinations,
)

if TYPE_CHECKING:
    import torch
    from whisper.decoding import DecodingOptions, DecodingResult
    from whisper.model import Whisper
    from whisper.tokenizer import Tokenizer

BEAM_SIZE = 5
"""As in the Whisper paper (arXiv 2212.04356, 4.5)."""

ALIASES = {"large": "large-v3", "turbo": "large-v3-turbo"}
"""Models of openai-whisper whose files have another name."""

DTYPES = ("auto", "float32", "float16")
"""Dtypes that openai-whisper supports."""

MEL_FRAMES_PER_SECOND = 100

_decoding = threading.Lock()
"""openai-whisper attaches the KV cache to the model while decoding, and several perceivers may share the model."""


class Speech(ModelPerceiver[AudioInputs, AudioChunk, "Whisper"]):
    """Transcribes speech in the language that is spoken, about one sentence per Observation.

    The audio is cut at pauses into windows of at most 30 seconds, of which `batch_size` are decoded at once: greedily,
    then by beam search where that failed; never by sampling, so the result is deterministic. The score is the
    geometric mean of the token probabilities of a window.

    Silence is skipped, and known hallucinations of Whisper over noise and music are removed.

    Args:
        model: A model of openai-whisper, for example "turbo" or "base.en", or the path of a .pt file in its format;
            "base" if None.
        language: A BCP 47 tag; detected in each window if None.
        translate: Translate to English. "turbo" and the English models were not trained for this.
        word_times: Return one Observation per word, with its own times and score. Takes about twice the time; with
            `translate`, the times are unreliable.
        prefer_subtitles: Skip videos that have subtitles.
        **options: `device`, `dtype` and `batch_size`; see `ModelPerceiver`. `dtype` is "float32" or "float16"; "auto"
            is float32 on the CPU and float16 on other devices.

    Raises:
        InputError: `batch_size` is not positive, or openai-whisper does not support the `dtype`.

    Example:
        >>> Speech("turbo", prefer_subtitles=True).inputs
        AudioInputs(chunk_seconds=30.0, prefer_subtitles=True)
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
        **options: Unpack[ModelOptions],
    ) -> None:
        super().__init__(model, **options)
        if self.weights.dtype not in DTYPES:
            problem = f"openai-whisper does not support {self.weights.dtype!r}"
            raise InputError("dtype", problem, f"Use one of {', '.join(DTYPES)}")
        self.inputs = AudioInputs(MAX_WINDOW_SECONDS, prefer_subtitles)
        self.language = language.split("-")[0].lower() if language else None
        self.translate = translate
        self.word_times = word_times
        self._windows: list[AudioChunk] = []
        self._rest = EMPTY_AUDIO

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
        return min((audio.start for audio in [*self._windows, self._rest] if len(audio.samples)), default=None)

    def perceive(self, batch: AudioChunk) -> Iterator[Observation]:
        """Transcribe full batches of windows."""
        windows, self._rest = cut_at_pauses(concatenate(self._rest, batch))
        self._windows += windows
        while len(self._windows) >= self.batch_size:
            yield from self._process_batch()

    def finish(self, end: float) -> Iterator[Observation]:
        """Transcribe the remaining audio."""
        self._windows.append(self._rest)
        self._rest = EMPTY_AUDIO
        while self._windows:
            yield from self._process_batch()

    def _process_batch(self) -> Iterator[Observation]:
        batch, self._windows = self._windows[: self.batch_size], self._windows[self.batch_size :]
        audible = [window for window in batch if not is_silent(window)]
        if audible:
            options = self._decoding_options()
            results = self.run_with_backoff(partial(_decode, self.model, options), audible)
            for window, result in zip(audible, results, strict=True):
                if is_confident(result):
                    yield from self._observe(window, result, replace(options, language=result.language))

    def _observe(
        self, window: AudioChunk, result: "DecodingResult", options: "DecodingOptions"
    ) -> Iterator[Observation]:
        segments, unfinished = parse_segments(result, _tokenizer(self.model, options), duration(window))
        if unfinished is not None:
            self._windows.insert(0, skip_silence(slice_audio(window, unfinished)))
        segments = remove_hallucinations(segments, result.no_speech_prob)
        segments = [one for one in segments if not is_silent(slice_audio(window, one.start, one.end))]
        if self.word_times:
            segments = _align_words(self.model, window, segments, options)
        for segment in segments:
            yield Observation(
                start=window.start + segment.start,
                end=window.start + segment.end,
                modality="speech",
                text=segment.text,
                score=round(segment.score, 4),
                language="en" if self.translate else result.language,
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
    """
    import whisper

    file = find_file(model)
    if file == Path(model):
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


def _decode(model: "Whisper", options: "DecodingOptions", windows: list[AudioChunk]) -> "list[DecodingResult]":
    import torch
    import whisper

    spectrograms = torch.stack([_spectrogram(model, window) for window in windows])
    with _decoding:
        results: list[DecodingResult] = whisper.decode(model, spectrograms, options)
        for index, result in enumerate(results):
            if needs_beam_search(result):
                beam_search = replace(options, beam_size=BEAM_SIZE, language=result.language)
                results[index] = whisper.decode(model, result.audio_features, beam_search)
    return results


def _align_words(
    model: "Whisper", window: AudioChunk, segments: list[Segment], options: "DecodingOptions"
) -> list[Segment]:
    from whisper.timing import add_word_timestamps

    spectrogram = _spectrogram(model, window)
    aligned: list[dict[str, Any]] = [
        {"seek": 0, "start": one.start, "end": one.end, "tokens": list(one.tokens)} for one in segments
    ]
    with _decoding:
        add_word_timestamps(
            segments=aligned,
            model=model,
            tokenizer=_tokenizer(model, options),
            mel=spectrogram.half() if options.fp16 else spectrogram,
            num_frames=round(duration(window) * MEL_FRAMES_PER_SECOND),
            last_speech_timestamp=0.0,
        )
    return [
        Segment(float(word["start"]), float(word["end"]), word["word"].strip(), float(word["probability"]))
        for one in aligned
        for word in one["words"]
        if word["word"].strip()
    ]


def _spectrogram(model: "Whisper", window: AudioChunk) -> "torch.Tensor":
    import whisper

    samples = whisper.pad_or_trim(window.samples)
    spectrogram: torch.Tensor = whisper.log_mel_spectrogram(samples, model.dims.n_mels, device=model.device)
    return spectrogram


def _tokenizer(model: "Whisper", options: "DecodingOptions") -> "Tokenizer":
    from whisper.tokenizer import get_tokenizer

    return get_tokenizer(
        model.is_multilingual, num_languages=model.num_languages, language=options.language, task=options.task
    )
