"""Timelines in pages of one minute, and drafts: results of perceived segments until their video is complete."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from chromadb import Collection

from langchain_videochat.media import Damage
from langchain_videochat.perception import Observation, SegmentResult
from langchain_videochat.store.observation_vectors import (
    Int8Vectors,
    distinct_texts,
    dump_vectors,
    load_vector,
    load_vectors,
)
from langchain_videochat.store.old_pages import load_old_draft, load_old_page
from langchain_videochat.store.payloads import SIZE, read_payloads, write_payloads
from langchain_videochat.store.quotas import delete_records, existing_ids, read_rows, scan_rows
from langchain_videochat.store.record_ids import DRAFT, group_by_save, record_id
from langchain_videochat.timeline.formats import dump_observations, load_observations
from langchain_videochat.utils.interval import Interval

PAGE_SECONDS = 60.0
"""Seconds of video per page: typical requests read one or two, and each is a small record."""

MAX_PROFILE_LENGTH = 32
"""Names of profiles that are longer are replaced by their hash in the ids of drafts."""


@dataclass(frozen=True)
class PageRange:
    """The pages of a save that overlap an interval of its video."""

    video_id: str
    save_id: str
    numbers: range

    @classmethod
    def of(cls, video_id: str, save_id: str, pages: int, interval: Interval) -> "PageRange":
        """Return the range; `pages` is the number of pages of the save."""
        if not pages:
            return cls(video_id, save_id, range(0))
        first, last = (_page_at(min(one, pages * PAGE_SECONDS - 1)) for one in (interval.start, interval.end))
        return cls(video_id, save_id, range(first, last + 1))

    @property
    def ids(self) -> list[str]:
        """The ids of the pages."""
        return [record_id(self.video_id, self.save_id, str(number)) for number in self.numbers]


@dataclass(frozen=True)
class PageContent:
    """The observations on some pages."""

    observations: list[Observation]
    """In the order of the timeline."""

    vectors: Mapping[str, Int8Vectors]
    """The vectors of their texts; none if an earlier version wrote the pages."""

    moments: Sequence[Int8Vectors] = ()
    """The vectors [dimensions] of the moments that start on the pages, in time order; none if an earlier version wrote
    the pages."""


class Pages:
    """The collection of pages.

    An observation is stored in every page that it overlaps, together with its position in the timeline: readers of
    several pages use it to remove duplicates and to restore the order. The pages of a save are written once and never
    changed: a later save of the same video writes its own.
    """

    def __init__(self, collection: Collection) -> None:
        self.collection = collection

    def write(
        self,
        video_id: str,
        save_id: str,
        observations: Sequence[Observation],
        vectors: Mapping[str, Int8Vectors],
        moments: Sequence[tuple[float, Int8Vectors]],
    ) -> None:
        """Write the pages of a timeline.

        Args:
            video_id: The video.
            save_id: The save.
            observations: The observations, in time order.
            vectors: The vectors of their texts.
            moments: The start in seconds and the vector of each moment, in time order: readers that copy them need not
                open Chroma's index of vectors, which takes long while others write.
        """
        pages: list[list[tuple[int, Observation]]] = [[] for _ in range(count_pages(observations))]
        starting: list[list[Int8Vectors]] = [[] for _ in pages]
        for position, one in enumerate(observations):
            # The last page includes longer observations: one wrong end time must not create a million pages.
            for page in pages[_page_at(one.start) : _page_at(one.end) + 1]:
                page.append((position, one))
        for start, vector in moments:
            starting[min(_page_at(start), len(pages) - 1)].append(vector)
        ids = (record_id(video_id, save_id, str(number)) for number in range(len(pages)))
        dumped = (_dump_page(content, vectors, own) for content, own in zip(pages, starting, strict=True))
        write_payloads(self.collection, zip(ids, dumped, strict=True), {"video_id": video_id})

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
        (found,) = self.read_ranges([PageRange.of(video_id, save_id, pages, interval)])
        return None if found is None else found.observations

    def read_ranges(self, ranges: Sequence[PageRange]) -> list[PageContent | None]:
        """Return the observations on each of several ranges of pages; None for a range of which a page is missing."""
        rows = list(read_rows(self.collection, dict.fromkeys(one for pages in ranges for one in pages.ids)))
        contents: dict[str, Any] = {row.id: load_old_page(row) for row in rows if SIZE not in row.metadata}
        contents |= read_payloads(self.collection, rows)
        return [_merge([contents.get(one) for one in pages.ids]) for pages in ranges]

    def list_saves(self, video_id: str) -> dict[str, list[str]]:
        """Return the ids of the pages of a video by save; those of its drafts are under `DRAFT`."""
        rows = scan_rows(self.collection, {"video_id": video_id}, ids_only=True)
        return group_by_save(video_id, (row.id for row in rows))

    def delete(self, ids: Iterable[str]) -> None:
        """Delete pages and drafts."""
        delete_records(self.collection, ids)

    def write_draft(self, video_id: str, profile: str, segment: int, result: SegmentResult, sidecars: str) -> None:
        """Write the result of a segment; drafts of different profiles are independent.

        `sidecars` is the fingerprint of the subtitle files that the segment was perceived with.
        """
        draft = _draft_id(video_id, profile, segment), _dump_draft(result, sidecars)
        write_payloads(self.collection, [draft], {"video_id": video_id})

    def read_drafts(self, video_id: str, profile: str, segments: int, sidecars: str) -> dict[int, SegmentResult]:
        """Return the results of those of a video's segments that have a draft made with these subtitle files.

        Drafts that were made with others are left out: a timeline must not mix old and new subtitles.
        """
        numbers = {_draft_id(video_id, profile, segment): segment for segment in range(segments)}
        rows = list(read_rows(self.collection, numbers))
        drafts: dict[str, Any] = {row.id: load_old_draft(row) for row in rows if SIZE not in row.metadata}
        drafts |= read_payloads(self.collection, rows)
        found = {numbers[one]: draft for one, draft in drafts.items() if draft["sidecars"] == sidecars}
        return {segment: _load_draft(draft) for segment, draft in found.items()}

    def delete_drafts(self, video_id: str, profile: str, segments: int) -> None:
        """Delete the drafts of a video."""
        drafts = {_draft_id(video_id, profile, segment) for segment in range(segments)}
        # A draft may have several parts. Mostly there are no drafts, which costs one cheap call.
        if existing_ids(self.collection, drafts):
            found = self.list_saves(video_id).get(DRAFT, [])
            self.delete([one for one in found if one.partition("#")[0] in drafts])


def count_pages(observations: Sequence[Observation]) -> int:
    """Return the number of pages of a timeline: up to the start of its last observation."""
    return 1 + max((_page_at(one.start) for one in observations), default=-1)


def _page_at(seconds: float) -> int:
    return int(seconds // PAGE_SECONDS)


def _merge(pages: Sequence[Mapping[str, Any] | None]) -> PageContent | None:
    """Return the observations of pages, each once and in the order of their positions; None if a page is missing."""
    found: dict[int, Observation] = {}
    vectors: dict[str, Int8Vectors] = {}
    moments: list[Int8Vectors] = []
    for page in pages:
        if page is None:
            return None
        observations = load_observations(page["observations"])
        found |= zip(page["positions"], observations, strict=True)
        if dumped := page["vectors"]:
            vectors |= load_vectors(dumped, distinct_texts(observations))
        moments += map(load_vector, page.get("moments", ()))
    return PageContent([found[position] for position in sorted(found)], vectors, moments)


def _dump_page(
    content: list[tuple[int, Observation]], vectors: Mapping[str, Int8Vectors], moments: list[Int8Vectors]
) -> dict[str, Any]:
    texts = distinct_texts(one for _, one in content)
    return {
        "positions": [position for position, _ in content],
        "vectors": dump_vectors(np.stack([vectors[text] for text in texts])) if texts else "",
        "moments": [dump_vectors(one) for one in moments],
        "observations": dump_observations([one for _, one in content]),
    }


def _dump_draft(result: SegmentResult, sidecars: str) -> dict[str, Any]:
    return {
        "damage": [asdict(one) for one in result.damage],
        "failures": result.failures,
        "observations": dump_observations(result.observations),
        "states": result.states,
        "sidecars": sidecars,
    }


def _load_draft(draft: Mapping[str, Any]) -> SegmentResult:
    return SegmentResult(
        observations=tuple(load_observations(draft["observations"])),
        damage=tuple(Damage(**one) for one in draft["damage"]),
        failures=tuple(draft["failures"]),
        states=tuple(draft["states"]),
    )


def _draft_id(video_id: str, profile: str, segment: int) -> str:
    if len(profile.encode()) > MAX_PROFILE_LENGTH:
        profile = hashlib.sha256(profile.encode()).hexdigest()[:MAX_PROFILE_LENGTH]
    return record_id(video_id, DRAFT, f"{profile}:{segment}")
