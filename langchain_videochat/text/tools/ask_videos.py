"""The tool that asks a question-answering chain."""

from typing import Any

from langchain_core.runnables import Runnable
from langchain_core.tools.base import ArgsSchema
from pydantic import BaseModel, Field, SkipValidation

from langchain_videochat.text.tools.arguments import END, START, Time, parse_time
from langchain_videochat.text.tools.base import VideoTool
from langchain_videochat.text.video_answers import VideoAnswer, unsupported_remark
from langchain_videochat.utils.untrusted_text import mark_as_data


class AskVideosArguments(BaseModel):
    """A question, and where to look for the answer."""

    question: str = Field(description="The question, as a complete sentence.")
    video_id: str | None = Field(None, description="Answer from the video with this id only. Omit to use all videos.")
    start: Time | None = Field(None, description=START)
    end: Time | None = Field(None, description=END)


class AskVideosTool(VideoTool):
    """Answers questions from the timelines of videos, with citations.

    Artifact: a `VideoAnswer`.

    Example:
        Create it from a chain:

            tool = create_video_qa_chain(llm, store).as_tool()
            tool.invoke({"question": "How much sugar do I add?", "end": "02:00"})
    """

    name: str = "ask_videos"
    description: str = (
        "Ask a question about what is seen, said or written on the screen in videos. "
        "Returns an answer with citations: the videos and times that it comes from."
    )
    args_schema: ArgsSchema | None = AskVideosArguments

    chain: SkipValidation[Runnable[Any, VideoAnswer]]
    """A chain of `create_video_qa_chain`."""

    def _execute(
        self, *, start: Time | None = None, end: Time | None = None, **question: Any
    ) -> tuple[str, VideoAnswer]:
        times = {"start": parse_time("start", start), "end": parse_time("end", end)}
        self._report_progress(0.0, "answering")
        answer = self.chain.invoke(question | times)
        self._report_progress(1.0, "answered")
        return mark_as_data(format_answer(answer)), VideoAnswer(**answer)


def format_answer(answer: VideoAnswer) -> str:
    """Format an answer for a language model: the text, a remark if it is not supported, and the cited moments."""
    cited = answer["citations"] or answer["closest"]
    heading = "" if answer["citations"] or not cited else "The closest moments:"
    moments = [f"[{one.number}] {one.label}, video_id {one.video_id}\n{one.uri}".strip() for one in cited]
    paragraphs = [answer["answer"], unsupported_remark(answer) or "", "\n".join([heading, *moments]).strip()]
    return "\n\n".join(one for one in paragraphs if one)
