"""The `videochat` app: its commands, their order in the help, and how they end when they fail."""

import logging
import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Annotated, ParamSpec

import typer

from langchain_videochat import __version__
from langchain_videochat.cli import (
    ask,
    benchmarks,
    embed_model,
    frames,
    installation,
    instruct,
    mcp,
    page,
    perceivers,
    skill,
    status,
    videos,
)
from langchain_videochat.cli.options import FAILED
from langchain_videochat.cli.output import errors, escape_unprintable, print_error
from langchain_videochat.errors import VideoChatError

P = ParamSpec("P")

INTERRUPTED = 130
"""Exit code after Ctrl-C."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"videochat {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Index videos as timestamped text, then search them and ask questions about them.

    Exit codes: 0 success; 1 failure, even for only some of the videos; 2 invalid arguments; 130 stopped by Ctrl-C.
    """


def _handle_errors(function: Callable[P, None]) -> Callable[P, None]:
    """Make a command end with a one-line message and an exit code when it fails, not with a traceback."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        escape_unprintable()
        logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
        try:
            function(*args, **kwargs)
        except VideoChatError as error:
            print_error(error)
            raise typer.Exit(FAILED) from None
        except KeyboardInterrupt:
            errors.print("Stopped.")
            sys.stdout.flush()
            # A normal exit would wait for models that other threads run, which can take half a minute.
            os._exit(INTERRUPTED)

    return run


def _add_commands(group: typer.Typer, panel: str | None, *commands: Callable[..., None]) -> None:
    for command in commands:
        group.command(rich_help_panel=panel)(_handle_errors(command))


def _add_group(panel: str, name: str, summary: str, *commands: Callable[..., None]) -> None:
    group = typer.Typer(no_args_is_help=True, help=summary)
    app.add_typer(group, name=name, rich_help_panel=panel)
    _add_commands(group, None, *commands)


def _add_server(name: str, serve: Callable[..., None], *commands: Callable[..., None]) -> None:
    """Add a command that has commands of its own."""
    group = typer.Typer()
    group.callback(invoke_without_command=True)(_handle_errors(serve))
    app.add_typer(group, name=name, rich_help_panel="Videos")
    _add_commands(group, None, *commands)


_add_commands(app, "Videos", videos.index, videos.search, ask.ask, ask.chat, page.app, page.report)
_add_commands(app, "Videos", videos.timeline, videos.videos, status.status, videos.remove, videos.clip)
_add_commands(app, "Videos", frames.frames)
_add_server("mcp", mcp.serve, mcp.install)
_add_commands(app, "Installation", installation.doctor, perceivers.perceivers)
_add_group("Installation", "skill", "Teach command-line agents to use videochat.", skill.install, skill.show)
_add_commands(app, "Models and data", embed_model.convert, embed_model.train, benchmarks.evaluate)
_add_group(
    "Models and data",
    "instruct",
    "Generate instruction data from videos.",
    instruct.describe,
    instruct.converse,
    instruct.export,
)
