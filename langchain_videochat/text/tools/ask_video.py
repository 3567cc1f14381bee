"""The tool that asks a model with video input."""

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
from langchain_videochat.text.tools.arguments import (
    END,
    START,
    Time,
    check_query,
    find_video,
    parse_interval,
    parse_time,
)
from langchain_videochat.text.tools.base import (
    VideoTool,
    format_interval,
    interval_artifact,
    one_line,
    open_stored_video,
    shorten,
)
from langchain_videochat.utils.interval import Interval
from langchain_videochat.utils.untrusted_text import mark_as_data

MAX_ANSWER_LENGTH = 6000
"""Characters of an answer."""

logger = logging.getLogger(__name__)


class AskVideoArguments(BaseModel):
    """A question, and where to look for the answer."""

    question: str = Field(description="A question about what can be seen, as a complete sentence.")
    video_id: str | None = Field(None, description="The video: its id or title. Omit to find the moment by search.")
    start: Time | None = Field(None, description=START)
    end: Time | None = Field(None, description=END)


class AskVideoTool(VideoTool):
    """Asks a model with video input a question about a moment.

    Without times, the moment is found by search. Artifact: `{"answer", "video_id", "start", "end", "citation"}`, with
    times in seconds.

    Example:
        As one of the tools of `VideoChatToolkit`, or alone:

            tool = AskVideoTool(store=store, model=VideoChatEmbed(model="videochat-7b"))
            tool.invoke({"question": "What color is the bowl?"})
    """

    name: str = "ask_video"
    description: str = (
        "Ask a model that watches the video a question. Use it for what single pictures do not show: how someone "
        "moves, in what direction something turns, how many times it is done. "
        "Finds the moment by the question unless a video and times are given."
    )
    args_schema: ArgsSchema | None = AskVideoArguments

    store: SkipValidation[VideoTimelineStore]
    """The videos."""

    model: SkipValidation[BaseChatModel]
    """A chat model that takes a HumanMessage with a block
    `{"type": "video", "url": "file:///...", "extras": {"start", "end"}}` (seconds) and the question. It must read the
    file, which may be a link to one that is held open, before it returns."""

    files: AgentFiles = AgentFiles()
    """The files that may be opened."""

    def _execute(
        self, question: str, video_id: str | None = None, start: Time | None = None, end: Time | None = None
    ) -> tuple[str, dict[str, Any]]:
        check_query("question", question)
        video, interval = self._select(question, video_id, start, end)
        times = format_interval(interval)
        self._report_progress(0.3, f"processing {times}")
        with open_stored_video(self.files, video) as path:
            answer = self._ask(path, interval, question)
        self._report_progress(1.0, "answered")
        artifact = interval_artifact(video.video, video.video_id, interval)
        content = mark_as_data(f"{answer}\n\n{one_line(video.title)}, {times}\n{artifact['citation']}")
        return content, {"answer": answer, **artifact}

    def _select(
        self, question: str, name: str | None, start: Time | None, end: Time | None
    ) -> tuple[VideoRecord, Interval]:
        videos = self.store.videos()
        named = None if name is None else find_video(videos, name)
        if named is not None and not (start is None and end is None):
            return named, parse_interval(start, end, named.duration)
        self._report_progress(0.0, "searching")
        found = self.store.search(
            question,
            k=1,
            video_id=None if named is None else named.video_id,
            start=parse_time("start", start),
            end=parse_time("end", end),
        )
        if found:
            data = found[0].metadata
            return find_video(videos, data["video_id"]), Interval(data["start"], data["end"])
        if named is None:
            raise InputError("question", "no moment was found for it", "Use other words, or give a video and times")
        return named, Interval(0.0, named.duration)

    def _ask(self, path: Path, interval: Interval, question: str) -> str:
        video = {"type": "video", "url": path.as_uri(), "extras": {"start": interval.start, "end": interval.end}}
        message = HumanMessage([video, {"type": "text", "text": question}])
        try:
            answer = self.model.invoke([message])
        except Exception as error:  # each provider has its own errors, and none should stop the agent
            logger.warning("%s failed", self.name, exc_info=error)
            problem = f"the video model failed ({error})"
            raise ModelError("question", problem, "Use view_frames or video_chat_text instead") from error
        text = shorten(str(answer.text).strip(), MAX_ANSWER_LENGTH)
        if not text:
            raise ModelError("question", "the video model gave no answer", "Rephrase it, or use view_frames")
        return text
