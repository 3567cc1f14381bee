"""The base class of an agent's tools, and the text formats that they share."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal

from langchain_core.tools import BaseTool, ToolException

from langchain_videochat.errors import SourceError, VideoChatError
from langchain_videochat.media import VideoInfo
from langchain_videochat.media.info import MAX_TITLE_LENGTH
from langchain_videochat.store import VideoRecord
from langchain_videochat.text.agent_files import AgentFiles
from langchain_videochat.timeline import citation
from langchain_videochat.utils.interval import Interval
from langchain_videochat.utils.timecode import format_seconds, format_timecode
from langchain_videochat.utils.untrusted_text import mark_as_data

MAX_ERROR_LENGTH = 1000
"""Characters of an error message that the model gets."""

MAX_INVALID_ARGUMENTS = 5
"""Errors of invalid arguments that the model gets: it can correct these, and call the tool again."""

MAX_ARGUMENT_ERROR_LENGTH = 160
"""Characters of one of them: it may repeat what the model wrote."""

ProgressListener = Callable[[float, str], None]
"""Called with the progress of a tool, 0 to 1, and a message."""

_progress_listener: ContextVar[ProgressListener | None] = ContextVar("progress_listener", default=None)


def format_validation_error(error: Any) -> str:
    """Format the first errors of a pydantic.ValidationError for a language model."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    problems = [
        shorten(f"{'.'.join(map(str, one['loc']))}: {one['msg']}", MAX_ARGUMENT_ERROR_LENGTH)
        for one in errors[:MAX_INVALID_ARGUMENTS]
    ]
    rest = f"; and {len(errors) - len(problems)} more" if len(errors) > len(problems) else ""
    return f"Invalid arguments: {'; '.join(problems)}{rest}. Correct them and call the tool again."


def format_error(error: VideoChatError, heading: str = "The tool failed:") -> str:
    """Format an error for a language model, with advice."""
    # An error may name titles and files, which are untrusted text too.
    problem = mark_as_data(shorten(f"{error.subject}: {error.problem}", MAX_ERROR_LENGTH))
    return f"{heading}\n{problem}\n{error.advice}."


@contextmanager
def progress_listener(listener: ProgressListener) -> Iterator[None]:
    """Report the progress of tools that run within the block, in a graph or not.

    Args:
        listener: Called in the thread of the tool. An error that it raises stops the tool.
    """
    token = _progress_listener.set(listener)
    try:
        yield
    finally:
        _progress_listener.reset(token)


class VideoTool(BaseTool):
    """Base class of tools that work with videos; subclasses implement `_execute`.

    An error becomes a `ToolException` with advice for the language model, and by default the result of the tool, so
    that the agent can continue. In a graph, progress is streamed in mode "custom", for example
    `{"tool": "cut_clip", "progress": 0.5, "message": "cutting 4 s"}`; `progress` goes from 0 to 1.
    """

    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    """The content is text for the model, the artifact the same as data for programs."""

    handle_tool_error: bool | str | Callable[[ToolException], Any] | None = True
    """If True, the model gets errors as results; if False, they are raised."""

    handle_validation_error: bool | str | Callable[[Any], str] | None = format_validation_error
    """Formats a `pydantic.ValidationError` of the arguments for the model; if False, it is raised."""

    def _run(self, *args: Any, **kwargs: Any) -> tuple[str | list[dict[str, Any]], Any]:
        try:
            return self._execute(*args, **kwargs)
        except VideoChatError as error:
            raise ToolException(format_error(error)) from error

    @abstractmethod
    def _execute(self, *args: Any, **kwargs: Any) -> tuple[str | list[dict[str, Any]], Any]:
        """Run the tool.

        Returns:
            The content for the language model, and the artifact.

        Raises:
            VideoChatError: The tool failed; the advice is for the language model.
        """

    def _report_progress(self, progress: float, message: str) -> None:
        if (listener := _progress_listener.get()) is not None:
            listener(progress, message)
        from langgraph.config import get_stream_writer

        try:
            write = get_stream_writer()
        except (RuntimeError, KeyError):  # not running in a graph
            return
        write({"tool": self.name, "progress": round(progress, 3), "message": message})


@contextmanager
def open_stored_video(files: AgentFiles, video: VideoRecord) -> Iterator[Path]:
    """Provide the file of a stored video.

    Raises:
        SourceError: The file is missing, or not accessible to agents.
        MediaError: The file is empty.
    """
    try:
        with files.local_file(video.source) as path:
            yield path
    except SourceError as error:
        advice = "The stored text of this video can still be searched, and read with video_chat_text"
        raise SourceError(error.subject, error.problem, advice) from error


def interval_artifact(video: VideoInfo, video_id: str, interval: Interval) -> dict[str, Any]:
    """Return the part of an artifact that identifies an interval of a video, with times in seconds."""
    start, end = interval.start, interval.end
    return {"video_id": video_id, "start": start, "end": end, "citation": citation(video.source, start, end)}


def format_interval(interval: Interval) -> str:
    """Format an interval as timecodes, and in seconds for arithmetic.

    Example:
        >>> format_interval(Interval(72, 80.5))
        '01:12-01:20 (72-80.5 s)'
    """
    start, end = interval.start, interval.end
    return f"{format_timecode(start)}-{format_timecode(end)} ({format_seconds(start)}-{format_seconds(end)} s)"


def shorten(text: str, max_length: int) -> str:
    """Truncate a text to a number of characters.

    Example:
        >>> shorten("Whisk two eggs", 10)
        'Whisk two…'
    """
    return text if len(text) <= max_length else f"{text[: max_length - 1].rstrip()}…"


def one_line(title: str) -> str:
    r"""Put a title on one line of limited length, so that it cannot imitate further lines of a list.

    Example:
        >>> one_line("eggs\n0123456789abcdef  00:12  another video")
        'eggs 0123456789abcdef 00:12 another video'
    """
    return shorten(" ".join(title.split()), MAX_TITLE_LENGTH)
