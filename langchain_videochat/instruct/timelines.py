"""The timelines of a generation run, and the items that each still needs."""

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass

from langchain_videochat.instruct.items import ItemKind, item_id
from langchain_videochat.instruct.plan import InstructionPlan
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.timeline import Timeline


@dataclass(frozen=True)
class StoredTimelines:
    """Timelines of a store, loaded one at a time."""

    store: VideoTimelineStore

    video_ids: Sequence[str]

    def __len__(self) -> int:
        return len(self.video_ids)

    def __iter__(self) -> Iterator[Timeline]:
        return map(self.store.timeline, self.video_ids)


def as_timelines(timelines: VideoTimelineStore | Iterable[Timeline]) -> Iterable[Timeline]:
    """Return all timelines of a store, or the given timelines."""
    if isinstance(timelines, VideoTimelineStore):
        return StoredTimelines(timelines, [record.video_id for record in timelines.videos()])
    return timelines


def missing_kinds(timeline: Timeline, plan: InstructionPlan, finished: Set[str]) -> tuple[ItemKind, ...]:
    """Return the kinds of items in a plan that are not finished for a video."""
    return tuple(kind for kind in plan.kinds if item_id(timeline.video_id, kind, plan.language) not in finished)
