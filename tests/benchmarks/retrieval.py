"""Quality of search: how often it finds the moment that answers a question, compared with textbook search."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_videochat import VideoTimelineStore
from langchain_videochat.store.embeddings import SentenceTransformerEmbeddings
from langchain_videochat.timeline import Timeline
from tests.benchmarks.baselines import CachedEmbeddings, EmbeddingIndex, ScoredMoment, WordIndex, fuse
from tests.benchmarks.collection import make_collection
from tests.benchmarks.questions import HAND_WRITTEN, KINDS, UNANSWERABLE, Question, read_collection
from tests.benchmarks.report import Grid, progress

GENERATED = "generated"
POOLED = "all by hand"
"""The questions of the hand-written collections together."""

VIDEOS = 60
"""Number of generated videos."""

TOP = 3
"""Number of moments that are considered: as many as a reader checks and a prompt has room for."""

LAST_RANK = 10
"""A right moment at a later rank counts as not found."""

DEPTH = 100
"""Number of moments of each ranking that are fused."""

SEARCHES = {
    "ours": "**`store.search`**",
    "dense": "embeddings",
    "bm25": "BM25",
    "rrf": "RRF of both",
}
"""The searches that are compared, and their names in tables."""

LEGEND = (
    "hit@n is the share of the questions for which a right moment is among the first n; MRR is the mean of 1 / rank of "
    f"the first right moment, down to rank {LAST_RANK}; in video: searching only the videos that answer the question; "
    "AUC: how often the best score for a question is above that for a question without answer (0.5 by chance)."
)

Found = dict[str, list[ScoredMoment]]
"""What each search finds."""


@dataclass(frozen=True)
class Outcome:
    """What a search found for a question."""

    kind: str
    rank: float
    """Rank of the first right moment, from 1; infinite if there is none."""
    rank_in_video: float
    """The same, searching only the videos that answer the question."""
    score: float
    """Score of the best moment; 0 if nothing was found."""


@dataclass(frozen=True)
class SearchQuality:
    """The outcomes of all searches: by collection, then by search."""

    outcomes: dict[str, dict[str, list[Outcome]]]
    notes: list[str]

    def markdown(self) -> str:
        """Return the figures of all collections, and those of all kinds of questions, as Markdown."""
        return f"{self.by_collection().markdown()}\n{self.by_kind().markdown()}"

    def by_collection(self) -> Grid:
        """Return how well each search does in each collection."""
        figures = ["hit@1", f"hit@{TOP}", "MRR"]
        columns = ["Collection", "Search", *figures, *(f"{figure} in video" for figure in figures), "AUC"]
        collections = {**self._hand_written(), POOLED: self._pooled(), **self.outcomes}
        rows = [
            [name, SEARCHES[search], *_figures(outcomes)]
            for name, searches in collections.items()
            for search, outcomes in searches.items()
        ]
        return Grid("Search quality", columns, rows, text_columns=2, notes=self.notes)

    def by_kind(self) -> Grid:
        """Return how often each search finds the right moment, by kind of question."""
        columns = [f"hit@{TOP} by kind of question", "Questions", *SEARCHES.values()]
        generated = self.outcomes.get(GENERATED, {})
        rows = [*_rows_by_kind(self._pooled(), ""), *_rows_by_kind(generated, f"{GENERATED}: ")]
        return Grid("Search quality by kind of question", columns, rows)

    def _hand_written(self) -> dict[str, dict[str, list[Outcome]]]:
        return {name: self.outcomes[name] for name in HAND_WRITTEN}

    def _pooled(self) -> dict[str, list[Outcome]]:
        collections = self._hand_written().values()
        return {search: [one for searches in collections for one in searches[search]] for search in SEARCHES}


def measure(scale: float) -> SearchQuality:
    """Ask all questions of the hand-written collections and of a generated one."""
    collections = {name: read_collection(name) for name in HAND_WRITTEN}
    collections[GENERATED] = make_collection(max(12, round(VIDEOS * scale)))
    return measure_collections(collections)


def measure_collections(collections: dict[str, tuple[list[Timeline], list[Question]]]) -> SearchQuality:
    """Ask all questions of some collections, with each search."""
    outcomes: dict[str, dict[str, list[Outcome]]] = {}
    sizes = []
    embedding = CachedEmbeddings(SentenceTransformerEmbeddings())
    for name, (timelines, questions) in collections.items():
        progress(f"  {name}")
        searches = Searches(timelines, embedding)
        outcomes[name] = _ask_all(searches, questions)
        unanswerable = sum(question.kind == UNANSWERABLE for question in questions)
        asked = f"{len(questions) - unanswerable} questions and {unanswerable} without answer"
        sizes.append(f"{name}: {len(timelines)} videos, {searches.size} moments, {asked}")
    return SearchQuality(outcomes, [f"{'; '.join(sizes)}.", LEGEND])


class Searches:
    """A collection, and all ways to search it."""

    def __init__(self, timelines: Iterable[Timeline], embedding: Embeddings) -> None:
        self._store = VideoTimelineStore(embedding=embedding)
        moments: list[Document] = []
        for timeline in timelines:
            self._store.add(timeline)
            moments += timeline.to_documents("moment")
        self._embeddings = EmbeddingIndex(moments, embedding)
        self._words = WordIndex(moments)
        self.size = len(moments)

    def find(self, query: str, video_ids: Sequence[str] = ()) -> Found:
        """Search with each search, in some videos or all."""
        ours = self._store.search(query, LAST_RANK, video_id=video_ids or None)
        dense = self._embeddings.search(query, DEPTH, video_ids)
        words = self._words.search(query, DEPTH, video_ids)
        return {
            "ours": [ScoredMoment(one, one.metadata["score"]) for one in ours],
            "dense": dense,
            "bm25": words,
            "rrf": fuse([dense, words]),
        }


def _ask_all(searches: Searches, questions: list[Question]) -> dict[str, list[Outcome]]:
    outcomes: dict[str, list[Outcome]] = {search: [] for search in SEARCHES}
    for question in questions:
        found = searches.find(question.text)
        in_video = searches.find(question.text, question.video_ids) if question.gold else found
        for search, moments in found.items():
            rank, rank_in_video = _rank(moments, question), _rank(in_video[search], question)
            score = max((one.score for one in moments), default=0.0)
            outcomes[search].append(Outcome(question.kind, rank, rank_in_video, score))
    return outcomes


def _rank(found: Sequence[ScoredMoment], question: Question) -> float:
    ranks = (rank for rank, one in enumerate(found[:LAST_RANK], start=1) if question.is_answered_by(one.moment))
    return next(ranks, math.inf)


def _figures(outcomes: list[Outcome]) -> list[str]:
    """Return hit@1, hit@3 and MRR in all videos and in the right one, and the AUC."""
    answerable = [one for one in outcomes if one.kind != UNANSWERABLE]
    unanswerable = [one.score for one in outcomes if one.kind == UNANSWERABLE]
    figures = []
    for ranks in [one.rank for one in answerable], [one.rank_in_video for one in answerable]:
        figures += [_percent(_hit_rate(ranks, 1)), _percent(_hit_rate(ranks, TOP))]
        figures.append(f"{fmean(1 / rank for rank in ranks):.2f}")
    area = f"{_area_under_roc([one.score for one in answerable], unanswerable):.2f}" if unanswerable else ""
    return [*figures, area]


def _rows_by_kind(outcomes: dict[str, list[Outcome]], prefix: str) -> list[list[str]]:
    """Return a row for each kind: number of questions, then hit@3 of each search."""
    ranks: dict[str, list[list[float]]] = {}
    for kind in dict.fromkeys(one.kind for searched in outcomes.values() for one in searched):
        ranks[kind] = [[one.rank for one in searched if one.kind == kind] for searched in outcomes.values()]
    return [
        [f"{prefix}{KINDS.get(kind, kind)}", str(len(of_kind[0])), *(_percent(_hit_rate(one, TOP)) for one in of_kind)]
        for kind, of_kind in ranks.items()
        if kind != UNANSWERABLE
    ]


def _hit_rate(ranks: list[float], last: int) -> float:
    return fmean(rank <= last for rank in ranks)


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


def _area_under_roc(positive: list[float], negative: list[float]) -> float:
    """Return the probability that a positive score is above a negative one; ties count half."""
    pairs = list(product(positive, negative))
    return fmean((above > below) + (above == below) / 2 for above, below in pairs)
