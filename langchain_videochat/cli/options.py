"""What several commands have in common."""

from pathlib import Path
from typing import Annotated

import typer

FAILED = 1
"""Exit code of a command that did not do all that was asked."""

DEFAULT_STORE = Path("videochat-store")

StoreOption = Annotated[
    Path, typer.Option("--store", envvar="VIDEOCHAT_STORE", help="Folder of the store.", show_default=True)
]
ProfileOption = Annotated[
    str,
    typer.Option(help="Which models look and listen: standard, full, a .yaml file, or lite, which downloads nothing."),
]
VideoArgument = Annotated[str, typer.Argument(help="A file, or an id or a title as *videochat videos* lists them.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
ModelOption = Annotated[
    str,
    typer.Option(
        envvar="VIDEOCHAT_MODEL", help="Language model: *openai:gpt-5-mini*, *ollama:qwen3*, or any other of LangChain."
    ),
]
