"""Speech, transcribed by the real weights of Whisper base in each format: synthesized, and recorded if available."""

import wave
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from langchain_videochat.media import AudioChunk, read_audio
from langchain_videochat.perception import Observation
from langchain_videochat.perception.speech import Speech
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.text.question_answering import create_video_qa_chain
from tests.media_files import run_ffmpeg
from tests.real_whisper import save_real_whisper
from tests.scripted_model import model_answering
from tests.spoken import RATE, place, say, word_error_rate
from tests.unit_tests.embeddings import BagOfWords

FORMATS = ("ctranslate2", "openai", "transformers")

RECORDING = Path(__file__).parents[3] / "shared" / "speech" / "known.mp4"

RECORDED = {
    5.0: "and mister john dashwood had then leisure to consider how much there might be prudently in his power to do "
    "for them",
    15.0: "he was not an ill disposed young man",
    20.0: "unless to be rather cold hearted and rather selfish is to be ill disposed",
    40.0: "had he married a more amiable woman he might have been made still more respectable than he was",
    62.0: "he might even have been made amiable himself",
}
"""What is said in the recording, by its time in seconds."""

LESSON = {
    2.0: "Good morning and welcome to our lesson on bread.",
    8.0: "First, mix the flour with warm water and a little salt.",
    25.0: "The oven has to be very hot.",
    50.0: "The bread is brown and the kitchen smells wonderful.",
}
"""What is said in a lesson, by its time in seconds."""

STORY = (
    "An old fisherman lived in a small house beside the sea.",
    "Every morning he walked to the harbor and looked at the weather.",
    "One day the sky was dark, and the other boats stayed at home.",
    "His daughter told him to wait, but he wanted to catch some fish.",
    "After an hour the wind became strong and the waves were high.",
    "He lost his hat and both of his oars in the storm.",
    "Suddenly he saw a light in the distance, and he shouted for help.",
    "It was a large ship with many people from another country.",
    "They gave him warm soup, a blanket and a place to sleep.",
    "In the evening the ship brought him back to the village.",
    "His daughter was waiting at the harbor with all of the neighbors.",
    "Since that day he listens to her whenever she talks about the weather.",
    "In winter he repairs the nets and tells stories to the children.",
    "Next summer he will buy a new boat with a red sail.",
    "The money comes from a painting that his grandmother had made.",
    "Nobody knew that it was valuable until a teacher saw it.",
    "Now it hangs in a museum, and everyone can look at it.",
    "The fisherman visits it twice a year and brings flowers.",
)
"""More than two windows of speech without long pauses."""

GERMAN = "Guten Morgen und herzlich willkommen zu unserem Kurs."


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return save_real_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def lesson() -> NDArray[np.float32]:
    return place({start: say(text) for start, text in LESSON.items()}, seconds=60.0)


def transcribe(model: Path, samples: NDArray[np.float32]) -> tuple[list[Observation], Speech]:
    speech = Speech(model)
    chunks = [AudioChunk(samples[k : k + 30 * RATE], k / RATE) for k in range(0, len(samples), 30 * RATE)]
    found = [one for chunk in chunks for one in speech.perceive(chunk)]
    found += speech.finish(len(samples) / RATE)
    return sorted(found, key=lambda one: one.start), speech


def join(found: list[Observation]) -> str:
    return " ".join(one.text for one in found)


def assert_sentences_at_their_times(found: list[Observation], expected: dict[float, str]) -> None:
    for start, text in expected.items():
        one = min(found, key=lambda each: abs(each.start - start))
        assert one.start == pytest.approx(start, abs=0.5)
        assert word_error_rate(text, one.text) <= 0.15


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_transcribes_every_sentence_at_its_time(
    name: str, models: dict[str, Path], lesson: NDArray[np.float32]
) -> None:
    found, speech = transcribe(models[name], lesson)
    assert word_error_rate(" ".join(LESSON.values()), join(found)) <= 0.05
    assert_sentences_at_their_times(found, LESSON)
    assert {one.language for one in found} == {"en"}
    assert {one.source for one in found} == {"whisper-base"}
    assert speech.damage == []


@pytest.mark.skipif(not RECORDING.is_file(), reason="the recording is not in the repository")
@pytest.mark.parametrize(("name", "decibels"), [*((name, 0) for name in FORMATS), (FORMATS[0], -45)])
def test_recorded_speech_is_transcribed_at_its_times_however_quiet(
    name: str, decibels: int, models: dict[str, Path]
) -> None:
    recording = np.concatenate([chunk.samples for chunk in read_audio(RECORDING)])
    quiet = np.round(recording * 10 ** (decibels / 20) * 32_767) / 32_768
    found, speech = transcribe(models[name], quiet.astype(np.float32))
    # "Mr." and "ill-disposed" are written in several ways.
    assert word_error_rate(" ".join(RECORDED.values()), join(found)) <= 0.04
    assert_sentences_at_their_times(found, RECORDED)
    assert speech.damage == []


def test_quiet_speech_is_transcribed(models: dict[str, Path], lesson: NDArray[np.float32]) -> None:
    quiet = np.round(lesson * 10 ** (-45 / 20) * 32_767) / 32_768
    found, speech = transcribe(models["ctranslate2"], quiet.astype(np.float32))
    assert word_error_rate(" ".join(LESSON.values()), join(found)) <= 0.05
    assert speech.damage == []


def test_the_language_may_change(models: dict[str, Path]) -> None:
    sounds = {1.0: say(LESSON[2.0]), 65.0: say(GERMAN, "de-DE"), 130.0: say(LESSON[25.0])}
    found, _ = transcribe(models["ctranslate2"], place(sounds, seconds=140.0))
    assert [one.language for one in found] == ["en", "de", "en"]
    assert word_error_rate(GERMAN, found[1].text) == 0.0


def test_no_word_is_lost_where_windows_end(models: dict[str, Path]) -> None:
    speech = np.concatenate([say(sentence) for sentence in STORY])
    assert len(speech) > 60 * RATE
    found, _ = transcribe(models["ctranslate2"], speech)
    assert word_error_rate(" ".join(STORY), join(found)) <= 0.05


def test_nothing_is_heard_in_silence_noise_and_music(models: dict[str, Path]) -> None:
    rng = np.random.default_rng(0)
    time = np.arange(20 * RATE) / RATE
    noise = rng.normal(size=len(time))
    drums = noise * np.exp(-20 * (time % 0.5)) * 0.3
    melody = 0.2 * np.sin(
        2 * np.pi * np.array([262, 294, 330, 349, 392, 440, 494, 523])[(time * 2).astype(int) % 8] * time
    )
    chords = sum(np.sin(2 * np.pi * pitch * time) for pitch in (220, 277.2, 329.6)) * 0.1 * (1 - time % 1)
    for sound in (0 * time, 0.001 * noise, 0.1 * noise, drums, melody * np.exp(-3 * (time * 2 % 1)), chords):
        found, _ = transcribe(models["ctranslate2"], sound.astype(np.float32))
        assert [one.text for one in found] == []


def test_what_is_said_in_a_video_is_found_and_cited(
    models: dict[str, Path], lesson: NDArray[np.float32], tmp_path: Path
) -> None:
    with wave.open(str(tmp_path / "lesson.wav"), "wb") as file:
        file.setparams((1, 2, RATE, len(lesson), "NONE", ""))
        file.writeframes((lesson * 32_767).astype("<i2").tobytes())
    picture = "color=s=320x180:d=60:r=5"
    run_ffmpeg("-f", "lavfi", "-i", picture, "-i", str(tmp_path / "lesson.wav"), str(tmp_path / "lesson.mp4"))
    profile = tmp_path / "profile.yaml"
    profile.write_text(yaml.safe_dump(["scenes", {"speech": {"model": str(models["ctranslate2"])}}]))
    store = VideoTimelineStore(embedding=BagOfWords())
    store.index(tmp_path / "lesson.mp4", profile=profile, show_progress=False)
    hit = store.search("How hot is the oven?")[0]
    assert "The oven has to be very hot" in hit.page_content
    answer = create_video_qa_chain(model_answering("The oven has to be very hot [1]."), store).invoke("How hot?")
    assert answer["citations"][0].start == pytest.approx(25.0, abs=0.5)
