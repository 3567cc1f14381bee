"""Output of `videochat doctor --try`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from langchain_videochat.cli.output import console, print_json
from langchain_videochat.utils.timecode import format_timecode

if TYPE_CHECKING:
    from langchain_videochat.perception import Observation
    from langchain_videochat.perception.trials import Trial

MAX_OBSERVATIONS = 3
"""Observations that are printed for each perceiver."""


def print_trials(video: Path, profile: str, *, as_json: bool) -> bool:
    """Run the perceivers of a profile on the start of a video, and print what each returns.

    Returns:
        Whether none of them failed.
    """
    from langchain_videochat.perception.trials import try_perceivers

    trials = []
    for trial in try_perceivers(video, profile):
        trials.append(trial)
        if not as_json:
            _print_trial(trial)
    if as_json:
        print_json([asdict(trial) for trial in trials])
    return all(trial.error is None for trial in trials)


def _print_trial(trial: "Trial") -> None:
    mark = "[green]✓[/green]" if trial.error is None else "[yellow]✗[/yellow]"
    console.print(f"{mark} [bold]{escape(trial.perceiver)}[/bold]  {escape(', '.join(trial.models))}")
    if trial.error is not None:
        console.print(f"  [red]error:[/red] {escape(trial.error)}", soft_wrap=True)
    else:
        console.print(f"  {_costs(trial)}", soft_wrap=True)
    for observation in trial.observations[:MAX_OBSERVATIONS]:
        console.print(f"  {escape(_show(observation))}", soft_wrap=True)
    if len(trial.observations) > MAX_OBSERVATIONS:
        console.print(f"  [dim]and {len(trial.observations) - MAX_OBSERVATIONS} more[/dim]")
    for problem in trial.problems:
        console.print(f"  [dim]{escape(problem)}[/dim]", soft_wrap=True)


def _costs(trial: "Trial") -> str:
    number = len(trial.observations)
    found = f"{number} observation{'' if number == 1 else 's'} of {trial.video_seconds:.0f} s"
    speed = f"{trial.seconds / trial.video_seconds:.2f} s per second of video"
    return f"{found}, {speed}, loaded in {trial.load_seconds:.1f} s, {trial.memory / 1e6:.0f} MB of memory"


def _show(observation: "Observation") -> str:
    times = f"{format_timecode(observation.start)}-{format_timecode(observation.end)}"
    score = "" if observation.score is None else f"  ({observation.score:.2f})"
    return f"{times}  {observation.attributed_text or 'embedding of a frame'}{score}"
