"""Indexing of videos in a store."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from langchain_videochat.errors import InputError
from langchain_videochat.media import iter_sources, list_sources
from langchain_videochat.perception import Profile, keep_models
from langchain_videochat.store.embedding_check import EmbeddingCheck
from langchain_videochat.store.index_report import IndexedVideo
from langchain_videochat.store.indexing.engines import ENGINES, Engine, EngineName, StoreAccess, thread_engine
from langchain_videochat.store.indexing.events import Finished
from langchain_videochat.store.indexing.planning import Planner
from langchain_videochat.store.indexing.progress import OnProgress, ProgressDisplay
from langchain_videochat.store.indexing.run import run
from langchain_videochat.store.indexing.schedule import MAX_SAVES, Schedule
from langchain_videochat.store.local_index import LocalIndex
from langchain_videochat.store.run_records import RunRecord
from langchain_videochat.store.saving import StoreCollections

OnError = Literal["raise", "skip"]

Sources = str | Path | Iterable[str | Path]


@dataclass(frozen=True)
class IndexOptions:
    """How videos are indexed; see `VideoTimelineStore.index`.

    Raises:
        InputError: An option is unknown or out of range.
    """

    profile: Profile
    refresh: bool
    on_error: OnError
    show_progress: bool
    on_progress: OnProgress | None
    workers: int | None
    engine: EngineName

    def __post_init__(self) -> None:
        if self.on_error not in get_args(OnError):
            raise InputError("on_error", f"must be 'raise' or 'skip', got {self.on_error!r}", "Choose one of the two")
        if self.workers is not None and self.workers < 1:
            raise InputError("workers", f"must be at least 1, got {self.workers}", "Give the number of processes")
        if self.engine not in ENGINES:
            raise InputError("engine", f"must be 'processes' or 'ray', got {self.engine!r}", "Choose one of the two")

    @property
    def is_local(self) -> bool:
        """Whether videos are perceived in this process."""
        return self.engine == "processes" and self.workers is None

    @property
    def engine_name(self) -> str:
        """Name of the engine in the record of the run."""
        return "thread" if self.is_local else self.engine

    def create_engine(self, store: StoreAccess) -> Engine:
        """Return the workers and writers."""
        create = thread_engine if self.is_local else ENGINES[self.engine]
        return create(self.profile, store, self.workers)


@dataclass(frozen=True)
class Indexer:
    """Indexes videos in a store."""

    collections: StoreCollections
    index: LocalIndex
    check: EmbeddingCheck
    access: StoreAccess
    errors: Callable[[], AbstractContextManager[None]]
    """Converts errors of Chroma and SQLite in a block to a StoreError."""

    def run(self, sources: Sources, options: IndexOptions) -> Iterator[tuple[int, IndexedVideo]]:
        """Index videos; yield the position of each among the sources, and its result as soon as it is finished."""
        planner = Planner(self.collections, self.index, self.check, options.profile, options.refresh)
        if options.refresh and isinstance(sources, str | Path | Collection):  # an iterator can be read only once
            with self.errors():
                planner.restart_recorded(iter_sources(sources, on_error=lambda *_: None))
        engine = options.create_engine(self.access)
        # A single video at a time keeps the order of the sources; with processes, some are saved while others run.
        max_videos = 1 if options.is_local else 2 * len(engine.workers) + MAX_SAVES
        schedule = Schedule(planner, options.profile, max_videos, stops_at_failure=options.on_error == "raise")
        record = RunRecord(
            self.collections.pages.collection,
            engine=options.engine_name,
            workers=len(engine.workers),
            prepare=self._prepare,
        )
        with (
            keep_models() if options.is_local else nullcontext(),
            record,
            ProgressDisplay(
                options.on_progress, record, show=options.show_progress, shows_total=len(engine.workers) > 1
            ) as display,
        ):
            for event in run(schedule, _list(sources, options.on_error), engine, self.errors):
                display.update(event)
                if isinstance(event, Finished):
                    yield event.number, event.video

    def _prepare(self) -> None:
        with self.errors():
            self.collections.check_space()


def _list(sources: Sources, on_error: OnError) -> Iterator[str | IndexedVideo]:
    """List sources, and results of those that cannot be listed."""
    if on_error == "raise":
        # All at once if possible: a missing file is noticed before any work.
        is_iterator = not isinstance(sources, str | Path | Collection)
        yield from iter_sources(sources) if is_iterator else list_sources(sources)
        return
    failed: deque[IndexedVideo] = deque()
    for source in iter_sources(sources, on_error=lambda name, error: failed.append(IndexedVideo.failed(name, error))):
        while failed:
            yield failed.popleft()
        yield source
    yield from failed
