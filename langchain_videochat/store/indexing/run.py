"""An indexing run: the threads that list sources, run jobs and save videos."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import TypeVar, cast

import tenacity

from langchain_videochat.errors import StoreError, StoreUnavailableError, VideoChatError
from langchain_videochat.store.index_report import IndexedVideo
from langchain_videochat.store.indexing.engines import Engine
from langchain_videochat.store.indexing.events import Ended, Event, Finished
from langchain_videochat.store.indexing.schedule import Schedule
from langchain_videochat.store.indexing.video_runs import VideoRun
from langchain_videochat.store.indexing.writing import PerceivedVideo, Writer
from langchain_videochat.workers.worker import JobDied, Worker

T = TypeVar("T")

MAX_STOP_SECONDS = 30.0
"""How long a stopped run waits for each of its threads: one may be in the middle of a call to a model."""

MAX_WAIT_SECONDS = 600.0
"""How long a run waits for a Chroma server that does not answer, because it is restarted."""

_LOG = logging.getLogger(__name__)


def run(
    schedule: Schedule,
    sources: Iterable[str | IndexedVideo],
    engine: Engine,
    errors: Callable[[], AbstractContextManager[None]],
) -> Iterator[Event]:
    """Index videos, and yield what happens until the run has ended.

    Args:
        schedule: A new schedule.
        sources: Paths and URLs, and results of those that could not be listed. It may wait for more.
        engine: The workers and writers.
        errors: Converts errors of Chroma and SQLite in a block to a StoreError.

    Raises:
        BaseException: What stopped the run; drafts of the segments that were perceived are saved.
    """
    store = _Store(schedule, errors)
    working: list[threading.Thread] = []
    writing: list[threading.Thread] = []
    try:
        _start(schedule, partial(_list_sources, schedule, sources, store))
        working += [_start(schedule, partial(_work, schedule, one, store)) for one in engine.workers]
        writing += [_start(schedule, partial(_write, schedule, one, store)) for one in engine.writers]
        while not isinstance(event := schedule.events.get(), Ended):
            yield event
        if event.error is not None:
            raise event.error
    finally:
        schedule.stop()
        for worker in engine.workers:
            worker.close()
        for thread in (*working, *writing):
            thread.join(MAX_STOP_SECONDS)
        _write_rest(schedule, engine.writers[0])
        for writer in engine.writers:
            writer.close()


def _write_rest(schedule: Schedule, writer: Writer) -> None:
    """Write the drafts of segments that were perceived after the run was stopped."""
    if drafts := schedule.take_drafts():
        try:
            writer.write_drafts(drafts)
        except VideoChatError as error:
            _LOG.warning("%d finished segments are perceived again by the next run: %s", len(drafts), error)


@dataclass(frozen=True)
class _Store:
    """Calls functions that use the store."""

    schedule: Schedule
    errors: Callable[[], AbstractContextManager[None]]

    def when_available(self, call: Callable[[], T]) -> T:
        """Call a function; repeat it while the Chroma server does not answer, because it may be restarted."""
        stopped = self.schedule.stopped
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(StoreUnavailableError),
            wait=tenacity.wait_exponential(multiplier=0.5, max=15),
            stop=tenacity.stop_after_delay(MAX_WAIT_SECONDS) | tenacity.stop_when_event_set(stopped),
            sleep=tenacity.sleep_using_event(stopped),
            before_sleep=tenacity.before_sleep_log(_LOG, logging.WARNING),
            reraise=True,
        )
        return cast("T", retrying(self._call, call))

    def _call(self, call: Callable[[], T]) -> T:
        with self.errors():
            return call()


def _start(schedule: Schedule, work: Callable[[], None]) -> threading.Thread:
    def run_and_report() -> None:
        try:
            work()
        except BaseException as error:
            schedule.stop(error)

    # In the caller's context: media may be isolated.
    thread = threading.Thread(target=copy_context().run, args=(run_and_report,), daemon=True)
    thread.start()
    return thread


def _list_sources(schedule: Schedule, sources: Iterable[str | IndexedVideo], store: _Store) -> None:
    for number, source in enumerate(sources):
        if isinstance(source, IndexedVideo):
            schedule.events.put(Finished(number, source))
        else:
            _add(schedule, number, source, store)
        if schedule.stopped.is_set():
            return
    schedule.end_sources()


def _add(schedule: Schedule, number: int, source: str, store: _Store) -> None:
    try:
        store.when_available(partial(schedule.add, number, source))
    except (VideoChatError, OSError) as error:
        if isinstance(error, StoreError):
            raise
        schedule.events.put(Finished(number, IndexedVideo.failed(source, error)))


def _work(schedule: Schedule, worker: Worker, store: _Store) -> None:
    while True:
        worker.prepare()
        assignment = schedule.next_job(worker)
        if assignment is None:
            return
        try:
            result = worker.run(assignment.job, partial(schedule.report_job, assignment))
            store.when_available(partial(schedule.done, assignment, result))
        except JobDied as died:
            schedule.died(assignment, died.error, is_lost=died.is_lost)
        except Exception as error:
            schedule.failed(assignment.run, error)


def _write(schedule: Schedule, writer: Writer, store: _Store) -> None:
    while (saves := schedule.next_saves()) is not None:
        drafts, runs = saves
        if drafts:
            store.when_available(partial(writer.write_drafts, drafts))
            schedule.wrote(drafts)
        if runs:
            store.when_available(partial(_save, schedule, writer, runs))


def _save(schedule: Schedule, writer: Writer, runs: Sequence[VideoRun]) -> None:
    def on_saved(place: int, seconds: float) -> None:
        if schedule.stopped.is_set():
            raise KeyboardInterrupt
        schedule.report(runs[place], "embedding", seconds)

    videos: list[PerceivedVideo] = [one.perceived for one in runs if one.perceived is not None]
    saved = writer.save(videos, on_saved)
    for one, video in zip(runs, saved.videos, strict=True):
        schedule.finish(one, video, saved.stages)
