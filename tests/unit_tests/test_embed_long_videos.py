"""Long videos: segments, and fitting them into the token budget."""

import logging
import operator
import re
from collections.abc import Callable
from functools import reduce
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.retrievers import BaseRetriever
from numpy.typing import NDArray
from pydantic import ValidationError

from langchain_videochat import VideoChatEmbed
from langchain_videochat.embed import NotEnoughMemoryError, VideoChatEmbedProcessor, read_video
from langchain_videochat.embed.conversation import VisualTokens, read_segments
from langchain_videochat.embed.inference import PART_TOKENS
from langchain_videochat.embed.long_videos import VideoBudget, select_segments
from langchain_videochat.embed.media_refs import MediaRef, count_frames
from langchain_videochat.embed.token_merging import BLOCK_SIZE, merge_segments, merge_tokens
from langchain_videochat.embed.visual_cache import MediaFormat, VisualCache
from langchain_videochat.embed.visual_encoder import VisualEncoder
from langchain_videochat.errors import InputError
from langchain_videochat.utils.interval import Interval
from tests.agents import make_store
from tests.numbered_video import make_numbered, read_number, regular
from tests.slides import render_talk
from tests.tiny_videochat import QUERIES, SIZE, byte_tokenizer, save_videochat, tiny_videochat
from tests.unit_tests.embeddings import make_slides

RATE = 10
"""Frames per second of the films."""

TIMES = [[0.5, 1.5], [2.5, 3.5], [4.5, 5.5], [6.5, 7.5], [8.5, 9.5], [10.5, 11.5]]
"""Times of two frames of each of six segments of 12 seconds."""

MakeLLM = Callable[..., VideoChatEmbed]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_videochat(tmp_path_factory.mktemp("videochat"), max_positions=4096)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_film(tmp_path_factory.mktemp("films") / "film.mp4", 12)


def make_film(path: Path, seconds: int) -> Path:
    """Write a video whose frame k shows the number k. The last frame is late: it lasts a 25th of a second."""
    return make_numbered(path, times=[*regular(seconds * RATE, RATE), seconds * 1000 - 40])


@pytest.fixture(scope="module")
def cache() -> VisualCache[VisualTokens]:
    processor = VideoChatEmbedProcessor(byte_tokenizer(), image_size=SIZE, num_visual_tokens=QUERIES)
    return VisualCache(VisualEncoder(tiny_videochat(), processor))


@pytest.fixture
def make_llm(tmp_path: Path, folder: Path) -> MakeLLM:
    """Create chat models with a budget of two segments of 2 seconds. Those of one test share a model and its caches."""
    (tmp_path / "model").symlink_to(folder)
    defaults = {"long_video": "segments", "segment_seconds": 2, "num_frames": 2, "max_video_tokens": 2 * QUERIES}
    return lambda **options: VideoChatEmbed(model=str(tmp_path / "model"), **{**defaults, "max_tokens": 5, **options})


def ask(film: Path, question: str = "Where are the eggs?", **extras: Any) -> list[BaseMessage]:
    return [HumanMessage([{"type": "video", "url": film.as_uri(), "extras": extras}, question])]


def times(answer: AIMessage) -> list[list[float]]:
    return [[round(time, 3) for time in one] for one in answer.response_metadata["sampled_times"]]


def usage(answer: AIMessage) -> dict[str, int]:
    assert answer.usage_metadata is not None
    counts: dict[str, Any] = {**answer.usage_metadata, **answer.usage_metadata["input_token_details"]}
    return {name: counts[name] for name in ("video", "input_tokens", "output_tokens")}


def loaded_model(llm: VideoChatEmbed) -> Any:
    llm.load()
    assert llm._loaded is not None
    return llm._loaded.model


def record_encoded(llm: VideoChatEmbed) -> list[int]:
    """Record the number of frames of each pass of the vision tower from now on."""
    encoded: list[int] = []
    loaded_model(llm).vision_tower.register_forward_pre_hook(lambda _, given: encoded.append(given[0].shape[1]))
    return encoded


# Segments


@settings(max_examples=20)
@given(st.lists(st.integers(0, 119), min_size=2, max_size=8, unique=True), st.integers(1, 4))
@example([0, 1, 2], 2)  # more frames than the segments have
def test_segments_are_read_as_one_by_one(film: Path, bounds: list[int], num_frames: int) -> None:
    segments = [Interval(start / 10, end / 10) for start, end in pairwise(sorted(bounds))]
    for video, segment in zip(read_segments(film, segments, num_frames), segments, strict=True):
        alone = read_video(film, num_frames, segment.start, segment.end)
        assert video.times == alone.times
        assert (video.frames == alone.frames).all()
        assert [read_number(frame) for frame in video.frames] == [round(time * RATE) for time in video.times]


def encode(cache: VisualCache[VisualTokens], media: MediaRef, segment_seconds: float) -> list[VisualTokens]:
    """Encode all segments of a video."""
    with cache.open(media) as file:
        budget = VideoBudget(segment_seconds, 999, QUERIES, "merge", None, audio_seconds=0)
        segments = select_segments(cache.probe(file), media.interval, "What is it?", budget)
        return cache.encode_segments(file, segments, MediaFormat(count_frames(media, segments[0])))


@settings(max_examples=20)
@given(st.floats(0.5, 15), st.integers(0, 60), st.integers(1, 59))
def test_segments_are_equally_long(
    cache: VisualCache[VisualTokens], film: Path, seconds: float, start: int, length: int
) -> None:
    media = MediaRef("video", str(film), Interval(start / 10, (start + length) / 10), num_frames=2)
    segments = encode(cache, media, seconds)
    assert len(segments) == int(np.ceil(round(length / 10 / seconds, 6)))
    for number, segment in enumerate(segments):
        midpoints = start / 10 + (number + np.array([0.25, 0.75])) / len(segments) * length / 10
        # Times of the frames on display at the midpoints.
        assert segment.times == pytest.approx(sorted({*(np.floor((midpoints + 0.0005) * RATE) / RATE)}))


def test_segments_have_their_own_timestamps(make_llm: MakeLLM, film: Path) -> None:
    llm = make_llm(segment_seconds=5, max_video_tokens=999)
    answer = llm.invoke(ask(film))
    assert times(answer) == [[1.0, 3.0], [5.0, 7.0], [9.0, 11.0]]
    assert usage(answer)["video"] == 3 * QUERIES
    assert times(llm.invoke(ask(film, start=2, end=11, num_frames=1))) == [[4.2], [8.7]]


def test_a_short_video_is_sampled_as_a_whole(make_llm: MakeLLM, film: Path) -> None:
    plain = make_llm(long_video="sample").invoke(ask(film))
    assert (times(plain), usage(plain)["video"]) == ([[3.0, 9.0]], QUERIES)
    for llm in (make_llm(segment_seconds=12), make_llm(segment_seconds=12, max_video_tokens=1)):
        answer = llm.invoke(ask(film))
        assert (answer.text, times(answer), usage(answer)) == (plain.text, times(plain), usage(plain))


class Findings(BaseRetriever):
    """A retriever of another package, with fixed results."""

    documents: list[Document]
    queries: list[str] = []  # noqa: RUF012 - pydantic copies it

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        self.queries.append(query)
        return self.documents


@pytest.mark.parametrize("overflow", ["merge", "retrieve", "map_reduce"])
def test_a_video_within_the_budget_is_not_reduced(make_llm: MakeLLM, film: Path, overflow: str) -> None:
    retriever = Findings(documents=[])
    answer = make_llm(overflow=overflow, retriever=retriever, max_video_tokens=6 * QUERIES).invoke(ask(film))
    assert (times(answer), usage(answer)["video"]) == (TIMES, 6 * QUERIES)
    assert answer.text == make_llm(max_video_tokens=999).invoke(ask(film)).text
    assert retriever.queries == []


def test_each_video_has_its_own_budget(make_llm: MakeLLM, film: Path, tmp_path: Path) -> None:
    other = make_film(tmp_path / "other.mp4", 6)
    answer = make_llm().invoke([*ask(film), AIMessage("In the pan."), *ask(other, "And here?")])
    assert usage(answer)["video"] == 4 * QUERIES
    assert times(answer) == [*TIMES, *TIMES[:3]]


# Merging


@settings(max_examples=20)
@given(st.floats(0.5, 13), st.integers(1, 9))
def test_merged_segments_stay_within_the_budget(
    cache: VisualCache[VisualTokens], film: Path, seconds: float, limit: int
) -> None:
    segments = encode(cache, MediaRef("video", str(film), num_frames=2), seconds)
    merged = list(merge_segments(segments, min(limit, len(segments))))
    assert len({one.key for one in merged}) == len(merged) == min(limit, len(segments))
    assert all(1 <= len(one.times) <= 2 for one in merged)
    for one, places in zip(merged, np.array_split(np.arange(len(segments)), len(merged)), strict=True):
        members = [segments[place] for place in places]
        assert torch.equal(one.embeddings, merge_tokens(torch.cat([each.embeddings for each in members]), QUERIES))
        assert list(one.times) == sorted({*one.times} & {time for each in members for time in each.times})


def test_further_questions_about_a_merged_video_encode_nothing(make_llm: MakeLLM, film: Path) -> None:
    llm = make_llm()
    encoded = record_encoded(llm)
    questions = [ask(film, f"What is {number}?") for number in range(4)]
    answers = llm.batch(list(questions))
    assert encoded == [2] * 6
    assert [(times(one), usage(one)["video"]) for one in answers] == [(TIMES, 2 * QUERIES)] * 4
    assert [one.text for one in answers] == [llm.invoke(one).text for one in questions]
    assert usage(llm.invoke([*questions[0], answers[0], HumanMessage("And then?")]))["video"] == 2 * QUERIES
    assert usage(make_llm(max_video_tokens=4 * QUERIES).invoke(ask(film)))["video"] == 4 * QUERIES
    assert encoded == [2] * 6


@given(
    arrays(
        st.sampled_from([np.float16, np.float32]),
        st.tuples(st.integers(1, 40), st.integers(1, 5)),
        elements=st.floats(-100, 100, width=16),
    ),
    st.integers(1, 45),
)
def test_merged_tokens_are_means(vectors: NDArray[Any], count: int) -> None:
    tokens = torch.tensor(vectors)
    merged = merge_tokens(tokens, count)
    assert merged.shape == (min(count, len(tokens)), tokens.shape[1])
    assert (merged.dtype, merged.device) == (tokens.dtype, tokens.device)
    assert (merged >= tokens.amin(dim=0) - 1e-3).all()
    assert (merged <= tokens.amax(dim=0) + 1e-3).all()
    if count >= len(tokens):
        assert torch.equal(merged, tokens)
    if count == 1:  # all tokens have the same weight, however often they were merged
        torch.testing.assert_close(merged[0].float(), tokens.float().mean(dim=0), atol=0.1, rtol=1e-3)


def test_very_many_tokens_are_merged_within_blocks() -> None:
    places = torch.arange(3 * BLOCK_SIZE + 5.0)
    merged = merge_tokens(torch.stack([places.cos(), places.sin(), places], dim=1), 40)
    assert merged.shape == (40, 3)
    assert merged[:, 2].min() < BLOCK_SIZE / 2
    assert merged[:, 2].max() > 2.5 * BLOCK_SIZE
    with pytest.raises(InputError, match="count"):
        merge_tokens(merged, 0)


@given(st.permutations(range(10)), st.integers(1, 10), st.sampled_from([torch.float32, torch.bfloat16]))
def test_equal_tokens_are_merged_first(numbers: list[int], doubled: int, dtype: torch.dtype) -> None:
    tokens = torch.eye(10, dtype=dtype)[numbers]
    pairs = tokens[:doubled].repeat_interleave(2, dim=0)
    assert torch.equal(merge_tokens(torch.cat([pairs, tokens[doubled:]]), 10), tokens)


# Retrieval


def test_only_retrieved_segments_are_encoded(make_llm: MakeLLM, tmp_path: Path) -> None:
    slides = [["Whisk two eggs"], ["Heat the pan"], ["Fold the omelette"], ["Serve warm"]]
    talk = render_talk(tmp_path / "talk.mp4", slides, 30.0, size=(480, 270))
    store = make_store(make_slides("another talk", "Fold the omelette", "Serve the eggs warm"))
    store.index(talk, profile="lite", show_progress=False)
    options: dict[str, Any] = {"overflow": "retrieve", "segment_seconds": 25, "max_video_tokens": 4 * QUERIES}
    llm = make_llm(retriever=store.as_retriever(k=1), **options)
    encoded = record_encoded(llm)
    answer = llm.invoke(ask(talk, "When is the omelette folded?"))
    # The slide is on display from 60 to 90: the third and fourth of five segments.
    assert (times(answer), usage(answer)["video"]) == ([[54.0, 66.0], [78.0, 90.0]], 2 * QUERIES)
    assert encoded == [2, 2]
    answer = make_llm(retriever=store.as_retriever(k=2), **options).invoke(ask(talk, "Serve it warm, the eggs"))
    assert times(answer) == [[6.0, 18.0], [30.0, 42.0], [78.0, 90.0], [102.0, 114.0]]
    assert encoded == [2] * 5


def test_other_retrievers_get_no_filters(make_llm: MakeLLM, film: Path) -> None:
    found: list[dict[str, Any]] = [
        {"start": 8.5, "end": 9.5},
        {"source": "without a time"},
        {"start": 4.5, "end": 5.5, "video_id": "another"},
        {"start": 1.0},
        {"start": 2.5, "end": 3.0},
    ]
    retriever = Findings(documents=[Document("something", metadata=one) for one in found])
    llm = make_llm(overflow="retrieve", retriever=retriever)
    answer = llm.invoke([*ask(film, "Where?"), AIMessage("Here."), HumanMessage("And where now?")])
    # The best two, in time order.
    assert (times(answer), usage(answer)["video"]) == ([TIMES[0], TIMES[4]], 2 * QUERIES)
    assert retriever.queries == ["And where now?"]


def test_the_search_is_limited_to_the_interval(make_llm: MakeLLM, tmp_path: Path) -> None:
    slides = [["Fold the omelette"], ["Heat the pan"], ["Fold the omelette"], ["Serve warm"]]
    talk = render_talk(tmp_path / "talk.mp4", slides, 30.0, size=(480, 270))
    store = make_store()
    store.index(talk, profile="lite", show_progress=False)
    llm = make_llm(
        overflow="retrieve", segment_seconds=15, max_video_tokens=2 * QUERIES, retriever=store.as_retriever(k=1)
    )
    question = "When is the omelette folded?"
    # The moment that ends at 30 does not overlap the segment from 30 to 45.
    assert times(llm.invoke(ask(talk, question, end=60))) == [[3.6, 11.2], [18.6, 26.2]]
    assert times(llm.invoke(ask(talk, question, start=30))) == [[63.6, 71.2], [78.6, 86.2]]


def test_a_tool_result_is_not_the_question(make_llm: MakeLLM, film: Path) -> None:
    retriever = Findings(documents=[Document("something", metadata={"start": 4.5})])
    llm = make_llm(overflow="retrieve", retriever=retriever)
    call = {"name": "look", "args": {}, "id": "1"}
    llm.invoke([*ask(film, "Where?"), AIMessage("", tool_calls=[call]), ToolMessage("12 files", tool_call_id="1")])
    assert retriever.queries == ["Where?"]


@pytest.mark.parametrize("overflow", ["retrieve", "map_reduce"])
def test_a_video_without_a_question(make_llm: MakeLLM, film: Path, overflow: str) -> None:
    retriever = Findings(documents=[Document("something", metadata={"start": 4.5})])
    video = ask(film)[0].content[0]
    assert make_llm(overflow=overflow, retriever=retriever).invoke([HumanMessage([video])]).text
    assert retriever.queries == []


def test_answers_that_depend_on_a_retriever_are_not_cached(make_llm: MakeLLM, film: Path) -> None:
    retrievers = [Findings(documents=[Document("something", metadata={"start": start})]) for start in (0.5, 8.5)]
    cache = InMemoryCache()
    llms = [make_llm(overflow="retrieve", retriever=retriever, cache=cache) for retriever in retrievers]
    assert [times(llm.invoke(ask(film))) for llm in llms] == [[TIMES[0]], [TIMES[4]]]


def test_without_search_results_segments_are_spread_over_the_video(
    make_llm: MakeLLM, film: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for retriever in (make_store(make_slides("another", "Eggs")).as_retriever(), Findings(documents=[])):
        caplog.clear()
        llm = make_llm(overflow="retrieve", retriever=retriever, max_video_tokens=3 * QUERIES)
        assert times(llm.invoke(ask(film))) == [TIMES[0], TIMES[2], TIMES[5]]
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        assert "Nothing was found" in caplog.text


def test_retrieval_needs_a_retriever(make_llm: MakeLLM) -> None:
    with pytest.raises(ValidationError, match="needs a retriever"):
        make_llm(overflow="retrieve")


# Map-reduce


def test_map_reduce_notes_have_timestamps(make_llm: MakeLLM, film: Path) -> None:
    llm = make_llm(overflow="map_reduce", max_video_tokens=4 * QUERIES)
    prompts = record_prompts(llm)
    llm.invoke(ask(film, "What is it?"))
    *parts, final = prompts
    notes = final.partition("Answers for each part of the video:")[2]
    assert re.findall(r"\n(\d\d:\d\d to \d\d:\d\d): ", notes) == ["00:00 to 00:07", "00:08 to 00:11"]
    assert all("What is it?" in part for part in parts)
    assert sorted(part.count("</Video>") for part in parts) == [2, 4]


def test_map_reduce_answers_for_each_part(make_llm: MakeLLM, film: Path) -> None:
    llm = make_llm(overflow="map_reduce")
    encoded, texts = record_encoded(llm), record_prompts(llm)
    answer = llm.invoke(ask(film))
    parts = [llm.invoke(ask(film, start=start, end=start + 4), max_tokens=PART_TOKENS) for start in (0, 4, 8)]
    (prompt,) = [text for text in texts if "each part of the video" in text]
    for clock, part in zip(["00:00 to 00:03", "00:04 to 00:07", "00:08 to 00:11"], parts, strict=True):
        assert f"\n{clock}: {part.text.strip()}\n" in prompt
    assert (times(answer), usage(answer)["video"]) == (TIMES, 6 * QUERIES)
    assert usage(answer)["output_tokens"] == 5 + sum(usage(part)["output_tokens"] for part in parts)
    # This model has byte tokens.
    assert usage(answer)["input_tokens"] >= len(prompt) + sum(usage(part)["input_tokens"] for part in parts)
    streamed = reduce(operator.add, llm.stream(ask(film)))
    assert (streamed.text, usage(streamed)) == (answer.text, usage(answer))
    assert encoded == [2] * 6


def record_prompts(llm: VideoChatEmbed) -> list[str]:
    """Record the prompts that the language model processes from now on."""
    texts: list[str] = []
    model, tokenizer = loaded_model(llm).language_model, byte_tokenizer()

    def record(_: object, __: object, inputs: dict[str, Any]) -> None:
        if "inputs_embeds" in inputs:
            distances = torch.cdist(inputs["inputs_embeds"][0], model.get_input_embeddings().weight)
            texts.append(str(tokenizer.decode(distances.argmin(dim=1).tolist())))

    model.register_forward_pre_hook(record, with_kwargs=True)
    return texts


# Memory


def limit_memory(llm: VideoChatEmbed, tokens: int) -> Any:
    """Raise an out-of-memory error for prompts of more tokens."""

    def check(_: object, __: object, inputs: dict[str, Any]) -> None:
        if "inputs_embeds" in inputs and inputs["inputs_embeds"].shape[1] > tokens:
            raise torch.OutOfMemoryError("CUDA out of memory")

    return loaded_model(llm).language_model.register_forward_pre_hook(check, with_kwargs=True)


@pytest.mark.parametrize("overflow", ["merge", "retrieve"])
def test_out_of_memory_halves_the_segments(
    make_llm: MakeLLM, film: Path, caplog: pytest.LogCaptureFixture, overflow: str
) -> None:
    options: dict[str, Any] = {"overflow": overflow, "retriever": Findings(documents=[])}
    expected = make_llm(**options).invoke(ask(film))
    llm = make_llm(**options, max_video_tokens=4 * QUERIES)
    with limit_memory(llm, 250):
        answer = llm.invoke(ask(film))
        streamed = reduce(operator.add, llm.stream(ask(film)))
    assert (answer.text, usage(answer)) == (streamed.text, usage(streamed)) == (expected.text, usage(expected))
    assert "Out of memory" in caplog.text
    assert usage(llm.invoke(ask(film)))["video"] == 4 * QUERIES


def test_a_conversation_that_cannot_be_reduced_is_not_retried(
    make_llm: MakeLLM, film: Path, caplog: pytest.LogCaptureFixture
) -> None:
    llm = make_llm(max_video_tokens=32 * QUERIES)
    for messages in ([HumanMessage("Where are the eggs? " * 5)], ask(film, end=2)):
        prompts = record_prompts(llm)
        with limit_memory(llm, 20), pytest.raises(NotEnoughMemoryError, match="max_video_tokens"):
            llm.invoke(messages)
        assert len(prompts) == 1
    assert "segments" not in caplog.text


@pytest.mark.parametrize("overflow", ["merge", "map_reduce"])
def test_out_of_memory_for_one_segment_is_an_error(make_llm: MakeLLM, film: Path, overflow: str) -> None:
    llm = make_llm(overflow=overflow)
    with limit_memory(llm, 20), pytest.raises(NotEnoughMemoryError, match="max_video_tokens"):
        llm.invoke(ask(film))
    assert llm.invoke(ask(film)).text
