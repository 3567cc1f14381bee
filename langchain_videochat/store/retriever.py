"""The store as a LangChain retriever."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.load.serializable import Serializable, SerializedConstructor, SerializedNotImplemented
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables.config import run_in_executor
from pydantic import ConfigDict, Field, SkipValidation, field_validator

from langchain_videochat.errors import InputError
from langchain_videochat.store.moment_text import describe
from langchain_videochat.store.reranking import DEFAULT_RERANK_MS, resolve_reranker
from langchain_videochat.store.store import VideoTimelineStore
from langchain_videochat.store.time_order import Occurrence
from langchain_videochat.utils.names import check_names

SearchType = Literal["similarity", "mmr", "similarity_score_threshold"]

_FILTERS = ("image", "video_id", "start", "end", "after", "before", "occurrence", "modalities", "filter", "min_score")
_RERANKING = ("reranker", "rerank_ms")
_MMR_DEFAULTS = {"lambda_mult": 0.5, "fetch_k": 20}
_ARGUMENTS = ("k", *_FILTERS, *_RERANKING, *_MMR_DEFAULTS)
"""Arguments of a search."""


class VideoTimelineRetriever(BaseRetriever):
    """Retrieves moments of videos as Documents with times and citations, best first.

    The text of each Document has the title, times and citation of the moment, and is marked as data (never an
    instruction), so that `create_retriever_tool` and other chains that pass on the text alone need no prompt for
    Documents. `VideoTimelineStore.search` returns moments without that heading.

    In the metadata, `score` is how well the moment matches, 0 to 1; `start` and `end` are its times in seconds;
    `hit_start`, `hit_end` and `citation` are those of the observations in it that the query is about, or of the moment
    if none stands out. `document_id`, which
    is also the Document's `id`, identifies a moment among the results of several retrievers, for example in
    `EnsembleRetriever(..., id_key="document_id")`.

    LangChain's `dumpd` and `load` restore a retriever whose store is in a folder, or on a server without credentials
    and HTTP headers, and whose embedding model and reranker are the default, given by name, or objects that they
    support.

    Raises:
        InputError: An argument is unknown or invalid.

    Example:
        All fields except `store` can be overridden per query:

            retriever = VideoTimelineRetriever(store=store, k=2)
            retriever.invoke("how many eggs", video_id="c0ffee", start=10, end=60)
            retriever.invoke("what is done", after="the red apple stands on the shelf")

        As a tool of an agent:

            from langchain_core.tools import create_retriever_tool

            tool = create_retriever_tool(store.as_retriever(), "search_videos", "Finds moments in cooking videos.")
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    store: SkipValidation[VideoTimelineStore]
    """The store to search."""

    k: int = 4
    """Maximum number of moments to return."""

    image: str | None = None
    """Path of a picture to look for as well, or instead of an empty query; see `VideoTimelineStore.search`."""

    video_id: str | list[str] | None = None
    """Search these videos only; all if None."""

    start: float | None = None
    """Only moments that end after this time, in seconds from the start of the video."""

    end: float | None = None
    """Only moments that start before this time, in seconds."""

    after: str | None = None
    """Only moments after what this text describes, near ones first; see `VideoTimelineStore.search`."""

    before: str | None = None
    """Only moments before what this text describes, near ones first."""

    occurrence: Occurrence | None = None
    """"first" or "last": the best matches in chronological or reverse order; see `VideoTimelineStore.search`."""

    modalities: str | list[str] | None = None
    """Only moments with an observation of one of these modalities, for example "speech"; all if None."""

    filter: dict[str, Any] | None = None
    """More conditions in LangChain's form, for example `{"start": {"$gte": 10}}`; see `VideoTimelineStore.search`."""

    min_score: float = 0.0
    """Only moments with at least this score, 0 to 1; see `VideoTimelineStore.search`."""

    reranker: str | SkipValidation[BaseChatModel] | None = None
    """A cross-encoder (its id on the Hugging Face Hub, or its path) or a chat model that orders the best moments again;
    see `VideoTimelineStore.search`."""

    rerank_ms: float = DEFAULT_RERANK_MS
    """Time limit of the reranker in milliseconds."""

    search_type: SearchType = "similarity"
    """"similarity" ranks by the match with the query; "mmr" prefers moments that differ from better ones, with
    `lambda_mult` (0.5; 1 ranks by the match alone) and `fetch_k` (20; the best moments to choose from) in
    `search_kwargs`; "similarity_score_threshold" is LangChain's name for a ranking with a `min_score`."""

    search_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the search in the form of LangChain's vector stores: `k`, `filter`, `lambda_mult`, `fetch_k`,
    `score_threshold` (the `min_score`), or one of the fields above, which they override."""

    def __init__(self, **fields: Any) -> None:
        # Not a validator: pydantic would turn an InputError into a ValidationError.
        known = set(type(self).model_fields) - {"store"}
        check_names("argument of the retriever", fields.keys() - {"store"}, sorted(known))
        _check_search_type(fields.get("search_type", "similarity"))
        if fields.get("reranker") is not None:
            fields["reranker"] = resolve_reranker(fields["reranker"])
        super().__init__(**fields)
        self._search_arguments({})

    @field_validator("store", mode="before")
    @classmethod
    def _open_store(cls, store: Any) -> Any:
        return VideoTimelineStore.from_config(store) if isinstance(store, dict) else store

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Return whether LangChain's `dumpd` and `load` support this class."""
        return True

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """Arguments that are not serialized as they are."""
        return {"store": self.store.to_config()}

    def to_json(self) -> SerializedConstructor | SerializedNotImplemented:
        """Serialize the retriever for `langchain_core.load`."""
        try:
            embedding = self.store.to_config().get("embedding")
        except InputError:
            return self.to_json_not_implemented()
        models = (embedding, self.reranker, self.search_kwargs.get("reranker"))
        return super().to_json() if all(map(_is_serializable, models)) else self.to_json_not_implemented()

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **overrides: Any
    ) -> list[Document]:
        arguments = self._search_arguments(overrides)
        text = query if query.strip() or arguments["image"] is None else None
        return [describe(moment) for moment in self.store.search(text, **arguments)]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **overrides: Any
    ) -> list[Document]:
        # The default does not pass on overrides.
        sync_manager = run_manager.get_sync()
        return await run_in_executor(None, self._get_relevant_documents, query, run_manager=sync_manager, **overrides)

    def _search_arguments(self, overrides: Mapping[str, Any]) -> dict[str, Any]:
        """Merge the fields, `search_kwargs`, and the arguments of a query."""
        own: dict[str, Any] = {name: getattr(self, name) for name in ("k", *_FILTERS, *_RERANKING)}
        given: dict[str, Any] = self.search_kwargs | overrides.get("search_kwargs", {})
        given |= {name: value for name, value in overrides.items() if name != "search_kwargs"}
        search_type = given.pop("search_type", self.search_type)
        _check_search_type(search_type)
        if "score_threshold" in given:
            given["min_score"] = given.pop("score_threshold")
        check_names("argument of a search", given, _ARGUMENTS)
        if search_type == "mmr":
            return _MMR_DEFAULTS | own | given
        for name in _MMR_DEFAULTS.keys() & given.keys():
            raise InputError(name, "has no effect on the ranking by similarity", 'Set search_type="mmr"')
        return own | given


def _is_serializable(model: Any) -> bool:
    is_named = model is None or isinstance(model, str)
    return is_named or (isinstance(model, Serializable) and model.is_lc_serializable())


def _check_search_type(search_type: str) -> None:
    if search_type not in get_args(SearchType):
        advice = f"Choose one of {', '.join(get_args(SearchType))}"
        raise InputError("search_type", f"unknown search type {search_type!r}", advice)
