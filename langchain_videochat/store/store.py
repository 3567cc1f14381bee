"""The store: timelines of many videos, and search over their moments."""

import math
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import platformdirs
from chromadb.api import ClientAPI
from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

from langchain_videochat.errors import InputError, StoreError, VideoChatError
from langchain_videochat.media import Damage, local_path, probe
from langchain_videochat.media.changing_files import SETTLE_SECONDS
from langchain_videochat.media.sources import is_remote_address
from langchain_videochat.media.subtitles.sidecar_fingerprint import sidecar_fingerprint
from langchain_videochat.perception import Observation, Profile, load_profile
from langchain_videochat.store.addresses import VideoSource
from langchain_videochat.store.catalogue import Catalogue, VideoRecord
from langchain_videochat.store.cloud import open_cloud
from langchain_videochat.store.connection import Connection, connect, open_server
from langchain_videochat.store.embedding_check import EmbeddingCheck, recorded_model
from langchain_videochat.store.embeddings import choose_embeddings, resolve_name
from langchain_videochat.store.filters import Filter
from langchain_videochat.store.folder_watch import watch_folder
from langchain_videochat.store.hits import TimedWords
from langchain_videochat.store.index_report import IndexedVideo, IndexReport
from langchain_videochat.store.indexing.engines import EngineName, StoreAccess
from langchain_videochat.store.indexing.indexer import Indexer, IndexOptions, OnError, Sources
from langchain_videochat.store.indexing.planning import record_source
from langchain_videochat.store.indexing.progress import OnProgress
from langchain_videochat.store.indexing.writing import StoreWriter
from langchain_videochat.store.local_database import INDEX_SUFFIX
from langchain_videochat.store.local_index import LocalIndex
from langchain_videochat.store.local_search import LocalSearch
from langchain_videochat.store.metadata_filters import add_metadata_filter
from langchain_videochat.store.pages import Pages
from langchain_videochat.store.provenance import Provenance
from langchain_videochat.store.queries import QueryBuilder, SearchInput
from langchain_videochat.store.reranking import DEFAULT_RERANK_MS, Rerankers
from langchain_videochat.store.saving import NewVersion, StoreCollections, remove, save
from langchain_videochat.store.search import DEFAULT_FETCH_K, Diversity
from langchain_videochat.store.server_search import ServerSearch
from langchain_videochat.store.status import StoreStatus, read_status
from langchain_videochat.store.time_order import MAX_ANCHORS, Anchor, Occurrence, TimeOrder, choose_anchors
from langchain_videochat.store.visual_embedding import VisualEmbedding, resolve_visual_name
from langchain_videochat.timeline import Timeline
from langchain_videochat.timeline.documents import moment_key
from langchain_videochat.utils.interval import Interval

if TYPE_CHECKING:
    from langchain_videochat.store.retriever import VideoTimelineRetriever


class VideoTimelineStore:
    """A vector store of video moments, with the timelines that they come from.

    All data are in Chroma. A local SQLite database, which is rebuilt if it is missing, indexes words, times,
    modalities and vectors. Several programs can share a store; so can several machines, through a Chroma server.

    Args:
        persist_directory: Directory of the store; in memory if neither this nor `client` is given.
        embedding: Embedding model: an object, "multilingual" (`multilingual-e5-small`, 94 languages), or the id on the
            Hugging Face Hub or the path of a sentence-transformers model. If None, the model that the store was built
            with, provided that it is "multilingual" or the default, `all-MiniLM-L6-v2` (English), which new stores
            use. Models given by name are loaded on first use.
        visual_embedding: Model that compares texts and pictures with the frames of videos: the id on the Hugging Face
            Hub or the path of a SigLIP or CLIP model, or of a multimodal sentence-transformers model. It must be the
            one that the frames were embedded with (`visual` in the profile). If None, the model that the store was
            built with, provided that it is the default, `siglip2-base-patch32-256`, and on this machine.
        collection_name: Name of the Chroma collection of moments.
        client: A Chroma client, for example `chromadb.HttpClient(...)` or `chromadb.CloudClient(...)`, instead of
            `persist_directory`.
        local_index: Whether moments are copied to an index on this machine, and searched there. Without, nothing is
            copied, and Chroma searches them: for stores that are too large to copy, and processes that search once.
            Frames are then not compared, so that `image` and `like` raise an InputError, and a search finds somewhat
            less.

    Raises:
        InputError: Chroma rejects the collection name, both a directory and a client are given, or the name of an
            embedding model is unknown.
        StoreError: The store cannot be opened, or was built with another embedding model.

    Example:
        Index a folder, then search it:

            store = VideoTimelineStore("index")
            store.index("videos/", profile="lite")
            store.search("whisk two eggs", k=2, start=60)

        Search videos and ask questions in any language:

            store = VideoTimelineStore("recipes", embedding="multilingual")

        Find moments that look like a photo:

            store.search(image="photo.jpg")
    """

    def __init__(
        self,
        persist_directory: str | Path | None = None,
        *,
        embedding: Embeddings | str | Path | None = None,
        visual_embedding: str | Path | None = None,
        collection_name: str = "videos",
        client: ClientAPI | None = None,
        local_index: bool = True,
    ) -> None:
        directory = None if persist_directory is None else Path(persist_directory).absolute()
        given = self._given = resolve_name(embedding) if isinstance(embedding, str | Path) else embedding
        self._given_visual = None if visual_embedding is None else resolve_visual_name(visual_embedding)
        connection = connect(directory, collection_name, client)
        with connection.errors():
            self._embedding = choose_embeddings(given, recorded_model(connection), connection.place)
            self._check = EmbeddingCheck(self._embedding, connection)
            if given is not None and not isinstance(given, str):
                self._check.run()
            self._index = LocalIndex(_index_path(directory, connection))
            self._catalogue = Catalogue(connection.client, connection.catalogue, self._index.choose_source)
            self._pages = Pages(connection.timelines)
            moments = Chroma(collection_name, self._embedding, client=connection.client)
            visual = VisualEmbedding(self._given_visual, connection)
            self._collections = StoreCollections(
                self._catalogue,
                self._pages,
                moments,
                connection.moments,
                self._embedding,
                visual,
                connection.check_space,
            )
            queries = QueryBuilder(self._embedding, visual)
            self._searcher: LocalSearch | ServerSearch = (
                LocalSearch(self._index, self._collections, connection, self._check, queries)
                if local_index
                else ServerSearch(self._collections, connection, self._check)
            )
        self._connection = connection
        self._rerankers = Rerankers()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Open the store that `to_config` described.

        Raises:
            InputError: It is in Chroma Cloud, and the environment variable `CHROMA_API_KEY` is not set.
            StoreError: The store cannot be opened.
        """
        options = dict(config)
        if "cloud" in options:
            options["client"] = open_cloud(**options.pop("cloud"))
        if "server" in options:
            options["client"] = open_server(**options.pop("server"))
        return cls(**options)

    def to_config(self) -> dict[str, Any]:
        """Describe the store for `from_config`, also in another process: the same collections with the same model.

        Returns:
            `collection_name`, and either `persist_directory`, `server` (the arguments of `chromadb.HttpClient`), or
            `cloud` (those of `chromadb.CloudClient`, without the API key: `from_config` takes it from the environment
            variable `CHROMA_API_KEY`), as JSON. If an embedding model was given, `embedding` is its name, or that
            object; `visual_embedding` is the name of the visual model that was given.

        Raises:
            InputError: The store is in memory, or on a server with credentials or HTTP headers, which may be secrets.
        """
        config = {**self._connection.location(), "collection_name": self._connection.moments.name}
        if isinstance(self._searcher, ServerSearch):
            config["local_index"] = False
        models = {"embedding": self._given, "visual_embedding": self._given_visual}
        return config | {name: model for name, model in models.items() if model is not None}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_config, (self.to_config(),)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # A second object would give access to the same collections.

    @property
    def vectorstore(self) -> Chroma:
        """The moments as a plain LangChain vector store; use it for reading only.

        While a video is saved again, and after a save that was killed, it also returns moments that `search` does not.
        `source`, `citation` and `title` in the metadata are those of the file when the moment was stored; `search`
        gives the present ones.
        """
        return self._collections.moments

    def index(
        self,
        sources: Sources,
        *,
        profile: str | Path = "standard",
        refresh: bool = False,
        on_error: OnError = "raise",
        show_progress: bool = True,
        on_progress: OnProgress | None = None,
        workers: int | None = None,
        engine: EngineName = "processes",
    ) -> IndexReport:
        """Perceive videos, and store their timelines and moments.

        A video that was indexed before with the same profile and the same subtitle files beside it is skipped, even if
        its file was renamed, or is at another path on this machine: only the path is recorded. Of several copies of a
        video, the one with subtitle files is perceived. An interrupted run resumes when it is called again; at most
        ten minutes of video are perceived twice.

        Args:
            sources: Path, URL, folder, glob pattern, or several of these.
            profile: Perception models to use: "lite", "talk", "standard", "full" or a YAML file for
                `perception.load_profile`.
            refresh: Perceive all videos again, for example after an update. Their present timelines remain until the
                new ones replace them. To resume an interrupted refresh, index without `refresh`.
            on_error: What to do if a video cannot be read: "raise" the error or "skip" the video.
            show_progress: Show a progress bar for each video.
            on_progress: Called with a source, the current phase ("perceiving", "summarizing" or "embedding") and the
                progress of this phase, 0 to 1.
            workers: Number of worker processes, which share the cores and the memory of this machine. A file that
                crashes one, or exhausts its memory, is tried twice and then reported as failed. If None, videos are
                perceived one after the other in this process.
            engine: "processes" on this machine, or "ray": actors of the Ray cluster that the program is connected to,
                that of RAY_ADDRESS, or else a new one on this machine; if `workers` is None, as many as fit. All nodes
                must have this package, and the videos at the same paths. If the store is on a Chroma server, actors
                also embed and write. Requires the extra `ray`.

        Raises:
            SourceError: A file does not exist, and `on_error` is "raise".
            MediaError: A file cannot be read as a video, and `on_error` is "raise".
            ModelUnavailableError: A model of the profile, or the embedding model, is not available on this machine.
            StoreError: The store cannot be written, or was built with another embedding model or visual model.
            InputError: `profile` or `on_error` is unknown.
        """
        loaded = load_profile(profile)
        loaded.create()  # reports invalid options before any model is loaded
        options = IndexOptions(loaded, refresh, on_error, show_progress, on_progress, workers, engine)
        found = sorted(self._indexer(loaded).run(sources, options), key=itemgetter(0))
        return IndexReport(tuple(video for _, video in found))

    def lazy_index(
        self,
        sources: Sources,
        *,
        profile: str | Path = "standard",
        refresh: bool = False,
        on_error: OnError = "skip",
        show_progress: bool = True,
        workers: int | None = None,
        engine: EngineName = "processes",
    ) -> Iterator[IndexedVideo]:
        """Index videos as `index` does, and yield the result of each as soon as it is finished.

        Results are not kept in memory, and sources are listed when there is room for them: there may be millions, or
        an iterator that waits for more. Closing the generator stops the run; finished work is kept.

        Args:
            sources: See `index`.
            profile: See `index`.
            refresh: See `index`.
            on_error: See `index`.
            show_progress: See `index`.
            workers: See `index`.
            engine: See `index`.

        Raises:
            VideoChatError: See `index`.

        Example:
            Index a folder, and print each result as soon as the video is saved:

                for video in store.lazy_index("videos/", profile="lite"):
                    print(video)
        """
        loaded = load_profile(profile)
        loaded.create()
        options = IndexOptions(loaded, refresh, on_error, show_progress, None, workers, engine)
        for _, video in self._indexer(loaded).run(sources, options):
            yield video

    def writer(self, profile: str) -> StoreWriter:
        """Return what an indexing run writes with, for processes that write only.

        Args:
            profile: Name of the profile.
        """
        return StoreWriter(self._collections, profile, self._connection.errors)

    def _indexer(self, profile: Profile) -> Indexer:
        access = StoreAccess(self.writer(profile.name), self.to_config)
        return Indexer(self._collections, self._index, self._check, access, self._connection.errors)

    def watch_folder(
        self,
        folder: str | Path,
        *,
        stop: threading.Event | None = None,
        settle_seconds: float = SETTLE_SECONDS,
        on_removed: Callable[[VideoRecord], None] = lambda _: None,
    ) -> Iterator[str]:
        """Yield the videos in a folder, then new and changed ones as soon as they are complete, until `stop` is set.

        While the iterator is read, it also removes videos from the store: those whose sources are all in the folder
        and have been deleted. What changed while nobody watched is found at the beginning, too. Renamed files are
        recognized by their content. If the folder vanishes, for example because its disk is unmounted, nothing is
        removed.

        Args:
            folder: The folder, searched with its subfolders.
            stop: Ends the iteration, within a second.
            settle_seconds: A new file counts as complete when it has not changed for this time, and as removed when it
                has not come back.
            on_removed: Called with the record of each video that was removed.

        Yields:
            Paths to index. A path occurs again when its file or its subtitle files have changed. Errors of the store
            are logged, and what they concern is removed with the next change.

        Raises:
            SourceError: The folder does not exist when watching begins.

        Example:
            Index whatever appears in a folder, until Ctrl-C is pressed:

                for video in store.lazy_index(store.watch_folder("talks/")):
                    print(video)
        """
        return watch_folder(
            self._collections,
            self._index,
            folder,
            errors=self._connection.errors,
            stop=stop,
            settle_seconds=settle_seconds,
            on_removed=on_removed,
        )

    def add(
        self,
        timeline: Timeline,
        profile: str = "",
        *,
        damage: Iterable[Damage] = (),
        failures: Iterable[str] = (),
        sidecars: str | None = None,
    ) -> None:
        """Store a timeline, and replace any earlier one of the same video.

        `index` skips a video if the profile and the subtitle files are still the same and no perceiver had failed.

        Args:
            timeline: The timeline to store.
            profile: Name of the profile it was perceived with.
            damage: What could not be read of the file.
            failures: Descriptions of the perceivers that failed.
            sidecars: The `sidecar_fingerprint` of the video when it was perceived; the present one if None.

        Raises:
            StoreError: The store cannot be written, or was built with another embedding model or visual model.
            InputError: The vector of a frame is damaged.
        """
        if sidecars is None:
            sidecars = _fingerprint(timeline.video.source)
        with self._connection.errors():
            self._check.run_for_writing()
            provenance = Provenance.of(timeline.video, profile, damage, failures, sidecars)
            save(self._collections, NewVersion(timeline, provenance))

    def add_source(self, video_id: str, source: str | Path) -> VideoRecord:
        """Record another file, or web address, that has the content of a stored video, as `index` does.

        Args:
            video_id: The video.
            source: Path or URL. It is not checked that it has this content.

        Returns:
            The record with this source.

        Raises:
            InputError: The store has no such video.
            SourceError: The file does not exist.
            MediaError: The file cannot be read as a video.
            StoreError: The store cannot be written.
        """
        path = None if is_remote_address(str(source)) else local_path(source)
        added = VideoSource.of(str(source), "" if path is None else sidecar_fingerprint(path))
        with self._connection.errors():
            title = None if path is None else probe(path).title
            return record_source(self._catalogue, self._index, self._find(video_id), added, title)

    def search(
        self,
        query: str | None = None,
        k: int = 4,
        *,
        image: str | Path | None = None,
        like: tuple[str, float] | None = None,
        video_id: str | Collection[str] | None = None,
        start: float | None = None,
        end: float | None = None,
        after: str | None = None,
        before: str | None = None,
        occurrence: Occurrence | None = None,
        modalities: str | Collection[str] | None = None,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - as LangChain's vector stores name it
        lambda_mult: float = 1.0,
        fetch_k: int = DEFAULT_FETCH_K,
        min_score: float = 0.0,
        reranker: str | Path | BaseChatModel | None = None,
        rerank_ms: float = DEFAULT_RERANK_MS,
    ) -> list[Document]:
        """Search moments by meaning, by words and by picture.

        Args:
            query: Search text. Codes and numbers match exactly, other words also in inflected forms. If the store has
                embedded frames, they are compared with it too: a moment is found by what it looks like even if no model
                has described it. If the visual model is not on this machine, a warning is logged instead.
            k: Maximum number of moments to return.
            image: A picture to look for, instead of `query` or together with it: the path of a JPEG, PNG, WebP, GIF or
                BMP file.
            like: Video id and time in seconds of a frame to look for, instead of `image`: its stored embedding is
                used, and the moment that it belongs to is left out.
            video_id: Search these videos only; all if None.
            start: Only moments that end after this time, in seconds from the start of the video.
            end: Only moments that start before this time, in seconds.
            after: A text, such as "the phone call": only moments after the hit that matches it best in the same video,
                or after one that matches about as well (at least 0.8 of its score). That hit may be anywhere in these
                videos, whatever the other filters. In the ranking, nearness adds up to 0.2 to the score, half of that
                at a distance of 60 seconds: if nothing matches the query clearly, the next moments come first.
            before: The same for moments before a hit. With both, moments between two hits.
            occurrence: "first" or "last": only moments that match about as well as the best one (at least 0.8 of its
                score), in chronological or reverse order; of several videos, first one moment of each.
            modalities: Only moments with an observation of one of these modalities; all if None. Frames are compared
                with the query only if "visual" is one of them; if it is the only one, nothing else is.
            filter: More conditions, as LangChain's vector stores take them: on `video_id` and `modality` (`$eq`,
                `$in`), `start` and `end` (`$eq`, `$gt`, `$gte`, `$lt`, `$lte`), joined by `$and`. For example
                `{"video_id": {"$in": ["c0ffee", "decade"]}, "start": {"$gte": 10}}`.
            lambda_mult: Weight of the match with the query, 0 to 1; the rest is that of the difference from better
                moments (maximal marginal relevance).
            fetch_k: With `lambda_mult` below 1, the moments are chosen among this many best ones.
            min_score: Moments with a lower score are left out.
            reranker: Reorders the best 20 moments, or `k` if that is more, before `k` are returned: a cross-encoder
                for sentence-transformers, given by its id on the Hugging Face Hub or its path and loaded on first use;
                or a chat model, which checks each moment against every condition of the query, such as "without
                people". Moments that meet all conditions come first, then those that were not checked in time, then
                those that fail one condition, two, and so on; within each group the order stays the same. With
                `lambda_mult` below 1, a cross-encoder reorders only the `k` moments that were chosen, and a chat model
                checks `fetch_k`, at most 20, in the order of choice: the moments that meet all conditions still differ.
            rerank_ms: Time limit of the reranker in milliseconds, not counting the time to load it. Moments that are
                not reached in time keep their order, after those that a cross-encoder has scored. A cross-encoder
                finishes the two moments that it has begun. The call of a chat model is abandoned: it ends in a
                background thread, so give the model a timeout of its own. If it is busy, cannot be reached or answers
                with something else, the ranking is kept, and a warning is logged.

        Returns:
            One Document per moment, best first unless an order in time was requested. In its metadata, `score` is how
            well it matches, 0 to 1: the mean of its similarity in meaning, of which unrelated texts have 0, and of the
            share of the query's words that it contains. A frame that matches the query better than the best frame of
            the store does by chance raises it, to 1 if its similarity exceeds that of unrelated texts by six standard
            deviations. The score for a picture is how much more the best frame resembles it than frames of the store
            resemble one another; with a `query` too, the mean of both. Scores of different queries can be compared. A
            cross-encoder adds `rerank_score`, 0 to 1, which compares moments of one query only, and leaves `score` as
            it is. `start` and `end` are the times of the moment; `hit_start`, `hit_end` and `citation` are those of the
            observations in it that the query is about, of its best frame if that matches better, or of the moment if
            none stands out. `after_start`, `after_end` and `after_citation` are those of the hit that `after` refers
            to; likewise for `before`. A sentence that spans two moments counts once. Its `id`, which is also
            `document_id`, stays the same when the video is indexed again and the moment has the same times.

        Raises:
            InputError: The query is empty, `k` is below 1, nothing matches `after` or `before`, `image` is not a
                picture, no frame was embedded for `like`, or a filter or another argument is invalid.
            StoreError: The store cannot be read, or was built with another embedding model, or with a visual model that
                is needed for `image` and only opened if it is given as `visual_embedding`.
            ModelUnavailableError: The reranker, or the visual model for `image`, is not available on this machine.
            ModelError: The reranker is not a cross-encoder, or a chat model that fails whatever the moments are.

        Example:
            What is done after something, and when something is last seen:

                store.search("what is done", after="the red apple stands on the shelf")
                store.search("red apple", k=1, occurrence="last")
        """
        for name, text in (("query", query), ("after", after), ("before", before)):
            if text is not None and not text.strip():
                raise InputError(name, "must not be empty", "Give a search text")
        if k < 1:
            raise InputError("k", f"must be at least 1, got {k}", "Request at least one moment")
        if not 0 <= min_score <= 1:
            raise InputError("min_score", f"must be from 0 to 1, got {min_score}", "Give 0 to return all moments")
        condition = Filter.of(video_id, start, end, modalities)
        if filter is not None:
            condition = add_metadata_filter(condition, filter)
        diversity = Diversity(lambda_mult, fetch_k)
        if not rerank_ms > 0:
            raise InputError("rerank_ms", f"must be positive, got {rerank_ms}", "Give the reranker some time")
        order = TimeOrder(occurrence=occurrence)
        is_ordered = (after, before, occurrence) != (None, None, None)
        if is_ordered and (lambda_mult < 1 or reranker is not None):
            name = "lambda_mult" if reranker is None else "reranker"
            problem = "cannot be combined with after, before or occurrence, which determine the order"
            raise InputError(name, problem, "Omit one or the other")
        if query is None and reranker is not None:
            raise InputError("reranker", "needs a search text", "Give a query, or omit it")
        given = SearchInput.of(query, image, like)
        chosen = None if reranker is None else self._rerankers.get(reranker)
        wanted = k if chosen is None else chosen.candidates(k, diversity)

        anchored = self._find_anchors(order, after, before, condition) if is_ordered else None
        moments = self._searcher.search(given, wanted, condition, diversity, min_score, anchored)
        return moments if chosen is None else chosen.rerank(query or "", moments, k, rerank_ms / 1000)[:k]

    def neighbors(self, moments: Iterable[Document]) -> list[Document]:
        """Return the moments directly before and after the given moments, excluding the given ones.

        Args:
            moments: Results of `search`.

        Returns:
            One Document per moment; the neighbors of the first result come first.

        Raises:
            StoreError: The store cannot be read.
        """
        given = [moment_key(one) for one in moments]
        found = {moment_key(one): one for one in self._searcher.neighbors(given)}
        return [one for key, one in found.items() if key not in given]

    def timed_words(self, moments: Iterable[Document]) -> list[list[TimedWords]]:
        """Return the words of the observations of each moment, with their times.

        Args:
            moments: Results of `search`, `neighbors` or `Timeline.to_documents`. Moments that are no longer in the
                store have no words.

        Raises:
            StoreError: The store cannot be read.
        """
        return self._searcher.timed_words([moment_key(one) for one in moments])

    def timeline(self, video_id: str, start: float | None = None, end: float | None = None) -> Timeline:
        """Return the timeline of a video, or of an interval of it.

        Args:
            video_id: The video.
            start: Seconds from the start of the video; the start of the video if None.
            end: Seconds, exclusive; the end of the video if None.

        Raises:
            InputError: The store has no such video, `start` is negative, or `end` is before `start`.
            StoreError: The store cannot be read.
        """
        interval = Interval(start or 0.0, math.inf if end is None else end)
        with self._connection.errors():
            record, observations = self._read_timeline(video_id, interval)
        return Timeline(record.video, video_id, tuple(observations)).slice(start, end)

    def videos(self) -> list[VideoRecord]:
        """Return the videos in the order in which they were stored."""
        with self._connection.errors():
            return self._catalogue.all()

    def status(self) -> StoreStatus:
        """Return how much the store holds, which runs are indexing or have indexed, and what they could not index.

        Raises:
            StoreError: The store cannot be read.
        """
        with self._connection.errors():
            return read_status(self._catalogue.scan(), self._connection.timelines)

    def remove(self, video_id: str) -> None:
        """Delete a video with its timeline and moments.

        Raises:
            InputError: The store has no such video.
            StoreError: The store cannot be written.
        """
        with self._connection.errors():
            remove(self._collections, video_id)

    def as_retriever(self, **options: Any) -> "VideoTimelineRetriever":
        """Return a LangChain retriever.

        Args:
            **options: Fields of `VideoTimelineRetriever`, as defaults for all queries: `k`, the filters of `search`,
                `reranker`, `rerank_ms`, `search_type`, `search_kwargs`.

        Raises:
            InputError: An option is unknown or invalid.

        Example:
            Both return at most two moments of one video:

                store.as_retriever(k=2, video_id="c0ffee")
                store.as_retriever(search_type="mmr", search_kwargs={"k": 2, "filter": {"video_id": "c0ffee"}})
        """
        from langchain_videochat.store.retriever import VideoTimelineRetriever

        return VideoTimelineRetriever(store=self, **options)

    def _find_anchors(self, order: TimeOrder, after: str | None, before: str | None, condition: Filter) -> TimeOrder:
        """Find what `after` and `before` refer to, in the videos of a search but anywhere in them."""

        def find(name: str, text: str | None) -> tuple[Anchor, ...] | None:
            if text is None:
                return None
            everywhere = Filter(video_ids=condition.video_ids)
            found = self._searcher.search(SearchInput(text), MAX_ANCHORS, everywhere, Diversity(), 0.0, None)
            return choose_anchors(name, text, found)

        return replace(order, after=find("after", after), before=find("before", before))

    def _read_timeline(self, video_id: str, interval: Interval) -> tuple[VideoRecord, list[Observation]]:
        record = self._find(video_id)
        while (observations := self._pages.read(video_id, record.save_id, record.pages, interval)) is None:
            # Pages are deleted when the record names others.
            latest = self._find(video_id)
            if latest.save_id == record.save_id:
                raise StoreError(f"video {video_id}", "part of its timeline is missing", "Index it again with refresh")
            record = latest
        return record, observations

    def _find(self, video_id: str) -> VideoRecord:
        found = self._catalogue.get(video_id)
        if found is None:
            raise InputError("video_id", f"{video_id!r} is not in this store", "Use an id that videos() returns")
        return found


def _fingerprint(source: str) -> str:
    try:
        return sidecar_fingerprint(local_path(source))
    except VideoChatError:
        return ""


def _index_path(directory: Path | None, connection: Connection) -> Path | None:
    if directory is not None:
        return directory / f"{connection.moments.name}{INDEX_SUFFIX}"
    settings = connection.client.get_settings()
    if settings.chroma_server_host is None and not settings.is_persistent:
        return None  # an in-memory client
    cache = platformdirs.user_cache_path("langchain-videochat")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        path = cache / f"{connection.moments.id}.sqlite3"
        path.touch()
        return path
    except OSError:
        return None
