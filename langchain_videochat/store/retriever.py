"""The store as a LangChain retriever."""

from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, SkipValidation

from langchain_videochat.store.store import VideoTimelineStore


class VideoTimelineRetriever(BaseRetriever):
    """Retrieves moments of videos as Documents with times and citations, best first.

    In the metadata, `start` and `end` are the times of the moment in seconds; `hit_start`, `hit_end` and `citation` are
    those of the observations in it that the query is about, or of the moment if none stands out.

    Example:
        All fields except `store` can be overridden per query:

            retriever = VideoTimelineRetriever(store=store, k=2)
            retriever.invoke("how many eggs", video_id="c0ffee", start=10, end=60)
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    store: SkipValidation[VideoTimelineStore]
    """The store to search."""

    k: int = 4
    """Maximum number of moments to return."""

    video_id: str | list[str] | None = None
    """Search these videos only; all if None."""

    start: float | None = None
    """Only moments that end after this time, in seconds from the start of the video."""

    end: float | None = None
    """Only moments that start before this time, in seconds."""

    modalities: list[str] | None = None
    """Only moments with an observation of one of these modalities, for example "speech"; all if None."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **overrides: Any
    ) -> list[Document]:
        filters = {name: getattr(self, name) for name in ("k", "video_id", "start", "end", "modalities")}
        return self.store.search(query, **(filters | overrides))
