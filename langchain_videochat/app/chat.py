"""Chat backends of the page: a language model that reads timelines, or VideoChat-Embed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import AddableDict, Runnable

from langchain_videochat.app.collection import Collection
from langchain_videochat.errors import InputError
from langchain_videochat.media import isolated_media
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.text.question_answering import (
    Citation,
    VideoAnswer,
    create_video_qa_chain,
    unsupported_remark,
)
from langchain_videochat.utils.timecode import format_timecode
from langchain_videochat.utils.untrusted_text import strip_invisible

if TYPE_CHECKING:
    from langchain_videochat.embed import VideoChatEmbed

SEGMENT_SECONDS = 30.0
"""Seconds of video in one segment of a long video."""

CITED_FRAME_SECONDS = 2.0
"""Seconds of video to play for a cited frame."""

_CITATION_FIELDS = ("number", "label", "video_id", "start", "end")


@dataclass(frozen=True)
class ChatQuestion:
    """A question and the turns before it."""

    question: str
    """The question."""

    history: Sequence[BaseMessage] = ()
    """Previous turns."""

    video_id: str | None = None
    """The video to ask about; all videos if None."""


class Chat(Protocol):
    """A backend that answers questions."""

    def answer(self, question: ChatQuestion) -> Iterator[dict[str, Any]]:
        """Stream an answer: deltas of `text`, then `citations`.

        Each citation has a `number` or None, a `label`, and an interval of a video: `video_id`, `start` and `end` in
        seconds. The last part may also have `supported`, a `remark` to show if it is false, and the `closest` moments,
        in the form of citations, if nothing is cited; see `VideoAnswer`.
        """


class TimelineChat:
    """VideoChat-Text: a language model answers from timelines.

    Args:
        llm: Any LangChain chat model.
        store: The store to answer from.
    """

    def __init__(self, llm: BaseChatModel, store: VideoTimelineStore) -> None:
        self._chain: Runnable[Any, Any] = create_video_qa_chain(llm, store)

    def answer(self, question: ChatQuestion) -> Iterator[dict[str, Any]]:
        """Stream the answer, then the cited moments."""
        inputs = {"question": question.question, "history": question.history, "video_id": question.video_id}
        answer = AddableDict()
        for part in self._chain.stream(inputs):
            answer += part
            if part.get("answer"):
                yield {"text": strip_invisible(part["answer"])}
        yield {
            "citations": list(map(_describe, answer["citations"])),
            "supported": answer["supported"],
            "remark": unsupported_remark(cast("VideoAnswer", answer)) or "",
            "closest": list(map(_describe, answer["closest"])),
        }


class EmbedChat:
    """VideoChat-Embed: the model processes the frames of one video.

    Args:
        model: Folder or hub id, as in `VideoChatEmbed`.
        collection: The videos to open.
    """

    def __init__(self, model: str, collection: Collection) -> None:
        self._model = model
        self._collection = collection

    def answer(self, question: ChatQuestion) -> Iterator[dict[str, Any]]:
        """Stream the answer and the times of the sampled frames.

        Raises:
            InputError: The question is not about a single video.
        """
        video_id = question.video_id
        if video_id is None:
            raise InputError("video", "no video selected, and this model processes one at a time", "Select a video")
        first, *others = [*question.history, HumanMessage(question.question)]
        # Any video type will do: the container is detected from the file's content.
        video = {"type": "video", "url": self._collection.path(video_id).as_uri(), "mime_type": "video/mp4"}
        prompt = HumanMessage([video, {"type": "text", "text": first.text}])
        chunks = self._llm.stream([prompt, *others])
        with isolated_media():
            first_chunk = next(chunks)  # all frames are decoded before the first chunk
        for chunk in chain([first_chunk], chunks):
            if chunk.text:
                yield {"text": strip_invisible(chunk.text)}
            times = chunk.response_metadata.get("sampled_times")
            if times:
                yield {"citations": [_cite_frame(video_id, time) for time in times[0]]}

    @cached_property
    def _llm(self) -> "VideoChatEmbed":
        from langchain_videochat.embed import VideoChatEmbed

        return VideoChatEmbed(
            model=self._model,
            long_video="segments",
            segment_seconds=SEGMENT_SECONDS,
            overflow="retrieve",
            retriever=self._collection.store.as_retriever(),
        )


def to_messages(turns: Sequence[tuple[str, str]]) -> list[BaseMessage]:
    """Convert pairs of question and answer to messages."""
    return [message for question, answer in turns for message in (HumanMessage(question), AIMessage(answer))]


def _describe(citation: Citation) -> dict[str, Any]:
    return {name: citation[name] for name in _CITATION_FIELDS}


def _cite_frame(video_id: str, time: float) -> dict[str, Any]:
    end = time + CITED_FRAME_SECONDS
    return {"number": None, "label": format_timecode(time), "video_id": video_id, "start": time, "end": end}
