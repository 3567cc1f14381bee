"""How videos are shown to the language model: each as a whole, or segment by segment within a budget of tokens.

An hour that is seen in eight glances is not seen (the paper's first limitation). So a long video is cut into segments
of equal length, each with as many frames and tokens as a short one, and its own times. Where these are too many:

- "merge" looks at every segment, once for all questions, and merges the tokens of neighbours that are most alike. The
  prompt stays within the budget. What is shown for a second or two may get lost.
- "retrieve" looks at those segments alone that a search in the timeline finds for the question. It is the cheapest, and
  sees what the timeline knows of.
- "map_reduce" looks at every segment, once for all questions, has the question answered for one part of the video after
  the other, each within the budget, and for the answer shows what was answered. It overlooks least, and costs as many
  answers more as there are parts, for each question anew.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from langchain_videochat.embed.conversation import Part, Stretch, Turn, VisualTokens, find_stretch
from langchain_videochat.embed.media_refs import MediaRef
from langchain_videochat.utils.timecode import format_timecode

if TYPE_CHECKING:
    from langchain_videochat.embed.visual_cache import VideoFacts, VisualCache

Overflow = Literal["merge", "retrieve", "map_reduce"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Budget:
    """How much of a video is shown."""

    segment_seconds: float | None
    """Segments are no longer than that; None shows a video as a whole."""

    segments: int
    """How many may be shown of a video."""

    overflow: Overflow
    """What is done where there are more."""

    retriever: BaseRetriever | None
    """Where "retrieve" searches."""


class VideoPromptBuilder:
    """Shows what messages hold to a language model, within a budget.

    Args:
        viewer: Looks at it.
        budget: How much is shown of a video.
        question: What is asked.
        ask: Answers questions, each about a part of a video.
        show_progress: Show a progress bar where watching takes long.
    """

    def __init__(
        self,
        viewer: "VisualCache",
        budget: Budget,
        question: str,
        ask: Callable[[Sequence[Turn]], Sequence[str]],
        *,
        show_progress: bool = False,
    ) -> None:
        self._viewer = viewer
        self._budget = budget
        self._question = question
        self._ask = ask
        self._show_progress = show_progress
        self.seen: list[VisualTokens] = []
        """All that was looked at."""
        self.most_segments = 0
        """How many were shown of a video at once, at most."""

    def show(self, visual: MediaRef) -> Sequence[Part]:
        """Give what the language model is to read of a video or an image.

        Raises:
            SourceError: There is no such file, or the address is refused or fails.
            MediaError: It cannot be read as what it is called.
            InputError: Its data is no base64 or too large, the video has no such stretch, or too many frames are asked
                for.
            NotEnoughMemoryError: The device has not the memory for it.
        """
        if visual.kind == "image":
            return self._note([self._viewer.look(visual)])
        plan = self._find if self._budget.overflow == "retrieve" else self._cut
        segments = self._note(self._viewer.watch(visual, partial(plan, visual), show_progress=self._show_progress))
        self.most_segments = max(self.most_segments, min(len(segments), self._budget.segments))
        if len(segments) <= self._budget.segments:
            return segments
        if self._budget.overflow == "merge":
            return list(_merge(segments, self._budget.segments))
        return [self._map_reduce(segments)]

    def _note(self, tokens: list[VisualTokens]) -> list[VisualTokens]:
        self.seen += tokens
        return tokens

    def _cut(self, video: MediaRef, facts: "VideoFacts") -> list[Stretch]:
        """Cut what is asked for of a video into segments of equal length."""
        whole = find_stretch(facts.duration, video.start, video.end)
        length = self._budget.segment_seconds or float("inf")
        count = max(1, int(np.ceil((whole.end - whole.start) / length)))
        borders = np.linspace(whole.start, whole.end, count + 1).tolist()
        return [Stretch(start, end) for start, end in pairwise(borders)]

    def _find(self, video: MediaRef, facts: "VideoFacts") -> list[Stretch]:
        """Choose the segments in which the best of the documents lie that a search for the question gives."""
        segments, most = self._cut(video, facts), self._budget.segments
        if len(segments) <= most:
            return segments
        found = dict.fromkeys(
            segment for document in self._search(video, facts) for segment in segments if _overlaps(document, segment)
        )
        if not found:
            logger.warning("Nothing was found in the timeline of %s: segments of all parts are shown", video.source)
            found = dict.fromkeys(segments[place] for place in np.linspace(0, len(segments) - 1, most).astype(int))
        return sorted(list(found)[:most], key=lambda segment: segment.start)

    def _search(self, video: MediaRef, facts: "VideoFacts") -> list[Document]:
        retriever = self._budget.retriever
        assert retriever is not None  # noqa: S101 - the chat model checks it
        if not self._question.strip():
            return []
        # Other retrievers are asked as they are, and what they find of other videos is left out.
        terms = {"video_id": facts.video_id, "start": video.start, "end": video.end}
        known = type(retriever).model_fields
        only: dict[str, Any] = {name: term for name, term in terms.items() if name in known and term is not None}
        documents = retriever.invoke(self._question, **only)
        return [one for one in documents if one.metadata.get("video_id", facts.video_id) == facts.video_id]

    def _map_reduce(self, segments: Sequence[VisualTokens]) -> str:
        """Have the question answered for one part of a video after the other, and write the answers down."""
        starts = range(0, len(segments), self._budget.segments)
        parts = [segments[start : start + self._budget.segments] for start in starts]
        question = [self._question] if self._question.strip() else []
        answers = self._ask([Turn("human", (*part, *question)) for part in parts])
        notes = [f"{_clock(part)}: {answer.strip()}" for part, answer in zip(parts, answers, strict=True)]
        return "\n".join(["What is to be said to this about each part of the video:", *notes])


def _merge(segments: Sequence[VisualTokens], count: int) -> Iterator[VisualTokens]:
    """Merge the tokens of neighbours, so that `count` are left that are as large as one segment each."""
    import torch

    from langchain_videochat.embed.token_merging import merge_tokens

    for places in np.array_split(np.arange(len(segments)), count):
        members = [segments[place] for place in places]
        tokens = torch.cat([member.embeddings for member in members])
        times = [time for member in members for time in member.times]
        yield VisualTokens(
            "video",
            merge_tokens(tokens, len(members[0].embeddings)),
            key=("merged", *(member.key for member in members)),
            times=tuple(times[len(members) // 2 :: len(members)]),
        )


def _overlaps(document: Document, segment: Stretch) -> bool:
    start = document.metadata.get("start", float("inf"))
    end = document.metadata.get("end", start)
    return bool(start < segment.end and (end > segment.start or start >= segment.start))


def _clock(part: Sequence[VisualTokens]) -> str:
    return f"{format_timecode(part[0].times[0])} to {format_timecode(part[-1].times[-1])}"
