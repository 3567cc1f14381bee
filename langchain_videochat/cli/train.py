"""The command `videochat train`."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from langchain_videochat.cli.options import JsonOption
from langchain_videochat.errors import InputError

if TYPE_CHECKING:
    from langchain_videochat.training import Preview, TrainingReport


def train(
    config: Annotated[Path, typer.Option(help="YAML file: what is trained on what, and how.")],
    stage: Annotated[int | None, typer.Option(min=1, max=2, help="The stage that the config is for.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint, if there is one.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, and show a batch.")] = False,
    merge: Annotated[
        Path | None, typer.Option(help="Write the model, with what was trained, to this folder at the end.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a VideoChat-Embed in two stages (paper 3.2.1): 1 aligns vision with language, 2 tunes on instructions.

    Only what is trained is saved. On several devices: `accelerate launch --no_python videochat train ...`

    Example: `videochat train --stage 1 --config examples/training/7b-stage1.yaml --dry-run`
    """
    from langchain_videochat import training

    if merge is not None and merge.exists():
        raise InputError("--merge", f"{merge} is there already", "Name another folder, or remove this one")
    read = training.read_config(config, stage)
    if dry_run:
        devices = int(os.environ.get("WORLD_SIZE", "1"))
        _show(training.preview(read, devices=devices), as_json=as_json)
        return
    report = training.train(read, resume=resume, show_progress=not as_json)
    if os.environ.get("RANK", "0") != "0":  # as the launchers of torch and accelerate count their processes
        return
    if merge is not None:
        training.merge(read.output, merge)
    _show(report, as_json=as_json)


def _show(told: "Preview | TrainingReport", *, as_json: bool) -> None:
    typer.echo(json.dumps(asdict(told), ensure_ascii=False, indent=2, default=str) if as_json else str(told))
