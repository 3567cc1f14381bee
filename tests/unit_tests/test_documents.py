"""Ids of Documents: stable, unique, and understood by LangChain's vector stores, indexing API and retrievers."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.indexing import InMemoryRecordManager, index
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from langchain_videochat.errors import InputError
from langchain_videochat.perception import Observation
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.timeline import Granularity, Timeline
from tests.unit_tests.embeddings import BagOfWords, make_slides, make_timeline

REFRAIN = make_slides("song", "La la la", "Whisk two eggs", "La la la")
DOCUMENTS = [*REFRAIN.to_documents("moment"), *REFRAIN.to_documents()]

times = st.sampled_from([0, 1, 2.0004, 2.0005, 2.5, 7])
observations = st.builds(
    lambda start, length, modality, text, box: Observation(start, start + length, modality, text, box=box),
    times,
    times,
    st.sampled_from(["object", "speech", "screen_text"]),
    st.sampled_from(["dog", "cat", "a/b", "a"]),
    st.none() | st.sampled_from([(0.0, 0.0, 0.1, 0.1), (0.9, 0.9, 1.0, 1.0)]),
)


@given(st.lists(observations, max_size=12), st.booleans(), st.sampled_from(["observation", "moment"]))
def test_ids_are_unique_and_the_same_for_the_same_content(
    seen: list[Observation], is_merged: bool, granularity: Granularity
) -> None:
    timeline = make_timeline("c0ffee", *seen)
    if not is_merged:  # as the parser yields observations
        timeline = replace(timeline, observations=tuple(sorted(seen, key=lambda one: one.order)))
    documents = list(timeline.to_documents(granularity))
    ids = [one.id for one in documents]
    assert len(set(ids)) == len(ids)
    assert ids == [one.metadata["document_id"] for one in documents]
    assert all(str(UUID(one)) == one for one in ids)
    again = Timeline.from_json(timeline.to_json())
    elsewhere = replace(again, video=replace(again.video, source="/other/renamed.mp4", title="renamed"))
    assert [one.id for one in elsewhere.to_documents(granularity)] == ids


def test_ids_differ_between_videos_times_and_texts() -> None:
    ids = {one.id for one in DOCUMENTS} | {one.id for one in make_slides("other", "La la la").to_documents("moment")}
    assert len(ids) == len(DOCUMENTS) + 1
    short = make_slides("short", "La", "la", "la", seconds=0.25)
    assert len({one.id for one in short.to_documents("moment")}) == 3


def test_the_store_returns_the_ids_of_the_timeline_also_after_indexing_again() -> None:
    store = VideoTimelineStore(embedding=BagOfWords())
    for _ in range(2):
        store.add(REFRAIN)
        found = store.search("eggs", k=9)
        assert {one.id for one in found} == {one.id for one in REFRAIN.to_documents("moment")}
        everything = [*found, *store.neighbors(found[:1]), *store.as_retriever().invoke("la")]
        assert all(one.id == one.metadata["document_id"] for one in everything)
        assert {one.metadata["document_id"] for one in store.vectorstore.similarity_search("la")} == {
            one.id for one in found
        }


def test_moments_that_were_stored_without_an_id_get_it() -> None:
    store = VideoTimelineStore(embedding=BagOfWords())
    store.add(REFRAIN)
    # What earlier versions wrote; this store has not been searched yet.
    collection = store.vectorstore._collection
    stored = collection.get()
    collection.update(stored["ids"], metadatas=[{**one, "document_id": None} for one in stored["metadatas"] or []])
    assert all("document_id" not in one for one in collection.get()["metadatas"] or [])
    assert {one.id for one in store.search("eggs", k=9)} == {one.id for one in REFRAIN.to_documents("moment")}


@pytest.mark.parametrize("make_store", [InMemoryVectorStore, partial(Chroma, "documents")])
def test_adding_documents_twice_does_not_duplicate_them(make_store: Callable[[Embeddings], VectorStore]) -> None:
    store = make_store(BagOfWords())
    for _ in range(2):
        store.add_documents(DOCUMENTS)
        found = store.similarity_search("eggs", k=100)
        assert sorted(str(one.id) for one in found) == sorted(str(one.id) for one in DOCUMENTS)


def document_id(document: Document) -> str:
    return document.metadata["document_id"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("key_encoder", ["sha256", document_id])
def test_langchains_indexing_api_skips_known_documents_and_deletes_old_ones(key_encoder: object) -> None:
    store, records = InMemoryVectorStore(BagOfWords()), InMemoryRecordManager("videos")
    records.create_schema()

    def run(timeline: Timeline) -> dict[str, Any]:
        options: dict[str, Any] = {"cleanup": "incremental", "source_id_key": "video_id", "key_encoder": key_encoder}
        return {**index(timeline.to_documents("moment"), records, store, **options)}

    assert run(REFRAIN) == {"num_added": 3, "num_updated": 0, "num_skipped": 0, "num_deleted": 0}
    assert run(REFRAIN) == {"num_added": 0, "num_updated": 0, "num_skipped": 3, "num_deleted": 0}
    shorter = make_slides("song", "La la la", "Whisk two eggs")
    assert run(shorter) == {"num_added": 0, "num_updated": 0, "num_skipped": 2, "num_deleted": 1}


def test_ensembles_keep_moments_with_equal_text_apart_and_merge_equal_ones() -> None:
    retrievers = pytest.importorskip("langchain_classic.retrievers", exc_type=ImportError)
    store = VideoTimelineStore(embedding=BagOfWords())
    store.add(REFRAIN)
    memory = InMemoryVectorStore(BagOfWords())
    memory.add_documents(list(REFRAIN.to_documents("moment")))
    expected = sorted(str(one.id) for one in REFRAIN.to_documents("moment"))
    ours = retrievers.EnsembleRetriever(retrievers=[store.as_retriever(), store.as_retriever(k=2)])
    mixed = retrievers.EnsembleRetriever(retrievers=[store.as_retriever(), memory.as_retriever()], id_key="document_id")
    for ensemble in (ours, mixed):
        assert sorted(one.id for one in ensemble.invoke("la la")) == expected


def test_an_unknown_granularity_is_refused() -> None:
    with pytest.raises(InputError, match="unknown granularity 'scene'"):
        REFRAIN.to_documents("scene")  # type: ignore[arg-type]
