"""Profiles: built-in ones and files, and finding the weights of their models."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from langchain_videochat.cli.main import app
from langchain_videochat.errors import InputError, ModelUnavailableError
from langchain_videochat.models.cards import CARDS
from langchain_videochat.models.hub import fetch_weights, find_weights
from langchain_videochat.perception import create_perceivers, describe_profile, load_profile, required_models
from langchain_videochat.perception.pretrained import ModelPerceiver
from langchain_videochat.perception.profiles import PROFILES


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_each_profile_contains_the_smaller_one() -> None:
    lite, talk, standard, full, paper = ({one.modality for one in create_perceivers(name)} for name in PROFILES)
    assert lite == {"subtitle", "screen_text", "scene"}
    assert talk == lite | {"speech"}
    assert standard == talk | {"visual", "tag", "caption", "object", "action"}
    assert full == standard | {"region", "summary"}
    assert paper == talk | {"action", "caption", "tag", "region", "summary"}


@pytest.mark.parametrize("profile", PROFILES)
def test_the_models_of_the_built_in_profiles_may_be_used_commercially(profile: str) -> None:
    licenses = {CARDS[model.name].license for model in required_models(profile)}
    assert licenses <= {"Apache-2.0", "MIT", "BSD-3-Clause"}


@pytest.mark.parametrize("profile", PROFILES)
def test_built_in_profiles_are_described(profile: str) -> None:
    description = describe_profile(profile)
    assert len(description) > 40
    assert description.endswith(".")
    assert "\n" not in description


@pytest.mark.parametrize("profile", PROFILES)
def test_every_model_of_the_built_in_profiles_has_a_card(profile: str) -> None:
    assert {model.name for model in required_models(profile)} <= set(CARDS)


def test_perceivers_with_the_same_model_require_it_once(tmp_path: Path) -> None:
    path = write(tmp_path, "- captions: {model: a}\n- regions: {model: a}\n- screen_text: {language: ru}\n- scenes\n")
    assert [model.name for model in required_models(path)] == ["a", "eslav_PP-OCRv5_rec_mobile"]


def test_a_profile_can_be_a_file_with_options(tmp_path: Path) -> None:
    path = write(tmp_path, "- scenes\n- captions: {model: /models/blip, batch_size: 2}\n- tags:\n")
    _, captions, tags = create_perceivers(path)
    assert isinstance(captions, ModelPerceiver)
    assert (captions.weights.model, captions.batch_size, tags.modality) == ("/models/blip", 2, "tag")


def test_profiles_with_different_options_differ_in_name(tmp_path: Path) -> None:
    names = {load_profile(write(tmp_path, text)).name for text in ("- scenes", "- tags", "- tags: {every: 4}")}
    assert len(names) == 3
    assert all(name.startswith("mine-") for name in names)
    assert load_profile(write(tmp_path, "- scenes")).name == load_profile(write(tmp_path, "# mine\n- scenes:\n")).name


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("captions", "not a list of perceivers"),
        ("- [captions]", "not a list of perceivers"),
        ("- captions: often", "not a list of perceivers"),
        ("- {", "not a list of perceivers"),
        ("- telepathy", "unknown perceiver 'telepathy'"),
        ("- captions: {color: red}", "color"),
        ("- captions: {batch_size: 0}", "batch_size"),
        ("- !!python/object/apply:os.system [true]", "not a list of perceivers"),
        ("- scenes\n- \xff", "unknown perceiver"),
    ],
)
def test_an_invalid_file_is_refused(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=problem):
        create_perceivers(write(tmp_path, text))


@pytest.mark.parametrize("name", ["heavy", "missing.yaml", "."])
def test_an_unknown_profile_is_named(name: str) -> None:
    with pytest.raises(InputError, match=name):
        load_profile(name)


def test_a_folder_is_found_without_a_network(tmp_path: Path) -> None:
    assert find_weights(tmp_path) == fetch_weights(str(tmp_path)) == tmp_path


@pytest.mark.parametrize(("model", "size"), [("google/flan-t5-base", "990 MB"), ("nobody/nothing", "size unknown")])
def test_the_error_for_missing_weights_names_both_ways_to_get_them(model: str, size: str) -> None:
    assert find_weights(model) is None
    with pytest.raises(ModelUnavailableError, match=rf"{model}.*{size}.*Connect.*or give the path"):
        fetch_weights(model)


def test_doctor_lists_the_models_of_a_profile(tmp_path: Path) -> None:
    text = f"- captions: {{model: {tmp_path}}}\n- objects\n- scenes\n- screen_text: {{language: ko}}\n"
    profile = write(tmp_path, text)
    result = CliRunner().invoke(app, ["doctor", "--profile", str(profile), "--json"])
    assert result.exit_code == 0
    *_, captions, objects, korean = json.loads(result.stdout)
    assert (captions["name"], captions["ok"], captions["advice"]) == (str(tmp_path), True, "")
    assert (objects["name"], objects["ok"]) == ("ustc-community/dfine-small-obj365", False)
    assert "43 MB" in objects["detail"]
    assert "Apache-2.0" in objects["detail"]
    assert "--download" in objects["advice"]
    assert (korean["name"], "14 MB" in korean["detail"]) == ("korean_PP-OCRv5_rec_mobile", True)


def test_doctor_lists_a_model_once_that_several_perceivers_use(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--profile", str(write(tmp_path, "- visual\n- tags\n")), "--json"])
    (shared,) = (check for check in json.loads(result.stdout) if check["name"].startswith("google/"))
    assert shared["detail"].startswith("visual, tag: ")


def test_doctor_reports_a_failed_download() -> None:
    result = CliRunner().invoke(app, ["doctor", "--download"])
    assert result.exit_code == 1
    assert "cannot be reached" in result.stderr
