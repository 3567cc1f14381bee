"""What the commands `ask` and `chat` share: a language model is asked, and its answer shown as it comes."""

import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.style import Style
from rich.text import Text

from langchain_videochat.errors import VideoChatError

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from langchain_videochat.store import VideoTimelineStore
    from langchain_videochat.text.citations import Citation
    from langchain_videochat.text.question_answering import VideoAnswer
    from langchain_videochat.text.questions import VideoQuestion

PICTURE_COLUMNS = 32
"""Width of the picture of a cited moment, in characters; each shows two pixels, one above the other."""


class Conversation:
    """Questions to a language model about videos, each asked with those before it in mind.

    Args:
        model: `PROVIDER:MODEL`, as `langchain.chat_models.init_chat_model` takes it.
        store: Where the videos are.
        video_id: Ask about this video only; about all if None.

    Raises:
        ModelUnavailableError: There is no such provider, its package is not installed, or it lacks a key.
    """

    def __init__(self, model: str, store: "VideoTimelineStore", video_id: str | None = None) -> None:
        from langchain_videochat.text.llms import load_model
        from langchain_videochat.text.question_answering import create_video_qa_chain

        self._chain = create_video_qa_chain(load_model(model), store)
        self._video_id = video_id
        self._history: list[BaseMessage] = []

    def ask(self, question: str) -> Iterator["VideoAnswer"]:
        """Yield an answer in parts: pieces of `answer` as they are written, then `citations`.

        Raises:
            ModelError: The language model failed.
        """
        from langchain_core.messages import AIMessage, HumanMessage

        from langchain_videochat.text.llms import model_errors

        answer = ""
        asked: VideoQuestion = {"question": question, "history": self._history, "video_id": self._video_id}
        with model_errors():
            for part in self._chain.stream(asked):
                answer += part.get("answer", "")
                yield part
        self._history += [HumanMessage(question), AIMessage(answer)]


def show_answer(console: Console, parts: Iterable["VideoAnswer"]) -> None:
    """Print an answer as it comes, then the moments that it cites: as links, and with pictures if colours suffice."""
    from langchain_videochat.text.prompts import visible

    citations: list[Citation] = []
    with console.status("Searching") as status:
        for part in parts:
            citations += part.get("citations", [])
            if "answer" in part:
                status.stop()
                console.print(visible(part["answer"]), end="", markup=False, highlight=False, soft_wrap=True)
    console.print("\n" if citations else "")
    for citation in citations:
        link = Text(f"[{citation.number}] {citation.label}", Style(bold=True, link=citation.uri))
        console.print(link, Text(citation.uri, "dim"), soft_wrap=True)
        if console.is_terminal and console.color_system == "truecolor":
            console.print(_draw(citation.source, citation.start))


def _draw(source: str, time: float) -> Text:
    """Draw the frame at a time with characters; nothing where the file is on the web, or gone."""
    import numpy as np
    from PIL import Image

    from langchain_videochat.media import thumbnail

    picture = Text()
    try:
        jpeg = thumbnail(source, time, width=PICTURE_COLUMNS)
    except VideoChatError:
        return picture
    rows = np.asarray(Image.open(io.BytesIO(jpeg)))
    for above, below in zip(rows[::2], rows[1::2], strict=False):
        for upper, lower in zip(above, below, strict=True):
            picture.append("▀", "rgb({},{},{}) on rgb({},{},{})".format(*upper, *lower))
        picture.append("\n")
    return picture
