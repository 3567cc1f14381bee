"""Speech, written down by Whisper."""

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_videochat.errors import InputError, ModelUnavailableError
from langchain_videochat.media import AudioChunk
from langchain_videochat.models.cards import describe_size
from langchain_videochat.models.weights import Weights
from langchain_videochat.perception.audio_windows import (
    LONGEST_WINDOW,
    NO_SOUND,
    cut_at_pauses,
    duration,
    is_silent,
    join,
    part,
    skip_silence,
)
from langchain_videochat.perception.base import Sound
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.pretrained import ModelPerceiver
from langchain_videochat.perception.transcripts import (
    Segment,
    deserves_search,
    is_sure,
    leave_out_inventions,
    read_segments,
)

if TYPE_CHECKING:
    import torch
    from whisper.decoding import DecodingOptions, DecodingResult
    from whisper.model import Whisper
    from whisper.tokenizer import Tokenizer

BEAMS = 5
"""Transcripts that a search follows at once; as in the Whisper paper (arXiv 2212.04356, 4.5)."""

ALIASES = {"large": "large-v3", "turbo": "large-v3-turbo"}
"""Models of openai-whisper whose files have another name."""

DTYPES = ("auto", "float32", "float16")
"""What openai-whisper calculates with."""

MEL_FRAMES_A_SECOND = 100

_decoding = threading.Lock()
"""While it decodes, openai-whisper hangs its memory on the model, which several perceivers may share."""


class Speech(ModelPerceiver[AudioChunk, "Whisper"]):
    """Writes down what is said, about a sentence an Observation, in the language that is spoken.

    The sound is cut at pauses into windows of at most 30 seconds, of which `batch_size` are decoded at once: greedily,
    and once more by beam search where that goes wrong; never by chance, so the same sound always gives the same text.
    The score is the probability of an average token of the window.

    Silence is not listened to, and what Whisper is known to make up over noise and music is left out.

    Args:
        model: A name of openai-whisper, like "turbo" or "base.en"; or the path of a .pt file in its format.
        device: As torch names it; "auto" is the graphics card if there is one.
        dtype: "float32" or "float16"; "auto" is float32 on a processor and float16 elsewhere.
        batch_size: How many windows are decoded at once.
        language: A BCP 47 tag; if None, whatever each window sounds like.
        translate: Whether to write English, whatever is spoken. "turbo" and the English models were not taught to.
        word_times: Whether to tell every word by itself, with its own times and score, instead of sentences. Costs
            about as much again; with `translate`, the times are doubtful.
        prefer_subtitles: Whether to leave out videos that have subtitles.

    Raises:
        InputError: `batch_size` is below 1, or openai-whisper does not know the `dtype`.

    Example:
        >>> Speech("turbo", language="de").wants
        Sound(seconds=30.0, unless_subtitles=False)
    """

    modality = "speech"
    default_model = "base"

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 8,
        language: str | None = None,
        translate: bool = False,
        word_times: bool = False,
        prefer_subtitles: bool = False,
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, batch_size=batch_size)
        if dtype not in DTYPES:
            raise InputError("dtype", f"openai-whisper does not know {dtype!r}", f"Take one of {', '.join(DTYPES)}")
        self.inputs = Sound(LONGEST_WINDOW, unless_subtitles=prefer_subtitles)
        self.language = language.split("-")[0].lower() if language else None
        self.translate = translate
        self.word_times = word_times
        self._windows: list[AudioChunk] = []
        self._rest = NO_SOUND

    @staticmethod
    def _load(weights: Weights) -> "Whisper":
        return load_whisper(weights.model).to(weights.torch_device)

    def find(self) -> Path | None:
        """Find the weights on this machine; None if they have to be downloaded."""
        file = find_file(self.weights.model)
        return file if file.is_file() else None

    def fetch(self) -> Path:
        """Download the weights if they are not on this machine, with a progress bar.

        Raises:
            ModelUnavailableError: They cannot be downloaded.
        """
        load_whisper(self.weights.model)
        return find_file(self.weights.model)

    def load(self) -> None:
        """Load the weights now and not at first use.

        Raises:
            ModelUnavailableError: The weights cannot be had on this machine.
            ModelError: They are damaged, or of another kind of model.
            InputError: The model does not know the language.
        """
        self._options()

    @property
    def pending_since(self) -> float | None:
        """Seconds up to which all has been written down."""
        return min((sound.start for sound in [*self._windows, self._rest] if len(sound.samples)), default=None)

    def perceive(self, batch: AudioChunk) -> Iterator[Observation]:
        """Write down as many windows as make full batches."""
        windows, self._rest = cut_at_pauses(join(self._rest, batch))
        self._windows += windows
        while len(self._windows) >= self.batch_size:
            yield from self._next_batch()

    def finish(self, end: float) -> Iterator[Observation]:
        """Write down what is left."""
        self._windows.append(self._rest)
        self._rest = NO_SOUND
        while self._windows:
            yield from self._next_batch()

    def _next_batch(self) -> Iterator[Observation]:
        batch, self._windows = self._windows[: self.batch_size], self._windows[self.batch_size :]
        heard = [window for window in batch if not is_silent(window)]
        if heard:
            options = self._options()
            results = self._within_memory(partial(_decode, self._model, options), heard)
            for window, result in zip(heard, results, strict=True):
                if is_sure(result):
                    yield from self._emit(window, result, replace(options, language=result.language))

    def _emit(self, window: AudioChunk, result: "DecodingResult", options: "DecodingOptions") -> Iterator[Observation]:
        segments, unheard = read_segments(result, _tokenizer(self._model, options), duration(window))
        if unheard is not None:
            self._windows.insert(0, skip_silence(part(window, unheard)))
        segments = leave_out_inventions(segments, result.no_speech_prob)
        segments = [one for one in segments if not is_silent(part(window, one.start, one.end))]
        if self.word_times:
            segments = _time_words(self._model, window, segments, options)
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

    def _options(self) -> "DecodingOptions":
        import torch
        from whisper.decoding import DecodingOptions
        from whisper.tokenizer import LANGUAGES

        model = self._model
        known = list(LANGUAGES)[: model.num_languages] if model.is_multilingual else ["en"]
        if self.language not in (None, *known):
            problem = f"{self.weights.model} does not know {self.language!r}"
            raise InputError("language", problem, f"Take one of {', '.join(known)}")
        return DecodingOptions(
            task="translate" if self.translate else "transcribe",
            language=self.language if model.is_multilingual else "en",
            fp16=self.weights.torch_dtype != torch.float32,
        )


def load_whisper(model: str) -> "Whisper":
    """Load a model of openai-whisper into memory, after downloading it if it has a name and is not there yet.

    Files are read as tensors alone: a pickle that would run code is refused. Downloads are checked by their SHA-256.

    Raises:
        ModelUnavailableError: There is no such file and no model of this name, or it cannot be downloaded.
    """
    import whisper

    file = find_file(model)
    if file == Path(model):
        return whisper.load_model(str(file.absolute()), device="cpu")
    if model not in whisper.available_models():
        problem = "there is no such file, and no such model of openai-whisper"
        advice = f"Give the path of a .pt file, or one of {', '.join(whisper.available_models())}"
        raise ModelUnavailableError(model, problem, advice)
    try:
        return whisper.load_model(model, device="cpu", download_root=str(file.parent))
    except (OSError, RuntimeError) as error:
        problem = (
            f"this model of openai-whisper ({describe_size(model)}) is not on this machine, and it cannot be downloaded"
        )
        advice = "Connect to the network and try again, or give the path of a .pt file that holds it"
        raise ModelUnavailableError(model, problem, advice) from error


def find_file(model: str) -> Path:
    """Tell where a model is, or where it will be once it is downloaded.

    Example:
        >>> find_file("turbo").name
        'large-v3-turbo.pt'
    """
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(model) if Path(model).is_file() else Path(caches, "whisper", f"{ALIASES.get(model, model)}.pt")


def _decode(model: "Whisper", options: "DecodingOptions", windows: list[AudioChunk]) -> "list[DecodingResult]":
    import torch
    import whisper

    spectrograms = torch.stack([_spectrogram(model, window) for window in windows])
    with _decoding:
        results = whisper.decode(model, spectrograms, options)
        return [_search(model, result, options) if deserves_search(result) else result for result in results]


def _search(model: "Whisper", result: "DecodingResult", options: "DecodingOptions") -> "DecodingResult":
    """Decode again by beam search, which runs less often into a loop."""
    import whisper

    return whisper.decode(model, result.audio_features, replace(options, beam_size=BEAMS, language=result.language))


def _time_words(
    model: "Whisper", window: AudioChunk, segments: list[Segment], options: "DecodingOptions"
) -> list[Segment]:
    from whisper.timing import add_word_timestamps

    spectrogram = _spectrogram(model, window)
    timed: list[dict[str, Any]] = [
        {"seek": 0, "start": one.start, "end": one.end, "tokens": list(one.tokens)} for one in segments
    ]
    with _decoding:
        add_word_timestamps(
            segments=timed,
            model=model,
            tokenizer=_tokenizer(model, options),
            mel=spectrogram.half() if options.fp16 else spectrogram,
            num_frames=round(duration(window) * MEL_FRAMES_A_SECOND),
            last_speech_timestamp=0.0,
        )
    words = [word for one in timed for word in one["words"] if word["word"].strip()]
    return [
        Segment(float(word["start"]), float(word["end"]), word["word"].strip(), float(word["probability"]))
        for word in words
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
