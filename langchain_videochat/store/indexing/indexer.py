"""Indexing of videos in a store."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from langchain_videochat.errors import InputError, VideoChatError
from langchain_videochat.media import list_sources
from langchain_videochat.perception import Profile, keep_models
from langchain_videochat.store.embedding_check import EmbeddingCheck
from langchain_videochat.store.index_report import IndexedVideo
from langchain_videochat.store.indexing.crews import Crew, Engine, StoreAccess, process_crew, ray_crew, thread_crew
from langchain_videochat.store.indexing.planning import Planner
from langchain_videochat.store.indexing.progress import OnProgress, ProgressDisplay
from langchain_videochat.store.indexing.run import run
from langchain_videochat.store.indexing.schedule import MAX_SAVES, Finished, Schedule
from langchain_videochat.store.local_index import LocalIndex
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
    engine: Engine

    def __post_init__(self) -> None:
        if self.on_error not in get_args(OnError):
            raise InputError("on_error", f"must be 'raise' or 'skip', got {self.on_error!r}", "Choose one of the two")
        if self.workers is not None and self.workers < 1:
            raise InputError("workers", f"must be at least 1, got {self.workers}", "Give the number of processes")
        if self.engine not in get_args(Engine):
            raise InputError("engine", f"must be 'processes' or 'ray', got {self.engine!r}", "Choose one of the two")

    @property
    def is_local(self) -> bool:
        """Whether videos are perceived in this process."""
        return self.engine == "processes" and self.workers is None

    def hire(self, store: StoreAccess) -> Crew:
        """Return the workers and writers."""
        hire = ray_crew if self.engine == "ray" else thread_crew if self.workers is None else process_crew
        return hire(self.profile, store, self.workers)


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
        listed = _list(sources, options.on_error)
        if options.refresh:
            with self.errors():
                planner.restart_recorded(one for one in listed if isinstance(one, str))
        crew = options.hire(self.access)
        # A single video at a time keeps the order of the sources; with processes, some are saved while others run.
        max_videos = 1 if options.is_local else 2 * len(crew.workers) + MAX_SAVES
        schedule = Schedule(planner, options.profile, max_videos, stops_at_failure=options.on_error == "raise")
        display = ProgressDisplay(options.on_progress, show=options.show_progress, shows_total=len(crew.workers) > 1)
        with keep_models() if options.is_local else nullcontext(), display:
            for event in run(schedule, listed, crew, self.errors):
                display.update(event)
                if isinstance(event, Finished):
                    yield event.number, event.video


def _list(sources: Sources, on_error: OnError) -> Sequence[str | IndexedVideo]:
    given = [sources] if isinstance(sources, str | Path) else list(sources)
    if on_error == "raise":
        return list_sources(given)
    return [one for item in given for one in _list_or_skip(item)]


def _list_or_skip(item: str | Path) -> list[str | IndexedVideo]:
    try:
        return [*list_sources(item)]
    except VideoChatError as error:
        return [IndexedVideo.failed(str(item), error)]
