"""Trials of a profile's perceivers: `videochat doctor --try`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from langchain_videochat.cli import app
from langchain_videochat.errors import MediaError, SourceError
from langchain_videochat.perception.trials import Trial, try_perceivers
from langchain_videochat.utils.memory import PeakMemory
from tests.media_files import make_beeps, run_ffmpeg
from tests.slides import render_talk
from tests.tiny_models import tiny_blip, tiny_t5
from tests.tiny_whisper import save_whisper

SLIDES = [["Pitching a tent", "Count 8 pegs"], ["All the poles are up"], ["Well slept"]]


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render_talk(tmp_path_factory.mktemp("talk") / "tent.mp4", SLIDES)


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile whose objects have the model of captions."""
    folder = tmp_path_factory.mktemp("models")
    blip, t5 = tiny_blip(folder / "blip"), tiny_t5(folder / "t5")
    perceivers = [
        f"summaries: {{model: {t5}}}",
        "screen_text",
        f"objects: {{model: {blip}}}",
        f"captions: {{model: {blip}, every: 1}}",
        "speech: {model: missing}",
        "scenes",
    ]
    path = folder / "mine.yaml"
    path.write_text("".join(f"- {one}\n" for one in perceivers))
    return path


def doctor(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["doctor", *map(str, arguments)], env={"COLUMNS": "200", "NO_COLOR": "1"})


@pytest.fixture(scope="module")
def trials(talk: Path, profile: Path) -> dict[str, Trial]:
    return {trial.perceiver: trial for trial in try_perceivers(talk, profile)}


def test_each_perceiver_runs_once_and_those_of_observations_last(trials: dict[str, Trial]) -> None:
    assert list(trials) == ["screen_text", "objects", "captions", "speech", "scenes", "summaries"]


def test_the_results_are_those_of_the_first_ten_seconds(trials: dict[str, Trial]) -> None:
    lines = trials["screen_text"].observations
    assert [one.text for one in lines] == [line for slide in SLIDES for line in slide]
    assert [one.end for one in lines] == [4, 4, 8, 10]
    assert {trial.video_seconds for trial in trials.values()} == {10}
    assert trials["screen_text"].error is None


def test_summaries_are_made_of_the_captions_of_others(trials: dict[str, Trial]) -> None:
    assert trials["captions"].observations
    assert {one.modality for one in trials["summaries"].observations} == {"summary"}


def test_errors_do_not_stop_the_others(trials: dict[str, Trial]) -> None:
    failed = {name: trial.error for name, trial in trials.items() if trial.error}
    assert set(failed) == {"objects", "speech"}
    assert "cannot be loaded" in str(failed["objects"])
    assert "neither a file, a folder nor a model" in str(failed["speech"])


def test_costs_are_measured(trials: dict[str, Trial]) -> None:
    captions = trials["captions"]
    assert captions.models[0].endswith("blip")
    assert min(captions.load_seconds, captions.seconds) > 0


def test_memory_is_measured_until_the_end() -> None:
    with PeakMemory() as memory:
        content = bytearray(b"x" * 50_000_000)
    assert 0.9 * len(content) < memory.growth < 10 * len(content)


def test_a_video_without_sound_is_reported(talk: Path, tmp_path: Path) -> None:
    profile = tmp_path / "speech.yaml"
    profile.write_text(f"- speech: {{model: {save_whisper(tmp_path / 'tiny.pt', [])}}}\n")
    (trial,) = try_perceivers(talk, profile)
    assert (trial.observations, trial.error, trial.problems) == ([], None, ["the video has no sound"])


def test_short_videos_are_tried_as_a_whole(tmp_path: Path) -> None:
    trials = list(try_perceivers(make_beeps(tmp_path / "beeps.mp4", seconds=2), "lite"))
    assert [trial.video_seconds for trial in trials] == pytest.approx([2, 2, 2], abs=0.1)


def test_a_file_that_is_not_a_video_is_refused(tmp_path: Path) -> None:
    run_ffmpeg("-f", "lavfi", "-i", "sine=d=1", str(tmp_path / "tone.wav"))
    with pytest.raises(MediaError, match="no video stream"):
        next(try_perceivers(tmp_path / "tone.wav", "lite"))
    with pytest.raises(SourceError, match=r"missing\.mp4"):
        next(try_perceivers(tmp_path / "missing.mp4", "lite"))


def test_doctor_prints_results_and_errors(talk: Path, profile: Path) -> None:
    result = doctor("--profile", profile, "--try", talk)
    assert result.exit_code == 1
    assert "✓ screen_text" in result.stdout
    assert "00:00-00:04  Pitching a tent" in result.stdout
    assert "and 1 more" in result.stdout
    assert "4 observations of 10 s" in result.stdout
    assert "✗ objects" in result.stdout
    assert "CPU" not in result.stdout


def test_doctor_prints_json(talk: Path) -> None:
    result = doctor("--profile", "lite", "--try", talk, "--json")
    assert result.exit_code == 0
    trials = {trial["perceiver"]: trial for trial in json.loads(result.stdout)}
    assert set(trials) == {"subtitles", "screen_text", "scenes"}
    assert trials["screen_text"]["observations"][0]["text"] == "Pitching a tent"


def test_doctor_names_a_file_that_does_not_exist(tmp_path: Path) -> None:
    result = doctor("--try", tmp_path / "missing.mp4")
    assert result.exit_code == 1
    assert "missing.mp4: no such file" in result.stderr
