"""Questions about order in time: what is before or after something, and first or last occurrences."""

# ruff: noqa: RUF001

import asyncio
import re
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.tools import BaseTool
from pydantic import ValidationError

from langchain_videochat.errors import InputError
from langchain_videochat.perception import Observation
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.store.embeddings import SentenceTransformerEmbeddings
from langchain_videochat.store.time_order import Anchor, TimeOrder
from langchain_videochat.text.prompts import EXCERPTS_PROMPT, NOT_SHOWN, WHOLE_VIDEO
from langchain_videochat.text.question_answering import create_video_qa_chain
from langchain_videochat.text.tools import SearchVideosTool
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.interval import Interval
from tests.scripted_model import ScriptedModel
from tests.unit_tests.embeddings import BagOfWords, make_slides, make_timeline

YARD = make_slides(
    "yard",
    "a fox runs across an empty yard",
    "a truck reverses to the loading dock",
    "a man in an orange vest unloads barrels",
    "snow falls on the parked trucks",
    "the guard takes a phone call at the gate",
    "the guard locks the gate with a chain",
    "a snow plow clears the road",
    "a cat sleeps on the warm hood of a car",
    "snow falls on the roof of the office",
    "the lamps of the yard go out",
)
MATCH = make_slides(
    "match",
    "the teams enter the stadium",
    "the striker misses a penalty",
    "the coach takes a phone call beside the pitch",
    "the striker scores a goal with her head",
    "the fans sing in heavy rain",
)
SECONDS = 30.0
"""The length of each of these moments."""


def make_store(*timelines: Timeline, name: str, embedding: Any = None) -> VideoTimelineStore:
    store = VideoTimelineStore(embedding=embedding, collection_name=name)
    for timeline in timelines:
        store.add(timeline)
    return store


@pytest.fixture(scope="module")
def store() -> VideoTimelineStore:
    return make_store(YARD, MATCH, name="temporal", embedding=SentenceTransformerEmbeddings())


def numbers(found: list[Document]) -> list[int]:
    """Return the numbers of the slides."""
    return [round(one.metadata["start"] / SECONDS) for one in found]


# After and before


def test_moments_after_an_anchor_are_nearest_first(store: VideoTimelineStore) -> None:
    found = store.search("what happens", 2, video_id="yard", after="the phone call")
    assert numbers(found) == [5, 6]


def test_moments_before_an_anchor_are_nearest_first(store: VideoTimelineStore) -> None:
    found = store.search("what happens", 2, before="she scores a goal")
    assert (numbers(found), {one.metadata["video_id"] for one in found}) == ([2, 1], {"match"})


def test_a_better_match_comes_before_a_nearer_one(store: VideoTimelineStore) -> None:
    assert numbers(store.search("the cat", 1, video_id="yard", after="the phone call")) == [7]
    assert numbers(store.search("snow falls", 1, video_id="yard", after="the phone call")) == [8]
    assert numbers(store.search("the fox", 1, video_id="yard", before="the phone call")) == [0]


def test_both_sides_leave_the_moments_between(store: VideoTimelineStore) -> None:
    found = store.search("what happens", 10, video_id="yard", after="unloading barrels", before="the phone call")
    assert numbers(found) == [3]
    assert store.search("what happens", video_id="yard", after="the phone call", before="unloading barrels") == []


def test_metadata_hold_the_anchor(store: VideoTimelineStore) -> None:
    found = store.search("barrels", 1, after="the truck at the loading dock", before="the guard takes a phone call")
    data = found[0].metadata
    assert (data["after_start"], data["after_end"]) == (30, 60)
    assert data["after_citation"] == "file:///films/yard.mp4#t=30,60"
    assert (data["before_start"], data["before_end"]) == (120, 150)
    assert data["before_citation"] == "file:///films/yard.mp4#t=120,150"
    assert data["start"] == 60
    assert not any(name.startswith(("after_", "before_")) for name in store.search("snow", 1)[0].metadata)


def test_an_anchor_in_several_videos_is_used_in_each(store: VideoTimelineStore) -> None:
    found = store.search("what happens", 2, after="takes a phone call")
    places = {one.metadata["video_id"]: one.metadata["start"] for one in found}
    assert places == {"yard": 150, "match": 90}
    citations = {one.metadata["after_citation"] for one in found}
    assert citations == {"file:///films/yard.mp4#t=120,150", "file:///films/match.mp4#t=60,90"}


def test_an_anchor_that_happens_twice_is_used_twice(store: VideoTimelineStore) -> None:
    found = store.search("what happens", 2, video_id="yard", after="snow falls")
    assert {number: one.metadata["after_start"] for number, one in zip(numbers(found), found, strict=True)} == {
        4: 90,
        9: 240,
    }


def test_within_the_moment_of_the_anchor_only_what_follows_counts() -> None:
    said = [(1, 4, "the phone rings"), (5, 9, "hello who is there"), (12, 16, "I must leave at once")]
    call = make_timeline("call", *(Observation(start, end, "speech", text) for start, end, text in said))
    store = make_store(call, name="within", embedding=BagOfWords())
    found = store.search("I must leave", after="the phone rings")
    assert [(one.metadata["hit_start"], one.metadata["after_end"]) for one in found] == [(12, 4)]
    unclear = store.search("zebra", after="the phone rings")[0].metadata
    assert (unclear["start"], unclear["hit_start"]) == (0, 4)
    assert store.search("the phone rings", before="the phone rings") == []
    assert store.search("the phone rings", after="I must leave at once") == []


def test_the_anchor_may_be_outside_of_the_filters(store: VideoTimelineStore) -> None:
    found = store.search("what happens", 10, video_id="yard", start=200, end=240, after="the phone call")
    assert sorted(numbers(found)) == [6, 7]
    seen = [Observation(40, 50, "caption", "a man laughs"), Observation(70, 80, "speech", "what a day")]
    call = make_timeline("call", Observation(0, 10, "speech", "the phone rings"), *seen)
    other = make_store(call, name="modalities", embedding=BagOfWords())
    found = other.search("a man", modalities="caption", after="the phone rings")
    assert [one.metadata["hit_start"] for one in found] == [40]


@pytest.mark.parametrize("name", ["after", "before"])
def test_an_anchor_that_nothing_matches_is_an_error(store: VideoTimelineStore, name: str) -> None:
    def search(anchor: str, **options: Any) -> list[Document]:
        return store.search("what happens", **options | {name: anchor})

    with pytest.raises(InputError, match=f"^{name}: nothing in these videos matches 'qwrtzp 77'. Describe"):
        search("qwrtzp 77")
    with pytest.raises(InputError, match=f"^{name}: must not be empty"):
        search(" ")
    with pytest.raises(InputError, match=f"^{name}: nothing in these videos"):
        search("the phone call", video_id="unknown")


@given(
    anchors=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9)), min_size=1, max_size=4),
    scores=st.lists(st.floats(0, 1), min_size=20, max_size=20),
    name=st.sampled_from(["after", "before"]),
)
@settings(max_examples=50)
def test_exactly_the_moments_on_one_side_are_returned(
    anchors: list[tuple[str, int]], scores: list[float], name: str
) -> None:
    places = {number: ("ab"[number // 10], Interval(number % 10, number % 10 + 1)) for number in range(20)}
    chosen = tuple(Anchor(video_id, Interval(start, start + 1), "") for video_id, start in anchors)
    ranked = dict(sorted(enumerate(scores), key=lambda item: -item[1]))
    order = TimeOrder(after=chosen) if name == "after" else TimeOrder(before=chosen)
    found = order.arrange(ranked, places)
    sign = 1 if name == "after" else -1
    expected = {
        number
        for number, (video_id, interval) in places.items()
        if any(video_id == one and sign * (interval.start - start) > 0 for one, start in anchors)
    }
    assert set(found) == expected


# First and last


def test_the_first_or_the_last_good_match_comes_first(store: VideoTimelineStore) -> None:
    assert numbers(store.search("snow falls", video_id="yard", occurrence="first")) == [3, 8]
    assert numbers(store.search("snow falls", video_id="yard", occurrence="last")) == [8, 3]


def test_each_video_has_a_first_occurrence(store: VideoTimelineStore) -> None:
    found = store.search("the striker", occurrence="last")
    assert (found[0].metadata["video_id"], found[0].metadata["start"]) == ("match", 90)
    found = store.search("takes a phone call", occurrence="first")
    assert {one.metadata["video_id"] for one in found} == {"yard", "match"}


def test_moments_of_several_videos_alternate() -> None:
    slides = [make_slides(name, "red lamp", "door", "red lamp", "red lamp") for name in ("one", "two")]
    store = make_store(*slides, name="alternate", embedding=BagOfWords())
    found = store.search("red lamp", 4, occurrence="last")
    assert numbers(found) == [3, 3, 2, 2]
    assert len({one.metadata["video_id"] for one in found[:2]}) == 2


class RandomVectors(Embeddings):
    """Gives texts vectors that have nothing to do with one another."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return [float(value) for value in np.random.default_rng(crc32(text.encode())).standard_normal(256)]


def test_the_next_moments_come_first_in_a_long_video_if_nothing_matches_the_query() -> None:
    store = make_store(
        make_slides("book", *[f"page {number}" for number in range(700)]), name="long", embedding=RandomVectors()
    )
    for page in (100, 347, 598):
        assert numbers(store.search("penguins", 2, after=f"page {page}")) == [page + 1, page + 2]
        assert numbers(store.search("penguins", 2, before=f"page {page}")) == [page - 1, page - 2]


def test_the_first_occurrence_after_an_anchor(store: VideoTimelineStore) -> None:
    found = store.search("snow", video_id="yard", after="the phone call", occurrence="first")
    assert numbers(found) == [6, 8]
    assert {one.metadata["after_start"] for one in found} == {120}


def test_what_cannot_be_combined_is_an_error(store: VideoTimelineStore) -> None:
    with pytest.raises(InputError, match=r"^lambda_mult: cannot be combined with after, before or occurrence"):
        store.search("snow", occurrence="last", lambda_mult=0.5)
    with pytest.raises(InputError, match=r"^reranker: cannot be combined with after, before or occurrence"):
        store.search("snow", after="the phone call", reranker="owner/encoder")
    with pytest.raises(InputError, match=r"^occurrence: unknown occurrence 'second'. Choose one of first, last"):
        store.search("snow", occurrence="second")  # type: ignore[arg-type]


# The retriever and the tool


def test_the_retriever_takes_the_same_arguments(store: VideoTimelineStore) -> None:
    retriever = store.as_retriever(k=1, video_id="yard")
    assert numbers(retriever.invoke("what happens", after="the phone call")) == [5]
    assert numbers(asyncio.run(retriever.ainvoke("snow falls", occurrence="last"))) == [8]
    assert numbers(store.as_retriever(k=1, before="she scores a goal").invoke("what happens")) == [2]
    assert numbers(store.as_retriever(search_kwargs={"k": 1, "occurrence": "first"}).invoke("snow falls")) == [3]
    with pytest.raises(ValidationError):
        store.as_retriever(occurrence="second")
    with pytest.raises(InputError, match=r"^lambda_mult"):
        store.as_retriever(search_type="mmr").invoke("snow", occurrence="last")


@pytest.fixture
def tool(store: VideoTimelineStore) -> BaseTool:
    return SearchVideosTool(store=store)


def test_agents_search_after_an_anchor(tool: BaseTool) -> None:
    arguments = {"query": "what happens", "video_id": "yard", "after": "the phone call", "k": 1}
    message = tool.invoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments})
    assert "the guard locks the gate" in message.content
    assert "After the moment at 02:00-02:30 (120-150 s)" in message.content
    assert (message.artifact[0]["start"], message.artifact[0]["after_start"]) == (150, 120)


def test_agents_search_the_last_occurrence(tool: BaseTool) -> None:
    assert "roof of the office" in tool.invoke({"query": "snow falls", "occurrence": "last", "k": 1})


def test_agents_get_advice(tool: BaseTool) -> None:
    answer = tool.invoke({"query": "what happens", "after": "qwrtzp 77"})
    assert "after: nothing in these videos matches 'qwrtzp 77'" in answer
    assert "Describe in other words" in answer
    assert "before: is empty" in tool.invoke({"query": "what happens", "before": " "})
    assert "occurrence" in tool.invoke({"query": "snow", "occurrence": "second"})


# The chain

QUESTIONS = {
    "Deutsch": ("Was passiert gleich nach dem Anruf?", "der Anruf der Mutter", "sie packt ihren Koffer"),
    "français": ("Que se passe-t-il juste après la livraison ?", "livraison du colis", "elle ferme boutique"),
    "中文": ("打电话之后发生了什么？", "她在厨房打电话", "她收拾行李去机场"),
}
"""A question, what it refers to, and what follows, which has no words of the question."""


def reading(follows: str) -> ScriptedModel:
    """Create a model that answers from the note with a text, and asks for the whole video if there is none."""

    def script(prompt: str) -> str:
        found = re.search(rf"\[(\d+)\][^\[]*{follows}|{follows} \[(\d+)\]", prompt)
        if found is None:
            return NOT_SHOWN if "The notes of this part" in prompt else WHOLE_VIDEO
        return f"{follows} [{found[1] or found[2]}]."

    return ScriptedModel(script=script)


def ask(model: ScriptedModel, where: VideoTimelineStore, question: Any) -> dict[str, Any]:
    return dict(create_video_qa_chain(model, where, max_context_tokens=600).invoke(question))


@pytest.fixture(scope="module")
def talks() -> VideoTimelineStore:
    """Create a store of videos that exceed a prompt, each with an anchor and what follows it."""
    slides = [f"Slide {number} {'word ' * 20}" for number in range(20)]
    timelines = [make_slides(name, *slides[:9], *texts[1:], *slides[9:]) for name, texts in QUESTIONS.items()]
    return make_store(*timelines, name="talks", embedding=SentenceTransformerEmbeddings())


@pytest.mark.parametrize("language", QUESTIONS)
def test_the_first_prompt_has_what_follows_what_was_found(talks: VideoTimelineStore, language: str) -> None:
    question, _, follows = QUESTIONS[language]
    model = reading(follows)
    answered = ask(model, talks, question)
    assert [one["start"] for one in answered["citations"]] == [10 * SECONDS]
    assert len(model.prompts) == 1


@pytest.mark.parametrize("language", QUESTIONS)
def test_the_whole_video_has_what_the_first_prompt_leaves_out(talks: VideoTimelineStore, language: str) -> None:
    question = {"question": QUESTIONS[language][0], "video_id": language}
    excerpts = ask(reading("Slide"), talks, question)["documents"]
    shown = "".join(one.page_content for one in excerpts)
    left_out = next(number for number in range(20) if f"Slide {number} " not in shown)
    model = reading(f"Slide {left_out} word")
    answered = ask(model, talks, question)
    assert [one.number for one in answered["citations"]] == [left_out + (1 if left_out < 9 else 3)]
    assert len(model.prompts) > 1


def test_the_prompt_explains_when_notes_leave_out_what_is_before_or_after() -> None:
    text = EXCERPTS_PROMPT.format(notes="", question="")
    assert "what comes before or after something, if the notes leave out that part of the video" in text
