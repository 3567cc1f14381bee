"""Transcripts of Whisper: their sentences, and hallucinations over silence and music, which are removed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import regex

from langchain_videochat.perception.audio_windows import AudioWindow
from langchain_videochat.perception.whisper_model import DecodedText
from langchain_videochat.perception.word_alignment import Word

MAX_NO_SPEECH_PROB = 0.6
"""Probability of "no speech" above which there is none, as in the Whisper paper (arXiv 2212.04356, 4.5)."""

MIN_AVG_LOGPROB = -1.0
"""Mean log probability of the tokens below which text is a guess, as in the paper."""

DOUBTFUL_NO_SPEECH_PROB = 0.4
"""Probability of "no speech" above which text must be more probable."""

DOUBTFUL_MIN_AVG_LOGPROB = -0.8
"""Mean log probability of the tokens below which text is a guess if there may be no speech."""

STOCK_NO_SPEECH_PROB = 0.2
"""Probability of "no speech" above which a stock phrase must be more probable. It is below 0.2 where one is said."""

STOCK_MIN_AVG_LOGPROB = -0.6
"""Mean log probability of the tokens below which a stock phrase is a guess if there may be no speech."""

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

MAX_PAUSE_SECONDS = 1.5
"""Pause after which another sentence starts, whatever the punctuation."""

MAX_SENTENCE_SECONDS = 20.0
"""Length above which a sentence is split at its longest pause."""

MIN_DISTINCT_WORDS = 4
"""Different words of a sentence that is kept although the transcript repeats itself."""

MIN_SOUND_FRAMES = 5
"""Frames of sound in the shortest sentence."""


@dataclass(frozen=True)
class Sentence:
    """A sentence of a transcript."""

    text: str
    """What is said, without surrounding whitespace."""

    words: tuple[Word, ...]
    """Its words, with their times in the video."""

    @property
    def start(self) -> float:
        """Start in seconds."""
        return self.words[0].start

    @property
    def end(self) -> float:
        """End in seconds."""
        return self.words[-1].end

    def split_words(self) -> list["Sentence"]:
        """Return each word as a sentence."""
        return [Sentence(word.text.strip(), (word,)) for word in self.words]


def is_confident(result: DecodedText) -> bool:
    """Return whether a transcript is probable enough to be used."""
    is_doubtful = result.no_speech_prob > DOUBTFUL_NO_SPEECH_PROB
    is_probable = result.avg_logprob >= (DOUBTFUL_MIN_AVG_LOGPROB if is_doubtful else MIN_AVG_LOGPROB)
    return bool(is_probable) and not _is_stock_phrase(_words(result.text), result)


def is_repetitive(result: DecodedText) -> bool:
    """Return whether a transcript repeats itself."""
    return bool(result.compression_ratio > MAX_COMPRESSION_RATIO)


def needs_beam_search(result: DecodedText) -> bool:
    """Return whether a transcript is wrong although there is speech."""
    if result.avg_logprob >= MIN_AVG_LOGPROB:
        return is_repetitive(result)
    return bool(result.no_speech_prob <= MAX_NO_SPEECH_PROB)


def split_sentences(words: Sequence[Word], language: str | None) -> list[Sentence]:
    """Split a transcript at the ends of its sentences, and at long pauses.

    Args:
        words: The words, with their times in the video.
        language: Its language, which decides what an abbreviation is.

    Example:
        >>> words = [Word(text, 0.0, 0.5, 0.9) for text in (" Mr.", " Li", " has", " 2", ".5.", " Who", " knows?")]
        >>> [sentence.text for sentence in split_sentences(words, "en")]
        ['Mr. Li has 2.5.', 'Who knows?']
    """
    import sentencex

    ends = np.cumsum([len(sentence) for sentence in sentencex.segment(language or "en", _join(words))])
    lengths = np.array([len(word.text) for word in words], dtype=int)
    # The first letter of a word decides: the space before it belongs to the sentence before.
    firsts = [next(index for index, letter in enumerate(word.text) if letter.isalnum()) for word in words]
    numbers = np.searchsorted(ends, np.cumsum(lengths) - lengths + firsts, side="right")
    sentences = []
    for number in range(len(ends)):
        sentence = [word for word, each in zip(words, numbers, strict=True) if each == number]
        sentences += [Sentence(_join(part).strip(), tuple(part)) for part in _split_at_pauses(sentence) if part]
    return sentences


def remove_hallucinations(sentences: Iterable[Sentence], result: DecodedText, window: AudioWindow) -> list[Sentence]:
    """Remove sentences over silence, sentences that repeat themselves, and stock phrases where there is no speech.

    Successive sentences with the same words are joined.

    Args:
        sentences: The sentences of one transcript.
        result: The decoded text.
        window: The audio.
    """
    heard = [one for one in sentences if _is_plausible(one.text, result) and _is_audible(one, window)]
    kept: list[Sentence] = []
    is_loop = is_repetitive(result) or _repeats_itself(" ".join(one.text for one in heard))
    for sentence in _remove_loops(heard) if is_loop else heard:
        if kept and _words(kept[-1].text) == _words(sentence.text):
            kept[-1] = Sentence(kept[-1].text, kept[-1].words + sentence.words)
        else:
            kept.append(sentence)
    return kept


def _repeats_itself(text: str) -> bool:
    from whisper.utils import compression_ratio

    return bool(compression_ratio(text) > MAX_COMPRESSION_RATIO)


def _remove_loops(sentences: Sequence[Sentence]) -> list[Sentence]:
    """Remove the sentences of a loop: those with few different words, or with the words of another sentence."""
    words = [_words(one.text).split() for one in sentences]
    distinct = [set(each) for each in words]
    return [
        one
        for number, one in enumerate(sentences)
        if len(distinct[number]) >= max(MIN_DISTINCT_WORDS, len(words[number]) / 2)
        and all(
            2 * len(distinct[number] & other) < len(distinct[number])
            for position, other in enumerate(distinct)
            if position != number
        )
    ]


def _is_plausible(text: str, result: DecodedText) -> bool:
    words = _words(text)
    return bool(words) and not _is_stock_phrase(words, result) and not _repeats_itself(text)


def _is_stock_phrase(words: str, result: DecodedText) -> bool:
    """Return whether a phrase was not said but is what Whisper outputs for noise."""
    is_silent = result.no_speech_prob > MAX_NO_SPEECH_PROB
    is_guess = result.no_speech_prob > STOCK_NO_SPEECH_PROB and result.avg_logprob < STOCK_MIN_AVG_LOGPROB
    return words in STOCK_PHRASES and bool(is_silent or is_guess)


def _is_audible(sentence: Sentence, window: AudioWindow) -> bool:
    is_spoken = (window.times >= sentence.start - 1e-6) & (window.times < sentence.end)
    return bool((is_spoken & window.is_sound).sum() >= MIN_SOUND_FRAMES)


def _split_at_pauses(words: list[Word]) -> list[list[Word]]:
    pauses = [after.start - before.end for before, after in pairwise(words)]
    is_long = words[-1].end - words[0].start > MAX_SENTENCE_SECONDS
    if not pauses or (max(pauses) < MAX_PAUSE_SECONDS and not is_long):
        return [words]
    cut = int(np.argmax(pauses)) + 1
    return _split_at_pauses(words[:cut]) + _split_at_pauses(words[cut:])


def _join(words: Iterable[Word]) -> str:
    return "".join(word.text for word in words)


def _words(text: str) -> str:
    """Return the words only: without case, punctuation and musical notes."""
    return " ".join(regex.findall(r"\w+", text.casefold()))
