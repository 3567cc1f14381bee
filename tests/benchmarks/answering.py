"""Overhead of the question-answering chain over retrieval and the language model."""

import tempfile
from collections.abc import Callable
from typing import Any

from langchain_core.runnables import Runnable

from langchain_videochat import VideoTimelineStore, create_video_qa_chain
from tests.benchmarks.collection import make_collection
from tests.benchmarks.questions import Question
from tests.benchmarks.report import Table, progress
from tests.benchmarks.search import RandomEmbeddings
from tests.benchmarks.timing import percentile_95, seconds
from tests.scripted_model import ScriptedModel, model_answering

VIDEOS = 20
K = 4
WARM_UP = 10
LIMIT_MS = 20.0
ANSWER = "First the onions are cut [1], then they are fried until they are soft [2], and last comes the cream [3]. " * 5

Ask = Callable[[Any], object]


def measure(scale: float) -> Table:
    """Ask all questions of a collection, with a model that answers immediately."""
    timelines, questions = make_collection(max(3, round(VIDEOS * scale)))
    model = model_answering(ANSWER)
    with tempfile.TemporaryDirectory() as folder:
        store = VideoTimelineStore(folder, embedding=RandomEmbeddings())
        for timeline in timelines:
            store.add(timeline)
        chain = create_video_qa_chain(model, store, k=K)
        modes = {
            "invoke": (chain.invoke, model.invoke),
            f"stream, {-(-len(ANSWER) // model.delta_length)} chunks": (_streamed(chain), _streamed(model)),
        }
        table = Table("Answering: overhead of the chain over one search and the model, 95th percentile", "ms")
        for name, (ask, ask_model) in modes.items():
            progress(f"  {name}")
            overheads = [_overhead(ask, ask_model, store, model, question) * 1000 for question in questions]
            table.cost(name, percentile_95(overheads[WARM_UP:]), "the limit", LIMIT_MS, at_most=1)
    table.notes = [
        f"{len(questions)} questions about {len(timelines)} videos, {K} moments each and their neighbors, whose "
        "retrieval counts as overhead. Search and model are timed alone right after each answer, and subtracted."
    ]
    return table


def _streamed(runnable: Runnable[Any, Any]) -> Ask:
    return lambda question: list(runnable.stream(question))


def _overhead(ask: Ask, ask_model: Ask, store: VideoTimelineStore, model: ScriptedModel, question: Question) -> float:
    total = seconds(lambda: ask(question.text))
    prompt = model.prompts[-1]
    return total - seconds(lambda: store.search(question.text, k=K)) - seconds(lambda: ask_model(prompt))
