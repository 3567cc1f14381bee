"""The command that saves frames: frames."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_videochat.cli.options import (
    DEFAULT_STORE,
    FromOption,
    JsonOption,
    StoreOption,
    ToOption,
    VideoArgument,
    seconds,
)
from langchain_videochat.cli.output import print_json
from langchain_videochat.cli.stores import find_source
from langchain_videochat.errors import InputError
from langchain_videochat.utils.timecode import format_seconds, parse_timecode

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

FRAME_SIZE = 1080
"""Shorter side of a frame in pixels: providers of models scale larger ones down."""

SUFFIXES = (".jpg", ".jpeg")


def frames(
    video: VideoArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to; with --sheet, a .jpg file.")],
    sheet: Annotated[
        bool,
        typer.Option("--sheet", help="Save a contact sheet: small frames where the picture changes, with their times."),
    ] = False,
    start: FromOption = None,
    end: ToOption = None,
    max_frames: Annotated[int, typer.Option(min=1, max=30, help="Maximum number of frames of a sheet.")] = 12,
    at: Annotated[list[str] | None, typer.Option("--at", help="Save the frame at this time; repeatable.")] = None,
    store: StoreOption = DEFAULT_STORE,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Save frames as JPEG files: one contact sheet that a model can view cheaply, or large frames at given times.

    Examples: `videochat frames talk.mp4 --sheet --from 1:30 --to 2:00 -o sheet.jpg`,
    `videochat frames talk.mp4 --at 1:32 --at 1:40 -o frames`
    """
    from langchain_videochat.media import local_file

    if sheet == bool(at):
        raise InputError("--sheet, --at", "exactly one of them is required", "Use --sheet for an overview")
    with local_file(find_source(video, store)) as path:
        if sheet:
            saved = [_save_sheet(path, seconds(start), seconds(end), max_frames, output, overwrite)]
        else:
            saved = _save_frames(path, sorted({parse_timecode(time) for time in at or ()}), output, overwrite)
    if as_json:
        print_json(saved)
    else:
        for one in saved:
            typer.echo(f"{one['path']}: {', '.join(one['labels'])}")


def _save_sheet(
    path: Path, start: float | None, end: float | None, max_frames: int, output: Path, overwrite: bool
) -> dict[str, Any]:
    from langchain_videochat.text.contact_sheet import make_contact_sheet

    if output.suffix.lower() not in SUFFIXES:
        raise InputError(output, "a sheet is a JPEG file", "Use a name that ends with .jpg")
    _check_output(output, overwrite)
    sheet = make_contact_sheet(path, start, end, max_frames=max_frames)
    _save(sheet.picture, output)
    return {"path": output, "times": sheet.times, "labels": sheet.labels}


def _save_frames(path: Path, times: "Sequence[float]", output: Path, overwrite: bool) -> list[dict[str, Any]]:
    from langchain_videochat.media import probe, sample_frames

    duration = probe(path).duration
    if times[-1] > duration:
        problem = f"{format_seconds(times[-1])} s is after the end of the video ({format_seconds(duration)} s)"
        raise InputError("--at", problem, "Give an earlier time")
    targets = [output / f"{format_seconds(time)}.jpg" for time in times]
    for target in targets:
        _check_output(target, overwrite)
    pictures = (
        picture for batch in sample_frames(path, times=times, size=FRAME_SIZE, mode="exact") for picture in batch.frames
    )
    saved = []
    for picture, target, time in zip(pictures, targets, times, strict=True):
        _save(picture, target)
        saved.append({"path": target, "times": [time], "labels": [f"{target.stem} s"]})
    return saved


def _check_output(target: Path, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        raise InputError(target, "this file already exists", "Choose another name, or pass --overwrite")


def _save(picture: "NDArray[np.uint8]", target: Path) -> None:
    from langchain_videochat.media.pictures import jpeg_bytes

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(jpeg_bytes(picture))
    except OSError as error:
        raise InputError(target, f"cannot be written ({error.strerror})", "Choose another folder") from error
