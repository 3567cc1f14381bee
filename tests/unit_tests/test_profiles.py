"""Profiles: ours, those in files, and perceivers of other packages."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from langchain_videochat.cli.main import app
from langchain_videochat.errors import InputError, ModelUnavailableError
from langchain_videochat.models.cards import CARDS
from langchain_videochat.models.hub import fetch_weights, find_weights
from langchain_videochat.perception import create_perceivers, load_profile
from langchain_videochat.perception.pretrained import ModelPerceiver


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_each_profile_has_what_the_smaller_one_has() -> None:
    lite, standard, full = ({one.modality for one in create_perceivers(name)} for name in ("lite", "standard", "full"))
    assert lite == {"subtitle", "screen_text", "scene"}
    assert standard == lite | {"action", "caption", "tag", "object", "speech"}
    assert full == standard | {"region", "summary"}


@pytest.mark.parametrize("profile", ["standard", "full"])
def test_every_model_of_our_profiles_has_a_card(profile: str) -> None:
    models = [one.weights.model for one in create_perceivers(profile) if isinstance(one, ModelPerceiver)]
    assert set(models) <= set(CARDS)


def test_a_profile_can_be_a_file_with_settings(tmp_path: Path) -> None:
    path = write(tmp_path, "- scenes\n- captions: {model: /models/blip, batch_size: 2}\n- tags:\n")
    _, captions, tags = create_perceivers(path)
    assert isinstance(captions, ModelPerceiver)
    assert (captions.weights.model, captions.batch_size, tags.modality) == ("/models/blip", 2, "tag")


def test_another_profile_has_another_name(tmp_path: Path) -> None:
    names = {load_profile(write(tmp_path, text)).name for text in ("- scenes", "- tags", "- tags: {every: 4}")}
    assert len(names) == 3
    assert all(name.startswith("mine-") for name in names)
    assert load_profile(write(tmp_path, "- scenes")).name == load_profile(write(tmp_path, "# mine\n- scenes:\n")).name


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("captions", "no list of perceivers"),
        ("- [captions]", "no list of perceivers"),
        ("- captions: often", "no list of perceivers"),
        ("- {", "no list of perceivers"),
        ("- telepathy", "no perceiver 'telepathy'"),
        ("- captions: {colour: red}", "colour"),
        ("- captions: {batch_size: 0}", "batch_size"),
        ("- !!python/object/apply:os.system [true]", "no list of perceivers"),
        ("- scenes\n- \xff", "no perceiver"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=problem):
        create_perceivers(write(tmp_path, text))


@pytest.mark.parametrize("name", ["heavy", "missing.yaml", "."])
def test_a_profile_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(InputError, match=name):
        load_profile(name)


def test_other_packages_register_perceivers(tmp_path: Path) -> None:
    package = tmp_path / "darkness-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: darkness\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[langchain_videochat.perceivers]\ndarkness = darkness:Darkness\n")
    (tmp_path / "darkness.py").write_text(
        "from langchain_videochat.perception import Frames, Perceiver\n"
        "class Darkness(Perceiver):\n"
        "    modality, wants = 'tag', Frames(every=1.0, tolerance=0.5, size=64)\n"
        "    def __init__(self, below=20): self.below = below\n"
        "    def perceive(self, batch): return []\n"
    )
    profile = write(tmp_path, "- darkness: {below: 7}")
    program = (
        "import sys; from langchain_videochat.perception import create_perceivers\n"
        "print(create_perceivers(sys.argv[1])[0].below)"
    )
    made = subprocess.run(
        [sys.executable, "-c", program, profile],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout == "7\n"


def test_a_folder_is_found_without_a_network(tmp_path: Path) -> None:
    assert find_weights(tmp_path) == fetch_weights(str(tmp_path)) == tmp_path


@pytest.mark.parametrize(("model", "size"), [("google/flan-t5-base", "990 MB"), ("nobody/nothing", "size unknown")])
def test_missing_weights_are_named_with_both_ways_to_get_them(model: str, size: str) -> None:
    assert find_weights(model) is None
    with pytest.raises(ModelUnavailableError, match=rf"{model}.*{size}.*Connect.*or give the path"):
        fetch_weights(model)


def test_doctor_lists_the_models_of_a_profile(tmp_path: Path) -> None:
    profile = write(tmp_path, f"- captions: {{model: {tmp_path}}}\n- objects\n- scenes\n")
    result = CliRunner().invoke(app, ["doctor", "--profile", str(profile), "--json"])
    assert result.exit_code == 0
    *_, captions, objects = json.loads(result.stdout)
    assert (captions["name"], captions["ok"], captions["advice"]) == (str(tmp_path), True, "")
    assert (objects["name"], objects["ok"]) == ("PekingU/rtdetr_r50vd", False)
    assert "172 MB" in objects["detail"]
    assert "Apache-2.0" in objects["detail"]
    assert "--download" in objects["advice"]


def test_doctor_says_what_it_could_not_fetch() -> None:
    result = CliRunner().invoke(app, ["doctor", "--download"])
    assert result.exit_code == 1
    assert "cannot be reached" in result.stderr
