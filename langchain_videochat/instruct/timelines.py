"""Which videos instruction data is made of, and what is still to be made of each."""

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass

from langchain_videochat.instruct.items import Kind, item_id
from langchain_videochat.instruct.plan import Plan
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.timeline import Timeline


@dataclass(frozen=True)
class StoredTimelines:
    """Timelines of a store, each read when its turn comes."""

    store: VideoTimelineStore
    """Where they are."""

    video_ids: Sequence[str]
    """Which of them."""

    def __len__(self) -> int:
        return len(self.video_ids)

    def __iter__(self) -> Iterator[Timeline]:
        return map(self.store.timeline, self.video_ids)


def list_timelines(timelines: VideoTimelineStore | Iterable[Timeline]) -> Iterable[Timeline]:
    """Give the timelines of a store, or those that are given."""
    if isinstance(timelines, VideoTimelineStore):
        return StoredTimelines(timelines, [record.video_id for record in timelines.videos()])
    return timelines


def open_kinds(timeline: Timeline, plan: Plan, finished: Set[str]) -> tuple[Kind, ...]:
    """Tell what of a plan is still to be made of a video."""
    return tuple(kind for kind in plan.kinds if item_id(timeline.video_id, kind, plan.language) not in finished)
