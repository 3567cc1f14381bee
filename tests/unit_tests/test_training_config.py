"""What a config may say."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from langchain_videochat.errors import InputError
from langchain_videochat.training import DataFile, TrainingConfig, read_config
from langchain_videochat.training.config import FREE_TO_CHANGE, check_unchanged

FIELDS: dict[str, Any] = {
    "model": "videochat",
    "output": "runs/one",
    "steps": 10,
    "batch_size": 4,
    "learning_rate": 1e-4,
    "floor": 0.1,
    "num_frames": 4,
    "max_text_tokens": 32,
}

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "training").glob("*.yaml"))

CHANGES: dict[str, Any] = {
    "stage": 2,
    "model": "another",
    "start": "runs/zero",
    "data": [{"file": "a.json"}],
    "output": "runs/two",
    "trains": "all",
    "batch_size": 8,
    "learning_rate": 1e-3,
    "warmup": 0.1,
    "floor": 0.2,
    "weight_decay": 0.0,
    "betas": [0.9, 0.95],
    "clip": 2.0,
    "precision": "fp32",
    "num_frames": 8,
    "max_text_tokens": 64,
    "seed": 1,
    "steps": 11,
}


def write(folder: Path, fields: Any) -> Path:
    file = folder / "config.yaml"
    file.write_text(fields if isinstance(fields, str) else yaml.safe_dump(fields))
    return file


def test_the_stage_may_come_from_the_command(tmp_path: Path) -> None:
    assert read_config(write(tmp_path, FIELDS), stage=2).stage == 2
    assert read_config(write(tmp_path, FIELDS | {"stage": 1})).stage == 1
    with pytest.raises(InputError, match="for stage 1, not 2"):
        read_config(write(tmp_path, FIELDS | {"stage": 1}), stage=2)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"lerning_rate": 1e-4}, "lerning_rate"),
        ({"data": [{"file": "a.json", "rot": "b"}]}, r"data\.0\.rot"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"warmup": 2}, "warmup"),
        ({"trains": "nothing"}, "trains"),
        ({"epochs": 1}, "either epochs or steps"),
        ({"steps": None}, "either epochs or steps"),
        ({"stage": 3}, "stage"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read_config(write(tmp_path, {"stage": 1} | FIELDS | changes))


@pytest.mark.parametrize("name", sorted({*FIELDS, "stage"} - {"steps"}))
def test_a_missing_field_is_named(tmp_path: Path, name: str) -> None:
    fields = {"stage": 1} | FIELDS
    del fields[name]
    with pytest.raises(InputError, match=f"{name}: field required"):
        read_config(write(tmp_path, fields))


@pytest.mark.parametrize("text", ["", "- a\n- b", "stage: [1", "\0"])
def test_what_is_no_config_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"config\.yaml"):
        read_config(write(tmp_path, text))


def test_a_missing_config_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_config(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_what_is_learnt_is_named(name: str) -> None:
    begun = TrainingConfig(stage=1, **FIELDS)
    changed = TrainingConfig(**({"stage": 1} | FIELDS | {name: CHANGES[name]}))
    with pytest.raises(InputError, match=f"^{name}: it was"):
        check_unchanged(changed, begun)


def test_no_field_is_forgotten() -> None:
    assert {*CHANGES, *FREE_TO_CHANGE, "epochs"} == {*TrainingConfig.model_fields}


def test_what_does_not_matter_may_change() -> None:
    begun = TrainingConfig(stage=1, **FIELDS)
    changed = TrainingConfig(stage=1, **FIELDS, workers=7, save_every=3, accumulation=2, gradient_checkpointing=True)
    check_unchanged(changed, begun)


@pytest.mark.parametrize("kind", [TrainingConfig, DataFile])
def test_every_field_is_documented(kind: Any) -> None:
    assert [name for name, field in kind.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_the_examples_can_be_read(file: Path) -> None:
    assert file.stem.endswith(f"stage{read_config(file).stage}")


def test_the_paper_s_stages_are_among_the_examples() -> None:
    configs = {file.stem: read_config(file) for file in EXAMPLES}
    assert configs.keys() >= {"7b-stage1", "7b-stage2", "13b-stage1", "13b-stage2"}
    stage1, stage2 = configs["7b-stage1"], configs["7b-stage2"]
    assert (stage1.learning_rate, stage1.num_frames, stage1.max_text_tokens, stage1.floor) == (1e-4, 4, 32, 0.01)
    assert (stage2.learning_rate, stage2.num_frames, stage2.max_text_tokens, stage2.floor) == (2e-5, 8, 512, 0.25)
    assert (stage1.epochs, stage1.batch_size, stage2.epochs, stage2.batch_size) == (1, 1024, 3, 32)
    assert stage2.start == stage1.output
