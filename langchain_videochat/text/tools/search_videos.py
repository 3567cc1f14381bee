"""The tool that finds moments."""

from langchain_core.documents import Document
from langchain_core.tools.base import ArgsSchema
from pydantic import BaseModel, Field, SkipValidation

from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.text.prompts import mark_as_data
from langchain_videochat.text.tools.arguments import END, START, Time, check_question, find_video, to_seconds
from langchain_videochat.text.tools.base import VideoTool, one_line, shorten, timecode_range

MOST_MOMENTS = 20
"""Moments that may be asked for at once: about 8,000 tokens."""

MOMENT_TEXT = 1500
"""Characters that are told of a moment; video_chat_text tells the rest."""


class SearchVideosArguments(BaseModel):
    """What to look for, and where."""

    query: str = Field(description="What to look for: words, a name, a code, a question.")
    video_id: str | None = Field(None, description="Search only in this video: its id or title. Leave out for all.")
    start: Time | None = Field(None, description=START)
    end: Time | None = Field(None, description=END)
    k: int = Field(4, ge=1, le=MOST_MOMENTS, description="How many moments to return at most.")


class SearchVideosTool(VideoTool):
    """Finds the moments of a store's videos that fit a question, best first.

    Artifact: the moments as Documents.

    Example:
        Alone, or as one of the tools of `VideoChatToolkit`:

            tool = SearchVideosTool(store=store)
            tool.invoke({"query": "how many eggs", "start": "01:00"})
    """

    name: str = "search_videos"
    description: str = (
        "Find moments in videos by what was seen, said or written on the screen. "
        "Returns the best moments, each with its video, its times, a citation and what was noticed."
    )
    args_schema: ArgsSchema | None = SearchVideosArguments

    store: SkipValidation[VideoTimelineStore]
    """Where to search."""

    def _answer(
        self,
        query: str,
        video_id: str | None = None,
        start: Time | None = None,
        end: Time | None = None,
        k: int = 4,
    ) -> tuple[str, list[Document]]:
        check_question("query", query)
        only = None if video_id is None else find_video(self.store.videos(), video_id).video_id
        low, high = to_seconds("start", start), to_seconds("end", end)
        self._report(0.0, "searching")
        found = self.store.search(query, k, video_id=only, start=low, end=high)
        self._report(1.0, f"{len(found)} moments found")
        if not found:
            return "Nothing was found. Use other words, or leave out video_id, start and end.", []
        return "\n".join(mark_as_data(describe(document)) for document in found), found


def describe(moment: Document) -> str:
    """Write a moment with its title, its times and its citation."""
    place = moment.metadata
    noticed = moment.page_content.removeprefix(place["title"]).strip()
    head = f"{one_line(place['title'])}, {timecode_range(place['start'], place['end'])}, video_id {place['video_id']}"
    return f"{head}\n{place['citation']}\n{shorten(noticed, MOMENT_TEXT)}"
