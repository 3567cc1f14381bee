"""LangChain's standard tests for retrievers, and filters per query."""

import asyncio
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda
from langchain_tests.integration_tests import RetrieversIntegrationTests

from langchain_videochat.errors import InputError
from langchain_videochat.store import VideoTimelineRetriever, VideoTimelineStore
from tests.unit_tests.embeddings import BagOfWords, make_slides, make_speech


def make_store() -> VideoTimelineStore:
    store = VideoTimelineStore(embedding=BagOfWords())
    store.add(make_slides("eggs", "Whisk two eggs", "Heat the pan", "Fold the omelette", "Serve"))
    store.add(make_slides("yoga", "Stand on one leg", "Breathe in slowly"))
    return store


class TestVideoTimelineRetriever(RetrieversIntegrationTests):
    @property
    def retriever_constructor(self) -> type[VideoTimelineRetriever]:
        return VideoTimelineRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"store": make_store()}

    @property
    def retriever_query_example(self) -> str:
        return "eggs in a pan"


def test_filters_of_the_query_override_those_of_the_retriever() -> None:
    retriever = make_store().as_retriever(k=1, video_id="eggs")
    assert [one.metadata["video_id"] for one in retriever.invoke("breathe")] == ["eggs"]
    found = retriever.invoke("breathe", k=3, video_id="yoga", start=30)
    assert [one.metadata["start"] for one in found] == [30]


def test_retriever_works_in_a_chain_and_asynchronously() -> None:
    chain = make_store().as_retriever(k=1) | RunnableLambda(lambda found: found[0].metadata["citation"])
    assert asyncio.run(chain.ainvoke("omelette")) == "file:///films/eggs.mp4#t=60,90"


def test_results_say_when_the_query_is_answered() -> None:
    store = VideoTimelineStore(embedding=BagOfWords())
    store.add(make_speech("eggs", "Welcome to my kitchen", "Whisk two eggs", "Heat the pan"))
    (found,) = store.as_retriever(k=1).invoke("two eggs")
    assert (found.metadata["start"], found.metadata["end"]) == (0, 15)
    assert (found.metadata["hit_start"], found.metadata["hit_end"]) == (5, 10)
    assert found.metadata["citation"] == "file:///films/eggs.mp4#t=5,10"


def test_unknown_arguments_are_rejected() -> None:
    with pytest.raises(TypeError, match="minutes"):
        make_store().as_retriever().invoke("eggs", minutes=3)
    with pytest.raises(InputError, match="modalities"):
        make_store().as_retriever(modalities=["speech"]).invoke("eggs", modalities=["smell"])
