"""The command `videochat train`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from langchain_videochat.cli.main import app
from langchain_videochat.embed import load_model
from tests.tiny_training import make_config, make_samples

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_samples(tmp_path_factory.mktemp("samples"))


@pytest.fixture
def run(folder: Path, tmp_path: Path) -> Run:
    """Run the command with options and a changed config."""

    def invoke(*options: object, **changes: Any) -> Result:
        config = json.loads(make_config(folder, tmp_path / "run").model_dump_json(exclude_none=True))
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config | changes))
        arguments = ["train", "--config", tmp_path / "config.yaml", *options]
        return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})

    return invoke


def test_dry_run_shows_a_batch_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    result = run("--stage", 1, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "6,592 of" in result.stdout
    assert "8 steps" not in result.stdout
    assert "3 images, 5 videos" in result.stdout
    assert "[4 visual tokens]" in result.stdout
    assert not (tmp_path / "run").exists()
    assert json.loads(run("--dry-run", "--json").stdout)["steps"] == 4


def test_run_is_resumed_and_merged(run: Run, tmp_path: Path) -> None:
    first = run("--stage", 1)
    assert first.exit_code == 0, first.output
    assert "4 steps, loss" in first.stdout
    again = run("--resume", "--merge", tmp_path / "merged", "--json")
    assert json.loads(again.stdout)["steps"] == 4
    model, _ = load_model(tmp_path / "merged", device="cpu", show_progress=False)
    assert model.config.num_visual_tokens == 4


@pytest.mark.parametrize(
    ("options", "changes", "problem"),
    [
        (["--stage", 2], {}, "this config is for stage 1, not 2"),
        ([], {"lr": 1}, "lr: extra inputs are not permitted"),
        ([], {"model": "/nowhere"}, "/nowhere"),
        ([], {"data": [{"file": "/nowhere.json"}]}, "this data file cannot be read"),
        (["--merge", "/tmp"], {}, "/tmp already exists"),
    ],
)
def test_error_is_one_message_and_an_exit_code(
    run: Run, options: list[Any], changes: dict[str, Any], problem: str
) -> None:
    result = run(*options, **changes)
    assert result.exit_code == 1
    assert problem in result.stderr
    assert "Traceback" not in result.output
