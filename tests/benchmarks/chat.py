"""VideoChatEmbed: overhead over the language model, and the gain of batches, the prefix cache and one CPU thread."""

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage

from langchain_videochat import VideoChatEmbed
from langchain_videochat.embed import Turn, load_model
from tests.benchmarks.media import repeated, talk
from tests.benchmarks.real_videochat import SMALL, TINY, save_small
from tests.benchmarks.report import Table, progress
from tests.benchmarks.timing import best_of, busy_cpus

TOKENS = 100
ROUNDS = 5
BATCH_ROUNDS = 2
BATCH = 8
CLIP_SECONDS, TIMES = 60, 8
"""Length of a talk, and how often it is repeated for the video of the second question."""

SHORT_ANSWER = 20
"""Tokens of the answer to the first question, and of the answers on a busy machine."""

ONE_THREAD = {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 4, "num_attention_heads": 4}
"""LLaMA that is small enough for one CPU thread."""


def measure(scale: float) -> Table:
    """Measure a small LLaMA on the CPU, and a tiny one with a video."""
    layers = max(1, round(SMALL["num_hidden_layers"] * scale))
    table = Table("VideoChatEmbed on the CPU", "s")
    with tempfile.TemporaryDirectory() as folder:
        progress("  saving the models")
        small = save_small(Path(folder) / "small", SMALL | {"num_hidden_layers": layers})
        tiny = save_small(Path(folder) / "tiny", TINY)
        one_thread = save_small(Path(folder) / "one-thread", ONE_THREAD)
        llm = VideoChatEmbed(model=small, device="cpu", max_tokens=TOKENS)
        _add_answer(table, llm, "`invoke`", at_most=1.05)
        with busy_cpus(os.cpu_count() or 1):
            small_llm = VideoChatEmbed(model=one_thread, device="cpu", max_tokens=SHORT_ANSWER)
            _add_answer(table, small_llm, "`invoke` of a small model while every CPU is busy", at_most=0.5)
        add_batches(table, llm, at_least=1.3)
        add_second_question(table, VideoChatEmbed(model=tiny, device="cpu", max_tokens=SHORT_ANSWER), scale)
    table.notes = [
        f"Random weights, float32, a tiny vision side. Answers and batches: LLaMA of {layers} layers, "
        f"{SMALL['hidden_size']} wide, text only, all questions different; the best of {ROUNDS} and {BATCH_ROUNDS} "
        f"runs. Second question: LLaMA of one layer, a 720p video of {TIMES} times {_clip_seconds(scale)} s; the best "
        f"of {ROUNDS}, each about a new copy of the file. Small model: LLaMA of {ONE_THREAD['num_hidden_layers']} "
        f"layers, {ONE_THREAD['hidden_size']} wide, which runs on one CPU thread; transformers uses all of them."
    ]
    return table


def add_batches(table: Table, llm: VideoChatEmbed, *, at_least: float) -> None:
    """Compare `batch` and `abatch` with `invoke`, for questions of several lengths."""
    numbers = count()

    def draw() -> list[LanguageModelInput]:
        return [f"{next(numbers):05}: What happens{' after that' * place}?" for place in range(BATCH)]

    def by_invoke() -> None:
        _check([llm.invoke(question) for question in draw()], llm.max_tokens)

    def by_batch() -> None:
        _check(llm.batch(draw()), llm.max_tokens)

    def by_abatch() -> None:
        _check(asyncio.run(llm.abatch(draw())), llm.max_tokens)

    llm.invoke("This loads the model.")
    works = {"invoke, one by one": by_invoke, "batch": by_batch, "abatch": by_abatch}
    taken = best_of(works, BATCH_ROUNDS)
    for way in ("batch", "abatch"):
        what = f"`{way}` of {BATCH} questions, {llm.max_tokens} tokens each"
        table.speed(what, taken[way], "`invoke`, one by one", taken["invoke, one by one"], at_least=at_least)


def add_second_question(table: Table, llm: VideoChatEmbed, scale: float) -> None:
    """Compare a second question about a video with the first, each time with a new copy of the file."""
    clip = talk(_clip_seconds(scale))
    video = repeated(clip, TIMES)
    with tempfile.TemporaryDirectory() as folder:
        copies = [_copy(video, Path(folder), number) for number in range(ROUNDS)]
        _ask_twice(llm, clip)
        taken = [_ask_twice(llm, copy) for copy in copies]
    first, second = (min(times) for times in zip(*taken, strict=True))
    what = "second question about a video, to the first token"
    table.cost(what, second, "the first question", first, at_most=0.15)


def _clip_seconds(scale: float) -> int:
    return max(10, round(CLIP_SECONDS * scale))


def _add_answer(table: Table, llm: VideoChatEmbed, what: str, *, at_most: float) -> None:
    model, processor = load_model(str(llm.model), device="cpu", show_progress=False)
    questions: Iterator[str] = (f"{number:05}: What is happening here?" for number in count())
    question = next(questions)
    prompt = processor([Turn("human", (question,))])
    embeddings = model.embed(prompt["input_ids"]).detach()

    def by_transformers() -> str:
        tokens = model.language_model.generate(
            inputs_embeds=embeddings,
            attention_mask=prompt["attention_mask"],
            max_new_tokens=llm.max_tokens,
            do_sample=False,
        )
        return str(processor.tokenizer.decode(tokens[0]))

    def by_ours() -> None:
        _check([llm.invoke(next(questions))], llm.max_tokens)

    progress("  comparing answers")
    if llm.invoke(question).text != by_transformers():
        raise RuntimeError("VideoChatEmbed does not give the answer of its language model")
    taken = best_of({"ours": by_ours, "transformers": by_transformers}, ROUNDS)
    reference = "transformers' `generate` of the language model alone"
    what = f"{what}, {llm.max_tokens} tokens"
    table.cost(what, taken["ours"], reference, taken["transformers"], at_most=at_most)


def _check(answers: Sequence[AIMessage], tokens: int) -> None:
    for answer in answers:
        if answer.usage_metadata is None or answer.usage_metadata["output_tokens"] != tokens:
            raise RuntimeError(f"expected {tokens} tokens, got {answer.usage_metadata}")


def _copy(video: Path, folder: Path, number: int) -> Path:
    """Copy a video with additional bytes, so no cache contains it."""
    copy = folder / f"{number}.mp4"
    copy.write_bytes(video.read_bytes() + bytes(number + 1))
    return copy


def _ask_twice(llm: VideoChatEmbed, video: Path) -> tuple[float, float]:
    progress(f"  asking twice about {video}")
    block = {"type": "video", "url": video.as_uri(), "mime_type": "video/mp4"}
    messages: list[BaseMessage] = [HumanMessage([block, {"type": "text", "text": "What is happening here?"}])]
    first, answer = _first_token(llm, messages)
    second, _ = _first_token(llm, [*messages, answer, HumanMessage("And what comes next?")])
    return first, second


def _first_token(llm: VideoChatEmbed, messages: list[BaseMessage]) -> tuple[float, AIMessageChunk]:
    """Return the seconds until the first text, and the whole answer."""
    begin = time.perf_counter()
    chunks = iter(llm.stream(messages))
    answer = next(chunk for chunk in chunks if chunk.text)
    taken = time.perf_counter() - begin
    for chunk in chunks:
        answer += chunk
    return taken, answer
