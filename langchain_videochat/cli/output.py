"""Terminal output shared by the commands."""

import io
import json
import sys
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from langchain_videochat.errors import VideoChatError

console = Console()
errors = Console(stderr=True)


def escape_unprintable() -> None:
    """Escape characters in the output that the terminal's encoding lacks, for example in file names."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_above_progress(text: str) -> None:
    """Print a line to stdout while progress bars are shown on stderr."""
    from tqdm import tqdm

    with tqdm.external_write_mode(file=sys.stdout):
        typer.echo(text)


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    typer.echo(format_json(value))


def format_json(value: Any) -> str:
    """Format a value as indented JSON."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def print_result(value: Any, text: str, as_json: bool) -> None:
    """Print what a command has done, as indented JSON or as text."""
    typer.echo(format_json(value) if as_json else text)


def print_report(report: object, as_json: bool) -> None:
    """Print a dataclass as a summary, or its fields as indented JSON."""
    from pydantic import TypeAdapter

    # dataclasses.asdict garbles a Counter.
    typer.echo(TypeAdapter(type(report)).dump_json(report, indent=2).decode() if as_json else str(report))


def print_error(error: VideoChatError) -> None:
    """Print an error in one line to stderr."""
    errors.print(f"[red]error:[/red] {escape(str(error))}", soft_wrap=True)
