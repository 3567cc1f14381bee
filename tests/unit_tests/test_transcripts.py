"""Transcripts: sentences, hallucinations that are removed, and words that are decoded again."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from langchain_videochat.perception.audio_windows import FRAMES_PER_SECOND, AudioWindow
from langchain_videochat.perception.passages import Passage, count_quiet_seconds
from langchain_videochat.perception.transcripts import (
    Sentence,
    is_confident,
    needs_beam_search,
    remove_hallucinations,
    split_sentences,
)
from langchain_videochat.perception.whisper_decoding import Transcript
from langchain_videochat.perception.whisper_model import DecodedText
from langchain_videochat.perception.word_alignment import Word, place_words, to_video_time


def _window(*sounds: tuple[float, float], seconds: float = 30.0, start: float = 0.0, level: float = 0.1) -> AudioWindow:
    """Return a window with sound in some intervals."""
    times = np.arange(round(seconds * FRAMES_PER_SECOND)) / FRAMES_PER_SECOND
    is_sound = np.any([(times >= first) & (times < last) for first, last in sounds], axis=0)
    samples = np.where(is_sound[:, None], level, 0.0) * np.ones((1, 320))
    return AudioWindow(samples.astype(np.float32), start + times, np.where(is_sound, 50.0, 1.0).astype(np.float32))


def _result(text: str = "", /, **values: Any) -> DecodedText:
    return replace(DecodedText(text=text, language="en", avg_logprob=-0.1, no_speech_prob=0.1), **values)


def _words(texts: str, times: Sequence[float]) -> list[Word]:
    """Return words, of which each ends where the next one starts."""
    return [
        Word(f" {text}", start, end, 0.9) for text, start, end in zip(texts.split(), times[:-1], times[1:], strict=True)
    ]


def _sentence(text: str, start: float, end: float) -> Sentence:
    return Sentence(text, (Word(text, start, end, 0.9),))


@pytest.mark.parametrize(
    ("text", "language", "sentences"),
    [
        ("Hello there. How are you? Fine!", "en", ["Hello there.", "How are you?", "Fine!"]),
        ("Mr. Li paid $4 .50. Then he left.", "en", ["Mr. Li paid $4 .50.", "Then he left."]),
        ("The U.S. has 3.5 million. Wow.", "en", ["The U.S. has 3.5 million.", "Wow."]),
        ("no punctuation at all", "en", ["no punctuation at all"]),
        ("Am 3. Oktober kam Dr. Braun. Dann ging er.", "de", ["Am 3. Oktober kam Dr. Braun.", "Dann ging er."]),
        ("नमस्ते दुनिया। यह है।", "hi", ["नमस्ते दुनिया।", "यह है।"]),
        ("مرحبا؟ نعم.", "ar", ["مرحبا؟", "نعم."]),
        ("Unknown tongue. Still split.", "haw", ["Unknown tongue.", "Still split."]),
    ],
)
def test_sentences_end_at_the_punctuation_of_their_language(text: str, language: str, sentences: list[str]) -> None:
    words = _words(text, [number * 0.4 for number in range(len(text.split()) + 1)])
    found = split_sentences(words, language)
    assert [one.text for one in found] == sentences
    assert [one.end for one in found[:-1]] == [one.start for one in found[1:]]


def test_scripts_without_spaces_are_split() -> None:
    letters = ["你", "好。", "走", "吧。", "是。"]
    words = [Word(letter, number * 0.4, number * 0.4 + 0.4, 0.9) for number, letter in enumerate(letters)]
    found = [(one.text, round(one.start, 1)) for one in split_sentences(words, "zh")]
    assert found == [("你好。", 0.0), ("走吧。", 0.8), ("是。", 1.6)]


def test_sentences_are_split_at_long_pauses_and_if_they_are_very_long() -> None:
    words = [*_words("so he came", [0.0, 0.5, 1.0, 1.5]), *_words("and then left", [4.0, 4.5, 5.0, 5.5])]
    assert [one.text for one in split_sentences(words, "en")] == ["so he came", "and then left"]
    times = [*np.arange(30).tolist(), 30.0]
    endless = _words(" ".join(["word"] * 30), times)
    endless[14] = Word(" pause", 14.0, 14.4, 0.9)
    found = split_sentences(endless, "en")
    assert [len(one.words) for one in found] == [15, 15]
    assert max(one.end - one.start for one in found) <= 20.0


def test_no_words_have_no_sentences() -> None:
    assert split_sentences([], "en") == []


@pytest.mark.parametrize(
    ("values", "confident", "searched"),
    [
        ({}, True, False),
        ({"avg_logprob": -1.1}, False, True),
        ({"avg_logprob": -0.9}, True, False),
        ({"avg_logprob": -0.9, "no_speech_prob": 0.5}, False, False),
        ({"avg_logprob": -1.1, "no_speech_prob": 0.7}, False, False),
        ({"no_speech_prob": 0.7}, True, False),
        ({"compression_ratio": 2.5}, True, True),
        ({"avg_logprob": float("nan")}, False, True),
    ],
)
def test_failed_transcripts_are_decoded_by_beam_search(
    values: dict[str, float], confident: bool, searched: bool
) -> None:
    result = _result(**values)
    assert (is_confident(result), needs_beam_search(result)) == (confident, searched)


@pytest.mark.parametrize(
    ("texts", "values", "expected"),
    [
        (["Go on.", "Go on!", "go on"], {}, [(0.0, 3.0, "Go on.")]),
        (["Yes.", "No.", "Yes."], {}, [(0.0, 1.0, "Yes."), (1.0, 2.0, "No."), (2.0, 3.0, "Yes.")]),
        (["♪♪♪", "...", " "], {}, []),
        (["Thanks for watching!", "Whisk two eggs."], {"no_speech_prob": 0.9}, [(1.0, 2.0, "Whisk two eggs.")]),
        (["Thanks for watching!"], {"no_speech_prob": 0.3, "avg_logprob": -0.9}, []),
        (["Thanks for watching!"], {"avg_logprob": -0.9}, [(0.0, 1.0, "Thanks for watching!")]),
        (["na " * 40, "Hey Jude"], {}, [(1.0, 2.0, "Hey Jude")]),
        (["ご視聴ありがとうございました。"], {"no_speech_prob": 0.9}, []),
        (["Привет"], {"no_speech_prob": 0.9}, [(0.0, 1.0, "Привет")]),
        (
            ["Whisk two eggs with salt.", *["I don't know.", "I don't know what."] * 3, "I don't"],
            {"compression_ratio": 3.0},
            [(0.0, 1.0, "Whisk two eggs with salt.")],
        ),
        (["1-2-3", "1-2-3-4-4", "4-4-4"], {"compression_ratio": 9.0}, []),
    ],
)
def test_hallucinations_are_removed(
    texts: list[str], values: dict[str, float], expected: list[tuple[float, float, str]]
) -> None:
    sentences = [_sentence(text, float(number), number + 1.0) for number, text in enumerate(texts)]
    kept = remove_hallucinations(sentences, _result(**values), _window((0, 20)))
    assert [(one.start, one.end, one.text) for one in kept] == expected


def test_text_over_silence_is_removed() -> None:
    sentences = [_sentence("One.", 0.0, 2.0), _sentence("Two.", 3.0, 4.5), _sentence("Three.", 5.0, 8.0)]
    kept = remove_hallucinations(sentences, _result(), _window((0, 2.5), (5, 8)))
    assert [one.text for one in kept] == ["One.", "Three."]


def test_words_are_moved_to_their_sound() -> None:
    window = _window((1.0, 2.0), (6.0, 7.0))
    words = place_words(_words("one two", [0.0, 3.0, 9.0]), window)
    assert [(round(one.start, 2), round(one.end, 2)) for one in words] == [(1.0, 2.0), (6.0, 7.0)]


def test_times_count_the_silence_that_was_removed() -> None:
    window = _window((0, 4), seconds=4.0, start=60.0)
    shifted = AudioWindow(window.samples, window.times + np.where(np.arange(200) < 100, 0.0, 30.0), window.ratios)
    words = to_video_time(_words("one two", [1.0, 2.0, 3.0]), shifted)
    assert [(round(one.start, 2), round(one.end, 2)) for one in words] == [(61.0, 62.0), (92.0, 93.0)]


def test_a_word_that_was_left_out_is_decoded_again_from_the_pause_before() -> None:
    passage = Passage(_window((0.0, 3.0), (3.4, 8.0), seconds=9.0, start=10.0))
    early = Transcript(_result("In his power, to d"), _words("In his power, to d", [0.0, 1.0, 2.0, 3.0, 3.7, 4.0]))
    continued = passage.add(early)
    assert [one.text for one in continued.words] == [" In", " his", " power,"]
    assert not continued.is_finished
    assert 3.0 < float(continued.rest.times[0]) - 10.0 < 3.4
    ended = continued.add(Transcript(_result("to do for them."), _words("to do for them.", [0.2, 1.0, 2.0, 3.0, 4.9])))
    assert ended.is_finished
    assert "".join(one.text for one in ended.words) == " In his power, to do for them."
    starts = [one.start for one in ended.words]
    assert starts == sorted(starts)
    assert starts[0] == 10.0


def test_words_are_kept_if_decoding_again_fails() -> None:
    passage = Passage(_window((0.0, 3.0), (3.4, 8.0), seconds=9.0))
    continued = passage.add(Transcript(_result(), _words("In his power, to d", [0.0, 1.0, 2.0, 3.0, 3.7, 4.0])))
    ended = continued.add(Transcript(_result(avg_logprob=-2.0), []))
    assert ended.is_finished
    assert "".join(one.text for one in ended.words) == " In his power, to d"


def test_decoding_ends_even_if_the_model_always_stops_early() -> None:
    passage = Passage(_window((0.0, 30.0)))
    transcripts = 0
    while not passage.is_finished and transcripts < 100:
        passage = passage.add(Transcript(_result(), _words("again", [0.0, 0.5])))
        transcripts += 1
    assert transcripts <= 31


@pytest.mark.parametrize(
    ("level", "sentences", "seconds"),
    [
        (1e-4, [], 3.0),
        (0.1, [], 0.0),
        (1e-4, [_sentence("All of it.", 2.0, 5.0)], 0.0),
    ],
    ids=["quiet", "loud", "transcribed"],
)
def test_quiet_sound_without_a_transcript_is_counted(level: float, sentences: list[Sentence], seconds: float) -> None:
    window = _window((2.0, 5.0), (10.0, 10.3), level=level)
    assert count_quiet_seconds(window, sentences) == pytest.approx(seconds, abs=0.05)


def test_faint_sound_without_a_transcript_is_counted() -> None:
    window = _window((2.0, 5.0))
    faint = AudioWindow(window.samples, window.times, np.minimum(window.ratios, 4.0))
    assert count_quiet_seconds(faint, []) == pytest.approx(3.0, abs=0.05)
