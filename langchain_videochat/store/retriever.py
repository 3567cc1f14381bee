"""The store as a LangChain retriever."""

from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, SkipValidation

from langchain_videochat.perception.observation import Modality
from langchain_videochat.store.store import VideoTimelineStore


class VideoTimelineRetriever(BaseRetriever):
    """Retrieves moments of videos, best first, as Documents with times and citations.

    Example:
        Every field but `store` may also be given with a question:

            retriever = VideoTimelineRetriever(store=store, k=2)
            retriever.invoke("how many eggs", video_id="c0ffee", start=10, end=60)
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    store: SkipValidation[VideoTimelineStore]
    """Where to search."""

    k: int = 4
    """How many moments to return."""

    video_id: str | list[str] | None = None
    """Search these videos only; all if None."""

    start: float | None = None
    """Only moments that hold at or after this time, in seconds from the start of the video."""

    end: float | None = None
    """Only moments that begin before this time, in seconds."""

    modalities: list[Modality] | None = None
    """Only moments in which one of these was observed, as "speech"; all if None."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **conditions: Any
    ) -> list[Document]:
        return self.store.search(query, **(self._conditions() | conditions))

    def _conditions(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("k", "video_id", "start", "end", "modalities")}
