"""The workers and writers of an indexing run: threads, processes or actors of Ray."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langchain_videochat.errors import InputError
from langchain_videochat.perception import Profile
from langchain_videochat.store.indexing.ray_writers import ray_writers
from langchain_videochat.store.indexing.writing import StoreWriter, Writer
from langchain_videochat.workers.processes import process_workers
from langchain_videochat.workers.ray_actors import ray_workers
from langchain_videochat.workers.ray_cluster import connect
from langchain_videochat.workers.threads import ThreadWorker
from langchain_videochat.workers.worker import Worker

EngineName = Literal["processes", "ray"]


@dataclass(frozen=True)
class Engine:
    """The workers and the writers of a run. Each has a thread of its own."""

    workers: Sequence[Worker]
    writers: Sequence[Writer]


@dataclass(frozen=True)
class StoreAccess:
    """Access to a store for writers."""

    writer: StoreWriter
    """Writes in this process."""

    config: Callable[[], dict[str, Any]]
    """Describes the store for other processes; raises an InputError if they cannot open it."""


def thread_engine(profile: Profile, store: StoreAccess, workers: int | None) -> Engine:
    """Return a thread that perceives, and one that writes."""
    return Engine([ThreadWorker()], [store.writer])


def process_engine(profile: Profile, store: StoreAccess, workers: int | None) -> Engine:
    """Return processes that perceive, and a thread that writes."""
    return Engine(process_workers(workers or 1), [store.writer])


def ray_engine(profile: Profile, store: StoreAccess, workers: int | None) -> Engine:
    """Return actors that perceive, and actors that write if the store is on a server; else a thread writes."""
    connect()
    actors = ray_workers(profile, workers)
    try:
        config = store.config()
    except InputError:
        return Engine(actors, [store.writer])
    is_on_server = "persist_directory" not in config
    return Engine(actors, ray_writers(config, profile.name, len(actors)) if is_on_server else [store.writer])


ENGINES: dict[EngineName, Callable[[Profile, StoreAccess, int | None], Engine]] = {
    "processes": process_engine,
    "ray": ray_engine,
}
