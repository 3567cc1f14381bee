"""Many videos in one place: their timelines, and search over their moments."""

import sqlite3
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
from chromadb.api import ClientAPI
from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_videochat.errors import InputError
from langchain_videochat.perception import Modality, load_profile
from langchain_videochat.store.catalogue import Catalogue, VideoRecord
from langchain_videochat.store.connection import Connection, connect, storage_errors
from langchain_videochat.store.embeddings import DefaultEmbeddings, EmbeddingCheck
from langchain_videochat.store.filters import Filter, check_stretch
from langchain_videochat.store.indexing import Indexer, IndexReport, OnError, OnProgress
from langchain_videochat.store.local_index import LocalIndex, is_damage
from langchain_videochat.store.pages import Pages
from langchain_videochat.store.saving import Collections, remove, save, synchronise
from langchain_videochat.store.search import search
from langchain_videochat.timeline import Timeline

if TYPE_CHECKING:
    from langchain_videochat.store.retriever import VideoTimelineRetriever


class VideoTimelineStore:
    """A Chroma collection of video moments, with the timelines that they were cut from.

    Chroma holds everything; an SQLite database beside it, which is rebuilt whenever it is missing, answers for words,
    times and modalities. Several programs and, through a Chroma server, several machines may share a store.

    Args:
        persist_directory: Where to keep it; in memory if neither this nor `client` is given.
        embedding: The embedding model; `all-MiniLM-L6-v2` if None, loaded at its first use.
        collection_name: Chroma's name of the collection of moments.
        client: A Chroma client, as `chromadb.HttpClient(...)`, in place of `persist_directory`.

    Raises:
        InputError: Chroma refuses the collection's name, or a directory and a client are given.
        StoreError: The store cannot be opened, or was built with another embedding model.

    Example:
        Index a folder, then search it:

            store = VideoTimelineStore("index")
            store.index("videos/", profile="lite")
            store.search("whisk two eggs", k=2, start=60)
    """

    def __init__(
        self,
        persist_directory: str | Path | None = None,
        *,
        embedding: Embeddings | None = None,
        collection_name: str = "videos",
        client: ClientAPI | None = None,
    ) -> None:
        directory = None if persist_directory is None else Path(persist_directory)
        connection = connect(directory, collection_name, client)
        self._place = connection.place
        self._embedding = embedding or DefaultEmbeddings()
        with storage_errors(self._place):
            self._check = EmbeddingCheck(self._embedding, connection.client, collection_name, self._place)
            if embedding is not None:
                self._check.run()
            self._moments = Chroma(collection_name, self._embedding, client=connection.client)
            self._catalogue = Catalogue(connection.client, connection.catalogue)
            self._pages = Pages(connection.timelines)
            self._index = LocalIndex(_index_path(directory, connection))
        self._collections = Collections(self._catalogue, self._pages, self._moments)
        self._connection = connection

    @property
    def vectorstore(self) -> Chroma:
        """The moments as a plain LangChain vector store, for reading."""
        return self._moments

    def index(
        self,
        sources: str | Path | Iterable[str | Path],
        *,
        profile: str | Path = "standard",
        on_error: OnError = "raise",
        show_progress: bool = True,
        on_progress: OnProgress | None = None,
    ) -> IndexReport:
        """Perceive videos and store their timelines and moments.

        A video that is stored already, with the same profile, is skipped, even if its file was renamed meanwhile.
        Interrupted, it goes on from the last ten minutes of video when it is called again.

        Args:
            sources: Path, address, folder, glob pattern, or several of these.
            profile: Which perception models to use: "lite", "standard", "full" or a YAML file, as
                `perception.load_profile` reads it.
            on_error: What to do where a video cannot be read: "raise", or "skip" it and go on.
            show_progress: Show a progress bar for each video.
            on_progress: Is called with a source, what is done with it ("watching", "summing up" or "embedding"), and
                the share of that which is done, 0 to 1: for bars of your own.

        Raises:
            SourceError: There is no such file, if `on_error` is "raise".
            MediaError: A file cannot be read as a video, if `on_error` is "raise".
            ModelUnavailableError: A model of the profile, or the embedding model, cannot be had.
            StoreError: The store cannot be written, or was built with another embedding model.
            InputError: There is no such profile, or no such `on_error`.
        """
        read = load_profile(profile)
        read.create()  # so that a slip in it is told before any model is loaded
        indexer = Indexer(
            self._collections,
            self._index,
            self._check,
            profile=read,
            show_progress=show_progress,
            on_progress=on_progress,
        )
        with storage_errors(self._place):
            return indexer.run(sources, on_error)

    def add(self, timeline: Timeline, profile: str = "") -> None:
        """Store a timeline that was made elsewhere, in place of any earlier one of the same video.

        Args:
            timeline: What to store.
            profile: Name of the profile by which it was perceived, which lets `index` skip the video.

        Raises:
            StoreError: The store cannot be written, or was built with another embedding model.
        """
        with storage_errors(self._place):
            self._check.run_for_writing()
            save(self._collections, timeline, profile)

    def search(
        self,
        query: str,
        k: int = 4,
        *,
        video_id: str | Collection[str] | None = None,
        start: float | None = None,
        end: float | None = None,
        modalities: Modality | Collection[Modality] | None = None,
    ) -> list[Document]:
        """Find moments by meaning and by words together.

        Args:
            query: What to look for. Codes, names and numbers are found as they are spelled.
            k: How many moments to return, at most.
            video_id: Search these videos only; all if None.
            start: Only moments that hold at or after this time, in seconds from the start of the video.
            end: Only moments that begin before this time, in seconds.
            modalities: Only moments in which one of these was observed; all if None.

        Returns:
            One Document a moment, best first.

        Raises:
            InputError: The query is empty, `k` is below 1, or a filter makes no sense.
            StoreError: The store cannot be read, or was built with another embedding model.
        """
        if not query.strip():
            raise InputError("query", "is empty", "Ask for something")
        if k < 1:
            raise InputError("k", f"{k} is below 1", "Ask for at least one moment")
        condition = Filter.of(video_id, start, end, modalities)
        with storage_errors(self._place):
            self._check.run()  # before an index is built that is of no use
        return self._read_index(lambda: self._search(query, k, condition))

    def neighbours(self, moments: Iterable[Document]) -> list[Document]:
        """Find the moments right before and right after others, leaving out those others.

        Args:
            moments: What `search` found.

        Returns:
            One Document a moment; those beside the first come first.

        Raises:
            StoreError: The store cannot be read.
        """
        given = [(one.metadata["video_id"], one.metadata["start"]) for one in moments]
        beside = self._read_index(lambda: self._index.documents(self._index.neighbours(given)))
        found = {(one.metadata["video_id"], one.metadata["start"]): one for one in beside}
        return [one for place, one in found.items() if place not in given]

    def timeline(self, video_id: str, start: float | None = None, end: float | None = None) -> Timeline:
        """Read a video's timeline, or a stretch of it.

        Args:
            video_id: The video.
            start: Seconds from its start; the beginning if None.
            end: Seconds, not included; the end of the video if None.

        Raises:
            InputError: The store has no such video, or `end` lies before `start`.
            StoreError: The store cannot be read.
        """
        low, high = check_stretch(start, end)
        with storage_errors(self._place):
            record, revision = self._find(video_id)
            observations = self._pages.read(video_id, record.pages, low, high)
            # Written anew while it was read: some pages may be old and some new.
            while revision != (latest := self._find(video_id))[1]:
                record, revision = latest
                observations = self._pages.read(video_id, record.pages, low, high)
        return Timeline(record.video, video_id, tuple(observations)).slice(start, end)

    def videos(self) -> list[VideoRecord]:
        """List the videos, in the order in which they were stored."""
        with storage_errors(self._place):
            return [record for record, _ in self._catalogue.all() if record.complete]

    def remove(self, video_id: str) -> None:
        """Delete a video with its timeline and moments.

        Raises:
            InputError: The store has no such video.
            StoreError: The store cannot be written.
        """
        with storage_errors(self._place):
            found = self._catalogue.get(video_id)
            if found is None:
                raise _unknown(video_id)
            remove(self._collections, found[0])

    def as_retriever(self, **filters: Any) -> "VideoTimelineRetriever":
        """Make a LangChain retriever.

        Args:
            **filters: `k` and the filters of `search`, as defaults for every question.
        """
        from langchain_videochat.store.retriever import VideoTimelineRetriever

        return VideoTimelineRetriever(store=self, **filters)

    def _read_index(self, read: Callable[[], list[Document]]) -> list[Document]:
        with storage_errors(self._place):
            try:
                synchronise(self._index, self._collections)
                return read()
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                self._index.rebuild()
                synchronise(self._index, self._collections)
                return read()

    def _search(self, query: str, k: int, condition: Filter) -> list[Document]:
        if self._index.size() == 0:
            return []
        embedding = self._embedding.embed_query(query)
        numbers = search(self._index, self._connection.moments, query, embedding, k=k, condition=condition)
        return self._index.documents(numbers)

    def _find(self, video_id: str) -> tuple[VideoRecord, str]:
        found = self._catalogue.get(video_id)
        if found is None or not found[0].complete:
            raise _unknown(video_id)
        return found


def _unknown(video_id: str) -> InputError:
    return InputError("video_id", f"{video_id!r} is no video of this store", "Take one that videos() lists")


def _index_path(directory: Path | None, connection: Connection) -> Path | None:
    if directory is not None:
        return directory / f"{connection.moments.name}.index.sqlite3"
    if connection.is_volatile:
        return None
    cache = platformdirs.user_cache_path("langchain-videochat")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        path = cache / f"{connection.moments.id}.sqlite3"
        path.touch()
    except OSError:
        return None
    return path
