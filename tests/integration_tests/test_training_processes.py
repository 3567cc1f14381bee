"""Training in several processes, killed training runs, and a full disk."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_training import make_config, make_samples, without_dropout

STEPS = 24

# The process kills itself before the given step, or cannot write files larger than the given number of bytes.
TRAIN = """
import json, os, resource, signal, sys
from pathlib import Path
from langchain_videochat.training import TrainingConfig, train
from langchain_videochat.training.training_step import TrainingStep

file, kill_at, max_file_size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
original_run = TrainingStep.run

def run(self, step, parts):
    if step + 1 == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
    return original_run(self, step, parts)

TrainingStep.run = run
if max_file_size:
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_size, max_file_size))
report = train(TrainingConfig.model_validate_json(file.read_text()), resume=True, show_progress=False)
if os.environ.get("RANK", "0") == "0":
    print(json.dumps({"loss": report.loss, "losses": report.losses}))
"""

LAUNCHER = ("-m", "torch.distributed.run", "--nproc_per_node", "2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_samples(tmp_path_factory.mktemp("samples"))
    (folder / "train.py").write_text(TRAIN)
    return folder


def start(
    folder: Path,
    output: Path,
    *,
    launcher: Sequence[str] = (),
    kill_at: int = 0,
    max_file_size: int = 0,
    **changes: Any,
) -> "subprocess.Popen[str]":
    fields: dict[str, Any] = {"stage": 2, "steps": STEPS, "save_steps": 5, "batch_size": 4}
    fields["data"] = [{"file": folder / "conversations.json"}]
    config = output.with_suffix(".json")
    config.write_text(make_config(folder, output, **(fields | changes)).model_dump_json())
    arguments = [*launcher, str(folder / "train.py"), str(config), str(kill_at), str(max_file_size)]
    # Test gloo and the CPU, also on a machine with GPUs.
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": os.getcwd()}
    return subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def finish(process: "subprocess.Popen[str]") -> dict[str, Any]:
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


@pytest.fixture(scope="module")
def uninterrupted(folder: Path) -> dict[str, Any]:
    return finish(start(folder, folder / "whole"))


def assert_killed(process: "subprocess.Popen[str]") -> None:
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def assert_resumed(rest: dict[str, Any], uninterrupted: dict[str, Any], *, completed_steps: int) -> None:
    assert rest["loss"] == pytest.approx(uninterrupted["loss"], abs=1e-4)
    assert rest["losses"] == pytest.approx(uninterrupted["losses"][completed_steps:], abs=1e-4)


@pytest.mark.slow
def test_killed_run_ends_with_the_same_loss(folder: Path, tmp_path: Path, uninterrupted: dict[str, Any]) -> None:
    assert_killed(start(folder, tmp_path / "run", kill_at=STEPS))
    rest = finish(start(folder, tmp_path / "run"))
    assert_resumed(rest, uninterrupted, completed_steps=(STEPS - 1) // 5 * 5)


@pytest.mark.slow
def test_run_with_workers_may_be_killed_at_any_time(
    folder: Path, tmp_path: Path, uninterrupted: dict[str, Any]
) -> None:
    options: dict[str, Any] = {"save_steps": 1, "num_workers": 2}
    running = start(folder, tmp_path / "run", **options)
    while not list((tmp_path / "run").glob("checkpoints/step-0000000[3-9]")) and running.poll() is None:
        time.sleep(0.01)
    running.kill()
    running.communicate()
    assert finish(start(folder, tmp_path / "run", **options))["loss"] == pytest.approx(uninterrupted["loss"], abs=1e-4)


@pytest.mark.slow
def test_full_disk_leaves_the_previous_checkpoint_intact(
    folder: Path, tmp_path: Path, uninterrupted: dict[str, Any]
) -> None:
    assert_killed(start(folder, tmp_path / "run", kill_at=7))
    checkpoints = tmp_path / "run" / "checkpoints"
    before = {path.name: path.read_bytes() for path in (checkpoints / "step-00000005").iterdir()}
    full = start(folder, tmp_path / "run", max_file_size=20_000)
    _, errors = full.communicate()
    assert full.returncode == 1
    assert "step-00000010: this folder cannot be written" in errors
    assert "earlier checkpoints are intact. Free disk space" in errors
    assert [path.name for path in checkpoints.iterdir()] == ["step-00000005"]
    assert before == {path.name: path.read_bytes() for path in (checkpoints / "step-00000005").iterdir()}
    assert_resumed(finish(start(folder, tmp_path / "run")), uninterrupted, completed_steps=5)


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one(folder: Path, tmp_path: Path) -> None:
    # Without dropout: it differs between one process and two.
    options: dict[str, Any] = {"model": str(without_dropout(folder / "model", tmp_path / "model")), "steps": 8}
    alone = finish(start(folder, tmp_path / "alone", **options))
    both = finish(start(folder, tmp_path / "both", launcher=LAUNCHER, gradient_accumulation_steps=2, **options))
    assert both["losses"] == pytest.approx(alone["losses"], abs=1e-4)
    assert len(both["losses"]) == 8


@pytest.mark.slow
def test_killed_run_of_two_processes_is_resumed(folder: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"steps": 8, "trainable": "all", "learning_rate": 1e-3}
    options |= {"save_steps": 4, "launcher": LAUNCHER}
    whole = finish(start(folder, tmp_path / "whole", **options))
    killed = start(folder, tmp_path / "run", kill_at=6, **options)
    killed.communicate()
    assert killed.returncode != 0
    rest = finish(start(folder, tmp_path / "run", **options))
    assert rest["losses"] == pytest.approx(whole["losses"][4:], abs=1e-4)
