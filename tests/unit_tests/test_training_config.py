"""Training configs: reading, validation, and what may change on resume."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from langchain_videochat.errors import InputError
from langchain_videochat.training import DataFile, TrainingConfig, read_config
from langchain_videochat.training.config import CHANGEABLE_ON_RESUME, check_unchanged

FIELDS: dict[str, Any] = {
    "model": "videochat",
    "output": "runs/one",
    "steps": 10,
    "batch_size": 4,
    "learning_rate": 1e-4,
    "min_lr_ratio": 0.1,
    "num_frames": 4,
    "max_text_tokens": 32,
}

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "training").glob("*.yaml"))

CHANGES: dict[str, Any] = {
    "stage": 2,
    "model": "another",
    "init_from": "runs/zero",
    "data": [{"file": "a.json"}],
    "output": "runs/two",
    "trainable": "all",
    "batch_size": 8,
    "learning_rate": 1e-3,
    "warmup_ratio": 0.1,
    "min_lr_ratio": 0.2,
    "weight_decay": 0.0,
    "betas": [0.9, 0.95],
    "max_grad_norm": 2.0,
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


def test_stage_may_come_from_the_command_line(tmp_path: Path) -> None:
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
        ({"warmup_ratio": 2}, "warmup_ratio"),
        ({"trainable": "nothing"}, "trainable"),
        ({"epochs": 1}, "either epochs or steps"),
        ({"steps": None}, "either epochs or steps"),
        ({"stage": 3}, "stage"),
    ],
)
def test_invalid_field_is_named(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read_config(write(tmp_path, {"stage": 1} | FIELDS | changes))


@pytest.mark.parametrize("name", sorted({*FIELDS, "stage"} - {"steps"}))
def test_missing_field_is_named(tmp_path: Path, name: str) -> None:
    fields = {"stage": 1} | FIELDS
    del fields[name]
    with pytest.raises(InputError, match=f"{name}: field required"):
        read_config(write(tmp_path, fields))


@pytest.mark.parametrize("text", ["", "- a\n- b", "stage: [1", "\0"])
def test_malformed_config_is_rejected(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"config\.yaml"):
        read_config(write(tmp_path, text))


def test_missing_config_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_config(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("name", CHANGES)
def test_change_that_affects_the_result_is_rejected(name: str) -> None:
    original = TrainingConfig(stage=1, **FIELDS)
    changed = TrainingConfig(**({"stage": 1} | FIELDS | {name: CHANGES[name]}))
    with pytest.raises(InputError, match=f"^{name}: it was"):
        check_unchanged(changed, original)


def test_every_field_is_covered() -> None:
    assert {*CHANGES, *CHANGEABLE_ON_RESUME, "epochs"} == {*TrainingConfig.model_fields}


def test_changes_that_do_not_affect_the_result_are_accepted() -> None:
    original = TrainingConfig(stage=1, **FIELDS)
    changes: dict[str, Any] = {"num_workers": 7, "save_steps": 3, "gradient_accumulation_steps": 2}
    changed = TrainingConfig(stage=1, **FIELDS, **changes, gradient_checkpointing=True)
    check_unchanged(changed, original)


@pytest.mark.parametrize("kind", [TrainingConfig, DataFile])
def test_every_field_is_documented(kind: Any) -> None:
    assert [name for name, field in kind.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples_are_valid(file: Path) -> None:
    assert file.stem.endswith(f"stage{read_config(file).stage}")


def test_examples_include_the_stages_of_the_paper() -> None:
    configs = {file.stem: read_config(file) for file in EXAMPLES}
    assert configs.keys() >= {"7b-stage1", "7b-stage2", "13b-stage1", "13b-stage2"}
    stage1, stage2 = configs["7b-stage1"], configs["7b-stage2"]
    assert (stage1.learning_rate, stage1.num_frames, stage1.max_text_tokens, stage1.min_lr_ratio) == (1e-4, 4, 32, 0.01)
    assert (stage2.learning_rate, stage2.num_frames, stage2.max_text_tokens, stage2.min_lr_ratio) == (
        2e-5,
        8,
        512,
        0.25,
    )
    assert (stage1.epochs, stage1.batch_size, stage2.epochs, stage2.batch_size) == (1, 1024, 3, 32)
    assert stage2.init_from == stage1.output
