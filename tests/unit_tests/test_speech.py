"""Speech: transcripts and their times, hallucinations that are removed, and bounded memory."""

import pickle
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import whisper
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from whisper.decoding import DecodingResult
from whisper.tokenizer import get_tokenizer

from langchain_videochat.errors import InputError, ModelError, ModelUnavailableError
from langchain_videochat.media import AudioChunk, read_audio
from langchain_videochat.perception.audio_windows import EMPTY_AUDIO, concatenate, cut_at_pauses, duration, is_silent
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.perceiver import AudioInputs
from langchain_videochat.perception.speech import Speech
from langchain_videochat.perception.transcripts import (
    Segment,
    is_confident,
    needs_beam_search,
    parse_segments,
    remove_hallucinations,
)
from tests.media_files import run_ffmpeg
from tests.tiny_whisper import Script, encode, high, low, save_whisper, silence

SENTENCE: Script = [0.0, (" High", " Low"), " tone.", 2.0]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_whisper(tmp_path_factory.mktemp("model") / "tiny.pt", SENTENCE, languages=("de", "fr"))


def _chunks(samples: NDArray[np.float32], seconds: float, start: float = 0.0) -> Iterator[AudioChunk]:
    length = round(seconds * 16_000)
    for first in range(0, len(samples), length):
        yield AudioChunk(samples[first : first + length], start + first / 16_000)


def _transcribe(speech: Speech, *sounds: NDArray[np.float32], start: float = 0.0) -> list[Observation]:
    samples = np.concatenate(sounds)
    observations = [one for chunk in _chunks(samples, 30.0, start) for one in speech.perceive(chunk)]
    return [*observations, *speech.finish(start + len(samples) / 16_000)]


def _spans(observations: list[Observation]) -> list[tuple[float, float, str]]:
    return [(round(one.start, 2), round(one.end, 2), one.text) for one in observations]


def test_speech_has_its_times_language_score_and_source(model: Path) -> None:
    sounds = [high(25), silence(1), low(25), silence(40), high(5)]
    observations = _transcribe(Speech(model), *sounds, start=600.0)
    assert _spans(observations) == [
        (600.0, 602.0, "High tone."),
        (625.8, 627.8, "Low tone."),
        (690.8, 692.8, "High tone."),
    ]
    assert [one.language for one in observations] == ["de", "fr", "de"]
    assert {(one.modality, one.score, one.source) for one in observations} == {("speech", 1.0, "whisper-tiny")}


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_transcripts_do_not_depend_on_the_batch_size(model: Path, batch_size: int) -> None:
    sounds = [part for _ in range(2) for part in (high(22), silence(1), low(24), silence(1))]
    assert _transcribe(Speech(model, batch_size=batch_size), *sounds) == _transcribe(Speech(model), *sounds)


def test_perceivers_with_the_same_weights_run_concurrently(model: Path) -> None:
    sounds = [high(22), silence(1), low(24)]
    with ThreadPoolExecutor(4) as threads:
        observations = list(threads.map(lambda _: _transcribe(Speech(model, batch_size=1), *sounds), range(4)))
    assert observations == [_transcribe(Speech(model), *sounds)] * 4


def test_audio_is_kept_only_until_a_batch_is_full(model: Path) -> None:
    speech = Speech(model, batch_size=2)
    observations: list[Observation] = []
    for chunk in _chunks(np.tile(np.concatenate([high(8), silence(1)]), 40), seconds=30.0):
        observations += speech.perceive(chunk)
        assert speech.pending_since is not None
        assert chunk.start + 30.0 - speech.pending_since <= 3 * 30.0
        assert all(one.start < speech.pending_since for one in observations)
    observations += speech.finish(360.0)
    assert speech.pending_since is None
    assert [one.start for one in observations] == sorted(one.start for one in observations)
    assert max(after.start - before.start for before, after in pairwise(observations)) <= 30.0


def test_silence_is_not_transcribed() -> None:
    speech = Speech("no-model-is-needed.pt")
    assert _transcribe(speech, silence(90), 0.001 * high(30), silence(5), high(0.05), silence(10)) == []


def test_text_over_silence_is_removed(tmp_path: Path) -> None:
    model = save_whisper(tmp_path / "model.pt", [0.0, " One", 2.0, 3.0, " two", 4.5, 5.0, " three", 8.0])
    assert _spans(_transcribe(Speech(model), low(2.5), silence(2.5), low(3))) == [
        (0.0, 2.0, "One"),
        (5.0, 8.0, "three"),
    ]


def test_an_unfinished_sentence_is_decoded_again(tmp_path: Path) -> None:
    model = save_whisper(tmp_path / "model.pt", [0.0, " Hello", 2.0, 2.0, " again"])
    assert _spans(_transcribe(Speech(model), low(7), silence(5))) == [
        (0.0, 2.0, "Hello"),
        (2.0, 4.0, "Hello"),
        (4.0, 6.0, "Hello"),
        (6.0, 8.0, "Hello"),
    ]


@pytest.mark.parametrize(
    ("script", "certainty", "no_speech", "expected"),
    [
        ([0.0, " Hello", 2.0], 10.0, False, ["Hello"]),
        ([0.0, " Hello", 2.0], 0.65, True, []),
        ([0.0, " Hello", 2.0], 0.65, False, []),
        ([0.0, " Thank you.", 2.0], 10.0, False, ["Thank you."]),
        ([0.0, " Thank you.", 2.0], 10.0, True, []),
        ([0.0, *[" no"] * 30, 2.0, 2.0, " Yes.", 4.0], 10.0, False, ["Yes."]),
    ],
    ids=["confident", "guess over noise", "guess", "stock phrase", "stock phrase over noise", "repetition"],
)
def test_hallucinations_are_removed(
    tmp_path: Path, script: Script, certainty: float, no_speech: bool, expected: list[str]
) -> None:
    model = save_whisper(tmp_path / "model.pt", script, certainty=certainty, no_speech=no_speech)
    assert [one.text for one in _transcribe(Speech(model), high(5))] == expected


def test_words_have_their_own_times(model: Path) -> None:
    observations = _transcribe(Speech(model, word_times=True), silence(1), high(5), silence(1), start=60.0)
    assert [one.text for one in observations] == ["High", "tone."]
    assert 60.8 <= observations[0].start <= observations[0].end <= observations[1].start <= observations[1].end <= 67.0
    assert all(one.score is not None and one.language == "de" for one in observations)


def test_a_translation_is_english(model: Path) -> None:
    assert [one.language for one in _transcribe(Speech(model, translate=True), low(5))] == ["en"]


def test_the_language_can_be_given(model: Path) -> None:
    assert [one.language for one in _transcribe(Speech(model, language="pt-BR"), low(5))] == ["pt"]


def test_an_english_model_transcribes_english(tmp_path: Path) -> None:
    model = save_whisper(tmp_path / "base.en.pt", SENTENCE, languages=())
    (observation,) = _transcribe(Speech(model), high(5))
    assert (observation.text, observation.language, observation.source) == ("High tone.", "en", "whisper-base.en")
    with pytest.raises(InputError, match="'de'"):
        Speech(model, language="de").load()


def test_half_precision_is_supported(model: Path) -> None:
    assert [one.text for one in _transcribe(Speech(model, dtype="float16"), high(5))] == ["High tone."]


def test_the_audio_of_a_video_is_transcribed(model: Path, tmp_path: Path) -> None:
    video = tmp_path / "video.mkv"
    sound = "aevalsrc='0.3*sin(2*PI*300*t)*lt(mod(t,25),24)':s=16000:d=40"
    run_ffmpeg("-f", "lavfi", "-i", "color=s=64x64:d=40", "-f", "lavfi", "-i", sound, "-c:a", "flac", str(video))
    speech = Speech(model)
    observations = [one for chunk in read_audio(video) for one in speech.perceive(chunk)]
    observations += speech.finish(40.0)
    assert [(one.text, round(one.start)) for one in observations] == [("Low tone.", 0), ("Low tone.", 25)]


def test_subtitles_can_be_preferred() -> None:
    assert Speech(prefer_subtitles=True).inputs == AudioInputs(chunk_seconds=30.0, prefer_subtitles=True)
    assert Speech().inputs == AudioInputs(chunk_seconds=30.0, prefer_subtitles=False)


@pytest.mark.parametrize(
    ("options", "named"),
    [({"dtype": "bfloat16"}, "float16"), ({"batch_size": 0}, "batch_size"), ({"language": "tlh"}, "'tlh'")],
)
def test_unsupported_options_are_refused(model: Path, options: dict[str, str], named: str) -> None:
    with pytest.raises(InputError, match=named):
        Speech(model, **options).load()  # type: ignore[arg-type]


def test_the_error_for_missing_weights_names_their_size_and_both_ways_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    speech = Speech()
    assert speech.find() is None
    for get in (speech.fetch, speech.load):
        with pytest.raises(ModelUnavailableError, match=r"base: .*145 MB.* Connect .* path of a \.pt file"):
            get()


@pytest.mark.parametrize("name", whisper.available_models())
def test_models_are_found_in_the_cache_of_openai_whisper(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    file = tmp_path / "whisper" / whisper._MODELS[name].rpartition("/")[2]
    file.parent.mkdir()
    file.touch()
    assert Speech(name).find() == file


def test_a_file_is_found_by_its_path(model: Path) -> None:
    assert Speech(model).find() == Speech(model).fetch() == model


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ModelUnavailableError, match=r"humongous: .* turbo"):
        Speech("humongous").load()


class _CodePickle:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    executed = tmp_path / "sprung"
    torch.save({"dims": {}, "model_state_dict": {}, "trap": _CodePickle(executed)}, tmp_path / "zip.pt")
    (tmp_path / "bare.pt").write_bytes(
        pickle.dumps({"dims": {}, "model_state_dict": {}, "trap": _CodePickle(executed)})
    )
    for name in ("zip.pt", "bare.pt"):
        with pytest.raises(ModelError, match=name):
            Speech(tmp_path / name).load()
    assert not executed.exists()
    pickle.loads((tmp_path / "bare.pt").read_bytes())
    assert executed.exists(), "the pickle does run code"


def test_damaged_files_and_other_models_are_refused(model: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pt"
    cut.write_bytes(model.read_bytes()[:100_000])
    other = tmp_path / "other.pt"
    torch.save(torch.nn.Linear(2, 2).state_dict(), other)
    incomplete = tmp_path / "incomplete.pt"
    checkpoint = torch.load(model, weights_only=True)
    del checkpoint["model_state_dict"]["decoder.ln.weight"]
    torch.save(checkpoint, incomplete)
    for path in (cut, other, incomplete):
        with pytest.raises(ModelError, match=path.name):
            Speech(path).load()


Bursts = list[tuple[float, float]]
"""Seconds of sound and of the following silence."""

bursts = st.lists(
    st.tuples(st.integers(10, 80).map(lambda tenths: tenths / 10), st.integers(5, 10).map(lambda tenths: tenths / 10)),
    min_size=1,
    max_size=25,
)


def _cut(sound: NDArray[np.float32], chunk_seconds: float) -> list[AudioChunk]:
    windows: list[AudioChunk] = []
    rest = EMPTY_AUDIO
    for chunk in _chunks(sound, chunk_seconds):
        new, rest = cut_at_pauses(concatenate(rest, chunk))
        windows += new
    return [*windows, rest]


@settings(max_examples=25)
@given(bursts)
def test_no_burst_of_sound_is_cut(lengths: Bursts) -> None:
    sound = np.concatenate([part for loud, quiet in lengths for part in (np.full_like(low(loud), 0.1), silence(quiet))])
    windows = [(window.start, window.start + duration(window)) for window in _cut(sound, 30.0)]
    assert all(end - start <= 30.0 for start, end in windows)
    assert all(before[1] <= after[0] for before, after in pairwise(windows))
    time = 0.0
    for loud, quiet in lengths:
        assert any(start <= time + 1e-6 and time + loud - 1e-6 <= end for start, end in windows)
        time += loud + quiet


@settings(max_examples=10)
@given(bursts, st.sampled_from([0.5, 7.0, 45.0]))
def test_windows_do_not_depend_on_the_chunks(lengths: Bursts, chunk_seconds: float) -> None:
    sound = np.concatenate([part for loud, quiet in lengths for part in (low(loud), silence(quiet))])
    streamed, whole = _cut(sound, chunk_seconds), _cut(sound, 300.0)
    assert [window.start for window in streamed] == pytest.approx([window.start for window in whole])
    for one, other in zip(streamed, whole, strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)


def test_audio_without_a_pause_is_cut_where_it_is_quietest() -> None:
    sound = high(40)
    sound[26 * 16_000 : 27 * 16_000] *= 0.5
    (window,), rest = cut_at_pauses(AudioChunk(sound, 0.0))
    assert 26.0 < duration(window) < 27.0
    assert duration(window) + duration(rest) == 40.0


def test_a_click_is_silent() -> None:
    assert is_silent(AudioChunk(high(0.05), 0.0))
    assert not is_silent(AudioChunk(high(0.2), 0.0))


def _result(script: Sequence[float | str], **values: float) -> DecodingResult:
    tokens = [token for item in script for (token,) in encode(item, get_tokenizer(multilingual=True))]
    facts = {"avg_logprob": -0.1, "no_speech_prob": 0.1, "compression_ratio": 1.0} | values
    return DecodingResult(audio_features=torch.empty(0), language="en", tokens=tokens, **facts)


@pytest.mark.parametrize(
    ("script", "segments", "unfinished"),
    [
        ([0.0, " Hello", 2.0, 2.0, " there.", 4.0], [(0.0, 2.0, "Hello"), (2.0, 4.0, "there.")], None),
        ([0.0, " Hello", 2.0, 3.0, " there."], [(0.0, 2.0, "Hello")], 3.0),
        ([0.0, " Hello", 2.0, 2.0], [(0.0, 2.0, "Hello")], 2.0),
        ([0.5, " Hello there."], [(0.5, 5.0, "Hello there.")], None),
        ([0.0, " Hello", 9.0], [(0.0, 5.0, "Hello")], None),
        ([0.0, " Hello", 4.0, 6.0, " there.", 8.0], [(0.0, 4.0, "Hello")], None),
        ([0.0, " Hello", 4.0, 6.0, " there."], [(0.0, 4.0, "Hello")], None),
        ([0.0], [], None),
        ([], [], None),
    ],
)
def test_segments_lie_between_their_timestamps(
    script: list[float | str], segments: list[tuple[float, float, str]], unfinished: float | None
) -> None:
    read, restart = parse_segments(_result(script), get_tokenizer(multilingual=True), duration=5.0)
    assert [(round(one.start, 2), round(one.end, 2), one.text) for one in read] == segments
    assert restart == (None if unfinished is None else pytest.approx(unfinished))
    assert all(one.score == pytest.approx(0.905, abs=0.001) for one in read)


@pytest.mark.parametrize(
    ("values", "confident", "searched"),
    [
        ({}, True, False),
        ({"avg_logprob": -1.1}, False, True),
        ({"avg_logprob": -1.1, "no_speech_prob": 0.7}, False, False),
        ({"no_speech_prob": 0.7}, True, False),
        ({"compression_ratio": 2.5}, True, True),
        ({"avg_logprob": float("nan")}, False, True),
    ],
)
def test_failed_transcripts_are_decoded_by_beam_search(
    values: dict[str, float], confident: bool, searched: bool
) -> None:
    result = _result([], **values)
    assert (is_confident(result), needs_beam_search(result)) == (confident, searched)


@pytest.mark.parametrize(
    ("texts", "no_speech", "expected"),
    [
        (["Go on.", "Go on!", "go on"], 0.1, [(0.0, 3.0, "Go on.")]),
        (["Yes.", "No.", "Yes."], 0.1, [(0.0, 1.0, "Yes."), (1.0, 2.0, "No."), (2.0, 3.0, "Yes.")]),
        (["♪♪♪", "...", " "], 0.1, []),
        (["Thanks for watching!", "Whisk two eggs."], 0.9, [(1.0, 2.0, "Whisk two eggs.")]),
        (["na " * 40, "Hey Jude"], 0.1, [(1.0, 2.0, "Hey Jude")]),
        (["ご視聴ありがとうございました。"], 0.9, []),
        (["Привет"], 0.9, [(0.0, 1.0, "Привет")]),
    ],
)
def test_repeated_and_empty_segments_are_removed(
    texts: list[str], no_speech: float, expected: list[tuple[float, float, str]]
) -> None:
    segments = [Segment(float(number), number + 1.0, text, 0.9) for number, text in enumerate(texts)]
    kept = remove_hallucinations(segments, no_speech)
    assert [(one.start, one.end, one.text) for one in kept] == expected
