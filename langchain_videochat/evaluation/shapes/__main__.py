"""The command that trains videochat-embed-tiny: `python -m langchain_videochat.evaluation.shapes FOLDER`."""

from pathlib import Path
from typing import Annotated

import typer


def main(
    folder: Annotated[Path, typer.Argument(help="Where its parts are trained; what was begun there goes on.")],
    seed: Annotated[int, typer.Option(help="Decides on first weights and on the order of samples.")] = 0,
    local_mhra: Annotated[bool, typer.Option(help="Let the vision tower relate neighbouring frames.")] = True,
    gmhra: Annotated[bool, typer.Option(help="Let the vision tower relate all frames.")] = True,
) -> None:
    """Train videochat-embed-tiny, from nothing, on clips that are made on the way."""
    from langchain_videochat.evaluation.shapes.recipe import train_tiny

    typer.echo(train_tiny(folder, seed=seed, local_mhra=local_mhra, gmhra=gmhra))


if __name__ == "__main__":
    typer.run(main)
