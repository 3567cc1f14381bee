"""Commands that ask a language model about the videos of a store: ask, chat."""

import io
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.style import Style
from rich.text import Text

from langchain_videochat.cli.budget import MaxTokensOption, fit_answer
from langchain_videochat.cli.chat_models import open_chat_model
from langchain_videochat.cli.options import (
    DEFAULT_STORE,
    EmbeddingOption,
    JsonOption,
    ModelOption,
    StoreOption,
    VisualEmbeddingOption,
)
from langchain_videochat.cli.output import console, format_json, print_error
from langchain_videochat.cli.stores import find_video, open_store
from langchain_videochat.errors import VideoChatError

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from langchain_videochat.store import VideoTimelineStore
    from langchain_videochat.text.citations import Citation
    from langchain_videochat.text.question_answering import VideoAnswer
    from langchain_videochat.text.questions import VideoQuestion

THUMBNAIL_COLUMNS = 32
"""Width of a cited moment's thumbnail, in characters; each character shows two pixels, one above the other."""

StrictOption = Annotated[
    bool, typer.Option("--strict", help="Show no answer that does not cite the videos, or cites what is not in them.")
]
VideoOption = Annotated[str | None, typer.Option("--video", help="Ask about this video only.")]


def ask(
    question: Annotated[str, typer.Argument(help="Question about the videos.")],
    model: ModelOption,
    store: StoreOption = DEFAULT_STORE,
    video: VideoOption = None,
    strict: StrictOption = False,
    embedding: EmbeddingOption = None,
    visual_embedding: VisualEmbeddingOption = None,
    max_tokens: MaxTokensOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer a question with a language model that reads the timelines and cites moments.

    Example: `videochat ask "How much flour do I need?" --model openai:gpt-5-mini`
    """
    opened = open_store(store, embedding, visual_embedding=visual_embedding)
    parts: Iterable[VideoAnswer] = _open_conversation(opened, video, model, strict).ask(question)
    serialize = _answer_json if as_json else _answer_text
    if max_tokens is not None:
        parts = [fit_answer(_merge(parts), max_tokens, serialize)]
    if as_json:
        typer.echo(_answer_json(_merge(parts)))
    else:
        show_answer(console, parts)


def _answer_json(answer: "VideoAnswer") -> str:
    return format_json(
        {
            "answer": answer["answer"],
            "supported": answer["supported"],
            "citations": answer["citations"],
            "closest": answer["closest"],
        }
    )


def _answer_text(answer: "VideoAnswer") -> str:
    cited = [f"[{one.number}] {one.label} {one.uri}" for one in (*answer["citations"], *answer["closest"])]
    return "\n".join([answer["answer"], *cited])


def chat(
    model: ModelOption,
    store: StoreOption = DEFAULT_STORE,
    video: VideoOption = None,
    strict: StrictOption = False,
    embedding: EmbeddingOption = None,
    visual_embedding: VisualEmbeddingOption = None,
) -> None:
    """Ask questions in a conversation; Ctrl-C quits.

    Example: `videochat chat --model ollama:qwen3 --video talk.mp4`
    """
    opened = open_store(store, embedding, visual_embedding=visual_embedding)
    conversation = _open_conversation(opened, video, model, strict)
    console.print("Ask about the videos. Press Ctrl-C to quit.", style="dim")
    with suppress(EOFError, KeyboardInterrupt):
        while True:
            question = console.input("\n[bold]>[/bold] ").strip()
            try:
                if question:
                    show_answer(console, conversation.ask(question))
            except VideoChatError as error:
                print_error(error)
    console.print("\nGoodbye.")


class Conversation:
    """Questions to a language model about one video or all of them, each asked with the previous turns as context."""

    def __init__(
        self, model: str, store: "VideoTimelineStore", video_id: str | None = None, *, strict: bool = False
    ) -> None:
        from langchain_videochat.text.question_answering import create_video_qa_chain

        self._chain = create_video_qa_chain(open_chat_model(model), store, strict=strict)
        self._video_id = video_id
        self._history: list[BaseMessage] = []

    def ask(self, question: str) -> Iterator["VideoAnswer"]:
        """Stream an answer: deltas of `answer`, then `citations`, `supported` and `closest`."""
        from langchain_core.messages import AIMessage, HumanMessage

        from langchain_videochat.text.llms import model_errors

        answer = ""
        inputs: VideoQuestion = {"question": question, "history": self._history, "video_id": self._video_id}
        with model_errors():
            for part in self._chain.stream(inputs):
                answer += part.get("answer", "")
                yield part
        self._history += [HumanMessage(question), AIMessage(answer)]


def show_answer(console: Console, parts: Iterable["VideoAnswer"]) -> None:
    """Print an answer while it streams, then its citations as links, with thumbnails on truecolor terminals.

    An answer that is not supported is marked as such; without citations, the closest moments are shown.
    """
    from langchain_videochat.text.question_answering import unsupported_remark
    from langchain_videochat.utils.untrusted_text import strip_invisible

    shown: list[VideoAnswer] = []
    with console.status("Searching") as status:
        for part in parts:
            shown.append(part)
            if "answer" in part:
                status.stop()
                console.print(strip_invisible(part["answer"]), end="", markup=False, highlight=False, soft_wrap=True)
    answer = _merge(shown)
    console.print()
    if remark := unsupported_remark(answer):
        console.print(remark, style="yellow")
    if answer["closest"]:
        console.print("\nThe closest moments:", style="dim")
    elif answer["citations"]:
        console.print()
    for citation in answer["citations"] or answer["closest"]:
        _print_citation(console, citation)


def _merge(parts: Iterable["VideoAnswer"]) -> "VideoAnswer":
    return reduce(add, parts)  # parts are AddableDicts


def _print_citation(console: Console, citation: "Citation") -> None:
    link = Text(f"[{citation.number}] {citation.label}", Style(bold=True, link=citation.uri))
    console.print(link, Text(citation.uri, "dim"), soft_wrap=True)
    if console.is_terminal and console.color_system == "truecolor":
        console.print(_draw_thumbnail(citation.source, citation.start))


def _open_conversation(store: "VideoTimelineStore", video: str | None, model: str, strict: bool) -> Conversation:
    video_id = None if video is None else find_video(store, video).video_id
    return Conversation(model, store, video_id, strict=strict)


def _draw_thumbnail(source: str, time: float) -> Text:
    """Draw a frame with half-block characters; return an empty text if the file is on the web or missing."""
    import numpy as np
    from PIL import Image

    from langchain_videochat.media import thumbnail

    picture = Text()
    try:
        jpeg = thumbnail(source, time, width=THUMBNAIL_COLUMNS)
    except VideoChatError:
        return picture
    rows = np.asarray(Image.open(io.BytesIO(jpeg)))
    for above, below in zip(rows[::2], rows[1::2], strict=False):
        for upper, lower in zip(above, below, strict=True):
            picture.append("▀", "rgb({},{},{}) on rgb({},{},{})".format(*upper, *lower))
        picture.append("\n")
    return picture
