"""Question answering over any retriever: ensembles, rerankers, other vector stores."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from langchain_chroma import Chroma
from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_videochat.errors import InputError
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.text.question_answering import create_video_qa_chain
from tests.scripted_model import ScriptedModel, model_answering
from tests.unit_tests.embeddings import BagOfWords, make_slides, make_speech

EGGS = make_slides("eggs", "Whisk two eggs", "Heat the pan", "Fold the omelette")
TALK = make_speech("talk", "Welcome to my kitchen", "First whisk two eggs in a bowl", "Now we wait for the pan")
YOGA = make_slides("yoga", "Stand on one leg", "Breathe in slowly")
TIMELINES = (EGGS, TALK, YOGA)
NOTES_ONLY = ChatPromptTemplate([("human", "{notes}\n====\n{question}")])


@pytest.fixture(scope="module")
def store() -> VideoTimelineStore:
    store = VideoTimelineStore(embedding=BagOfWords())
    for timeline in TIMELINES:
        store.add(timeline)
    return store


def in_memory(granularity: Any = "moment") -> InMemoryVectorStore:
    vectors = InMemoryVectorStore(BagOfWords())
    vectors.add_documents([one for timeline in TIMELINES for one in timeline.to_documents(granularity)])
    return vectors


def ensemble(store: VideoTimelineStore) -> BaseRetriever:
    retrievers = pytest.importorskip("langchain_classic.retrievers", exc_type=ImportError)
    both = [store.as_retriever(), in_memory().as_retriever()]
    return retrievers.EnsembleRetriever(retrievers=both, id_key="document_id")  # type: ignore[no-any-return]


def reranker(store: VideoTimelineStore) -> BaseRetriever:
    retrievers = pytest.importorskip("langchain_classic.retrievers", exc_type=ImportError)
    compressors = pytest.importorskip("langchain_classic.retrievers.document_compressors", exc_type=ImportError)
    best = compressors.EmbeddingsFilter(embeddings=BagOfWords(), k=2)
    return retrievers.ContextualCompressionRetriever(  # type: ignore[no-any-return]
        base_compressor=best, base_retriever=store.as_retriever(k=6)
    )


def multi_query(store: VideoTimelineStore) -> BaseRetriever:
    retrievers = pytest.importorskip("langchain_classic.retrievers", exc_type=ImportError)
    rewriter = model_answering("whisk two eggs\nwait for the pan")
    return retrievers.MultiQueryRetriever.from_llm(store.as_retriever(), rewriter)  # type: ignore[no-any-return]


def chroma(store: VideoTimelineStore) -> BaseRetriever:
    vectors = Chroma("qa-retrievers", BagOfWords())
    vectors.add_documents([one for timeline in TIMELINES for one in timeline.to_documents("moment")])
    return vectors.as_retriever()


@pytest.mark.parametrize(
    "make_retriever",
    [
        lambda store: store.as_retriever(),
        lambda store: store.vectorstore.as_retriever(),
        lambda store: in_memory().as_retriever(search_type="mmr"),
        lambda store: store.as_retriever() | RunnableLambda(lambda found: found[::-1]),
        chroma,
        ensemble,
        reranker,
        multi_query,
    ],
)
def test_answers_from_any_retriever_have_checked_citations(
    store: VideoTimelineStore, make_retriever: Callable[[VideoTimelineStore], Runnable[str, list[Document]]]
) -> None:
    model = model_answering("Two eggs are whisked [1][99], at 59:59.")
    chain = create_video_qa_chain(model, make_retriever(store), prompt=NOTES_ONLY)
    answered = chain.invoke("Who whisks two eggs in a bowl?")
    assert (answered["answer"], answered["supported"]) == ("Two eggs are whisked [1], at ??:??.", False)
    (cited,) = answered["citations"]
    first = answered["documents"][0]
    assert cited.video_id == first.metadata["video_id"]
    assert first.metadata["start"] <= cited.start < cited.end <= first.metadata["end"]
    # The notes are those of a store, whatever the retriever adds to the text.
    moments = {one.id: one for timeline in TIMELINES for one in timeline.to_documents("moment")}
    assert [one.page_content for one in answered["documents"]] == [
        moments[one.id].page_content for one in answered["documents"]
    ]
    assert len({one.id for one in answered["documents"]}) == len(answered["documents"])
    assert model.last_messages[0].count("<video_notes>") == len(answered["documents"])
    assert asyncio.run(chain.ainvoke("Who whisks two eggs in a bowl?")) == answered


def test_citations_of_the_stores_own_retriever_have_the_times_of_observations(store: VideoTimelineStore) -> None:
    model = model_answering("Two eggs are whisked in a bowl [1].")
    whole_moments = in_memory().as_retriever(search_kwargs={"k": 9})
    for retriever, times in ((store.as_retriever(k=1), (5, 10)), (whole_moments, (0, 15))):
        question: Any = {"question": "Who whisks eggs in a bowl?", "video_id": "talk"}
        (cited,) = create_video_qa_chain(model, retriever).invoke(question)["citations"]
        assert (cited.start, cited.end) == times


def test_observations_of_other_vector_stores_get_their_labels_and_titles() -> None:
    model = model_answering("Two [1].")
    retriever = in_memory("observation").as_retriever(search_kwargs={"k": 1})
    answered = create_video_qa_chain(model, retriever, prompt=NOTES_ONLY).invoke("First whisk two eggs in a bowl")
    assert model.last_messages == [
        "[1] 00:05-00:10\n<video_notes>\ntalk\nSpeech: First whisk two eggs in a bowl\n</video_notes>\n"
        "====\nFirst whisk two eggs in a bowl"
    ]
    assert [one.label for one in answered["citations"]] == ["talk 00:05-00:10"]


def found(text: str = "Whisk", **metadata: Any) -> Runnable[str, list[Document]]:
    """Return a retriever with one fixed result."""
    return RunnableLambda(lambda _: [Document(text, metadata=metadata)])


def test_title_and_source_are_optional() -> None:
    chain = create_video_qa_chain(model_answering("Whisk [1]."), found(video_id="c0ffee", start=1, end=2.5))
    (cited,) = chain.invoke("What?")["citations"]
    assert (cited.label, cited.uri, cited.source) == ("c0ffee 00:01-00:02", "#t=1,2.5", "")


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({}, "metadata.video_id: must be a string in each Document of the retriever, got None"),
        ({"video_id": 7, "start": 0, "end": 1}, "metadata.video_id: must be a string"),
        ({"video_id": "a", "end": 1}, "metadata.start: must be a time in seconds"),
        ({"video_id": "a", "start": "0", "end": 1}, "metadata.start: must be a time in seconds"),
        ({"video_id": "a", "start": 0}, "metadata.end: must be a time in seconds"),
        ({"video_id": "a", "start": 0, "end": float("inf")}, "metadata.end: must be a time in seconds"),
        ({"video_id": "a", "start": 2, "end": 1}, "metadata.end: is before the start"),
    ],
)
def test_documents_that_cannot_be_cited_are_refused(metadata: dict[str, Any], problem: str) -> None:
    model = model_answering("Yes [1].")
    with pytest.raises(InputError, match=re.escape(problem)):
        create_video_qa_chain(model, found(**metadata)).invoke("What?")
    assert model.prompts == []


@pytest.mark.parametrize(
    ("videos", "problem"),
    [
        (in_memory(), "got InMemoryVectorStore. Pass its as_retriever()."),
        ("talk.mp4", "videos: must be a store, a timeline or a retriever, got str"),
    ],
)
def test_other_sources_are_refused(videos: Any, problem: str) -> None:
    with pytest.raises(InputError, match=re.escape(problem)):
        create_video_qa_chain(model_answering("Yes."), videos)


def test_results_that_are_not_documents_are_refused() -> None:
    wrong: Any = RunnableLambda(lambda _: "Whisk")
    chain = create_video_qa_chain(model_answering("Yes."), wrong)
    with pytest.raises(InputError, match="videos: returned str, not Documents"):
        chain.invoke("What?")


def test_whole_videos_need_a_store_or_a_timeline() -> None:
    retriever = in_memory().as_retriever(search_kwargs={"k": 2})
    with pytest.raises(InputError, match="scope: a retriever finds single moments"):
        create_video_qa_chain(model_answering("Yes."), retriever, scope="whole")
    answered = create_video_qa_chain(model_answering("Eggs [1]."), retriever).invoke("Summarize the video")
    assert len(answered["documents"]) == 2


@pytest.mark.parametrize("restriction", [{"video_id": ["yoga"]}, {"video_id": "yoga", "start": 30}])
def test_questions_are_restricted_to_videos_and_times(store: VideoTimelineStore, restriction: dict[str, Any]) -> None:
    for retriever in (store.as_retriever(k=2), in_memory().as_retriever(search_kwargs={"k": 9})):
        chain = create_video_qa_chain(model_answering("Yes [1]."), retriever)
        answered = chain.invoke({"question": "Who whisks eggs?", **restriction})
        places = [(one.metadata["video_id"], one.metadata["start"]) for one in answered["documents"]]
        assert places == [("yoga", 0), ("yoga", 30)][-1 if "start" in restriction else 0 :]


def test_questions_cannot_reach_beyond_the_retriever(store: VideoTimelineStore) -> None:
    model = model_answering("Yes [1].")
    for retriever in (
        store.as_retriever(video_id="eggs"),
        store.as_retriever(search_kwargs={"video_id": "eggs"}),
        store.as_retriever(filter={"video_id": "eggs"}),
    ):
        answered = create_video_qa_chain(model, retriever).invoke({"question": "Breathe in", "video_id": "yoga"})
        assert answered["documents"] == []
    assert model.prompts == []


def test_closest_moments_are_ranked_by_the_retriever_without_asking_it_again() -> None:
    queries = []

    def retrieve(query: str) -> list[Document]:
        queries.append(query)
        return list(EGGS.to_documents("moment"))[::-1]

    answered = create_video_qa_chain(model_answering("No idea."), RunnableLambda(retrieve)).invoke("Where?")
    assert [one.start for one in answered["closest"]] == [60, 30, 0]
    assert [answered["documents"][one.number - 1].metadata["start"] for one in answered["closest"]] == [60, 30, 0]
    assert queries == ["Where?"]


class AsyncOnly(BaseRetriever):
    """A retriever whose vector store can be searched only asynchronously."""

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        raise NotImplementedError

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[Document]:
        return list(EGGS.to_documents("moment"))


def test_asynchronous_retrievers_are_awaited() -> None:
    chain = create_video_qa_chain(model_answering("Two eggs [1]."), AsyncOnly())
    assert asyncio.run(chain.ainvoke("How many?"))["supported"] is True


def test_follow_up_questions_are_rewritten_before_they_are_retrieved() -> None:
    model = ScriptedModel(script=lambda prompt: "Who breathes slowly?" if "Rewrite" in prompt else "She [1].")
    chain = create_video_qa_chain(model, in_memory().as_retriever(search_kwargs={"k": 1}))
    answered = chain.invoke({"question": "And who does?", "history": [("human", "Who whisks?"), ("ai", "He.")]})
    assert answered["documents"][0].page_content == "yoga\nOn screen: Breathe in slowly"
