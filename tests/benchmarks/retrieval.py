"""Quality of search: how often it finds the moment that answers a question of a generated collection."""

import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

from langchain_core.documents import Document

from langchain_videochat import VideoTimelineStore
from langchain_videochat.store.filters import Filter
from langchain_videochat.store.local_index import LocalIndex
from langchain_videochat.store.search import rank_by_words
from tests.benchmarks.collection import Question, make_collection
from tests.benchmarks.report import Measurement, Table, progress

VIDEOS = 60
TOP = 3
"""Number of moments that are considered: as many as a reader checks and a prompt has room for."""

Search = Callable[[str], list[Document]]
Ranks = dict[Question, int]
"""Rank of the first relevant moment, from 1; `TOP + 1` if it was not found."""


def measure(scale: float) -> Table:
    """Ask all questions, with three kinds of search."""
    timelines, questions = make_collection(max(12, round(VIDEOS * scale)))
    with tempfile.TemporaryDirectory() as folder:
        store = VideoTimelineStore(folder)
        for number, timeline in enumerate(timelines):
            if number % 10 == 0:
                progress(f"  {number} of {len(timelines)} videos stored")
            store.add(timeline)
        moments = sum(record.moments for record in store.videos())
        found = {name: _ask(search, questions) for name, search in _searches(store, Path(folder)).items()}
    table = Table("Retrieval: how often hybrid search finds the right moment", "share")
    _add_rows(table, f"**among the top {TOP}**", found, questions, TOP, has_target=True)
    _add_rows(table, "as the top result", found, questions, 1)
    for kind in dict.fromkeys(question.kind for question in questions):
        of_kind = [question for question in questions if question.kind == kind]
        _add_rows(table, f"among the top {TOP}: {kind}", found, of_kind, TOP)
    minutes = sum(timeline.video.duration for timeline in timelines) / len(timelines) / 60
    table.notes = [
        f"{len(questions)} questions about {len(timelines)} generated videos of {minutes:.0f} minutes on average, "
        f"{moments} moments in all; a moment is right if it is in the right video and overlaps the answer. "
        "Videos of a subject show the same steps. Hybrid is the store's search; dense is Chroma's search by the same "
        "embeddings; words is the store's ranking by the words of the question."
    ]
    return table


def _searches(store: VideoTimelineStore, folder: Path) -> dict[str, Search]:
    store.search("the first search builds the local index")
    index = LocalIndex(next(folder.glob("*.index.sqlite3")))

    return {
        "hybrid": lambda query: store.search(query, k=TOP),
        "dense": lambda query: store.vectorstore.similarity_search(query, k=TOP),
        "words": lambda query: index.documents(rank_by_words(index, query, TOP, Filter()).moments),
    }


def _ask(search: Search, questions: list[Question]) -> Ranks:
    return {question: _rank(search(question.text), question) for question in questions}


def _rank(found: list[Document], question: Question) -> int:
    relevant = (rank for rank, one in enumerate(found, start=1) if _answers(one, question))
    return next(relevant, TOP + 1)


def _answers(moment: Document, question: Question) -> bool:
    data = moment.metadata
    is_then = data["start"] < question.end and data["end"] > question.start
    return bool(data["video_id"] == question.video_id and is_then)


def _add_rows(
    table: Table,
    what: str,
    found: dict[str, Ranks],
    questions: Collection[Question],
    last: int,
    *,
    has_target: bool = False,
) -> None:
    shares = {name: sum(ranks[one] <= last for one in questions) / len(questions) for name, ranks in found.items()}
    if has_target:
        _add_row(table, what, shares["hybrid"], ("all of them", 1.0), at_least=0.9)
    for other in ("dense", "words"):
        _add_row(table, what, shares["hybrid"], (f"{other} alone", shares[other]), at_least=1.0 if has_target else None)


def _add_row(table: Table, what: str, share: float, reference: tuple[str, float], at_least: float | None) -> None:
    ratio = share / reference[1] if reference[1] else float("inf")
    target, met = ("", None) if at_least is None else (f"at least {at_least:g}", ratio >= at_least)
    table.measurements.append(Measurement(what, share, *reference, ratio, target, met))
