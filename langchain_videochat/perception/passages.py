"""Passages of speech: windows that are decoded until all of their sound is transcribed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from langchain_videochat.perception.audio_windows import FRAMES_PER_SECOND, MARGIN_SECONDS, AudioWindow, quietest
from langchain_videochat.perception.transcripts import Sentence, is_repetitive
from langchain_videochat.perception.whisper_decoding import LOUD_PERCENTILE, Transcript
from langchain_videochat.perception.whisper_model import DecodedText
from langchain_videochat.perception.word_alignment import Word, place_words, to_video_time

MIN_REST_FRAMES = 25
"""Frames of sound after the last word from which some of it is a word that was left out."""

LAST_WORD_FRAMES = 15
"""Frames by which the last word may be longer than its alignment."""

MIN_UNFINISHED_FRAMES = 10
"""Frames of sound after the last word from which a word was left out if the sentence is unfinished."""

MAX_WORD_FRAMES = 15
MAX_LETTER_FRAMES = 5
"""Frames of a slow word, and of each of its letters: the alignment may add words that were left out to the last one."""

_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？", "।", "؟", "۔")  # noqa: RUF001 - other scripts

REPEATED_FRAMES = 100
"""Frames before the end of the last word in which decoding starts again, at the quietest pause: it may be cut off."""

MIN_ADVANCE_FRAMES = 50
"""Minimum progress before decoding starts again: it ends even if the model always stops early."""

QUIET_RMS = 0.001
"""Level below which a sound may be too quiet to transcribe: 60 dB below full scale."""

FAINT_RATIO = 5.0
"""Ratio to the noise floor below which a sound may be too faint to transcribe; speech in noise of its own level."""

MIN_SPEECH_FRAMES = 25
"""Frames of the shortest sound that could be speech which is missed."""


@dataclass(frozen=True)
class Passage:
    """A window and the words that have been transcribed in it."""

    audio: AudioWindow
    """The window."""

    first: int = 0
    """The frame from which it is still to be decoded."""

    words: tuple[Word, ...] = ()
    """The words before that frame, with their times in the video."""

    repeated: tuple[Word, ...] = ()
    """Words after that frame, which are expected to be transcribed again."""

    result: DecodedText | None = None
    """The result of the first words; None if there are none."""

    @property
    def rest(self) -> AudioWindow:
        """The audio that is still to be decoded."""
        return self.audio[self.first :]

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to be decoded."""
        return self.first >= len(self.audio)

    def add(self, transcript: Transcript) -> "Passage":
        """Add the transcript of the rest. If it ends before the sound does, its end is to be decoded again."""
        rest = self.rest
        words = place_words(transcript.words, rest)
        if not words:
            return replace(self, first=len(self.audio), words=self.words + self.repeated, repeated=())
        is_loop = is_repetitive(transcript.result)
        restart = len(rest) if is_loop else _find_restart(rest, words[-1], is_first=not self.first)
        cut = restart / FRAMES_PER_SECOND
        kept = [replace(word, end=min(word.end, cut)) for word in words if (word.start + word.end) / 2 < cut]
        repeated = words[len(kept) :]
        return replace(
            self,
            first=self.first + restart,
            words=self.words + tuple(to_video_time(kept, rest)),
            repeated=tuple(to_video_time(repeated, rest)),
            result=self.result or transcript.result,
        )


def count_quiet_seconds(window: AudioWindow, sentences: Sequence[Sentence]) -> float:
    """Return the seconds of sound that may be speech, but was too quiet or too faint to be transcribed.

    Louder sound without a transcript is music or noise.

    Args:
        window: The audio.
        sentences: What was transcribed in it, with times in the video.
    """
    is_left = np.ones(len(window), dtype=np.bool_)
    for sentence in sentences:
        is_left &= (window.times < sentence.start - MARGIN_SECONDS) | (window.times > sentence.end + MARGIN_SECONDS)
    quiet = [frames for frames in window.find_sounds(is_left) if _is_quiet(window[frames])]
    return sum(len(frames) for frames in quiet) / FRAMES_PER_SECOND


def _is_quiet(sound: AudioWindow) -> bool:
    levels = np.sqrt(np.square(sound.samples).mean(axis=1))
    is_quiet = np.percentile(levels, LOUD_PERCENTILE) < QUIET_RMS
    is_faint = np.percentile(sound.ratios, LOUD_PERCENTILE) < FAINT_RATIO
    return len(sound) >= MIN_SPEECH_FRAMES and bool(is_quiet or is_faint)


def _find_restart(window: AudioWindow, last: Word, *, is_first: bool) -> int:
    """Return the frame from which to decode again if a word is the last one; the end of the window if not at all."""
    end = round(last.end * FRAMES_PER_SECOND)
    ends_sentence = last.text.rstrip("\"')]\u201d\u2019")[-1:] in _SENTENCE_ENDS
    # Once: many sentences of music and noise never end.
    is_unfinished = is_first and not ends_sentence
    if is_unfinished:
        longest = MAX_WORD_FRAMES + MAX_LETTER_FRAMES * len(last.text.strip())
        end = min(end, round(last.start * FRAMES_PER_SECOND) + longest)
    rest = np.count_nonzero(window.is_sound[end:])
    if rest < (MIN_UNFINISHED_FRAMES if is_unfinished else LAST_WORD_FRAMES + MIN_REST_FRAMES):
        return len(window)
    earliest = max(MIN_ADVANCE_FRAMES, end - REPEATED_FRAMES)
    latest = max(earliest + LAST_WORD_FRAMES, end + LAST_WORD_FRAMES)
    return earliest + quietest(window.ratios[earliest:latest])
