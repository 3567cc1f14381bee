"""The command perceivers."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from langchain_videochat.cli.options import JsonOption
from langchain_videochat.cli.output import console, print_json

if TYPE_CHECKING:
    from langchain_videochat.perception import PerceiverInfo


def perceivers(as_json: JsonOption = False) -> None:
    """List the perception models that profiles can use, with their options, including those of plugins.

    Example: `videochat perceivers --json`
    """
    from langchain_videochat.perception import list_perceivers

    found = list_perceivers()
    if as_json:
        print_json([asdict(info) for info in found])
        return
    table = Table("perceiver", "modality", "provided by", box=None, header_style="bold")
    table.add_column("description", overflow="fold")  # model names are not cut off
    for info in found:
        table.add_row(escape(info.name), escape(info.modality), escape(info.provider), _describe(info))
    console.print(table)


def _describe(info: "PerceiverInfo") -> str:
    if info.error is not None:
        return f"[red]cannot be loaded:[/red] {escape(info.error)}"
    lines = [escape(info.summary)]
    if info.model is not None:
        facts = f" ({info.card.size}, {info.card.license})" if info.card else ""
        lines.append(f"[dim]model[/dim] {escape(info.model)}{facts}")
    options = [f"{name}={default}" for name, default in info.options.items() if name != "model"]
    if options:
        lines.append(f"[dim]options[/dim] {escape(', '.join(options))}")
    return "\n".join(lines)
