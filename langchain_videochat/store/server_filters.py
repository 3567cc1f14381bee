"""Filters on moments as Chroma takes them, within the limits of Chroma Cloud."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_videochat.store.filters import Filter
from langchain_videochat.store.quotas import MAX_LISTED, MAX_PREDICATES
from langchain_videochat.store.stored_moments import mark_of
from langchain_videochat.utils.interval import Interval

_OPERATORS = {"<": "$lt", "<=": "$lte", "=": "$eq", ">=": "$gte", ">": "$gt"}

Where = Mapping[str, Any]


def to_wheres(condition: Filter) -> Iterator[Where | None]:
    """Return filters of Chroma, of which a moment that matches a condition matches one; None is all moments.

    There are several if the condition names many videos. Comparisons beyond the limit are left out, so that other
    moments may match too.

    Example:
        >>> list(to_wheres(Filter(video_ids=("c0ffee",))))
        [{'video_id': {'$in': ['c0ffee']}}]
    """
    clauses = [*_modalities(condition), *_interval(condition.interval), *_bounds(condition)]
    if condition.video_ids is None:
        yield _all_of(clauses)
        return
    video_ids = list(condition.video_ids)
    for start in range(0, len(video_ids), MAX_LISTED):
        yield _all_of([{"video_id": {"$in": video_ids[start : start + MAX_LISTED]}}, *clauses])


def _modalities(condition: Filter) -> Iterator[Where]:
    if condition.modalities is not None:
        marks = [{mark_of(one): True} for one in condition.modalities]
        yield marks[0] if len(marks) == 1 else {"$or": marks}


def _interval(interval: Interval | None) -> Iterator[Where]:
    if interval is None:
        return
    # Floats: Chroma compares integers only with integers.
    start, end = float(interval.start), float(interval.end)
    yield {"$or": [{"end": {"$gt": start}}, {"start": {"$gte": start}}]}
    if end != Interval().end:
        yield {"start": {"$lt": end}}


def _bounds(condition: Filter) -> Iterator[Where]:
    for bound in condition.bounds:
        yield {bound.field: {_OPERATORS[bound.operator]: float(bound.seconds)}}


def _all_of(clauses: Sequence[Where]) -> Where | None:
    kept: list[Where] = []
    for clause in clauses:
        if sum(map(_count, [*kept, clause])) <= MAX_PREDICATES:
            kept.append(clause)
    return {"$and": kept} if len(kept) > 1 else kept[0] if kept else None


def _count(clause: Where) -> int:
    return len(clause.get("$or", [clause]))
