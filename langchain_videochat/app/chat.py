"""Questions that are asked on the page, to a language model that reads timelines or to one that watches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import Runnable

from langchain_videochat.app.collection import Collection
from langchain_videochat.errors import InputError
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.text.prompts import visible
from langchain_videochat.text.question_answering import create_video_qa_chain
from langchain_videochat.utils.timecode import format_timecode

if TYPE_CHECKING:
    from langchain_videochat.embed import VideoChatEmbed

SEGMENT_SECONDS = 30.0
"""Seconds of video to which VideoChatEmbed gives one look."""

GLANCE = 2.0
"""Seconds of video that are played where a frame was looked at."""


@dataclass(frozen=True)
class Asked:
    """A question, with what was said before it."""

    question: str
    """What is asked."""

    history: Sequence[BaseMessage] = ()
    """The turns before it."""

    video_id: str | None = None
    """The video it is about; all if None."""


class Chat(Protocol):
    """Answers questions."""

    def answer(self, asked: Asked) -> Iterator[dict[str, Any]]:
        """Yield an answer in parts: pieces of its `text` as they are written, then its `citations`.

        Each citation has a `number` or None, a `label`, and a stretch of a video: `video_id`, `start` and `end` in
        seconds.
        """


class TimelineChat:
    """VideoChat-Text: a language model answers from timelines.

    Args:
        llm: Any chat model of LangChain.
        store: Where to look.
    """

    def __init__(self, llm: BaseChatModel, store: VideoTimelineStore) -> None:
        self._chain: Runnable[Any, Any] = create_video_qa_chain(llm, store)

    def answer(self, asked: Asked) -> Iterator[dict[str, Any]]:
        """Yield the answer, and the moments that it cites."""
        given = {"question": asked.question, "history": asked.history, "video_id": asked.video_id}
        for part in self._chain.stream(given):
            if part.get("answer"):
                yield {"text": visible(part["answer"])}
            if "citations" in part:
                names = ("number", "label", "video_id", "start", "end")
                yield {"citations": [{name: getattr(one, name) for name in names} for one in part["citations"]]}


class WatchingChat:
    """VideoChat-Embed: the model watches one video itself.

    Args:
        model: What `VideoChatEmbed` takes.
        collection: Whose files may be opened.
    """

    def __init__(self, model: str, collection: Collection) -> None:
        self._model = model
        self._collection = collection

    def answer(self, asked: Asked) -> Iterator[dict[str, Any]]:
        """Yield the answer, and the times of the frames that were looked at.

        Raises:
            InputError: It is about no single video.
        """
        if asked.video_id is None:
            raise InputError("video", "none is chosen, and this model watches one", "Choose a video first")
        first, *others = [*asked.history, HumanMessage(asked.question)]
        shown = HumanMessage([self._show(asked.video_id), {"type": "text", "text": first.text}])
        for chunk in self._watching.stream([shown, *others]):
            if chunk.text:
                yield {"text": visible(chunk.text)}
            times = chunk.response_metadata.get("sampled_times")
            if times:
                yield {"citations": [_glance(asked.video_id, time) for time in times[0]]}

    @cached_property
    def _watching(self) -> "VideoChatEmbed":
        from langchain_videochat.embed import VideoChatEmbed

        return VideoChatEmbed(
            model=self._model,
            long_video="segments",
            segment_seconds=SEGMENT_SECONDS,
            overflow="retrieve",
            retriever=self._collection.store.as_retriever(),
        )

    def _show(self, video_id: str) -> dict[str, Any]:
        # The type says only that it is a video; what kind, the file itself tells.
        return {"type": "video", "url": self._collection.path(video_id).as_uri(), "mime_type": "video/mp4"}


def read_history(turns: Sequence[tuple[str, str]]) -> list[BaseMessage]:
    """Make messages of pairs of question and answer."""
    return [message for question, answer in turns for message in (HumanMessage(question), AIMessage(answer))]


def _glance(video_id: str, time: float) -> dict[str, Any]:
    return {"number": None, "label": format_timecode(time), "video_id": video_id, "start": time, "end": time + GLANCE}
