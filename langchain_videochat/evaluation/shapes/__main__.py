"""Command that trains videochat-embed-tiny: `python -m langchain_videochat.evaluation.shapes FOLDER`."""

from pathlib import Path
from typing import Annotated

import typer


def main(
    folder: Annotated[Path, typer.Argument(help="Folder for the training runs; interrupted runs resume.")],
    seed: Annotated[int, typer.Option(help="Seed of the initial weights and the order of samples.")] = 0,
    local_mhra: Annotated[
        bool, typer.Option(help="Local MHRA in the vision tower: relates neighboring frames.")
    ] = True,
    gmhra: Annotated[bool, typer.Option(help="GMHRA in the vision tower: relates all frames.")] = True,
) -> None:
    """Train videochat-embed-tiny from scratch, on generated clips."""
    from langchain_videochat.evaluation.shapes.recipe import train_tiny

    typer.echo(train_tiny(folder, seed=seed, local_mhra=local_mhra, gmhra=gmhra))


if __name__ == "__main__":
    typer.run(main)
