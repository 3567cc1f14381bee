"""Workers that are actors of a Ray cluster.

Actors get paths, and return Observations: no frame passes through Ray's object store. Each runs one job at a time, and
keeps its models.
"""

import logging
import os
import threading
import time
from contextlib import suppress
from typing import Any, cast

import psutil

from langchain_videochat.errors import WorkerError
from langchain_videochat.perception import Profile
from langchain_videochat.utils.worker_process import limit_memory
from langchain_videochat.workers.jobs import Job, JobResult, OnPosition, run_in_worker
from langchain_videochat.workers.processes import MAX_SILENCE, MEMORY_SHARE
from langchain_videochat.workers.ray_cluster import (
    Placement,
    cause,
    count_actors,
    create_actor,
    has_node,
    node_resources,
    place,
)
from langchain_videochat.workers.worker import JobDied

MAX_STARTS = 3
"""How often in a row an actor may fail to start before the run is given up."""

MAX_PLACEMENT_SECONDS = 30.0
"""Seconds after which an actor that waits for resources is reported."""

POLL_SECONDS = 1.0
"""Interval at which the progress of an actor is read."""

_LOG = logging.getLogger(__name__)


class JobActor:
    """Runs jobs in a process of a Ray cluster.

    Args:
        memory_share: Share of the memory of its node that it may allocate, 0 to 1.
    """

    def __init__(self, memory_share: float) -> None:
        self._position = 0.0
        limit_memory(round(psutil.virtual_memory().total * memory_share))

    def node(self) -> str:
        """Return the id of its node."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def run(self, job: Job, directory: str) -> JobResult:
        """Run a job; relative paths start at a directory, if the node has it."""
        with suppress(OSError):
            os.chdir(directory)
        self._position = 0.0
        return run_in_worker(job.source, job, self._set_position)

    def position(self) -> float:
        """Return the time in seconds up to which the video of the current job has been processed."""
        return self._position

    def _set_position(self, position: float) -> None:
        self._position = position


class RayWorker:
    """Runs jobs in an actor, which is replaced when it dies.

    Args:
        name: Name of the actor in Ray's dashboard.
        placement: Its resources.
        memory_share: Share of the memory of its node that it may allocate, 0 to 1.
    """

    def __init__(self, name: str, placement: Placement, memory_share: float) -> None:
        self._name = name
        self._placement = placement
        self._memory_share = memory_share
        self._actor: Any = None  # a handle of Ray
        self._node = ""
        self._starts = self._failures = 0
        self._is_closed = threading.Event()

    def prepare(self) -> None:
        """Wait until the actor is placed and has started.

        Raises:
            WorkerError: It cannot be started.
        """
        while self._actor is None and not self._is_closed.is_set():
            self._start()

    def run(self, job: Job, on_position: OnPosition) -> JobResult:
        """See `Worker`."""
        import ray
        from ray.exceptions import ActorDiedError, OutOfMemoryError, RayError, RayTaskError

        actor = self._actor
        if actor is None:
            raise JobDied(job.source, "was stopped", is_lost=True)
        try:
            result = actor.run.remote(job, os.getcwd())
            self._wait(actor, result, job, on_position)
            return cast("JobResult", ray.get(result))
        except RayTaskError as error:
            raise cause(error) from error
        except RayError as error:
            died = isinstance(error, ActorDiedError | OutOfMemoryError)
            is_lost = not died or not has_node(self._node)
            self._kill()
            raise JobDied(job.source, "was killed or crashed", is_lost=is_lost) from error

    def close(self) -> None:
        """See `Worker`."""
        self._is_closed.set()
        self._kill()

    def _wait(self, actor: Any, result: Any, job: Job, on_position: OnPosition) -> None:
        """Wait for a result, and report the progress of the actor."""
        import ray
        from ray.exceptions import GetTimeoutError

        latest, heard = -1.0, time.monotonic()
        while not _is_ready(result):
            with suppress(GetTimeoutError):  # it is busy
                position: float = ray.get(actor.position.remote(), timeout=POLL_SECONDS)
                if position != latest:
                    latest, heard = position, time.monotonic()
                    on_position(position)
            if time.monotonic() - heard > MAX_SILENCE:
                self._kill()
                raise JobDied(job.source, "made no progress for an hour")

    def _start(self) -> None:
        import ray
        from ray.exceptions import RayError

        self._starts += 1
        name = f"{self._name}.{self._starts}"  # Ray may still know the name of the last one
        actor = create_actor(JobActor, self._memory_share, name=name, **self._placement.options)
        node = actor.node.remote()
        begin, warned = time.monotonic(), False
        try:
            while not _is_ready(node):
                if self._is_closed.is_set():
                    ray.kill(actor)
                    return
                if not warned and time.monotonic() - begin > MAX_PLACEMENT_SECONDS:
                    warned = True
                    _LOG.warning("%s waits for %s: the cluster has too few free resources", name, self._placement)
            self._node, self._actor, self._failures = ray.get(node), actor, 0
        except RayError as error:
            self._failures += 1
            _LOG.warning("%s did not start: %s", name, cause(error))
            if self._failures == MAX_STARTS:
                advice = "Check that all nodes have the same version of this package"
                raise WorkerError(name, f"actors do not start ({cause(error)})", advice) from error

    def _kill(self) -> None:
        import ray

        actor, self._actor = self._actor, None
        if actor is not None:
            ray.kill(actor)


def _is_ready(reference: Any) -> bool:
    import ray

    return bool(ray.wait([reference], timeout=POLL_SECONDS)[0])


def ray_workers(profile: Profile, count: int | None) -> list[RayWorker]:
    """Return workers that are actors of the cluster; as many as fit if `count` is None."""
    placement = place(profile)
    capacity = count_actors(placement)
    on_node = max([placement.count(one) for one in node_resources()] or [1])
    share = MEMORY_SHARE / max(1, on_node)
    run = os.urandom(2).hex()
    names = (f"videochat {profile.name} {run}-{number}" for number in range(1, (count or capacity) + 1))
    return [RayWorker(name, placement, share) for name in names]
