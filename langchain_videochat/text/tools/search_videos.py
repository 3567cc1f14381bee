"""The tool that finds moments."""

from contextlib import nullcontext
from typing import Any

from langchain_core.documents import Document
from langchain_core.tools.base import ArgsSchema
from pydantic import BaseModel, Field, SkipValidation

from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.store.time_order import Occurrence
from langchain_videochat.text.agent_files import AgentFiles
from langchain_videochat.text.tools.arguments import END, START, Time, check_query, find_video, parse_time
from langchain_videochat.text.tools.base import VideoTool, format_interval, one_line, shorten
from langchain_videochat.utils.interval import Interval
from langchain_videochat.utils.untrusted_text import mark_as_data

MAX_MOMENTS = 20
"""Moments of one call: about 8,000 tokens."""

MAX_MOMENT_LENGTH = 1500
"""Characters of a moment; video_chat_text returns the rest."""

NO_TEXT = "(No text was observed in this moment.)"
ONLY_FRAMES = "(No text was observed in this moment. Its frames were compared with the query.)"

AFTER = (
    "What the moments come after, in words, such as 'the phone call'. It is searched for first; then the moments after "
    "it, near ones first. If you know the time, use start instead."
)
BEFORE = "What the moments come before, in words, such as 'the goal'. If you know the time, use end instead."
IMAGE = "A picture to look for, instead of a query or together with it: a path in the folder that you can access."
OCCURRENCE = "Set it if the first or the last time of something is asked for: good matches are returned in that order."


class SearchVideosArguments(BaseModel):
    """A query, and where to search."""

    query: str = Field(description="What to look for: words, a name, a code or a question.")
    video_id: str | None = Field(None, description="Search only this video: its id or title. Omit to search all.")
    start: Time | None = Field(None, description=START)
    end: Time | None = Field(None, description=END)
    after: str | None = Field(None, description=AFTER)
    before: str | None = Field(None, description=BEFORE)
    occurrence: Occurrence | None = Field(None, description=OCCURRENCE)
    k: int = Field(4, ge=1, le=MAX_MOMENTS, description="Maximum number of moments to return.")


class SearchByImageArguments(SearchVideosArguments):
    """A query, an image or both, and where to search."""

    query: str | None = Field(  # type: ignore[assignment]
        None, description="What to look for: words, a name, a code or a question. May be omitted if there is an image."
    )
    image: str | None = Field(None, description=IMAGE)


class SearchVideosTool(VideoTool):
    """Finds the moments of a store's videos that match a query, best first.

    If the agent can access a folder, it can also search by a picture in it.

    Artifact: a list of the moments as dicts, with `text` and the metadata that `VideoTimelineStore.search` returns.
    Checkpoints would not restore Documents within a message.

    Example:
        Alone, or as one of the tools of `VideoChatToolkit`:

            tool = SearchVideosTool(store=store)
            tool.invoke({"query": "how many eggs", "start": "01:00"})
            tool.invoke({"query": "what is done", "after": "the red apple stands on the shelf"})
    """

    name: str = "search_videos"
    description: str = (
        "Find the moments in videos where something is seen, said or written on the screen, or that look like what is "
        "described. "
        "Use it to find out where, when or in which video someone mentions or talks about something, a slide is shown, "
        "or something happens, also right after or before something else. "
        "Returns the best matches, each with its video, times, a citation and what was observed."
    )
    args_schema: ArgsSchema | None = SearchVideosArguments

    store: SkipValidation[VideoTimelineStore]
    """The videos to search."""

    files: AgentFiles = AgentFiles()
    """The pictures that may be read: those of a folder, or none."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        if self.files.root is not None and self.args_schema is SearchVideosArguments:
            self.args_schema = SearchByImageArguments

    def _execute(
        self,
        query: str | None = None,
        video_id: str | None = None,
        start: Time | None = None,
        end: Time | None = None,
        after: str | None = None,
        before: str | None = None,
        occurrence: Occurrence | None = None,
        k: int = 4,
        image: str | None = None,
    ) -> tuple[str, list[dict[str, Any]]]:
        query = None if image is not None and not (query or "").strip() else query  # models often give an empty one
        for argument, text in (("query", query), ("after", after), ("before", before)):
            if text is not None:
                check_query(argument, text)
        only = None if video_id is None else find_video(self.store.videos(), video_id).video_id
        self._report_progress(0.0, "searching")
        with nullcontext() if image is None else self.files.local_file(str(self.files.locate(image))) as path:
            found = self.store.search(
                query,
                k,
                image=path,
                video_id=only,
                start=parse_time("start", start),
                end=parse_time("end", end),
                after=after,
                before=before,
                occurrence=occurrence,
            )
        self._report_progress(1.0, f"{len(found)} moments found")
        if not found:
            return "Nothing was found. Use other words, or omit video_id, times, after and before.", []
        content = "\n".join(mark_as_data(format_moment(moment)) for moment in found)
        return content, [{"text": moment.page_content, **moment.metadata} for moment in found]


def format_moment(moment: Document) -> str:
    """Format a moment for a language model, with its title, times and citation, and when it matches best."""
    data = moment.metadata
    text = moment.page_content.removeprefix(data["title"]).strip()
    times = Interval(data["start"], data["end"])
    hit = Interval(data["hit_start"], data["hit_end"])
    head = f"{one_line(data['title'])}, {format_interval(times)}, video_id {data['video_id']}"
    best = "" if hit == times else f"Best match: {format_interval(hit)}\n"
    anchors = "".join(
        f"{label} the moment at {format_interval(Interval(data[f'{name}_start'], data[f'{name}_end']))}\n"
        for name, label in (("after", "After"), ("before", "Before"))
        if f"{name}_citation" in data
    )
    without_text = ONLY_FRAMES if "visual" in data["modalities"].split(",") else NO_TEXT
    return f"{head}\n{best}{anchors}{data['citation']}\n{shorten(text, MAX_MOMENT_LENGTH) or without_text}"
