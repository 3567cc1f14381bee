"""Continuous batching and the prefix cache: each answer equals the one that the model generates alone."""

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
    Qwen3_5TextConfig,
)

from langchain_videochat import VideoChatEmbed
from langchain_videochat.embed import batching
from langchain_videochat.embed.batching import ContinuousBatch, Prompt
from langchain_videochat.embed.errors import NotEnoughMemoryError
from langchain_videochat.embed.kv_cache import MAX_CACHED_TOKENS, PrefixCache
from langchain_videochat.errors import InputError
from tests.slides import render_talk
from tests.tiny_videochat import SPREAD, save_videochat

ENDS = (2, 7, 11)
"""End tokens in a vocabulary of 40: many answers end before they reach their maximum length."""

LENGTH = 10
"""Maximum number of tokens per answer."""

SIZE: dict[str, Any] = {"vocab_size": 40, "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2}
HYBRID: dict[str, Any] = {
    "intermediate_size": 32,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "linear_num_value_heads": 2,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "layer_types": ["linear_attention", "full_attention"],
}
KINDS: dict[str, Callable[[], PreTrainedConfig]] = {
    "llama": lambda: LlamaConfig(**SIZE, intermediate_size=32),
    "sliding window": lambda: MistralConfig(**SIZE, intermediate_size=32, num_key_value_heads=1, sliding_window=4),
    "hybrid": lambda: Qwen3_5TextConfig(**SIZE, **HYBRID),
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


def select_likeliest(_generated: list[int], logits: Tensor) -> int:
    return int(logits.numpy().argmax())


def generate(
    batch: ContinuousBatch, request: Prompt, *, batch_size: int = 8, max_tokens: int = LENGTH
) -> Generator[int]:
    return batch.generate(request, select_likeliest, max_tokens=max_tokens, batch_size=batch_size)


@cache
def alone(*tokens: int, kind: str = "llama") -> list[int]:
    """Generate an answer with transformers."""
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
    """Call a function with the number of rows and of tokens before each forward pass of the language model."""

    def hook(_model: Any, _args: Any, inputs: dict[str, Any]) -> None:
        do(*(inputs["input_ids"] if "input_ids" in inputs else inputs["inputs_embeds"]).shape[:2])

    with model.register_forward_pre_hook(hook, with_kwargs=True):
        yield


@contextmanager
def record_forwards(model: Any, seconds: float = 0.0) -> Iterator[list[tuple[int, int]]]:
    """Record rows and tokens of each forward pass. The first one takes some seconds, for other answers to join."""
    passes: list[tuple[int, int]] = []

    def record(rows: int, tokens: int) -> None:
        passes.append((rows, tokens))
        time.sleep(seconds if len(passes) == 1 else 0)

    with before_each_forward(model, record):
        yield passes


def do_nothing(*_: int) -> None:
    """Do not disturb the model."""


def interrupt(*_: int) -> None:
    raise KeyboardInterrupt


class AtOperation(TorchDispatchMode):
    """Calls a function before the n-th torch operation, counted from 0."""

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
"""Prompts with long answers."""


def start_all(batch: ContinuousBatch) -> list[tuple[Generator[int], list[int]]]:
    """Start an answer to each prompt, and return the streams with their first tokens."""
    streams = [generate(batch, prompt(*tokens)) for tokens in SOME]
    return [(stream, [next(stream)]) for stream in streams]


def all_alone() -> list[list[int]]:
    return [alone(*tokens) for tokens in SOME]


def finish_all(answers: Sequence[tuple[Generator[int], list[int]]]) -> list[list[int]]:
    return [[*read, *stream] for stream, read in answers]


# Answers


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(
    # Few different tokens, so many prompts share a prefix.
    st.lists(st.tuples(st.lists(st.integers(3, 5), min_size=1, max_size=9), st.sampled_from([1, 3, 8])), min_size=2),
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["read"] * 6 + ["leave", "interrupt"]))),
)
def test_answers_are_right_in_whatever_order_they_are_read(
    kind: str, prompts: list[tuple[list[int], int]], schedule: list[tuple[int, str]]
) -> None:
    batch = ContinuousBatch(language_model(kind), ENDS)
    streams = [generate(batch, prompt(*tokens, kind=kind), batch_size=size) for tokens, size in prompts]
    read: list[list[int]] = [[] for _ in prompts]
    left = set()
    for number, action in schedule:
        place = number % len(prompts)
        if action == "leave":
            left.add(place)
            streams[place].close()
        with before_each_forward(language_model(kind), interrupt if action == "interrupt" else do_nothing):
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
    batch = ContinuousBatch(language_model(), ENDS)
    with record_forwards(language_model(), seconds=0.2) as passes, ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda tokens: list(generate(batch, prompt(*tokens))), prompts))
    assert answers == [alone(*tokens) for tokens in prompts]
    assert max(rows for rows, _ in passes) == 8


def test_threads_may_switch_at_any_line() -> None:
    def yield_thread(frame: FrameType, _event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename != batching.__file__:
            return None
        time.sleep(0)
        return yield_thread

    prompts = SOME * 15
    batch = ContinuousBatch(language_model(), ENDS)
    threading.settrace(yield_thread)
    try:
        with ThreadPoolExecutor(len(prompts) // 2) as pool:
            streams = [generate(batch, prompt(*tokens), batch_size=1, max_tokens=2) for tokens in prompts]
            assert list(pool.map(list, streams)) == [alone(*tokens)[:2] for tokens in prompts]
    finally:
        threading.settrace(None)


def test_an_error_in_one_answer_does_not_affect_the_others() -> None:
    def fail_late(generated: list[int], logits: Tensor) -> int:
        if len(generated) == 3:
            raise ZeroDivisionError("no more")
        return select_likeliest(generated, logits)

    batch = ContinuousBatch(language_model(), ENDS)
    others = start_all(batch)
    failing = batch.generate(prompt(15, 16), fail_late, max_tokens=LENGTH, batch_size=8)
    read: list[int] = []
    with pytest.raises(ZeroDivisionError, match="no more"):
        read.extend(failing)
    assert read == alone(15, 16)[:3]
    assert finish_all(others) == all_alone()


def test_an_error_in_the_model_does_not_affect_finished_answers() -> None:
    batch = ContinuousBatch(language_model(), ENDS)
    short = generate(batch, prompt(*SOME[0]), max_tokens=3)
    read = [next(short)]
    with before_each_forward(language_model(), interrupt), pytest.raises(KeyboardInterrupt):
        next(generate(batch, prompt(*SOME[1])))

    failing = prompt(*SOME[2])
    with (
        before_each_forward(language_model(), lambda _, tokens: 1 / (tokens - len(failing.token_ids))),
        pytest.raises(ZeroDivisionError),
    ):
        next(generate(batch, failing))
    assert [*read, *short] == alone(*SOME[0])[:3]
    assert list(generate(batch, failing)) == alone(*SOME[2])


# Memory


def exhaust_cuda() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")


def exhaust_memory() -> None:
    torch.empty(2**60, dtype=torch.uint8)


@pytest.mark.parametrize("exhaust", [exhaust_cuda, exhaust_memory])
@pytest.mark.parametrize("room", [1, 2, 3])
def test_out_of_memory_reduces_the_batch_size(
    exhaust: Callable[[], None], room: int, caplog: pytest.LogCaptureFixture
) -> None:
    batch = ContinuousBatch(language_model(), ENDS)
    with before_each_forward(language_model(), lambda rows, _: exhaust() if rows > room else None):
        with caplog.at_level(logging.WARNING):
            assert finish_all(start_all(batch)) == all_alone()
        assert "Out of memory" in caplog.text
    with record_forwards(language_model()) as passes:
        assert finish_all(start_all(batch)) == all_alone()
    assert max(rows for rows, _ in passes) == len(SOME)


def test_out_of_memory_clears_the_prefix_cache() -> None:
    batch = ContinuousBatch(language_model(), ENDS)
    list(generate(batch, prompt(3, 4, 5, 6)))
    events = iter([exhaust_cuda])
    once = before_each_forward(language_model(), lambda *_: next(events, do_nothing)())
    with record_forwards(language_model()) as passes, once:
        assert list(generate(batch, prompt(3, 4, 5, 6, 8))) == alone(3, 4, 5, 6, 8)
    assert [tokens for _, tokens in passes][:2] == [1, 5]


@settings(max_examples=60)
@given(st.integers(0, 130), st.booleans())
def test_out_of_memory_at_any_operation(operation: int, one_leaves: bool) -> None:
    batch = ContinuousBatch(language_model(), ENDS)
    (leaving, _), *staying = start_all(batch)
    with AtOperation(operation, exhaust_cuda):
        if one_leaves:
            leaving.close()
        else:
            staying[0][1].extend([next(staying[0][0]), next(staying[0][0])])
    assert finish_all(staying) == all_alone()[1:]


# Streams that are closed early


def test_a_closed_stream_frees_its_memory() -> None:
    batch = ContinuousBatch(language_model(), ENDS)
    prompts = [prompt(*tokens) for tokens in SOME]
    alive = [weakref.ref(one) for one in prompts]
    streams = [generate(batch, one) for one in prompts]
    read = [next(stream) for stream in streams[:3]]
    del prompts, streams[1:]
    assert [one() is not None for one in alive] == [True, False, False, False]
    with record_forwards(language_model()) as passes:
        assert [read[0], *streams[0]] == alone(*SOME[0])
    assert {rows for rows, _ in passes} == {1}
    del streams
    assert alive[0]() is None


@pytest.mark.parametrize("operation", [0, 4])
def test_the_garbage_collector_may_close_a_stream_at_any_time(operation: int) -> None:
    batch = ContinuousBatch(language_model(), ENDS)
    (lost, _), (closed, _), *staying = start_all(batch)
    cycle: list[Any] = [lost]
    cycle.append(cycle)
    del lost, cycle
    with AtOperation(operation, gc.collect):
        closed.close()
    assert finish_all(staying) == all_alone()[2:]


def test_an_interrupted_step_does_not_affect_other_threads() -> None:
    batch = ContinuousBatch(language_model(), ENDS)
    answers = start_all(batch)
    with before_each_forward(language_model(), interrupt), pytest.raises(KeyboardInterrupt):
        next(generate(batch, prompt(15, 16)))
    with ThreadPoolExecutor(len(answers)) as pool:
        assert list(pool.map(lambda one: finish_all([one])[0], answers)) == all_alone()
    assert list(generate(batch, prompt(15, 16))) == alone(15, 16)


# Prefix cache


def test_only_tokens_after_the_shared_prefix_are_processed() -> None:
    batch = ContinuousBatch(language_model(), ENDS)
    first = tuple(range(3, 33))
    answer = list(generate(batch, prompt(*first)))
    for tokens, new in [
        ((*first, *answer, 5, 6), 3),  # the last token of the answer has no keys and values yet
        ((*first, *answer, 5, 6, 8, 9), 2),
        ((*first[:20], 39, *first[21:]), 10),
        ((*first[:20], 39, *first[21:]), 1),
        ((39, *first), 31),
    ]:
        with record_forwards(language_model()) as passes:
            assert list(generate(batch, prompt(*tokens))) == alone(*tokens)
        assert passes[0] == (1, new)


def test_visual_tokens_are_compared_by_content() -> None:
    batch = ContinuousBatch(language_model(), ENDS)
    for tokens, new in [((3, 4, 5, 6), 4), ((3, 8, 9, 6), 3)]:
        token_ids = (3, ("a video", tokens, 0), ("a video", tokens, 1), 6)
        with record_forwards(language_model()) as passes:
            assert list(generate(batch, Prompt(prompt(*tokens).embeddings, token_ids))) == alone(*tokens)
        assert passes[0] == (1, new)


def test_the_prefix_cache_is_limited_but_keeps_the_last_text() -> None:
    prefixes = PrefixCache()

    def put(text: tuple[int, ...]) -> None:
        prefixes.put(text, DynamicCache([(torch.rand(1, 2, len(text), 4), torch.rand(1, 2, len(text), 4))]))

    def cached() -> list[int]:
        return [prefixes.get((*text, -1)).get_seq_length() for text in (*texts, long)]

    quarter = MAX_CACHED_TOKENS // 4 - 1
    texts = [(number,) * quarter for number in range(5)]
    long = (6,) * (MAX_CACHED_TOKENS + 1)
    for text in texts:
        put(text)
    put((*texts[4], 9))  # replaces its prefix
    assert cached() == [0, quarter, quarter, quarter, quarter, 0]
    put(long)
    assert cached() == [0, 0, 0, 0, 0, len(long)]
    put((7,))
    assert cached() == [0, 0, 0, 0, 0, 0]


# The chat model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_videochat(tmp_path_factory.mktemp("videochat"))


@pytest.fixture
def llm(folder: Path) -> Iterator[VideoChatEmbed]:
    """A model with empty caches."""
    gc.collect()  # or the model of another test, if something still refers to it, would be shared
    llm = VideoChatEmbed(model=str(folder), device="cpu", max_tokens=40)
    llm.load()
    yield llm
    llm.unload()


def inner(llm: VideoChatEmbed) -> Any:
    """Return the language model."""
    assert llm._loaded is not None
    return llm._loaded.model.language_model


def about(film: Path, question: str) -> list[BaseMessage]:
    video = {"type": "video", "url": film.as_uri(), "mime_type": "video/mp4"}
    return [HumanMessage([video, {"type": "text", "text": question}])]


QUESTIONS: list[Any] = [f"{'What is it? ' * (number % 4)}{number}" for number in range(12)]


def outcome(answer: AIMessage) -> tuple[str, str]:
    return answer.text, str(answer.usage_metadata)


async def test_batch_gives_the_same_answers_as_invoke(llm: VideoChatEmbed) -> None:
    alone = [outcome(one) for one in (llm.invoke(question) for question in QUESTIONS)]
    assert len(set(alone)) > 6
    with record_forwards(inner(llm), seconds=0.2) as passes:
        assert [outcome(one) for one in llm.batch(QUESTIONS)] == alone
    assert 1 < max(rows for rows, _ in passes) <= 8
    with record_forwards(inner(llm), seconds=0.2) as passes:
        assert [outcome(one) for one in await llm.abatch(QUESTIONS)] == alone
    assert 1 < max(rows for rows, _ in passes) <= 8


def test_a_seed_gives_the_same_answer_alone_and_in_a_batch(llm: VideoChatEmbed) -> None:
    options: dict[str, Any] = {"seed": 4, "temperature": 1.5, "top_p": 0.9, "repetition_penalty": 1.1}
    alone = [llm.invoke(question, **options).text for question in QUESTIONS]
    with record_forwards(inner(llm), seconds=0.2) as passes:
        assert [one.text for one in llm.batch(QUESTIONS, **options)] == alone
    assert max(rows for rows, _ in passes) > 1
    assert alone != [llm.invoke(question).text for question in QUESTIONS]


async def test_the_batch_size_is_limited(llm: VideoChatEmbed) -> None:
    few = QUESTIONS[:3]
    with record_forwards(inner(llm), seconds=0.1) as passes:
        answers = llm.batch(few, {"max_concurrency": 1}) + await llm.abatch(few, {"max_concurrency": 1})
        narrow = llm.model_copy(update={"batch_size": 1})
        answers += narrow.batch(few, {"max_concurrency": 3}) + await narrow.abatch(few)
    assert {rows for rows, _ in passes} == {1}
    assert len({one.text for one in answers}) == len(few)


async def test_an_invalid_conversation_does_not_affect_the_others(llm: VideoChatEmbed) -> None:
    questions: list[Any] = [QUESTIONS[0], "egg " * 500, QUESTIONS[1]]
    expected = [llm.invoke(one).text for one in (questions[0], questions[2])]
    batched: list[Any] = llm.batch(questions, return_exceptions=True)
    gathered: list[Any] = await llm.abatch(questions, return_exceptions=True)
    for first, error, last in (batched, gathered):
        assert isinstance(error, InputError)
        assert [first.text, last.text] == expected
    with pytest.raises(InputError):
        llm.batch(questions)


@pytest.mark.parametrize("choice", [None, "any"])
async def test_a_cancelled_task_stops_the_work(llm: VideoChatEmbed, choice: str | None) -> None:
    def add_note(text: str) -> None:
        """Add a note."""

    has_started = asyncio.Event()
    loop = asyncio.get_running_loop()
    begin = before_each_forward(inner(llm), lambda *_: loop.call_soon_threadsafe(has_started.set))
    with begin, record_forwards(inner(llm)) as passes:
        bound = llm.bind_tools([add_note], tool_choice=choice)
        task = asyncio.create_task(bound.ainvoke("Go", max_tokens=600))
        await has_started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await loop.shutdown_default_executor()  # waits for running steps
    assert len(passes) < 100


def test_out_of_memory_for_one_answer_is_an_error(llm: VideoChatEmbed) -> None:
    expected = llm.invoke("Hello").text
    with before_each_forward(inner(llm), lambda *_: exhaust_memory()):
        with pytest.raises(NotEnoughMemoryError, match=r"max_tokens, num_frames or max_video_tokens.*quantization"):
            llm.invoke("Hello")
        with pytest.raises(ModelError):
            llm.batch(["Hello", "You"])
    assert llm.invoke("Hello").text == expected


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two videos with the same timestamps."""
    folder = tmp_path_factory.mktemp("films")
    return [render_talk(folder / f"{word}.mp4", [[word]], seconds=2.0) for word in ("Whisk", "Fold")]


def input_tokens(answer: AIMessage) -> int:
    assert answer.usage_metadata is not None
    return answer.usage_metadata["input_tokens"]


def test_only_new_tokens_of_a_follow_up_question_are_processed(
    llm: VideoChatEmbed, folder: Path, films: list[Path]
) -> None:
    afresh = VideoChatEmbed(model=str(folder), device="cpu", dtype="float32", max_tokens=40)
    lengths = set()
    for film in films:
        conversation = [*about(film, "What is it?"), AIMessage("A slide."), HumanMessage("And then?")]
        with record_forwards(inner(llm)) as passes:
            first = llm.invoke(conversation[:1])
        video_and_question = passes[0][1]
        with record_forwards(inner(llm)) as passes:
            second = llm.invoke(conversation)
        new = input_tokens(second) - input_tokens(first)
        assert passes[0][1] <= new < input_tokens(first) / 2 < video_and_question
        afresh.load()
        assert inner(afresh) is not inner(llm)
        assert second.text == afresh.invoke(conversation).text
        afresh.unload()
        lengths.add(input_tokens(second))
    assert len(lengths) == 1


def test_an_unloaded_model_is_freed_with_its_caches(llm: VideoChatEmbed) -> None:
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
