"""Timelines in pages of one minute, and drafts of timelines whose perception is still under way."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from chromadb import Collection
from langchain_core.utils.iter import batch_iterate

from langchain_videochat.perception.observation import Observation
from langchain_videochat.timeline.formats import dump_observations, load_observations

PAGE_SECONDS = 60.0
"""Seconds of video in a page: what is read at one look, and still a small record."""

BATCH = 100
"""Pages in one call of Chroma."""


@dataclass(frozen=True)
class Draft:
    """What was perceived in one stretch of a video."""

    observations: list[Observation]
    """In time order."""

    missing: float = 0.0
    """Seconds of the stretch that could not be decoded."""

    failures: tuple[str, ...] = ()
    """Which perceivers failed, and why."""


class Pages:
    """The collection of pages.

    An observation stands in every page in which it holds, with its place in the timeline, so that a reader of several
    pages takes it once and in order.
    """

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    def write(self, video_id: str, observations: Sequence[Observation]) -> None:
        """Store a timeline's observations, which are in time order."""
        # All pages, empty ones too: each takes the place of what may have stood there before.
        pages: list[list[tuple[int, Observation]]] = [[] for _ in range(count_pages(observations))]
        for place, one in enumerate(observations):
            for page in _pages_of(one, len(pages) - 1):
                pages[page].append((place, one))
        for batch in batch_iterate(BATCH, enumerate(pages)):
            self._upsert(video_id, [(_page_id(video_id, page), _dump_page(content)) for page, content in batch])

    def read(self, video_id: str, pages: int, start: float, end: float) -> list[Observation]:
        """Read the pages that hold a stretch of a video.

        Args:
            video_id: The video.
            pages: How many pages its timeline has.
            start: Seconds.
            end: Seconds.

        Returns:
            Everything on these pages, in the timeline's order.
        """
        first = _page_at(min(start, pages * PAGE_SECONDS - 1))
        last = _page_at(min(end, pages * PAGE_SECONDS - 1))
        found: dict[int, Observation] = {}
        for batch in batch_iterate(BATCH, (_page_id(video_id, page) for page in range(first, last + 1))):
            for document in self._collection.get(ids=batch, include=["documents"])["documents"] or []:
                places, records = json.loads(document)
                found.update(zip(places, load_observations(records), strict=True))
        return [found[place] for place in sorted(found)]

    def delete(self, video_id: str, pages: range) -> None:
        """Delete some pages of a video."""
        for batch in batch_iterate(BATCH, (_page_id(video_id, page) for page in pages)):
            self._collection.delete(ids=batch)

    def write_draft(self, video_id: str, profile: str, stretch: int, draft: Draft) -> None:
        """Keep what was perceived in one stretch of a video until the whole is done.

        Args:
            video_id: The video.
            profile: The perception profile; drafts of different profiles never mix.
            stretch: The number of the stretch.
            draft: What was perceived.
        """
        document = json.dumps([draft.missing, draft.failures, dump_observations(draft.observations)])
        self._upsert(video_id, [(_draft_id(video_id, profile, stretch), document)])

    def read_draft(self, video_id: str, profile: str, stretch: int) -> Draft | None:
        """Read a kept stretch; None where it is not there."""
        found = self._collection.get(ids=[_draft_id(video_id, profile, stretch)], include=["documents"])
        documents = found["documents"]
        if not documents:
            return None
        missing, failures, records = json.loads(documents[0])
        return Draft(load_observations(records), missing, tuple(failures))

    def delete_drafts(self, video_id: str, profile: str, stretches: int) -> None:
        """Delete the kept stretches of a video."""
        for batch in batch_iterate(BATCH, (_draft_id(video_id, profile, stretch) for stretch in range(stretches))):
            self._collection.delete(ids=batch)

    def delete_all(self, video_id: str) -> None:
        """Delete all pages and drafts of a video; this scans the collection."""
        self._collection.delete(where={"video_id": video_id})

    def _upsert(self, video_id: str, pages: list[tuple[str, str]]) -> None:
        self._collection.upsert(
            ids=[page_id for page_id, _ in pages],
            # Chroma wants an embedding, and nobody searches here.
            embeddings=np.zeros((len(pages), 1), np.float32),
            documents=[document for _, document in pages],
            metadatas=[{"video_id": video_id}] * len(pages),
        )


def count_pages(observations: Sequence[Observation]) -> int:
    """Count the pages of a timeline: up to the start of its last observation."""
    return 1 + max((_page_at(one.start) for one in observations), default=-1)


def _page_at(seconds: float) -> int:
    return int(seconds // PAGE_SECONDS)


def _pages_of(one: Observation, last: int) -> range:
    # The last page also holds what lasts longer than it, so that one absurd end cannot make a million pages.
    return range(_page_at(one.start), min(_page_at(one.end), last) + 1)


def _dump_page(content: list[tuple[int, Observation]]) -> str:
    return json.dumps([[place for place, _ in content], dump_observations([one for _, one in content])])


def _page_id(video_id: str, page: int) -> str:
    return f"{video_id}:{page}"


def _draft_id(video_id: str, profile: str, stretch: int) -> str:
    return f"{video_id}:draft:{profile}:{stretch}"
