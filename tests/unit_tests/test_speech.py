"""Speech: transcripts and their times, quiet speech, hallucinations that are removed, and bounded memory."""

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import whisper
from numpy.typing import NDArray

from langchain_videochat.errors import InputError, ModelError, ModelUnavailableError
from langchain_videochat.media import AudioChunk, read_audio
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.perceiver import AudioInputs
from langchain_videochat.perception.speech import Speech
from tests.media_files import run_ffmpeg
from tests.tiny_whisper import Script, high, low, save_whisper, silence

SENTENCE: Script = [1.0, (" High", " Low"), " tones come and go.", 7.0]
"""A sentence of 6 seconds, after the second of silence that is kept before it."""

HIGH, LOW = "High tones come and go.", "Low tones come and go."

# The tiny model places words to within about half a second.
TOLERANCE = 0.8


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
    observations += speech.finish(start + len(samples) / 16_000)
    return sorted(observations, key=lambda one: one.start)


def _noise(seconds: float, level: float) -> NDArray[np.float32]:
    """Return white noise."""
    return np.random.default_rng(0).normal(0, level, round(seconds * 16_000)).astype(np.float32)


def test_transcription_does_not_change_the_number_of_cpu_threads(model: Path) -> None:
    # Only the first transcription in a process would.
    before = torch.get_num_threads()
    assert _transcribe(Speech(model), silence(2), high(6))
    assert torch.get_num_threads() == before


def test_speech_has_its_times_language_score_and_source(model: Path) -> None:
    sounds = [silence(2), high(6), silence(60), low(6), silence(60), high(5)]
    observations = _transcribe(Speech(model), *sounds, start=600.0)
    assert [one.text for one in observations] == [HIGH, LOW, HIGH]
    assert [one.start for one in observations] == pytest.approx([602.0, 668.0, 734.0], abs=0.1)
    assert [one.end for one in observations] == pytest.approx([608.0, 674.0, 739.0], abs=TOLERANCE)
    assert [one.language for one in observations] == ["de", "fr", "de"]
    assert {(one.modality, one.source) for one in observations} == {("speech", "whisper-tiny")}
    assert [one.score for one in observations] == pytest.approx([1.0] * 3, abs=0.01)


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_transcripts_do_not_depend_on_the_batch_size(model: Path, batch_size: int) -> None:
    sounds = [part for _ in range(2) for part in (silence(60), high(6), silence(60), low(14))]
    assert _transcribe(Speech(model, batch_size=batch_size), *sounds) == _transcribe(Speech(model), *sounds)


def test_perceivers_with_the_same_weights_run_concurrently(model: Path) -> None:
    sounds = [silence(2), high(6), silence(60), low(6)]
    with ThreadPoolExecutor(4) as threads:
        observations = list(threads.map(lambda _: _transcribe(Speech(model, batch_size=1), *sounds), range(4)))
    assert observations == [_transcribe(Speech(model), *sounds)] * 4


def test_audio_is_kept_only_until_a_batch_is_full(model: Path) -> None:
    speech = Speech(model, batch_size=2)
    observations: list[Observation] = []
    for chunk in _chunks(np.tile(np.concatenate([silence(24), high(6)]), 12), seconds=30.0):
        observations += speech.perceive(chunk)
        assert speech.pending_since is not None
        # Two windows of 60 seconds, and the chunk after them.
        assert chunk.start + 30.0 - speech.pending_since <= 2 * 60.0 + 30.0
        assert all(one.start < speech.pending_since for one in observations)
    observations += speech.finish(360.0)
    assert speech.pending_since is None
    starts = [one.start for one in observations]
    assert all(any(abs(start - time) < TOLERANCE for start in starts) for time in range(24, 360, 60))


@pytest.mark.parametrize("decibels", [-20, -45, -55])
def test_quiet_speech_is_transcribed_as_if_it_were_loud(model: Path, decibels: float) -> None:
    sounds = [silence(2), high(6), silence(60), low(6)]
    quiet = _transcribe(Speech(model), *(10 ** (decibels / 20) * sound for sound in sounds))
    assert [one.text for one in quiet] == [HIGH, LOW]
    assert [one.start for one in quiet] == pytest.approx([2.0, 68.0], abs=0.1)


def test_speech_is_transcribed_in_noise_of_its_own_level(model: Path) -> None:
    sound = np.concatenate([silence(20), high(6), silence(20)])
    speech = Speech(model)
    (observation,) = _transcribe(speech, sound + _noise(46, float(np.std(high(6)))))
    assert observation.text.endswith("tones come and go.")
    assert (observation.start, observation.end) == pytest.approx((20.0, 26.0), abs=TOLERANCE)
    assert speech.damage == []


@pytest.mark.parametrize("level", [1e-5, 1e-3, 0.3])
def test_silence_and_noise_are_not_transcribed(level: float) -> None:
    speech = Speech("no-model-is-needed.pt")
    steady_tone = np.sin(2 * np.pi * 440 * np.arange(16_000 * 40) / 16_000).astype(np.float32)
    click = silence(10)
    click[80_000] = 1.0
    assert _transcribe(speech, silence(90), _noise(90, level), level * steady_tone, click) == []
    assert speech.damage == []


@pytest.mark.parametrize(
    ("level", "noise", "expected"),
    [
        (5e-4, 0.0, ["too quiet to transcribe"]),
        (2e-2, 0.02, ["too quiet to transcribe"]),
        (0.1, 0.0, []),
    ],
    ids=["quiet", "hidden in noise", "music"],
)
def test_sound_that_is_too_quiet_to_transcribe_is_reported(
    tmp_path: Path, level: float, noise: float, expected: list[str]
) -> None:
    model = save_whisper(tmp_path / "model.pt", SENTENCE, certainty=0.5)
    speech = Speech(model)
    sound = np.concatenate([silence(20), level / 0.2 * high(6), silence(20)])
    assert _transcribe(speech, sound + _noise(46, noise)) == []
    assert [one.problem for one in speech.damage] == expected
    assert all(one.seconds == pytest.approx(4.0, abs=1.5) for one in speech.damage)


def test_the_rest_is_decoded_again_if_the_transcript_ends_early(tmp_path: Path) -> None:
    model = save_whisper(tmp_path / "model.pt", [0.0, (" High", " Low"), " tones come", 3.0])
    observations = _transcribe(Speech(model, word_times=True), high(10))
    assert len(observations) >= 9
    assert all(before.end <= after.start + 1e-6 for before, after in pairwise(observations))
    assert observations[-1].end > 9.0


@pytest.mark.parametrize(
    ("script", "certainty", "no_speech", "expected"),
    [
        ([1.0, " Hello", 3.0], 10.0, False, ["Hello"]),
        ([1.0, " Hello", 3.0], 0.4, True, []),
        ([1.0, " Hello", 3.0], 0.4, False, []),
        ([1.0, " Thank you.", 3.0], 10.0, False, ["Thank you."]),
        ([1.0, " Thank you.", 3.0], 10.0, True, []),
        ([1.0, *[" no"] * 30, " no.", 2.0, 2.0, " Yes.", 3.0], 10.0, False, []),
    ],
    ids=["confident", "guess over noise", "guess", "stock phrase", "stock phrase over noise", "repetition"],
)
def test_hallucinations_are_removed(
    tmp_path: Path, script: Script, certainty: float, no_speech: bool, expected: list[str]
) -> None:
    model = save_whisper(tmp_path / "model.pt", script, certainty=certainty, no_speech=no_speech)
    assert [one.text for one in _transcribe(Speech(model), silence(2), high(2))] == expected


def test_words_have_their_own_times(model: Path) -> None:
    observations = _transcribe(Speech(model, word_times=True), silence(10), high(6), silence(1), start=60.0)
    assert [one.text for one in observations] == ["High", "tones", "come", "and", "go."]
    assert [one.start for one in observations] == pytest.approx([70.0, 71.2, 72.4, 73.6, 74.8], abs=TOLERANCE)
    assert [one.end for one in observations] == pytest.approx([71.2, 72.4, 73.6, 74.8, 76.0], abs=TOLERANCE)
    assert all(one.score is not None and one.language == "de" for one in observations)


def test_a_translation_is_english(model: Path) -> None:
    assert [one.language for one in _transcribe(Speech(model, translate=True), silence(2), low(6))] == ["en"]


def test_the_language_can_be_given(model: Path) -> None:
    assert [one.language for one in _transcribe(Speech(model, language="pt-BR"), silence(2), low(6))] == ["pt"]


def test_an_english_model_transcribes_english(tmp_path: Path) -> None:
    model = save_whisper(tmp_path / "base.en.pt", SENTENCE, languages=())
    (observation,) = _transcribe(Speech(model), silence(2), high(6))
    assert (observation.text, observation.language, observation.source) == (HIGH, "en", "whisper-base.en")
    with pytest.raises(InputError, match="'de'"):
        Speech(model, language="de").load()


def test_half_precision_is_supported(model: Path) -> None:
    assert [one.text for one in _transcribe(Speech(model, dtype="float16"), silence(2), high(6))] == [HIGH]


def test_the_audio_of_a_video_is_transcribed(model: Path, tmp_path: Path) -> None:
    video = tmp_path / "video.mkv"
    syllables = "clip(3*sin(2*PI*4*t)+1.5,0,1)*(0.3*sin(2*PI*300*t)+0.1*random(0)-0.05)"
    sound = f"aevalsrc='{syllables}*(gt(t,2)*lt(t,8)+gt(t,70)*lt(t,76))':s=16000:d=80"
    run_ffmpeg("-f", "lavfi", "-i", "color=s=64x64:d=80", "-f", "lavfi", "-i", sound, "-c:a", "flac", str(video))
    speech = Speech(model)
    observations = [one for chunk in read_audio(video) for one in speech.perceive(chunk)]
    observations += speech.finish(80.0)
    assert [(one.text, round(one.start)) for one in observations] == [(LOW, 2), (LOW, 70)]


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
    speech = Speech("base")
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
    text = tmp_path / "text.pt"
    text.write_text("This is not a model.")
    for path in (cut, other, incomplete, text):
        for read in (Speech(path).load, Speech(path).fetch):
            with pytest.raises(ModelError, match=path.name):
                read()
