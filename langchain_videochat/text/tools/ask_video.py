"""The tool that asks a model which watches videos."""

import logging
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langchain_core.tools.base import ArgsSchema
from pydantic import BaseModel, Field, SkipValidation

from langchain_videochat.errors import InputError, ModelError
from langchain_videochat.store import VideoRecord, VideoTimelineStore
from langchain_videochat.text.agent_files import AgentFiles
from langchain_videochat.text.prompts import mark_as_data
from langchain_videochat.text.tools.arguments import (
    END,
    START,
    Time,
    check_question,
    find_video,
    to_seconds,
    to_stretch,
)
from langchain_videochat.text.tools.base import VideoTool, opened_video, shorten, timecode_range
from langchain_videochat.timeline import citation

LONGEST_ANSWER = 6000
"""Characters of an answer."""

_LOG = logging.getLogger(__name__)


class AskVideoArguments(BaseModel):
    """What to ask, and where to look."""

    question: str = Field(description="What to ask about what can be seen, in one whole sentence.")
    video_id: str | None = Field(None, description="The video: its id or title. Leave out to have the moment found.")
    start: Time | None = Field(None, description=START)
    end: Time | None = Field(None, description=END)


class AskVideoTool(VideoTool):
    """Has a model that watches videos look at a moment and answer a question about it.

    Where no times are given, the moment is found by search. Artifact: `{"answer", "video_id", "start", "end",
    "citation"}`, times in seconds.

    Example:
        As one of the tools of `VideoChatToolkit`, or alone:

            tool = AskVideoTool(store=store, model=VideoChatEmbed(model="videochat-7b"))
            tool.invoke({"question": "What colour is the bowl?"})
    """

    name: str = "ask_video"
    description: str = (
        "Ask a model that watches the video itself: about actions, colours, positions, counts. "
        "Finds the moment by the question unless a video and times are given."
    )
    args_schema: ArgsSchema | None = AskVideoArguments

    store: SkipValidation[VideoTimelineStore]
    """Where the videos are."""

    model: SkipValidation[BaseChatModel]
    """Gets a HumanMessage with a block `{"type": "video", "url": "file:///...", "extras": {"start", "end"}}` (seconds)
    and the question."""

    files: AgentFiles = AgentFiles()
    """Which files may be opened."""

    def _answer(
        self,
        question: str,
        video_id: str | None = None,
        start: Time | None = None,
        end: Time | None = None,
    ) -> tuple[str, dict[str, Any]]:
        check_question("question", question)
        video, low, high = self._moment(question, video_id, start, end)
        self._report(0.3, f"watching {timecode_range(low, high)}")
        with opened_video(self.files, video) as path:
            answer = self._watch(path, low, high, question)
        self._report(1.0, "answered")
        place = citation(video.source, low, high)
        content = mark_as_data(f"{answer}\n\n{video.title}, {timecode_range(low, high)}\n{place}")
        return content, {"answer": answer, "video_id": video.video_id, "start": low, "end": high, "citation": place}

    def _moment(
        self, question: str, name: str | None, start: Time | None, end: Time | None
    ) -> tuple[VideoRecord, float, float]:
        videos = self.store.videos()
        named = None if name is None else find_video(videos, name)
        if named is not None and not (start is None and end is None):
            return named, *to_stretch(named.video, start, end)
        self._report(0.0, "searching")
        found = self.store.search(
            question,
            k=1,
            video_id=None if named is None else named.video_id,
            start=to_seconds("start", start),
            end=to_seconds("end", end),
        )
        if found:
            place = found[0].metadata
            return find_video(videos, place["video_id"]), place["start"], place["end"]
        if named is None:
            raise InputError("question", "no moment was found for it", "Use other words, or give a video and times")
        return named, *to_stretch(named.video, None, None)

    def _watch(self, path: Path, start: float, end: float, question: str) -> str:
        video = {"type": "video", "url": path.as_uri(), "extras": {"start": start, "end": end}}
        message = HumanMessage([video, {"type": "text", "text": question}])
        try:
            answer = self.model.invoke([message])
        # Chat models fail in as many ways as there are; none should stop the agent that asked.
        except Exception as error:
            _LOG.warning("%s failed", self.name, exc_info=error)
            problem = f"the model that watches failed ({error})"
            raise ModelError("question", problem, "Use view_frames or video_chat_text instead") from error
        text = shorten(str(answer.text).strip(), LONGEST_ANSWER)
        if not text:
            raise ModelError("question", "the model that watches gave no answer", "Ask otherwise, or use view_frames")
        return text
