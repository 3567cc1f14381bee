"""Writers that are actors of a Ray cluster: they embed and store on other machines than the one that plans."""

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

from langchain_videochat.errors import StoreError, StoreUnavailableError
from langchain_videochat.store.indexing.writing import Draft, PerceivedVideo, Saved
from langchain_videochat.store.saving import OnSaved
from langchain_videochat.workers.ray_cluster import cause, create_actor

WORKERS_PER_WRITER = 16
"""Number of workers per writer: embedding takes a small share of the time of perception."""

MAX_WRITERS = 8
"""Chroma Cloud allows ten writes to a collection at once."""

MAX_FAILURES = 5
"""How often in a row an actor may die before the run is given up."""


class WriterActor:
    """Writes to a store in a process of a Ray cluster.

    Args:
        config: The store, as `VideoTimelineStore.to_config` describes it.
        profile: Name of the profile.
    """

    def __init__(self, config: dict[str, Any], profile: str) -> None:
        from langchain_videochat.store.store import VideoTimelineStore

        self._writer = VideoTimelineStore.from_config(config).writer(profile)
        self._seconds: dict[int, float] = {}

    def write_drafts(self, drafts: Sequence[Draft]) -> None:
        """See `Writer`."""
        self._writer.write_drafts(drafts)

    def save(self, videos: Sequence[PerceivedVideo]) -> Saved:
        """See `Writer`."""
        self._seconds = {}
        return self._writer.save(videos, self._seconds.__setitem__)

    def progress(self) -> dict[int, float]:
        """Return how far each video of the batch is saved, in seconds of video."""
        return dict(self._seconds)


class RayWriter:
    """Writes to a store through an actor, which is replaced when it dies.

    Args:
        name: Name of the actor in Ray's dashboard.
        config: The store.
        profile: Name of the profile.
    """

    def __init__(self, name: str, config: dict[str, Any], profile: str) -> None:
        self._name = name
        self._config = config
        self._profile = profile
        self._actor: Any = None  # a handle of Ray
        self._starts = self._failures = 0

    def write_drafts(self, drafts: Sequence[Draft]) -> None:
        """See `Writer`."""
        self._wait(self._open().write_drafts.remote(drafts), lambda *_: None)

    def save(self, videos: Sequence[PerceivedVideo], on_saved: OnSaved) -> Saved:
        """See `Writer`."""
        return cast("Saved", self._wait(self._open().save.remote(videos), on_saved))

    def close(self) -> None:
        """End the actor."""
        import ray

        actor, self._actor = self._actor, None
        if actor is not None:
            ray.kill(actor)

    def _open(self) -> Any:
        if self._actor is None:
            # It reserves no CPU: workers may have all of them, and wait for it.
            self._starts += 1
            name = f"{self._name}.{self._starts}"  # Ray may still know the name of the last one
            self._actor = create_actor(WriterActor, self._config, self._profile, name=name, num_cpus=0)
        return self._actor

    def _wait(self, result: Any, on_saved: OnSaved) -> Any:
        import ray
        from ray.exceptions import GetTimeoutError, RayError, RayTaskError

        try:
            while not ray.wait([result], timeout=1.0)[0]:
                saved: dict[int, float] = {0: 0.0}
                with suppress(GetTimeoutError):  # it is busy
                    saved = ray.get(self._open().progress.remote(), timeout=1.0)
                for place, seconds in saved.items():
                    on_saved(place, seconds)
            self._failures = 0
            return ray.get(result)
        except RayTaskError as error:
            raise cause(error) from error
        except RayError as error:
            self.close()
            self._failures += 1
            if self._failures == MAX_FAILURES:
                advice = "Check that all nodes have this package, its models and access to the Chroma server"
                raise StoreError(self._name, f"the actor that writes dies again and again ({error})", advice) from error
            problem = "the actor that writes has died"
            raise StoreUnavailableError(self._name, problem, "It is started again; finished work is kept") from error


def ray_writers(config: dict[str, Any], profile: str, workers: int) -> list[RayWriter]:
    """Return writers for a number of workers."""
    count = min(MAX_WRITERS, -(-workers // WORKERS_PER_WRITER))
    run = os.urandom(2).hex()
    return [RayWriter(f"videochat writer {run}-{number}", config, profile) for number in range(1, count + 1)]
