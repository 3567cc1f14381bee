"""Parsing of Whisper transcripts, and removal of hallucinations over silence and music."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whisper.decoding import DecodingResult
    from whisper.tokenizer import Tokenizer

MAX_NO_SPEECH_PROB = 0.6
"""Probability of "no speech" above which there is none, as in the Whisper paper (arXiv 2212.04356, 4.5)."""

MIN_AVG_LOGPROB = -1.0
"""Mean log probability of the tokens below which text is a guess, as in the paper."""

MAX_COMPRESSION_RATIO = 2.4
"""Compression ratio by gzip above which text repeats itself, as in the paper."""

STOCK_PHRASES = frozenset(
    {
        "bye",
        "please subscribe",
        "subtitles by the amara org community",
        "thank you",
        "thank you for watching",
        "thank you very much",
        "thanks for watching",
        "you",
        "sous titres réalisés para la communauté d amara org",
        "sottotitoli creati dalla comunità amara org",
        "untertitel der amara org community",
        "продолжение следует",
        "ご視聴ありがとうございました",
        "谢谢观看",
    }
)
"""Phrases that Whisper outputs for noise, because its training data ends with them (arXiv 2501.11378).

Without case and punctuation."""

MIN_ADVANCE_SECONDS = 1.0
"""Minimum progress before decoding starts again: it terminates even if the model repeats itself."""

TIMESTAMP_SECONDS = 0.02
"""Resolution of Whisper's timestamps."""


@dataclass(frozen=True)
class Segment:
    """A transcribed interval: about a sentence, or one word."""

    start: float
    """Seconds from the beginning of the window."""

    end: float
    """Seconds from the beginning of the window."""

    text: str
    """What is said, without surrounding whitespace."""

    score: float
    """Geometric mean of the token probabilities, from 0 to 1."""

    tokens: tuple[int, ...] = ()
    """Token ids of the text."""


def parse_segments(
    result: "DecodingResult", tokenizer: "Tokenizer", duration: float
) -> tuple[list[Segment], float | None]:
    """Parse a transcript: timestamp, text, timestamp, and so on.

    Args:
        result: The decoded transcript.
        tokenizer: The model's tokenizer.
        duration: Length of the window in seconds; later segments are dropped.

    Returns:
        The segments, and the time from which to decode again if the last one is unfinished.
    """
    segments: list[Segment] = []
    score = math.exp(result.avg_logprob)
    start, text = 0.0, list[int]()

    def close(end: float) -> None:
        if text and start < end:
            segments.append(Segment(start, end, tokenizer.decode(text).strip(), score, tuple(text)))

    for token in result.tokens:
        if token < tokenizer.eot:
            text.append(token)
        elif token >= tokenizer.timestamp_begin:
            time = min((token - tokenizer.timestamp_begin) * TIMESTAMP_SECONDS, duration)
            close(time)
            start, text = time, []
    # A segment that exceeds the window has a timestamp at its start, perhaps text, and no timestamp at its end.
    is_unfinished = bool(text) or all(token >= tokenizer.timestamp_begin for token in result.tokens[-2:])
    if is_unfinished and MIN_ADVANCE_SECONDS <= start < duration:
        return segments, start
    close(duration)
    return segments, None


def is_confident(result: "DecodingResult") -> bool:
    """Return whether a transcript is probable enough to be used."""
    return bool(result.avg_logprob >= MIN_AVG_LOGPROB)


def needs_beam_search(result: "DecodingResult") -> bool:
    """Return whether a transcript is wrong although there is speech."""
    if is_confident(result):
        return bool(result.compression_ratio > MAX_COMPRESSION_RATIO)
    return bool(result.no_speech_prob <= MAX_NO_SPEECH_PROB)


def remove_hallucinations(segments: Iterable[Segment], no_speech_prob: float) -> list[Segment]:
    """Remove empty segments, segments that repeat themselves, and stock phrases where there is no speech.

    Successive segments with the same words are joined.

    Args:
        segments: The segments of one transcript.
        no_speech_prob: The model's probability of "no speech", from 0 to 1.

    Example:
        >>> segments = [Segment(0, 2, "Hello.", 0.9), Segment(2, 4, "...", 0.9), Segment(4, 5, "Thank you!", 0.9)]
        >>> [segment.text for segment in remove_hallucinations(segments, no_speech_prob=0.1)]
        ['Hello.', 'Thank you!']
        >>> [segment.text for segment in remove_hallucinations(segments, no_speech_prob=0.9)]
        ['Hello.']
    """
    kept: list[Segment] = []
    for segment in segments:
        if not _is_plausible(segment.text, no_speech_prob):
            continue
        if kept and _words(kept[-1].text) == _words(segment.text):
            kept[-1] = replace(kept[-1], end=segment.end)
        else:
            kept.append(segment)
    return kept


def _is_plausible(text: str, no_speech_prob: float) -> bool:
    from whisper.utils import compression_ratio

    words = _words(text)
    if words in STOCK_PHRASES and no_speech_prob > MAX_NO_SPEECH_PROB:
        return False
    return bool(words) and bool(compression_ratio(text) <= MAX_COMPRESSION_RATIO)


def _words(text: str) -> str:
    """Return the words only: without case, punctuation and musical notes."""
    return " ".join("".join(letter if letter.isalnum() else " " for letter in text).casefold().split())
