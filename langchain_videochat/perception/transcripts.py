"""What Whisper has written, read into segments, without what it makes up over silence and music."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whisper.decoding import DecodingResult
    from whisper.tokenizer import Tokenizer

NO_SPEECH = 0.6
"""Probability of "no speech" above which the model hears none; as in the Whisper paper (arXiv 2212.04356, 4.5)."""

LEAST_LOGPROB = -1.0
"""Average log-probability of a token below which text is guessed; as in the paper."""

MOST_COMPRESSION = 2.4
"""How many times shorter text may become by gzip before it goes round in circles; as in the paper."""

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
"""What Whisper hears in noise: its training data ends with it (arXiv 2501.11378). No case, no punctuation."""

LEAST_STEP = 1.0
"""Seconds by which listening anew has to get on, so that a model that stammers does not hold up everything."""

SECONDS_PER_STAMP = 0.02
"""Seconds between two of Whisper's time stamps."""


@dataclass(frozen=True)
class Segment:
    """A stretch of speech: about a sentence, or a word of it."""

    start: float
    """Seconds from the beginning of the window."""

    end: float
    """Seconds from the beginning of the window."""

    text: str
    """What is said."""

    score: float
    """Probability of an average token, 0 to 1."""

    tokens: tuple[int, ...] = ()
    """The text in the model's tokens."""


def read_segments(
    result: "DecodingResult", tokenizer: "Tokenizer", duration: float
) -> tuple[list[Segment], float | None]:
    """Read a transcript: a time stamp, text, a time stamp, and so on.

    Args:
        result: What Whisper has decoded.
        tokenizer: Its tokenizer.
        duration: Seconds that the window lasts; what is said behind it is not there.

    Returns:
        The segments, and the seconds from which to listen anew if the last one is not finished.
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
            time = min((token - tokenizer.timestamp_begin) * SECONDS_PER_STAMP, duration)
            close(time)
            start, text = time, []
    # What goes on behind the window's end has a time stamp at its start, perhaps text, and none at its end.
    begun = bool(text) or all(token >= tokenizer.timestamp_begin for token in result.tokens[-2:])
    if begun and LEAST_STEP <= start < duration:
        return segments, start
    close(duration)
    return segments, None


def is_sure(result: "DecodingResult") -> bool:
    """Tell whether a transcript is likely enough to be told."""
    return bool(result.avg_logprob >= LEAST_LOGPROB)


def deserves_search(result: "DecodingResult") -> bool:
    """Tell whether a transcript went wrong for another reason than that nobody speaks."""
    if is_sure(result):
        return bool(result.compression_ratio > MOST_COMPRESSION)
    return bool(result.no_speech_prob <= NO_SPEECH)


def leave_out_inventions(segments: Iterable[Segment], no_speech_prob: float) -> list[Segment]:
    """Leave out segments that say nothing, that go round in circles, and stock phrases where no speech is heard.

    What is said several times in a row is told once, from its first start to its last end.

    Args:
        segments: One transcript's.
        no_speech_prob: The model's probability that nobody speaks, 0 to 1.

    Example:
        >>> heard = [Segment(0, 2, "Hello.", 0.9), Segment(2, 4, "...", 0.9), Segment(4, 5, "Thank you!", 0.9)]
        >>> [segment.text for segment in leave_out_inventions(heard, no_speech_prob=0.1)]
        ['Hello.', 'Thank you!']
        >>> [segment.text for segment in leave_out_inventions(heard, no_speech_prob=0.9)]
        ['Hello.']
    """
    told: list[Segment] = []
    for segment in segments:
        if not _says_something(segment.text, no_speech_prob):
            continue
        if told and _words(told[-1].text) == _words(segment.text):
            told[-1] = replace(told[-1], end=segment.end)
        else:
            told.append(segment)
    return told


def _says_something(text: str, no_speech_prob: float) -> bool:
    from whisper.utils import compression_ratio

    words = _words(text)
    if words in STOCK_PHRASES and no_speech_prob > NO_SPEECH:
        return False
    return bool(words) and bool(compression_ratio(text) <= MOST_COMPRESSION)


def _words(text: str) -> str:
    """Keep what is spoken: no case, no punctuation, no notes of music."""
    return " ".join("".join(letter if letter.isalnum() else " " for letter in text).casefold().split())
