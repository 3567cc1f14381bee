"""Filters on metadata in LangChain's form."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_videochat.errors import InputError
from langchain_videochat.perception import Observation
from langchain_videochat.store import VideoTimelineStore
from tests.unit_tests.embeddings import BagOfWords, make_timeline

MODALITIES = ("speech", "screen_text", "tag")
VIDEOS = ("eggs", "yoga", "talk")
TIMELINES = [
    make_timeline(
        video_id,
        *[
            Observation(at * 10, at * 10 + 10, MODALITIES[(at * (number + 1)) % 3], f"thing {at} of {number}")
            for at in range(0, 24, 1 + number)
        ],
        duration=240,
    )
    for number, video_id in enumerate(VIDEOS)
]
DOCUMENTS = [document for timeline in TIMELINES for document in timeline.to_documents("moment")]


@pytest.fixture(scope="module")
def store() -> VideoTimelineStore:
    store = VideoTimelineStore(embedding=BagOfWords(8))
    for timeline in TIMELINES:
        store.add(timeline)
    return store


def holds(metadata_filter: dict[str, Any], moment: Document) -> bool:
    """Evaluate a filter on the metadata of a moment as Chroma documents it."""
    if "$and" in metadata_filter:
        return all(holds(one, moment) for one in metadata_filter["$and"])
    ((name, comparisons),) = metadata_filter.items()
    ((operator, operand),) = (comparisons if isinstance(comparisons, dict) else {"$eq": comparisons}).items()
    if name == "modality":
        names = operand if operator == "$in" else [operand]
        return bool(set(names) & set(moment.metadata["modalities"].split(",")))
    value = moment.metadata[name]
    match operator:
        case "$in":
            return value in operand
        case "$eq":
            return bool(value == operand)
        case "$lt" | "$lte":
            return bool(value < operand or (operator == "$lte" and value == operand))
        case _:
            return bool(value > operand or (operator == "$gte" and value == operand))


names = st.sampled_from([*VIDEOS, "none"])
modalities = st.sampled_from(MODALITIES)
seconds = st.sampled_from(sorted({time for one in DOCUMENTS for time in (one.metadata["start"], one.metadata["end"])}))
operators = st.sampled_from(["$eq", "$lt", "$lte", "$gt", "$gte"])
times = st.dictionaries(operators, seconds | st.integers(0, 250), min_size=1, max_size=1)
fields = st.one_of(
    st.fixed_dictionaries({"video_id": names | st.fixed_dictionaries({"$in": st.lists(names)})}),
    st.fixed_dictionaries({"start": seconds | times}),
    st.fixed_dictionaries({"end": times}),
)
restricted = st.fixed_dictionaries({"modality": modalities | st.fixed_dictionaries({"$in": st.lists(modalities)})})
filters = st.one_of(
    fields,
    restricted,
    st.tuples(st.lists(fields, max_size=3), st.lists(restricted, max_size=1)).map(
        lambda both: {"$and": [*both[0], *both[1]]}
    ),
)


@given(filters, st.sampled_from([1.0, 0.5]))
@settings(max_examples=60)
def test_filters_select_the_moments_whose_metadata_match(
    store: VideoTimelineStore, metadata_filter: dict[str, Any], lambda_mult: float
) -> None:
    found = store.search("thing", k=100, filter=metadata_filter, lambda_mult=lambda_mult)
    expected = {document.id for document in DOCUMENTS if holds(metadata_filter, document)}
    assert {one.id for one in found} == expected
    assert len(found) == len(expected)


def test_several_conditions_hold_together(store: VideoTimelineStore) -> None:
    metadata_filter = {"video_id": "eggs", "start": {"$gte": 30, "$lt": 90}}
    found = store.search("thing", filter=metadata_filter, k=100)
    assert sorted(one.metadata["start"] for one in found) == [30, 60]
    assert {one.metadata["video_id"] for one in found} == {"eggs"}
    assert store.search("thing", filter=metadata_filter, video_id="yoga") == []


@pytest.mark.parametrize(
    ("metadata_filter", "problem"),
    [
        ({"viedo_id": "eggs"}, "'viedo_id' is not supported, perhaps 'video_id' is meant"),
        ({"title": "eggs"}, "'title' is not supported. Filter by video_id or modality"),
        ({"$or": [{"video_id": "eggs"}]}, "'$or' is not supported"),
        ({"video_id": {"$ne": "eggs"}}, "'$ne' is not supported for video_id"),
        ({"start": {"$in": [1]}}, "'$in' is not supported for start"),
        ({"start": "10"}, "start must be compared with a number of seconds, got '10'"),
        ({"start": {"$gte": float("nan")}}, "start must be compared with a number of seconds, got nan"),
        ({"start": True}, "start must be compared with a number of seconds, got True"),
        ({"video_id": 7}, "$eq of video_id must have a string, got 7"),
        ({"video_id": {"$in": "eggs"}}, "$in of video_id must have a list of strings, got 'eggs'"),
        ({"$and": {"video_id": "eggs"}}, "$and must have a list"),
        ({"$and": ["eggs"]}, "must be a dict, got str"),
        ([("video_id", "eggs")], "must be a dict, got list"),
        ({"modality": "smell"}, "unknown modality 'smell'"),
        ({"$and": [{"modality": "tag"}, {"modality": "speech"}]}, "modalities: are given twice"),
    ],
)
def test_unsupported_filters_are_refused_with_advice(
    store: VideoTimelineStore, metadata_filter: Any, problem: str
) -> None:
    with pytest.raises(InputError, match=re.escape(problem)):
        store.search("thing", filter=metadata_filter)
