"""Arguments, options and exit codes shared by the commands."""

from typing import Annotated

import typer

from langchain_videochat.utils.timecode import parse_timecode

FAILED = 1
"""Exit code of a command that failed, or that failed for some videos or items."""

DEFAULT_STORE = "videochat-store"

STORE_HELP = "Folder of the store, or its address on a Chroma server: http://HOST:PORT/COLLECTION."

StoreOption = Annotated[str, typer.Option("--store", envvar="VIDEOCHAT_STORE", help=STORE_HELP)]
EmbeddingOption = Annotated[
    str | None,
    typer.Option(
        help="Embedding model: *multilingual*, or the Hugging Face id or folder of a sentence-transformers model. "
        "Default: the model of the store if that is all-MiniLM-L6-v2 (English), as in new stores, or *multilingual*."
    ),
]
VisualEmbeddingOption = Annotated[
    str | None,
    typer.Option(
        help="Visual model that the frames were embedded with: its Hugging Face id or folder. Default: the model of "
        "the store if that is siglip2-base-patch32-256."
    ),
]
DEFAULT_PROFILE = "standard"
_PROFILE_HELP = (
    "Perception models to run: lite (downloads nothing), talk (adds speech), standard, full, paper, or a .yaml file of "
    "your own."
)

ProfileOption = Annotated[str, typer.Option(help=_PROFILE_HELP)]
ExplainedProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile", help=f"{_PROFILE_HELP} Default: {DEFAULT_PROFILE}; its cost and the others are printed first."
    ),
]
RefreshOption = Annotated[
    bool, typer.Option("--refresh", help="Perceive videos again even if they are already in the store.")
]
VideoArgument = Annotated[str, typer.Argument(help="A file, or an id or title from *videochat videos*.")]
FromOption = Annotated[str | None, typer.Option("--from", help="Start time: seconds, mm:ss or h:mm:ss.")]
ToOption = Annotated[str | None, typer.Option("--to", help="End time.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ModelOption = Annotated[
    str,
    typer.Option(
        envvar="VIDEOCHAT_MODEL",
        help="LangChain chat model, for example *openai:gpt-5-mini* or *ollama:qwen3*; or folder or hub id of a model "
        "for VideoChatEmbed.",
    ),
]


def seconds(time: str | None) -> float | None:
    """Convert the value of --from or --to.

    Raises:
        InputError: It is not a time.
    """
    return None if time is None else parse_timecode(time)
