"""Real recordings, transcribed by the real weights of Whisper base, if they are available."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from langchain_videochat.media import AudioChunk, read_audio
from langchain_videochat.perception import Observation
from langchain_videochat.perception.speech import Speech

SHARED = Path(__file__).parents[3] / "shared"
RATE = 16_000

SENTENCES = {
    5.0: "and mister john dashwood had then leisure to consider how much there might be prudently in his power to do "
    "for them",
    15.0: "he was not an ill disposed young man",
    20.0: "unless to be rather cold hearted and rather selfish is to be ill disposed",
    40.0: "had he married a more amiable woman he might have been made still more respectable than he was",
    62.0: "he might even have been made amiable himself",
}
"""What is said in the recording, by its time in seconds."""

pytestmark = pytest.mark.skipif(not (SHARED / "speech").is_dir(), reason="the recordings are not in the repository")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("whisper") / "base.pt"
    command = [sys.executable, str(SHARED / "tools" / "real-whisper"), str(file)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"the weights cannot be fetched: {done.stderr.decode()[-300:]}")
    return file


@pytest.fixture(scope="module")
def recording() -> NDArray[np.float32]:
    return np.concatenate([chunk.samples for chunk in read_audio(SHARED / "speech" / "known.mp4")])


def transcribe(weights: Path, samples: NDArray[np.float32]) -> tuple[list[Observation], Speech]:
    speech = Speech(weights, language="en")
    chunks = [AudioChunk(samples[k : k + 30 * RATE], k / RATE) for k in range(0, len(samples), 30 * RATE)]
    found = [one for chunk in chunks for one in speech.perceive(chunk)]
    found += speech.finish(len(samples) / RATE)
    return sorted(found, key=lambda one: one.start), speech


def words(text: str) -> list[str]:
    from whisper.normalizers import EnglishTextNormalizer

    return str(EnglishTextNormalizer()(text)).split()


def word_error_rate(expected: list[str], found: list[str]) -> float:
    distances = np.arange(len(found) + 1)
    for row, word in enumerate(expected, 1):
        substituted = distances[:-1] + [word != other for other in found]
        inserted_before = np.minimum(substituted, distances[1:] + 1)
        distances = np.concatenate([[row], inserted_before])
        for column in range(1, len(distances)):
            distances[column] = min(distances[column], distances[column - 1] + 1)
    return float(distances[-1] / len(expected))


@pytest.mark.parametrize("decibels", [0, -45])
def test_speech_is_transcribed_at_its_times_however_quiet(
    decibels: int, weights: Path, recording: NDArray[np.float32]
) -> None:
    quiet = np.round(recording * 10 ** (decibels / 20) * 32_767) / 32_768
    found, speech = transcribe(weights, quiet.astype(np.float32))
    assert word_error_rate(words(" ".join(SENTENCES.values())), words(" ".join(one.text for one in found))) <= 0.025
    for start, text in SENTENCES.items():
        one = min(found, key=lambda each: abs(each.start - start))
        assert one.start == pytest.approx(start, abs=0.5)
        assert word_error_rate(words(text), words(one.text)) <= 0.15
    assert speech.damage == []


def test_nothing_is_heard_in_silence_noise_and_music(weights: Path) -> None:
    rng = np.random.default_rng(0)
    time = np.arange(20 * RATE) / RATE
    noise = rng.normal(size=len(time))
    drums = noise * np.exp(-20 * (time % 0.5)) * 0.3
    melody = 0.2 * np.sin(
        2 * np.pi * np.array([262, 294, 330, 349, 392, 440, 494, 523])[(time * 2).astype(int) % 8] * time
    )
    chords = sum(np.sin(2 * np.pi * pitch * time) for pitch in (220, 277.2, 329.6)) * 0.1 * (1 - time % 1)
    for sound in (0 * time, 0.001 * noise, 0.1 * noise, drums, melody * np.exp(-3 * (time * 2 % 1)), chords):
        found, _ = transcribe(weights, sound.astype(np.float32))
        assert [one.text for one in found] == []
