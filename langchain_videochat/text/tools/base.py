"""What all tools of an agent share: how they answer, how they fail, and how they tell their progress."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from langchain_core.tools import BaseTool, ToolException

from langchain_videochat.errors import SourceError, VideoChatError
from langchain_videochat.store import VideoRecord
from langchain_videochat.text.agent_files import AgentFiles
from langchain_videochat.text.prompts import mark_as_data
from langchain_videochat.utils.timecode import format_seconds, format_timecode

LONGEST_PROBLEM = 1000
"""Characters of an error that a model is told."""


def explain_arguments(error: Any) -> str:
    """Tell a language model which arguments it has to write otherwise.

    Args:
        error: Pydantic's ValidationError.
    """
    problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
    return f"These arguments cannot be used: {problems}. Correct them and call the tool again."


class VideoTool(BaseTool):
    """A tool for agents that work on videos; its subclasses say what it does in `_answer`.

    Whatever goes wrong is a `ToolException` that tells the language model how to go on. It becomes the answer of the
    tool, so that the agent is not stopped. In a graph, progress is streamed in the mode "custom", as
    `{"tool": "cut_clip", "progress": 0.5, "message": "cutting 4 s"}`; `progress` goes from 0 to 1.
    """

    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    """Text for the model, and for programs the same as data."""

    handle_tool_error: bool | str | Callable[[ToolException], Any] | None = True
    """A failure is told to the model; False raises it."""

    handle_validation_error: bool | str | Callable[[Any], str] | None = explain_arguments
    """Arguments of the wrong kind are told to the model; False raises a `pydantic.ValidationError`."""

    def _run(self, *args: Any, **kwargs: Any) -> tuple[str | list[dict[str, Any]], Any]:
        try:
            return self._answer(*args, **kwargs)
        except VideoChatError as error:
            # Titles and file names are text of strangers too, and an error may name them.
            problem = mark_as_data(shorten(f"{error.subject}: {error.problem}", LONGEST_PROBLEM))
            raise ToolException(f"This did not work:\n{problem}\n{error.advice}.") from error

    @abstractmethod
    def _answer(self, *args: Any, **kwargs: Any) -> tuple[str | list[dict[str, Any]], Any]:
        """Do the work.

        Returns:
            The content for the language model, and the artifact.

        Raises:
            VideoChatError: Something is wrong; the advice is meant for a language model.
        """

    def _report(self, progress: float, message: str) -> None:
        _stream_writer()({"tool": self.name, "progress": round(progress, 3), "message": message})


@contextmanager
def opened_video(files: AgentFiles, video: VideoRecord) -> Iterator[Path]:
    """Provide the file of a stored video.

    Raises:
        SourceError: It is gone, or not open to agents.
        MediaError: It is empty.
    """
    try:
        with files.opened(video.source) as path:
            yield path
    except SourceError as error:
        advice = "What is stored of this video can still be searched, and read with video_chat_text"
        raise SourceError(error.subject, error.problem, advice) from error


def _stream_writer() -> Callable[[Any], None]:
    from langgraph.config import get_stream_writer

    try:
        return get_stream_writer()
    except (RuntimeError, KeyError):  # outside of a graph nobody listens
        return lambda _: None


def timecode_range(start: float, end: float) -> str:
    """Write a stretch of time for people and for models that calculate.

    Example:
        >>> timecode_range(72, 80.5)
        '01:12-01:20 (72-80.5 s)'
    """
    return f"{format_timecode(start)}-{format_timecode(end)} ({format_seconds(start)}-{format_seconds(end)} s)"


def shorten(text: str, limit: int) -> str:
    """Cut a text off where it is longer than a number of characters.

    Example:
        >>> shorten("Whisk two eggs", 10)
        'Whisk two…'
    """
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"


def one_line(title: str) -> str:
    r"""Keep a title from looking like several lines of a list.

    Example:
        >>> one_line("eggs\n0123456789abcdef  00:12  another video")
        'eggs 0123456789abcdef 00:12 another video'
    """
    return " ".join(title.split())
