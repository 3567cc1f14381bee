"""Timelines in pages of one minute, and drafts: results of perceived segments until their video is complete."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from chromadb import Collection
from langchain_core.utils.iter import batch_iterate

from langchain_videochat.media import Damage
from langchain_videochat.perception import Observation, SegmentResult
from langchain_videochat.perception.streams import UNDECODABLE
from langchain_videochat.store.observation_vectors import Int8Vectors, distinct_texts, dump_vectors, load_vectors
from langchain_videochat.store.record_ids import DRAFT, group_by_save, record_id
from langchain_videochat.timeline.formats import dump_observations, load_observations
from langchain_videochat.utils.interval import Interval

PAGE_SECONDS = 60.0
"""Seconds of video per page: typical requests read one or two, and each is a small record."""

BATCH = 100
"""Maximum number of pages per call to Chroma."""

MAX_BATCH_CHARACTERS = 1_000_000
"""Maximum size of the pages that are written in one call, unless one page is larger: a page has up to a minute of
vectors of frames, 2,000 characters each."""

_VECTORS = "observation_vectors"
"""Vectors of the texts of a page."""

_FRAMES = "frame_vectors"
"""Vectors of frames, in the order of their observations. Empty strings take their place in the document."""

_STATES = "states"
"""The states of the perceivers at the end of a draft."""


@dataclass(frozen=True)
class _Dumped:
    """The content of a page or a draft, as Chroma stores it."""

    document: str

    metadata: dict[str, str]
    """What is not in the document: for documents, Chroma builds a full-text index."""

    @property
    def size(self) -> int:
        return len(self.document) + sum(map(len, self.metadata.values()))


class Pages:
    """The collection of pages.

    An observation is stored in every page that it overlaps, together with its position in the timeline: readers of
    several pages use it to remove duplicates and to restore the order. The pages of a save are written once and never
    changed: a later save of the same video writes its own.
    """

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    def write(
        self, video_id: str, save_id: str, observations: Sequence[Observation], vectors: Mapping[str, Int8Vectors]
    ) -> None:
        """Write the observations of a timeline, which must be in time order, with the vectors of their texts."""
        pages: list[list[tuple[int, Observation]]] = [[] for _ in range(count_pages(observations))]
        for position, one in enumerate(observations):
            # The last page includes longer observations: one wrong end time must not create a million pages.
            for page in pages[_page_at(one.start) : _page_at(one.end) + 1]:
                page.append((position, one))
        for batch in _batch_by_size(_dump_page(content, vectors) for content in pages):
            self._upsert(video_id, {record_id(video_id, save_id, str(page)): dumped for page, dumped in batch})

    def read(self, video_id: str, save_id: str, pages: int, interval: Interval) -> list[Observation] | None:
        """Return the observations, in timeline order, on those pages of a save that overlap an interval.

        Args:
            video_id: The video.
            save_id: The save that wrote its pages.
            pages: Number of its pages.
            interval: Seconds from the start of the video.

        Returns:
            None if a page is missing: a later save has replaced this one, or the video was removed.
        """
        if not pages:
            return []
        first = _page_at(min(interval.start, pages * PAGE_SECONDS - 1))
        last = _page_at(min(interval.end, pages * PAGE_SECONDS - 1))
        found = self._get(video_id, save_id, range(first, last + 1))
        return None if found is None else _merge(_load_page(*page) for page in found)

    def read_with_vectors(
        self, video_id: str, save_id: str, pages: int
    ) -> tuple[list[Observation], dict[str, Int8Vectors]] | None:
        """Return all observations of a save, and the vectors of their texts.

        Returns:
            None if a page is missing; no vectors if an earlier version wrote the pages.
        """
        found = self._get(video_id, save_id, range(pages))
        if found is None:
            return None
        loaded = [_load_page(*page) for page in found]
        vectors: dict[str, Int8Vectors] = {}
        for page, (_, data) in zip(loaded, found, strict=True):
            if dumped := data.get(_VECTORS):
                vectors |= load_vectors(str(dumped), distinct_texts(one for _, one in page))
        return _merge(loaded), vectors

    def _get(self, video_id: str, save_id: str, numbers: Iterable[int]) -> list[tuple[str, Mapping[str, Any]]] | None:
        """Return the documents and metadata of pages; None if one is missing."""
        found: list[tuple[str, Mapping[str, Any]]] = []
        for batch in batch_iterate(BATCH, (record_id(video_id, save_id, str(page)) for page in numbers)):
            records = self._collection.get(ids=batch, include=["documents", "metadatas"])
            documents = records["documents"] or []
            if len(documents) < len(batch):
                return None
            found += zip(documents, records["metadatas"] or [], strict=True)
        return found

    def list_saves(self, video_id: str) -> dict[str, list[str]]:
        """Return the ids of the pages of a video by save; those of its drafts are under `DRAFT`."""
        return group_by_save(video_id, self._collection.get(where={"video_id": video_id}, include=[])["ids"])

    def delete(self, ids: Sequence[str]) -> None:
        """Delete pages and drafts."""
        for batch in batch_iterate(BATCH, ids):
            self._collection.delete(ids=batch)

    def write_draft(self, video_id: str, profile: str, segment: int, result: SegmentResult, sidecars: str) -> None:
        """Write the result of a segment; drafts of different profiles are independent.

        `sidecars` is the fingerprint of the subtitle files that the segment was perceived with.
        """
        self._upsert(video_id, {_draft_id(video_id, profile, segment): _dump_draft(result, sidecars)})

    def read_drafts(self, video_id: str, profile: str, segments: int, sidecars: str) -> dict[int, SegmentResult]:
        """Return the results of those of a video's segments that have a draft made with these subtitle files.

        Drafts that were made with others are left out: a timeline must not mix old and new subtitles.
        """
        numbers = {_draft_id(video_id, profile, segment): segment for segment in range(segments)}
        drafts: dict[int, SegmentResult] = {}
        for batch in batch_iterate(BATCH, numbers):
            found = self._collection.get(ids=batch, include=["documents", "metadatas"])
            rows = zip(found["ids"], found["documents"] or [], found["metadatas"] or [], strict=True)
            for draft_id, document, metadata in rows:
                result, made_with = _load_draft(document, metadata)
                if made_with == sidecars:
                    drafts[numbers[draft_id]] = result
        return drafts

    def delete_drafts(self, video_id: str, profile: str, segments: int) -> None:
        """Delete the drafts of a video."""
        self.delete([_draft_id(video_id, profile, segment) for segment in range(segments)])

    def _upsert(self, video_id: str, records: Mapping[str, _Dumped]) -> None:
        self._collection.upsert(
            ids=list(records),
            # Chroma requires embeddings; this collection is never searched.
            embeddings=np.zeros((len(records), 1), np.float32),
            documents=[one.document for one in records.values()],
            metadatas=[{"video_id": video_id, **one.metadata} for one in records.values()],
        )


def count_pages(observations: Sequence[Observation]) -> int:
    """Return the number of pages of a timeline: up to the start of its last observation."""
    return 1 + max((_page_at(one.start) for one in observations), default=-1)


def _page_at(seconds: float) -> int:
    return int(seconds // PAGE_SECONDS)


def _batch_by_size(pages: Iterable[_Dumped]) -> Iterator[list[tuple[int, _Dumped]]]:
    """Yield numbered pages in batches that are small enough for one call to Chroma."""
    batch: list[tuple[int, _Dumped]] = []
    size = 0
    for number, page in enumerate(pages):
        size += page.size
        if batch and (len(batch) == BATCH or size > MAX_BATCH_CHARACTERS):
            yield batch
            batch, size = [], page.size
        batch.append((number, page))
    if batch:
        yield batch


def _merge(pages: Iterable[list[tuple[int, Observation]]]) -> list[Observation]:
    """Return the observations of pages, each once and in the order of their positions."""
    found = {position: one for page in pages for position, one in page}
    return [found[position] for position in sorted(found)]


def _dump_page(content: list[tuple[int, Observation]], vectors: Mapping[str, Int8Vectors]) -> _Dumped:
    records, frames = _dump_observations([one for _, one in content])
    texts = distinct_texts(one for _, one in content)
    dumped = dump_vectors(np.stack([vectors[text] for text in texts])) if texts else ""
    return _Dumped(json.dumps([[position for position, _ in content], records]), {_VECTORS: dumped, _FRAMES: frames})


def _load_page(document: str, metadata: Mapping[str, Any]) -> list[tuple[int, Observation]]:
    positions, records = json.loads(document)
    return list(zip(positions, _load_observations(records, metadata), strict=True))


def _dump_observations(observations: Sequence[Observation]) -> tuple[list[dict[str, Any]], str]:
    """Return observations as JSON without their vectors, and the vectors."""
    records = dump_observations(observations)
    vectors = [record["vector"] for record in records if "vector" in record]
    return [record | {"vector": ""} if "vector" in record else record for record in records], " ".join(vectors)


def _load_observations(records: list[dict[str, Any]], metadata: Mapping[str, Any]) -> list[Observation]:
    vectors = iter(str(metadata.get(_FRAMES) or "").split())
    return load_observations([one | {"vector": next(vectors, "")} if "vector" in one else one for one in records])


def _dump_draft(result: SegmentResult, sidecars: str) -> _Dumped:
    records, frames = _dump_observations(result.observations)
    draft = {
        "damage": [asdict(one) for one in result.damage],
        "failures": result.failures,
        "observations": records,
        "sidecars": sidecars,
    }
    return _Dumped(json.dumps(draft), {_FRAMES: frames, _STATES: json.dumps(result.states)})


def _load_draft(document: str, metadata: Mapping[str, Any]) -> tuple[SegmentResult, str]:
    """Return the result of a segment, and the fingerprint of the subtitle files that it was made with."""
    draft = json.loads(document)
    if isinstance(draft, list):
        # Earlier versions wrote the seconds that could not be decoded, and no fingerprint.
        missing, failures, observations = draft
        damage = [{"kind": "picture", "problem": UNDECODABLE, "seconds": missing}] if missing else []
        draft = {"damage": damage, "failures": failures, "observations": observations, "sidecars": ""}
    result = SegmentResult(
        observations=tuple(_load_observations(draft["observations"], metadata)),
        damage=tuple(Damage(**one) for one in draft["damage"]),
        failures=tuple(draft["failures"]),
        states=tuple(json.loads(str(metadata.get(_STATES, "[]")))),
    )
    return result, draft["sidecars"]


def _draft_id(video_id: str, profile: str, segment: int) -> str:
    return record_id(video_id, DRAFT, f"{profile}:{segment}")
