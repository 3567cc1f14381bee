"""Perceivers of other packages: typed inputs, weights in any format, modalities, entry points and their listing."""

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, assert_type

import numpy as np
import onnxruntime
import pytest
import rapidocr
from numpy.typing import NDArray
from typer.testing import CliRunner

from langchain_videochat.cli import app
from langchain_videochat.cli.output import console
from langchain_videochat.errors import InputError, ModelUnavailableError
from langchain_videochat.media import FrameBatch
from langchain_videochat.models.hub import fetch_weights, find_weights
from langchain_videochat.perception import (
    BatchPerceiver,
    Frame,
    FrameInputs,
    Modality,
    Observation,
    Perceiver,
    PerceiverInfo,
    Weights,
    find_modality,
    list_perceivers,
    modalities,
    modality_or_default,
    perceive,
    register_modality,
)
from langchain_videochat.perception.plugins import import_plugins
from langchain_videochat.perception.summaries import Summaries
from tests.slides import render_talk

ONNX_MODEL = Path(rapidocr.__file__).parent / "models" / "ch_ppocr_mobile_v2.0_cls_mobile.onnx"
"""A small classifier of images of text: upright or upside down."""


class Orientation(BatchPerceiver[onnxruntime.InferenceSession, Frame, float]):
    """A plugin with an ONNX model: the probability that a frame is upside down."""

    modality = "tag"
    inputs = FrameInputs(every=1.0, tolerance=0.5, size=48)
    default_model = "somebody/text-orientation"
    files = ("*.onnx",)

    @staticmethod
    def load_model(weights: Weights) -> onnxruntime.InferenceSession:
        return onnxruntime.InferenceSession(next(weights.fetch().rglob("*.onnx")))

    def infer(self, items: Sequence[Frame]) -> Iterator[float]:
        pixels = np.stack(items).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
        (probabilities,) = self.model.run(None, {"x": pixels})
        yield from probabilities[:, 1].tolist()

    def emit(self, time: float, until: float, result: float) -> Iterator[Observation]:
        yield Observation(time, until, "tag", "upside down", score=result)


class FaceFinder(Perceiver[FrameInputs, FrameBatch]):
    """A plugin without a model."""

    modality = "object"

    def __init__(self, every: float = 2.0) -> None:
        self.inputs = FrameInputs(every=every, tolerance=0.0, size=64)

    def perceive(self, batch: FrameBatch) -> list[Observation]:
        return []


def test_inputs_have_the_type_of_the_class() -> None:
    faces, summaries = FaceFinder(every=3.0), Summaries()
    assert_type(faces.inputs, FrameInputs)  # mypy checks these
    assert_type(summaries.inputs.modalities, tuple[str, ...])
    assert faces.inputs.every == 3.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 0.0, 64), "every: must be positive, got 0.0"),
        ((float("nan"), 0.0, 64), "every: must be positive, got nan"),
        ((1.0, -1.0, 64), "tolerance: must not be negative, got -1.0"),
        ((1.0, 0.0, 0), "size: must be positive, got 0"),
        ((1.0, 0.0, 64, 1.5), "min_change: must be from 0 to 1, got 1.5"),
        ((1.0, 0.0, 64, float("nan")), "min_change: must be from 0 to 1, got nan"),
        ((1.0, 0.0, 64, 0.5, -1.0), "min_seconds: must not be negative, got -1.0"),
    ],
)
def test_frame_inputs_out_of_range_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        FrameInputs(*arguments)


# Weights in other formats


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create the cache of the Hugging Face Hub with a repository that contains only an ONNX model in a subfolder."""
    repository = tmp_path / "hub" / "models--somebody--text-orientation"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("c0ffee")
    snapshot = repository / "snapshots" / "c0ffee"
    (snapshot / "onnx").mkdir(parents=True)
    shutil.copy(ONNX_MODEL, snapshot / "onnx" / "model.onnx")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return snapshot


def images_of_text(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, 48, 192, 3), dtype=np.uint8)


def test_onnx_weights_are_found_in_the_cache(hub_cache: Path) -> None:
    orientation = Orientation()
    assert orientation.find() == orientation.fetch() == hub_cache
    observations = [*orientation.perceive(FrameBatch(images_of_text(3), np.arange(3.0))), *orientation.finish(3.0)]
    assert [(one.start, one.end, one.text) for one in observations] == [
        (0.0, 1.0, "upside down"),
        (1.0, 2.0, "upside down"),
        (2.0, 3.0, "upside down"),
    ]


def test_onnx_weights_in_a_folder_process_a_video(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    shutil.copy(ONNX_MODEL, folder)
    video = render_talk(tmp_path / "talk.mp4", [["One"], ["Two"]], seconds=2.0)
    assert [one.start for one in perceive(video, [Orientation(folder)])] == [0.0, 1.0, 2.0, 3.0]


def test_each_pattern_must_match_a_file(hub_cache: Path) -> None:
    model = Orientation.default_model
    assert find_weights(model) is None, "the default is transformers weights"
    assert find_weights(model, files=("*.onnx", "labels.txt")) is None
    (hub_cache / "labels.txt").touch()
    assert find_weights(model, files=("*.onnx", "labels.txt")) == hub_cache


def test_one_file_of_a_repository_can_be_named(hub_cache: Path) -> None:
    model = f"{Orientation.default_model}/onnx/model.onnx"
    assert find_weights(model) == fetch_weights(model) == hub_cache / "onnx" / "model.onnx"
    assert find_weights(f"{Orientation.default_model}/onnx/mod*.onnx") is None


def test_model_with_a_missing_shard_is_not_found(hub_cache: Path) -> None:
    model = Orientation.default_model
    shards = {"encoder.weight": "model-00001.safetensors", "decoder.weight": "model-00002.safetensors"}
    (hub_cache / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    (hub_cache / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"weight": "unused.bin"}}))
    (hub_cache / shards["encoder.weight"]).touch()
    assert find_weights(model) is None
    (hub_cache / shards["decoder.weight"]).touch()
    assert find_weights(model) == hub_cache
    with pytest.raises(ModelUnavailableError, match=r"somebody/none/weights.pyth: not on this machine"):
        fetch_weights("somebody/none/weights.pyth")


def test_a_repository_without_the_files_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.list_repo_files", lambda *_, **__: ["config.json", "model.onnx"])
    with pytest.raises(ModelUnavailableError, match=r"somebody/model: the repository has no files \*\.safetensors or"):
        fetch_weights("somebody/model")
    with pytest.raises(ModelUnavailableError, match=r"the repository has no files \*\.onnx and \*\.txt"):
        fetch_weights("somebody/model", files=("*.onnx", "*.txt"))


# Modalities


@pytest.fixture
def _restored_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the modalities of a test from the tests after it."""
    monkeypatch.setattr(modalities, "_registry", dict(modalities._registry))


@pytest.mark.usefixtures("_restored_registry")
def test_a_perceiver_registers_its_modalities() -> None:
    loudness = Modality("test_loudness", "Loudness", "#4f6228", 25, "how loud the sound is")

    class Loudness(FaceFinder):
        modality = "test_loudness"
        defines = (loudness,)

    class LouderLoudness(Loudness):
        """Inherits `defines`, which registers the same modality again."""

    assert find_modality("test_loudness") == loudness
    assert Observation(0, 1, LouderLoudness.modality, "loud").modality == "test_loudness"
    with pytest.raises(InputError, match="'test_loudness' is already registered"):
        register_modality(Modality("test_loudness", "Noise"))


def test_an_unknown_modality_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown modality 'smell'\. Choose one of .*screen_text"):
        Observation(0, 1, "smell", "burnt toast")


@pytest.mark.usefixtures("_restored_registry")
def test_stored_modalities_are_readable_without_their_plugin() -> None:
    assert modality_or_default("test_smell").label == "Test smell"
    assert Observation(0, 1, "test_smell", "burnt toast").modality == "test_smell"
    register_modality(Modality("test_smell", "Smells"))
    assert modality_or_default("test_smell").label == "Smells"
    with pytest.raises(InputError, match="must be lower-case"):
        modality_or_default("not a name")


# Entry points

PLUGIN = """
from langchain_videochat.perception import FrameInputs, Modality, Observation, Perceiver

class Darkness(Perceiver):
    '''Notes dark frames.

    Not shown.
    '''
    modality = "darkness"
    defines = (Modality("darkness", "Darkness"),)
    inputs = FrameInputs(every=1.0, tolerance=0.5, size=64)

    def __init__(self, below=20):
        self.below = below

    def perceive(self, batch):
        return [Observation(time, time, "darkness", "dark") for time in batch.times.tolist()]
"""


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """Create a folder with two installed packages: one that works, and one whose import fails."""
    for name, code in {"darkness": PLUGIN, "broken_lens": "raise RuntimeError('no lens')"}.items():
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[langchain_videochat.perceivers]\n{name} = {name}:Darkness\n")
        (tmp_path / f"{name}.py").write_text(code)
    return tmp_path


def run_python(plugins: Path, program: str, *arguments: str) -> str:
    """Run a program in a process of its own, which leaves no modality behind in this one."""
    command = [sys.executable, "-c", program, *arguments]
    environment = {"PYTHONPATH": str(plugins)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_a_profile_uses_the_perceiver_of_another_package(plugins: Path, tmp_path: Path) -> None:
    profile, video = tmp_path / "mine.yaml", render_talk(tmp_path / "talk.mp4", [["One"]], seconds=2.0)
    profile.write_text("- darkness: {below: 7}")
    program = (
        "import sys; from langchain_videochat.perception import create_perceivers, perceive\n"
        "print(create_perceivers(sys.argv[1])[0].below)\n"
        "print([(one.start, one.modality) for one in perceive(sys.argv[2], sys.argv[1])])"
    )
    assert run_python(plugins, program, str(profile), str(video)) == "7\n[(0.0, 'darkness'), (1.0, 'darkness')]\n"


def test_a_modality_is_found_before_its_plugin_is_imported(plugins: Path) -> None:
    program = (
        "from langchain_videochat.perception import Observation; print(Observation(0, 1, 'darkness', 'dark').text)"
    )
    assert run_python(plugins, program) == "dark\n"


def test_a_plugin_that_fails_is_logged(
    plugins: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (plugins / "darkness.py").unlink()
    monkeypatch.syspath_prepend(plugins)
    with caplog.at_level(logging.WARNING):
        import_plugins()
    assert "The perceiver broken_lens (broken_lens:Darkness) cannot be loaded: no lens" in caplog.messages


# Listing


def test_built_in_perceivers_are_listed_with_their_options() -> None:
    found = {info.name: info for info in list_perceivers()}
    assert len(found) == 11
    assert {info.provider for info in found.values()} == {"langchain-videochat"}
    assert all(info.summary.endswith(".") and info.error is None for info in found.values())
    assert found["scenes"] == PerceiverInfo(
        "scenes", "langchain-videochat", "scene", found["scenes"].summary, options={}
    )
    captions = found["captions"]
    assert captions.options == {
        "model": "HuggingFaceTB/SmolVLM2-256M-Video-Instruct",
        "every": 5.0,
        "frames": 1,
        "device": "auto",
        "dtype": "auto",
        "batch_size": 8,
    }
    assert captions.card is not None
    assert (captions.model, captions.card.size, captions.card.license) == (
        "HuggingFaceTB/SmolVLM2-256M-Video-Instruct",
        "1.0 GB",
        "Apache-2.0",
    )


def test_the_command_lists_plugins_and_reports_broken_ones(plugins: Path) -> None:
    program = "import sys; from langchain_videochat.cli.main import app; app(sys.argv[1:])"
    listed = {info["name"]: info for info in json.loads(run_python(plugins, program, "perceivers", "--json"))}
    assert listed["darkness"] == {
        "name": "darkness",
        "provider": "darkness",
        "modality": "darkness",
        "summary": "Notes dark frames.",
        "options": {"below": 20},
        "model": None,
        "card": None,
        "error": None,
    }
    assert listed["broken_lens"]["error"] == "RuntimeError: no lens"
    assert listed["tags"]["card"]["download"] == 1510


def test_the_command_shows_a_table(plugins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (plugins / "darkness.py").write_text("raise RuntimeError('no light')")
    monkeypatch.syspath_prepend(plugins)
    monkeypatch.setattr(console, "width", 200)
    result = CliRunner().invoke(app, ["perceivers"])
    assert result.exit_code == 0
    assert "google/flan-t5-base (990 MB, Apache-2.0)" in result.stdout
    assert "min_score=0.3" in result.stdout
    assert "cannot be loaded: RuntimeError: no light" in result.stdout
