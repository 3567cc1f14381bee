"""The continuous batch, and the keys and values that it keeps: each answer is the one that the model gives alone."""

import asyncio
import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.exceptions import ModelError
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    DynamicCache,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
)

from langchain_videochat import VideoChatEmbed
from langchain_videochat.embed import batching
from langchain_videochat.embed.batching import Batch, Prompt
from langchain_videochat.embed.errors import NotEnoughMemoryError
from langchain_videochat.embed.key_values import KEPT_TOKENS, PrefixCache
from langchain_videochat.errors import InputError
from tests.slides import render_talk
from tests.tiny_videochat import SPREAD, save_videochat

ENDS = (2, 7, 11)
"""Of a vocabulary of 40: many answers end before their longest."""

LENGTH = 10
"""Tokens that an answer has at most."""

SIZE: dict[str, Any] = {"vocab_size": 40, "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2}
KINDS: dict[str, Callable[[], PreTrainedConfig]] = {
    "llama": lambda: LlamaConfig(**SIZE, intermediate_size=32),
    "sliding window": lambda: MistralConfig(**SIZE, intermediate_size=32, num_key_value_heads=1, sliding_window=4),
    "no positions": lambda: BloomConfig(**SIZE),
    "learned positions": lambda: GPT2Config(**SIZE, n_positions=64),
}


@cache
def language_model(kind: str = "llama") -> Any:
    factory: Any = AutoModelForCausalLM
    model = factory.from_config(KINDS[kind]()).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.requires_grad_(False).normal_(std=SPREAD, generator=generator)
    return model


def prompt(*tokens: int, kind: str = "llama") -> Prompt:
    return Prompt(language_model(kind).get_input_embeddings()(torch.tensor(tokens)), tokens)


def likeliest(_written: list[int], logits: Tensor) -> int:
    return int(logits.numpy().argmax())


def write(batch: Batch, asked: Prompt, *, batch_size: int = 8, max_tokens: int = LENGTH) -> Generator[int]:
    return batch.write(asked, likeliest, max_tokens=max_tokens, batch_size=batch_size)


@cache
def alone(*tokens: int, kind: str = "llama") -> list[int]:
    """Answer as transformers does."""
    embeddings = prompt(*tokens, kind=kind).embeddings.unsqueeze(0)
    ids = language_model(kind).generate(
        inputs_embeds=embeddings,
        attention_mask=torch.ones(embeddings.shape[:2], dtype=torch.int64),
        max_new_tokens=LENGTH,
        do_sample=False,
        eos_token_id=list(ENDS),
        pad_token_id=0,
    )
    answer: list[int] = ids[0].tolist()
    return answer


@contextmanager
def before_each_forward(model: Any, do: Callable[[int, int], object]) -> Iterator[None]:
    """Call with the number of rows and of places that the language model is about to read."""

    def hook(_model: Any, _args: Any, inputs: dict[str, Any]) -> None:
        do(*(inputs["input_ids"] if "input_ids" in inputs else inputs["inputs_embeds"]).shape[:2])

    with model.register_forward_pre_hook(hook, with_kwargs=True):
        yield


@contextmanager
def noting(model: Any, seconds: float = 0.0) -> Iterator[list[tuple[int, int]]]:
    """List how many rows and places are read at a time; the first takes so long that others can join."""
    noted: list[tuple[int, int]] = []

    def note(rows: int, places: int) -> None:
        noted.append((rows, places))
        time.sleep(seconds if len(noted) == 1 else 0)

    with before_each_forward(model, note):
        yield noted


def nothing(*_: int) -> None:
    """Let the model go on."""


def interrupt(*_: int) -> None:
    raise KeyboardInterrupt


class AtOperation(TorchDispatchMode):
    """Does something before one of torch's operations, counted from 0."""

    def __init__(self, number: int, do: Callable[[], object]) -> None:
        super().__init__()
        self._left = number
        self._do = do

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._left -= 1
        if self._left == -1:
            self._do()
        return func(*args, **(kwargs or {}))


SOME = ((3, 4, 5), (6,), (3, 4, 8, 9, 10, 12), (20, 21))
"""Prompts whose answers are long."""


def begun(batch: Batch) -> list[tuple[Generator[int], list[int]]]:
    """Give answers of which a token is read, and it."""
    streams = [write(batch, prompt(*tokens)) for tokens in SOME]
    return [(stream, [next(stream)]) for stream in streams]


def all_alone() -> list[list[int]]:
    return [alone(*tokens) for tokens in SOME]


def ended(answers: Sequence[tuple[Generator[int], list[int]]]) -> list[list[int]]:
    return [[*read, *stream] for stream, read in answers]


# Answers


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(
    # Few tokens, so that many prompts begin alike.
    st.lists(st.tuples(st.lists(st.integers(3, 5), min_size=1, max_size=9), st.sampled_from([1, 3, 8])), min_size=2),
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["read"] * 6 + ["leave", "interrupt"]))),
)
def test_in_whatever_order_answers_are_read_each_is_right(
    kind: str, prompts: list[tuple[list[int], int]], schedule: list[tuple[int, str]]
) -> None:
    batch = Batch(language_model(kind), ENDS)
    streams = [write(batch, prompt(*tokens, kind=kind), batch_size=size) for tokens, size in prompts]
    read: list[list[int]] = [[] for _ in prompts]
    left = set()
    for number, action in schedule:
        place = number % len(prompts)
        if action == "leave":
            left.add(place)
            streams[place].close()
        with before_each_forward(language_model(kind), interrupt if action == "interrupt" else nothing):
            try:
                read[place].extend(islice(streams[place], 1))
            except KeyboardInterrupt:
                left.add(place)
    for place, (tokens, _) in enumerate(prompts):
        read[place] += streams[place]
        expected = alone(*tokens, kind=kind)
        assert read[place] == (expected[: len(read[place])] if place in left else expected)


def test_fifty_threads_share_eight_rows() -> None:
    prompts = [tuple(range(3, 4 + number % 13)) for number in range(50)]
    batch = Batch(language_model(), ENDS)
    with noting(language_model(), seconds=0.2) as noted, ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda tokens: list(write(batch, prompt(*tokens))), prompts))
    assert answers == [alone(*tokens) for tokens in prompts]
    assert max(rows for rows, _ in noted) == 8


def test_threads_may_be_switched_at_any_line() -> None:
    def give_way(frame: FrameType, _event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename != batching.__file__:
            return None
        time.sleep(0)
        return give_way

    prompts = SOME * 15
    batch = Batch(language_model(), ENDS)
    threading.settrace(give_way)
    try:
        with ThreadPoolExecutor(len(prompts) // 2) as pool:
            streams = [write(batch, prompt(*tokens), batch_size=1, max_tokens=2) for tokens in prompts]
            assert list(pool.map(list, streams)) == [alone(*tokens)[:2] for tokens in prompts]
    finally:
        threading.settrace(None)


def test_what_fails_in_one_answer_is_told_to_its_reader_alone() -> None:
    def refuse(written: list[int], logits: Tensor) -> int:
        if len(written) == 3:
            raise ZeroDivisionError("no more")
        return likeliest(written, logits)

    batch = Batch(language_model(), ENDS)
    others = begun(batch)
    refused = batch.write(prompt(15, 16), refuse, max_tokens=LENGTH, batch_size=8)
    read: list[int] = []
    with pytest.raises(ZeroDivisionError, match="no more"):
        read.extend(refused)
    assert read == alone(15, 16)[:3]
    assert ended(others) == all_alone()


def test_what_fails_in_the_model_is_told_to_those_alone_who_are_not_done() -> None:
    batch = Batch(language_model(), ENDS)
    short = write(batch, prompt(*SOME[0]), max_tokens=3)
    read = [next(short)]
    with before_each_forward(language_model(), interrupt), pytest.raises(KeyboardInterrupt):
        next(write(batch, prompt(*SOME[1])))

    failing = prompt(*SOME[2])
    with (
        before_each_forward(language_model(), lambda _, places: 1 / (places - len(failing.keys))),
        pytest.raises(ZeroDivisionError),
    ):
        next(write(batch, failing))
    assert [*read, *short] == alone(*SOME[0])[:3]
    assert list(write(batch, failing)) == alone(*SOME[2])


# Memory


def exhaust_cuda() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")


def exhaust_memory() -> None:
    torch.empty(2**60, dtype=torch.uint8)


@pytest.mark.parametrize("exhaust", [exhaust_cuda, exhaust_memory])
@pytest.mark.parametrize("room", [1, 2, 3])
def test_where_memory_is_short_fewer_answers_are_written_at_once(
    exhaust: Callable[[], None], room: int, caplog: pytest.LogCaptureFixture
) -> None:
    batch = Batch(language_model(), ENDS)
    with before_each_forward(language_model(), lambda rows, _: exhaust() if rows > room else None):
        with caplog.at_level(logging.WARNING):
            assert ended(begun(batch)) == all_alone()
        assert "memory is used up" in caplog.text
    with noting(language_model()) as noted:
        assert ended(begun(batch)) == all_alone()
    assert max(rows for rows, _ in noted) == len(SOME)


def test_where_memory_is_short_what_is_kept_is_given_up_for_an_answer() -> None:
    batch = Batch(language_model(), ENDS)
    list(write(batch, prompt(3, 4, 5, 6)))
    events = iter([exhaust_cuda])
    once = before_each_forward(language_model(), lambda *_: next(events, nothing)())
    with noting(language_model()) as noted, once:
        assert list(write(batch, prompt(3, 4, 5, 6, 8))) == alone(3, 4, 5, 6, 8)
    assert [places for _, places in noted][:2] == [1, 5]


@settings(max_examples=60)
@given(st.integers(0, 130), st.booleans())
def test_memory_may_run_out_at_any_operation(operation: int, someone_leaves: bool) -> None:
    batch = Batch(language_model(), ENDS)
    (leaving, _), *staying = begun(batch)
    with AtOperation(operation, exhaust_cuda):
        if someone_leaves:
            leaving.close()
        else:
            staying[0][1].extend([next(staying[0][0]), next(staying[0][0])])
    assert ended(staying) == all_alone()[1:]


# Streams that are left


def test_a_stream_that_is_left_half_way_keeps_nothing() -> None:
    batch = Batch(language_model(), ENDS)
    asked = [prompt(*tokens) for tokens in SOME]
    alive = [weakref.ref(one) for one in asked]
    streams = [write(batch, one) for one in asked]
    read = [next(stream) for stream in streams[:3]]
    del asked, streams[1:]
    assert [one() is not None for one in alive] == [True, False, False, False]
    with noting(language_model()) as noted:
        assert [read[0], *streams[0]] == alone(*SOME[0])
    assert {rows for rows, _ in noted} == {1}
    del streams
    assert alive[0]() is None


@pytest.mark.parametrize("operation", [0, 4])
def test_a_stream_may_be_left_to_the_garbage_collector_at_any_moment(operation: int) -> None:
    batch = Batch(language_model(), ENDS)
    (left, _), (closed, _), *staying = begun(batch)
    cycle: list[Any] = [left]
    cycle.append(cycle)
    del left, cycle
    with AtOperation(operation, gc.collect):
        closed.close()
    assert ended(staying) == all_alone()[2:]


def test_an_interrupted_step_leaves_the_answers_of_other_threads_right() -> None:
    batch = Batch(language_model(), ENDS)
    answers = begun(batch)
    with before_each_forward(language_model(), interrupt), pytest.raises(KeyboardInterrupt):
        next(write(batch, prompt(15, 16)))
    with ThreadPoolExecutor(len(answers)) as pool:
        assert list(pool.map(lambda one: ended([one])[0], answers)) == all_alone()
    assert list(write(batch, prompt(15, 16))) == alone(15, 16)


# What is kept


def test_what_goes_on_from_an_answer_is_read_from_there() -> None:
    batch = Batch(language_model(), ENDS)
    asked = tuple(range(3, 33))
    answer = list(write(batch, prompt(*asked)))
    for tokens, unread in [
        ((*asked, *answer, 5, 6), 3),  # the answer's last token was not read when it was written
        ((*asked, *answer, 5, 6, 8, 9), 2),
        ((*asked[:20], 39, *asked[21:]), 10),
        ((*asked[:20], 39, *asked[21:]), 1),
        ((39, *asked), 31),
    ]:
        with noting(language_model()) as noted:
            assert list(write(batch, prompt(*tokens))) == alone(*tokens)
        assert noted[0] == (1, unread)


def test_the_keys_tell_what_is_read_and_not_the_token_ids() -> None:
    batch = Batch(language_model(), ENDS)
    for tokens, unread in [((3, 4, 5, 6), 4), ((3, 8, 9, 6), 3)]:
        keys = (3, ("a video", tokens, 0), ("a video", tokens, 1), 6)
        with noting(language_model()) as noted:
            assert list(write(batch, Prompt(prompt(*tokens).embeddings, keys))) == alone(*tokens)
        assert noted[0] == (1, unread)


def test_so_many_tokens_are_kept_but_always_the_last_text() -> None:
    prefixes = PrefixCache()

    def keep(text: tuple[int, ...]) -> None:
        prefixes.keep(text, DynamicCache([(torch.rand(1, 2, len(text), 4), torch.rand(1, 2, len(text), 4))]))

    def kept() -> list[int]:
        return [prefixes.begin((*text, -1)).get_seq_length() for text in (*texts, long)]

    quarter = KEPT_TOKENS // 4 - 1
    texts = [(number,) * quarter for number in range(5)]
    long = (6,) * (KEPT_TOKENS + 1)
    for text in texts:
        keep(text)
    keep((*texts[4], 9))  # in place of what it goes on from
    assert kept() == [0, quarter, quarter, quarter, quarter, 0]
    keep(long)
    assert kept() == [0, 0, 0, 0, 0, len(long)]
    keep((7,))
    assert kept() == [0, 0, 0, 0, 0, 0]


# The chat model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_videochat(tmp_path_factory.mktemp("videochat"))


@pytest.fixture
def llm(folder: Path) -> Iterator[VideoChatEmbed]:
    """A model that has read nothing yet."""
    gc.collect()  # whoever still holds what another test has loaded shares it
    llm = VideoChatEmbed(model=str(folder), device="cpu", max_tokens=40)
    llm.load()
    yield llm
    llm.unload()


def inner(llm: VideoChatEmbed) -> Any:
    """Give the language model in it."""
    assert llm._loaded is not None
    return llm._loaded.model.language_model


def about(film: Path, question: str) -> list[BaseMessage]:
    video = {"type": "video", "url": film.as_uri(), "mime_type": "video/mp4"}
    return [HumanMessage([video, {"type": "text", "text": question}])]


QUESTIONS: list[Any] = [f"{'What is it? ' * (number % 4)}{number}" for number in range(12)]


def told(answer: AIMessage) -> tuple[str, str]:
    return answer.text, str(answer.usage_metadata)


async def test_a_batch_answers_like_one_by_one(llm: VideoChatEmbed) -> None:
    alone = [told(one) for one in (llm.invoke(question) for question in QUESTIONS)]
    assert len(set(alone)) > 6
    with noting(inner(llm), seconds=0.2) as noted:
        assert [told(one) for one in llm.batch(QUESTIONS)] == alone
    assert 1 < max(rows for rows, _ in noted) <= 8
    with noting(inner(llm), seconds=0.2) as noted:
        assert [told(one) for one in await llm.abatch(QUESTIONS)] == alone
    assert 1 < max(rows for rows, _ in noted) <= 8


def test_a_seed_chooses_the_same_alone_and_among_others(llm: VideoChatEmbed) -> None:
    options: dict[str, Any] = {"seed": 4, "temperature": 1.5, "top_p": 0.9, "repetition_penalty": 1.1}
    alone = [llm.invoke(question, **options).text for question in QUESTIONS]
    with noting(inner(llm), seconds=0.2) as noted:
        assert [one.text for one in llm.batch(QUESTIONS, **options)] == alone
    assert max(rows for rows, _ in noted) > 1
    assert alone != [llm.invoke(question).text for question in QUESTIONS]


async def test_no_more_are_answered_at_once_than_is_asked_for(llm: VideoChatEmbed) -> None:
    few = QUESTIONS[:3]
    with noting(inner(llm), seconds=0.1) as noted:
        answers = llm.batch(few, {"max_concurrency": 1}) + await llm.abatch(few, {"max_concurrency": 1})
        narrow = llm.model_copy(update={"batch_size": 1})
        answers += narrow.batch(few, {"max_concurrency": 3}) + await narrow.abatch(few)
    assert {rows for rows, _ in noted} == {1}
    assert len({one.text for one in answers}) == len(few)


async def test_a_bad_conversation_leaves_the_others_alone(llm: VideoChatEmbed) -> None:
    asked: list[Any] = [QUESTIONS[0], "egg " * 500, QUESTIONS[1]]
    expected = [llm.invoke(one).text for one in (asked[0], asked[2])]
    batched: list[Any] = llm.batch(asked, return_exceptions=True)
    gathered: list[Any] = await llm.abatch(asked, return_exceptions=True)
    for first, error, last in (batched, gathered):
        assert isinstance(error, InputError)
        assert [first.text, last.text] == expected
    with pytest.raises(InputError):
        llm.batch(asked)


@pytest.mark.parametrize("choice", [None, "any"])
async def test_a_task_that_is_cancelled_stops_the_work(llm: VideoChatEmbed, choice: str | None) -> None:
    def note(text: str) -> None:
        """Write something down."""

    has_begun = asyncio.Event()
    loop = asyncio.get_running_loop()
    begin = before_each_forward(inner(llm), lambda *_: loop.call_soon_threadsafe(has_begun.set))
    with begin, noting(inner(llm)) as noted:
        asked = llm.bind_tools([note], tool_choice=choice)
        task = asyncio.create_task(asked.ainvoke("Go", max_tokens=600))
        await has_begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await loop.shutdown_default_executor()  # waits for what still runs
    assert len(noted) < 100


def test_without_memory_for_one_answer_it_says_what_to_lower(llm: VideoChatEmbed) -> None:
    expected = llm.invoke("Hello").text
    with before_each_forward(inner(llm), lambda *_: exhaust_memory()):
        with pytest.raises(NotEnoughMemoryError, match=r"max_tokens, num_frames or max_video_tokens.*quantization"):
            llm.invoke("Hello")
        with pytest.raises(ModelError):
            llm.batch(["Hello", "You"])
    assert llm.invoke("Hello").text == expected


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two films with the same times."""
    folder = tmp_path_factory.mktemp("films")
    return [render_talk(folder / f"{word}.mp4", [[word]], seconds=2.0) for word in ("Whisk", "Fold")]


def input_tokens(answer: AIMessage) -> int:
    assert answer.usage_metadata is not None
    return answer.usage_metadata["input_tokens"]


def test_of_a_second_question_only_what_is_new_is_read(llm: VideoChatEmbed, folder: Path, films: list[Path]) -> None:
    afresh = VideoChatEmbed(model=str(folder), device="cpu", dtype="float32", max_tokens=40)
    lengths = set()
    for film in films:
        conversation = [*about(film, "What is it?"), AIMessage("A slide."), HumanMessage("And then?")]
        with noting(inner(llm)) as noted:
            first = llm.invoke(conversation[:1])
        video_and_question = noted[0][1]
        with noting(inner(llm)) as noted:
            second = llm.invoke(conversation)
        new = input_tokens(second) - input_tokens(first)
        assert noted[0][1] <= new < input_tokens(first) / 2 < video_and_question
        afresh.load()
        assert inner(afresh) is not inner(llm)
        assert second.text == afresh.invoke(conversation).text
        afresh.unload()
        lengths.add(input_tokens(second))
    assert len(lengths) == 1


def test_what_is_unloaded_is_gone_with_all_that_it_kept(llm: VideoChatEmbed) -> None:
    llm.invoke("Hello")
    stream = llm.stream("You")
    next(stream)
    alive = weakref.ref(inner(llm))
    llm.unload()
    gc.collect()
    assert alive() is not None
    del stream
    gc.collect()
    assert alive() is None
