"""The command status: what a store holds, and the runs that index into it."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from langchain_videochat.cli.options import DEFAULT_STORE, STORE_HELP, JsonOption
from langchain_videochat.cli.output import console, print_json
from langchain_videochat.cli.stores import open_store
from langchain_videochat.utils.timecode import format_timecode

if TYPE_CHECKING:
    from langchain_videochat.store import RunStatus, StoreStatus

MAX_SHOWN_RUNS = 5
MAX_SHOWN_FAILURES = 10


def status(
    store: Annotated[str, typer.Argument(envvar="VIDEOCHAT_STORE", help=STORE_HELP)] = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Show what a store holds, what is being indexed, how fast, and what failed.

    Example: `videochat status videochat-store`
    """
    found = open_store(store).status()
    if as_json:
        print_json(_to_json(found))
        return
    _print_totals(store, found)
    _print_runs(found.runs[:MAX_SHOWN_RUNS])
    _print_running(found)
    _print_failures(found)


def _to_json(found: "StoreStatus") -> dict[str, object]:
    """Convert a status to JSON, with the figures that are computed from others."""
    runs = [asdict(run) | {"throughput": round(run.throughput, 2)} for run in found.runs]
    failures = {"failures": [asdict(one) for one in found.failures], "failures_by_kind": found.failures_by_kind}
    return asdict(found) | {"hours": round(found.hours, 2), "runs": runs} | failures


def _print_totals(store: str, found: "StoreStatus") -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("store", escape(store))
    table.add_row("videos", f"{found.videos:,} ({found.hours:,.1f} hours)")
    table.add_row("moments", f"{found.moments:,}, with {found.observations:,} observations")
    table.add_row("profiles", escape(_counts({name or "(added)": count for name, count in found.profiles.items()})))
    if found.missing:
        table.add_row("incomplete", f"{escape(_counts(found.missing))} [dim](index again to retry)[/dim]")
    if found.damaged:
        table.add_row("damaged", f"{found.damaged:,} {'video' if found.damaged == 1 else 'videos'}")
    console.print(table)


def _print_runs(runs: "tuple[RunStatus, ...]") -> None:
    if not runs:
        console.print("\nNo runs are recorded.")
        return
    table = Table(box=None, header_style="bold", title="\nRuns", title_style="bold", title_justify="left")
    table.add_column("started (UTC)", no_wrap=True)
    table.add_column("state")
    for heading in ("workers", "indexed", "skipped", "failed", "hours", "speed"):
        table.add_column(heading, justify="right")
    for run in runs:
        color = {"running": "green", "finished": "default"}.get(run.state, "yellow")
        table.add_row(
            _short_time(run.started),
            f"[{color}]{run.state}[/{color}]",
            f"{run.workers} {escape(run.engine)}",
            *(f"{count:,}" for count in (run.indexed, run.skipped, run.failed)),
            f"{run.seconds / 3600:,.1f}",
            f"{run.throughput:,.1f}x" if run.throughput else "",
        )
    console.print(table)


def _print_running(found: "StoreStatus") -> None:
    running = [(run, one) for run in found.runs for one in run.running]
    if not running:
        return
    table = Table(box=None, header_style="bold", title="\nRunning now", title_style="bold", title_justify="left")
    table.add_column("position", no_wrap=True)
    table.add_column("machine")
    table.add_column("source", overflow="fold")
    for run, one in running:
        of = f" of {format_timecode(one.duration)}" if one.duration else ""
        table.add_row(f"{format_timecode(one.position)}{of}", escape(run.host), escape(one.source))
    console.print(table)


def _print_failures(found: "StoreStatus") -> None:
    if not found.failures:
        return
    console.print(f"\n[bold]Failed sources[/bold]: {escape(_counts(found.failures_by_kind))}")
    for one in found.failures[:MAX_SHOWN_FAILURES]:
        # The reason usually begins with the source.
        reason = one.reason if one.reason.startswith(one.source) else f"{one.source}: {one.reason}"
        console.print(f"  [dim]{_short_time(one.time)}[/dim]  {escape(reason)}", soft_wrap=True)
    more = len(found.failures) - MAX_SHOWN_FAILURES
    if more > 0:
        console.print(f"  and {more} more: see --json")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _short_time(time: str) -> str:
    """Return date and minute of an ISO 8601 time."""
    return time[:16].replace("T", " ")
