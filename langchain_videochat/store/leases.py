"""Leases: marks of saves in progress, which keep other writers from deleting what these have written so far."""

import time
from dataclasses import dataclass

import numpy as np
from chromadb import Collection

from langchain_videochat.store.quotas import delete_records, scan_rows

LEASE_SECONDS = 600.0
"""Seconds after which a save is taken for dead if it has not renewed its lease: a batch takes seconds, but the clocks
of two machines may differ."""

FINISHED = 0.0
"""Time of renewal of a lease whose save has written its record, but has not deleted what that replaced."""

RENEWAL_SECONDS = 30.0
"""Minimum seconds between two renewals: each is a write."""


class Lease:
    """A mark in the collection of pages, from before a save writes anything until all that it replaced is deleted.

    Chroma cannot compare and set. Therefore a writer that finds an expired lease deletes it before it looks at the
    record of the video, and a save looks at its lease after it has written the record: one of them notices the other.

    Args:
        collection: The collection of pages. In the catalogue, deleting leases would disturb those who read all records.
        video_id: The video.
        save_id: Id of the save.
    """

    def __init__(self, collection: Collection, video_id: str, save_id: str) -> None:
        self._collection = collection
        self._id = f":lease:{save_id}"
        self._renewed = time.monotonic()
        collection.upsert(
            ids=[self._id],
            # Chroma requires an embedding; this collection is never searched.
            embeddings=np.zeros((1, 1), np.float32),
            metadatas=[{"lease_on": video_id, "save_id": save_id, "renewed": time.time()}],
        )

    def renew(self) -> None:
        """Extend the lease, unless that was done a moment ago. A lease that was deleted stays so."""
        if time.monotonic() - self._renewed >= RENEWAL_SECONDS:
            self._renewed = time.monotonic()
            self._collection.update(ids=[self._id], metadatas=[{"renewed": time.time()}])

    def is_held(self) -> bool:
        """Return whether no other writer has found the lease expired and deleted it."""
        return bool(self._collection.get(ids=[self._id], include=[])["ids"])

    def finish(self) -> None:
        """Record that the save has written its record, or failed: what no record names may be deleted now."""
        self._collection.update(ids=[self._id], metadatas=[{"renewed": FINISHED}])


@dataclass(frozen=True)
class VideoLeases:
    """The leases on a video, except for expired ones."""

    in_progress: set[str]
    """Ids of the saves that are in progress."""

    finished: list[str]
    """Ids of the leases that were finished."""


def has_leases(collection: Collection, video_id: str) -> bool:
    """Return whether there is a lease on a video: if it is not being saved, a save of it was killed."""
    return bool(collection.get(where={"lease_on": video_id}, limit=1, include=[])["ids"])


def revoke_expired(collection: Collection, video_id: str) -> VideoLeases:
    """Delete the expired leases on a video, and return the others."""
    found = list(scan_rows(collection, {"lease_on": video_id}))
    saves = {row.id: str(row.metadata["save_id"]) for row in found}
    renewed = {row.id: float(row.metadata["renewed"]) for row in found}
    finished = [lease_id for lease_id, seconds in renewed.items() if seconds == FINISHED]
    oldest = time.time() - LEASE_SECONDS
    expired = [lease_id for lease_id, seconds in renewed.items() if FINISHED < seconds < oldest]
    delete_records(collection, expired)
    in_progress = saves.keys() - {*finished, *expired}
    return VideoLeases({saves[lease_id] for lease_id in in_progress}, finished)
