"""Commands that make VideoChat-Embed models: convert, train."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from langchain_videochat.cli.options import JsonOption
from langchain_videochat.cli.output import print_report
from langchain_videochat.errors import InputError


def convert(
    blip2: Annotated[str, typer.Option(help="BLIP-2 checkpoint file, or folder or hub id of a transformers BLIP-2.")],
    language_model: Annotated[str, typer.Option(help="Folder or hub id of a transformers causal language model.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write; must not exist yet.")],
    eva: Annotated[
        str | None, typer.Option(help="EVA checkpoint file. Omit this and --videochat to create a model to train.")
    ] = None,
    videochat: Annotated[
        str | None, typer.Option(help="VideoChat checkpoint file, or a checkpoint from its training.")
    ] = None,
    language_model_delta: Annotated[
        str | None, typer.Option(help="Folder or hub id of a delta to add to the language model, for Vicuna v0.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Model dimension that the files do not contain, for example *vision_heads=16*; repeatable."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Convert the original VideoChat checkpoints, or a BLIP-2 and a language model, to a model folder.

    Pickled checkpoints are read without executing code.

    Example: `videochat convert --eva eva_vit_g.pth --blip2 blip2_pretrained_flant5xxl.pth --videochat videochat_7b.pth
    --language-model llama-7b --language-model-delta lmsys/vicuna-7b-delta-v0 --output videochat-7b`
    """
    from langchain_videochat.embed import convert_checkpoint
    from langchain_videochat.embed.conversion.dimensions import check_settings

    overrides = dict(_parse_setting(text) for text in settings or ())
    check_settings(overrides)  # so that none of them overrides another argument of convert_checkpoint
    report = convert_checkpoint(
        eva=eva,
        blip2=blip2,
        videochat=videochat,
        language_model=language_model,
        language_model_delta=language_model_delta,
        output=output,
        show_progress=not as_json,
        **overrides,
    )
    print_report(report, as_json)


def train(
    config: Annotated[Path, typer.Option(help="YAML file with the model, the data and the settings.")],
    stage: Annotated[int | None, typer.Option(min=1, max=2, help="Fail unless the config is for this stage.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume from the last checkpoint, if there is one.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and one batch, without training.")] = False,
    merge: Annotated[
        Path | None, typer.Option(help="Also write the complete model, with the trained weights, to this folder.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a VideoChat-Embed model in two stages: alignment, then instruction tuning (paper 3.2.1).

    Checkpoints contain only the trained weights. Several devices: `accelerate launch --no_python videochat train ...`

    Example: `videochat train --stage 1 --config examples/training/7b-stage1.yaml --dry-run`
    """
    from langchain_videochat import training

    if merge is not None and merge.exists():
        raise InputError("--merge", f"{merge} already exists", "Pass another folder or remove this one")
    loaded = training.read_config(config, stage)
    if dry_run:
        devices = int(os.environ.get("WORLD_SIZE", "1"))
        print_report(training.preview(loaded, devices=devices), as_json)
        return
    report = training.train(loaded, resume=resume, show_progress=not as_json)
    if os.environ.get("RANK", "0") != "0":  # set by torchrun and accelerate
        return
    if merge is not None:
        training.merge(loaded.output, merge)
    print_report(report, as_json)


def _parse_setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError as error:
        raise InputError("--set", f"expected NAME=NUMBER, got {text!r}", "For example, vision_heads=16") from error
