"""Prompts for the common jobs, which users choose in their client."""

from dataclasses import dataclass
from string import Template

from mcp import MCPError, types

from langchain_videochat.utils.untrusted_text import ABOUT_NOTES

VIDEO = ("video", "Title or id of a video, or a file to index first")
QUESTION = ("question", "What you want to know")
SUBJECT = ("subject", "What to look for, for example: where the eggs are whisked")


@dataclass(frozen=True)
class Job:
    """A prompt with arguments."""

    name: str
    description: str
    arguments: tuple[tuple[str, str], ...]
    """Names and descriptions; all are required."""

    text: str
    """The prompt, with $name for each argument."""


JOBS = (
    Job(
        "summarize_video",
        "Summarize a video, with times",
        (VIDEO,),
        "Summarize the video $video. If list_videos does not return it, index it with index_video first. Read all of "
        "it with video_chat_text; if the result is cut off, continue where it says. Write a few sentences, then the "
        "main points, each with its time.",
    ),
    Job(
        "ask_videos",
        "Answer a question from the videos, with citations",
        (QUESTION,),
        "Answer this question from the videos: $question\n\nFind the moments with search_videos, in several searches "
        "if needed, and read around the best ones with video_chat_text. If the text is not enough, use view_frames. "
        "Give the video and the time for each statement. If the videos do not answer the question, say so.",
    ),
    Job(
        "make_chapters",
        "Divide a video into chapters",
        (VIDEO,),
        "Divide the video $video into chapters. If list_videos does not return it, index it with index_video first. "
        "Read all of it with video_chat_text; if the result is cut off, continue where it says. Write one line for "
        "each chapter, its start as mm:ss and a title; the first starts at 00:00.",
    ),
    Job(
        "cut_moments",
        "Find moments and cut them out",
        (SUBJECT,),
        "Find the moments of the videos that show this, and cut each out as a clip: $subject\n\nUse search_videos, "
        "check the times with view_frames or video_chat_text, then use cut_clip. List the clips with their times and "
        "paths.",
    ),
)


def list_prompts() -> list[types.Prompt]:
    """Return the prompts.

    Example:
        >>> [prompt.name for prompt in list_prompts()]
        ['summarize_video', 'ask_videos', 'make_chapters', 'cut_moments']
    """
    return [
        types.Prompt(
            name=job.name,
            description=job.description,
            arguments=[
                types.PromptArgument(name=name, description=text, required=True) for name, text in job.arguments
            ],
        )
        for job in JOBS
    ]


def fill_prompt(name: str, arguments: dict[str, str]) -> types.GetPromptResult:
    """Return a prompt with its arguments filled in.

    Raises:
        MCPError: The prompt is unknown, or an argument is missing.
    """
    job = next((one for one in JOBS if one.name == name), None)
    if job is None:
        raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {name[:60]!r}")
    missing = [argument for argument, _ in job.arguments if not arguments.get(argument, "").strip()]
    if missing:
        raise MCPError(types.INVALID_PARAMS, f"Missing arguments of the prompt {name}: {', '.join(missing)}")
    text = f"{Template(job.text).substitute(arguments)}\n\n{ABOUT_NOTES}"
    message = types.PromptMessage(role="user", content=types.TextContent(text=text))
    return types.GetPromptResult(description=job.description, messages=[message])
