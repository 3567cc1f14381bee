"""Who said it: speakers of transcribed speech, over the segments of a video, and models that cannot find them."""

import logging
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from transformers import BlipConfig, BlipForConditionalGeneration

from langchain_videochat import VideoTimelineStore
from langchain_videochat.errors import ModelError, ModelUnavailableError
from langchain_videochat.media import AudioChunk
from langchain_videochat.perception import Observation, Weights, load_profile, perceive, perceive_segment
from langchain_videochat.perception.diarization import DiarizationStream, Probabilities, load_diarizer
from langchain_videochat.perception.speech import Speech
from langchain_videochat.utils.interval import Interval
from langchain_videochat.workers import segments
from tests.media_files import make_beeps, run_ffmpeg
from tests.tiny_diarizer import make_processor, save_diarizer, save_untrained_diarizer
from tests.tiny_whisper import Script, high, low, save_whisper, silence
from tests.unit_tests.embeddings import BagOfWords

SENTENCE: Script = [1.0, (" High", " Low"), " tones come and go.", 7.0]
"""A sentence of 6 seconds, after the second of silence that is kept before it."""

HIGH, LOW = "High tones come and go.", "Low tones come and go."


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_whisper(tmp_path_factory.mktemp("whisper") / "tiny.pt", SENTENCE)


@pytest.fixture(scope="module")
def diarizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_diarizer(tmp_path_factory.mktemp("diarizer"))


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_untrained_diarizer(tmp_path_factory.mktemp("untrained"))


@pytest.fixture(scope="module")
def dialog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 150 seconds with a high, a low and a high tone, a minute apart."""
    sounds = [silence(2), high(6), silence(60), low(6), silence(60), high(6), silence(10)]
    return write_video(tmp_path_factory.mktemp("dialog") / "dialog.mp4", np.concatenate(sounds))


@pytest.fixture
def profile(whisper: Path, diarizer: Path, tmp_path: Path) -> Path:
    file = tmp_path / "who.yaml"
    file.write_text(yaml.safe_dump([{"speech": {"model": str(whisper), "speakers": str(diarizer)}}]))
    return file


def write_video(path: Path, samples: NDArray[np.float32]) -> Path:
    sound = path.with_suffix(".raw")
    sound.write_bytes(samples.tobytes())
    picture = ["-f", "lavfi", "-i", f"color=s=64x64:r=2:d={len(samples) / 16_000}"]
    run_ffmpeg("-f", "f32le", "-ar", "16000", "-i", str(sound), *picture, "-c:a", "aac", "-b:a", "96k", str(path))
    return path


def listen(speech: Speech, *sounds: NDArray[np.float32]) -> list[Observation]:
    samples = np.concatenate(sounds)
    bounds = [*range(0, len(samples), 30 * 16_000), len(samples)]
    found = [
        one
        for start, end in pairwise(bounds)
        for one in speech.perceive(AudioChunk(samples[start:end], start / 16_000))
    ]
    return sorted([*found, *speech.finish(len(samples) / 16_000)], key=lambda one: one.start)


def who(observations: list[Observation]) -> list[tuple[str | None, str]]:
    return [(one.speaker, one.text) for one in observations]


def diarize(stream: DiarizationStream, samples: NDArray[np.float32], chunk_seconds: float = 30.0) -> Probabilities:
    length = round(chunk_seconds * 16_000)
    found = [stream.add(samples[start : start + length]) for start in range(0, len(samples), length)]
    return np.concatenate([*found, stream.finish()])


def test_sentences_have_their_speakers(whisper: Path, diarizer: Path) -> None:
    sounds = [part for tone in (high, low, high) for part in (silence(60), tone(6))]
    observations = listen(Speech(whisper, speakers=diarizer), *sounds)
    assert who(observations) == [("Speaker 1", HIGH), ("Speaker 2", LOW), ("Speaker 1", HIGH)]
    assert observations[1].attributed_text == f"Speaker 2: {LOW}"


def test_speakers_are_numbered_in_the_order_of_their_first_sentences(whisper: Path, diarizer: Path) -> None:
    sounds = [part for tone in (low, high) for part in (silence(60), tone(6))]
    assert who(listen(Speech(whisper, speakers=diarizer), *sounds)) == [("Speaker 1", LOW), ("Speaker 2", HIGH)]


def test_transcripts_are_those_without_speakers(whisper: Path, diarizer: Path) -> None:
    sounds = [part for tone in (high, low) for part in (silence(25), tone(6))]
    unlabeled = listen(Speech(whisper), *sounds)
    labeled = listen(Speech(whisper, speakers=diarizer, batch_size=1), *sounds)
    assert [(one.text, one.start, one.end) for one in labeled] == [(one.text, one.start, one.end) for one in unlabeled]
    assert {one.speaker for one in unlabeled} == {None}


def test_a_sentence_is_split_where_the_speaker_changes(diarizer: Path, tmp_path: Path) -> None:
    model = save_whisper(tmp_path / "six.pt", [1.0, " one two three four five six.", 7.0])
    observations = listen(Speech(model, speakers=diarizer), silence(2), high(3), low(3))
    assert who(observations) == [("Speaker 1", "one two three"), ("Speaker 2", "four five six.")]
    assert observations[0].end == pytest.approx(5.0, abs=0.5)


def test_an_interjection_that_is_too_short_splits_no_sentence(diarizer: Path, tmp_path: Path) -> None:
    model = save_whisper(tmp_path / "six.pt", [1.0, " one two three four five six.", 7.0])
    observations = listen(Speech(model, speakers=diarizer), silence(2), high(2.8), low(0.3), high(2.9))
    assert who(observations) == [("Speaker 1", "one two three four five six.")]


def test_words_have_their_speakers(diarizer: Path, tmp_path: Path) -> None:
    model = save_whisper(tmp_path / "four.pt", [1.0, " one two three four.", 7.0])
    observations = listen(Speech(model, speakers=diarizer, word_times=True), silence(2), low(3), high(3))
    assert who(observations) == [
        (f"Speaker {number}", word) for number, word in ((1, "one"), (1, "two"), (2, "three"), (2, "four."))
    ]


def test_speakers_keep_their_numbers_in_the_next_segment(dialog: Path, profile: Path) -> None:
    loaded = load_profile(profile)
    first = perceive_segment(dialog, loaded, Interval(0.0, 60.0))
    rest = perceive_segment(dialog, loaded, Interval(58.0, 150.0), states=first.states)
    assert who([*first.observations, *rest.observations]) == [
        ("Speaker 1", HIGH),
        ("Speaker 2", LOW),
        ("Speaker 1", HIGH),
    ]
    unaware = perceive_segment(dialog, loaded, Interval(58.0, 150.0))
    assert who(list(unaware.observations)) == [("Speaker 1", LOW), ("Speaker 2", HIGH)]


def test_an_interrupted_run_resumes_with_the_speakers(
    dialog: Path, profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_SECONDS", 60.0)
    store = VideoTimelineStore(embedding=BagOfWords())

    def interrupt(source: str, phase: str, progress: float) -> None:
        if progress > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.index(dialog, profile=profile, show_progress=False, on_progress=interrupt)
    (video,) = store.index(dialog, profile=profile, show_progress=False).videos
    assert video.video_id
    assert who(list(store.timeline(video.video_id))) == [("Speaker 1", HIGH), ("Speaker 2", LOW), ("Speaker 1", HIGH)]
    (moment,) = store.search("Speaker 2 tones", k=1)
    assert f"Speaker 2: {LOW}" in moment.page_content


@pytest.mark.parametrize("state", ["", "no Base64", "AAAA", "CAAAAAAAAAB7fSAgICAgIA=="])
def test_speakers_are_numbered_again_if_those_of_the_previous_segment_are_damaged(
    state: str, dialog: Path, profile: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        result = perceive_segment(dialog, load_profile(profile), Interval(58.0, 150.0), states=(state,))
    assert who(list(result.observations)) == [("Speaker 1", LOW), ("Speaker 2", HIGH)]
    assert "numbered from 1 again" in caplog.text


@pytest.mark.parametrize("chunk_seconds", [0.5, 30.0, 100.0])
def test_a_stream_gives_the_probabilities_of_the_whole_recording(untrained: Path, chunk_seconds: float) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 95 * 16_000).astype(np.float32)
    diarizer = load_diarizer(Weights(str(untrained)))
    found = diarize(DiarizationStream(diarizer), samples, chunk_seconds)
    with torch.inference_mode():
        inputs = make_processor()(samples, sampling_rate=16_000, return_tensors="pt")
        expected = diarizer.model(**inputs).logits[0].sigmoid().numpy()
    assert found.shape == (9500, 8)
    np.testing.assert_allclose(found, expected[:9500], atol=1e-4)


def test_the_memory_of_another_model_is_refused(untrained: Path) -> None:
    diarizer = load_diarizer(Weights(str(untrained)))
    for shapes in (((2, 32), (2, 8), (1, 32)), ((2, 64), (3, 8), (1, 64)), ((265, 64), (265, 8), (0, 64))):
        memory = dict(zip(("embeds", "probs", "fifo"), map(torch.zeros, shapes), strict=True))
        with pytest.raises(ValueError, match="the model"):
            DiarizationStream(diarizer, memory)


def test_a_stream_continues_with_the_memory_of_another(untrained: Path) -> None:
    before, after = np.random.default_rng(0).normal(0, 0.1, (2, 70 * 16_000)).astype(np.float32)
    diarizer = load_diarizer(Weights(str(untrained)))
    first = DiarizationStream(diarizer)
    diarize(first, before)
    continued = diarize(DiarizationStream(diarizer, first.memory), after)
    assert np.abs(continued - diarize(DiarizationStream(diarizer), after)).max() > 1e-3
    kept = DiarizationStream(diarizer, first.memory).memory
    assert all(torch.equal(kept[name], first.memory[name]) for name in first.memory)


def test_audio_is_kept_only_until_a_batch_is_full(whisper: Path, diarizer: Path) -> None:
    speech = Speech(whisper, speakers=diarizer, batch_size=2)
    samples = np.tile(np.concatenate([silence(24), high(6)]), 12)
    found: list[Observation] = []
    for start in range(0, 360, 30):
        found += speech.perceive(AudioChunk(samples[start * 16_000 : (start + 30) * 16_000], float(start)))
        assert speech.pending_since is not None
        # Two windows of 60 seconds, the chunk after them, and the chunk of the diarization.
        assert start + 30 - speech.pending_since <= 2 * 60 + 30 + 31
        assert all(one.start < speech.pending_since for one in found)
    found += speech.finish(360.0)
    assert speech.pending_since is None
    assert {one.speaker for one in found} == {"Speaker 1"}


def test_silence_and_videos_without_sound_have_no_speakers(whisper: Path, diarizer: Path, tmp_path: Path) -> None:
    assert listen(Speech(whisper, speakers=diarizer), silence(70)) == []
    silent = make_beeps(tmp_path / "silent.mp4", "-an")
    assert list(perceive(silent, [Speech(whisper, speakers=diarizer)])) == []


@pytest.mark.parametrize("seconds", [0.01, 0.1, 29.0, 30.4, 31.0])
def test_recordings_of_any_length_are_diarized(seconds: float, diarizer: Path) -> None:
    found = diarize(DiarizationStream(load_diarizer(Weights(str(diarizer)))), low(seconds))
    # One frame of the encoder is 0.08 seconds long.
    assert len(found) == (0 if seconds < 0.08 else round(seconds * 100))
    assert found[:, [0, *range(2, 8)]].sum() <= found[:, 1].sum()


def test_models_of_other_kinds_are_refused(whisper: Path, tmp_path: Path) -> None:
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    BlipForConditionalGeneration(BlipConfig(text_config=sizes, vision_config=sizes)).save_pretrained(tmp_path / "blip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"'blip' cannot distinguish speakers\. Use a model of type 'nemotron3_diariz"):
        Speech(whisper, speakers=tmp_path / "blip").load()
    with pytest.raises(ModelError, match="empty: cannot be loaded"):
        Speech(whisper, speakers=tmp_path / "empty").load()
    with pytest.raises(ModelUnavailableError, match="nobody/knows-this: not on this machine"):
        Speech(whisper, speakers="nobody/knows-this").load()


def test_the_default_model_is_required_besides_whisper(whisper: Path) -> None:
    assert [model.name for model in Speech(whisper).required_models] == [str(whisper)]
    transcriber, diarizer = Speech(whisper, speakers=True).required_models
    assert (transcriber.name, diarizer.name) == (str(whisper), "nvidia/Nemotron-3-Diarization")
    assert diarizer.find() is None
    with pytest.raises(ModelUnavailableError, match=r"nvidia/Nemotron-3-Diarization: not on this machine \(397 MB\)"):
        diarizer.fetch()
