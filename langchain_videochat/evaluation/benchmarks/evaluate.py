"""Evaluation of a chat model on the questions of a benchmark."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableConfig, RunnableLambda
from tqdm.auto import tqdm

from langchain_videochat.errors import InputError, MediaError, ModelError, SourceError, VideoChatError
from langchain_videochat.evaluation.benchmarks.answer_file import AnswerFile, BenchmarkAnswer
from langchain_videochat.evaluation.benchmarks.items import BenchmarkItem
from langchain_videochat.evaluation.benchmarks.prompts import CHOICE_FIELD, build_messages, choice_schema
from langchain_videochat.evaluation.benchmarks.results import BenchmarkReport, MissingVideo, build_report
from langchain_videochat.evaluation.benchmarks.scoring import parse_option
from langchain_videochat.evaluation.benchmarks.subtitles import format_subtitles
from langchain_videochat.evaluation.benchmarks.video_blocks import Block, base64_block, url_block
from langchain_videochat.models.hub import find_weights

NUM_FRAMES = 16
"""Frames per video, as in MVBench's own evaluation."""

MAX_CONCURRENCY = 8
"""Questions asked at the same time, for models without a `batch_size`."""


def evaluate(
    model: BaseChatModel,
    items: Sequence[BenchmarkItem],
    *,
    num_frames: int = NUM_FRAMES,
    free_answers: bool = False,
    output: str | Path | None = None,
    show_progress: bool = True,
) -> BenchmarkReport:
    """Ask a chat model multiple-choice questions about videos and score its answers.

    Any LangChain chat model that accepts videos as content blocks can be evaluated. What it gets depends on what it
    supports:

    - A model with a `num_frames` setting, such as `VideoChatEmbed`, gets the URL of the file, with `start`, `end` and
      `num_frames` as `extras`. Any other model gets the relevant interval as base64, scaled down if it has more than 64
      MiB, and samples frames itself.
    - A model whose `profile` includes `structured_output` answers with the letter of an option. The option that any
      other model means is parsed from its text.
    - A model with a `batch_size` gets as many questions at once, any other model 8.

    If the items have subtitles, these are listed before the question. A model with a `num_frames` setting gets the
    subtitles that the benchmark selects for the sampled frames; any other model gets all of them.

    Questions are ordered by video, so that a model can reuse what it computed for it. Questions whose video is missing
    or cannot be read are reported, and count as wrong.

    Args:
        model: The model.
        items: Questions from `read_items`, `read_video_mme`, `read_video_mme_v2` or `read_long_video_bench`.
        num_frames: Frames per video, for models with this setting.
        free_answers: Let the model answer freely, even if it supports structured output. Better for models that were
            not trained on JSON.
        output: JSON Lines file that each answer is appended to immediately. Questions whose answers are in it already
            are not asked again.
        show_progress: Show a progress bar.

    Raises:
        InputError: `items` is empty; or `output` has answers of another model, with other settings or to other
            questions, or has another format; or a subtitle file is damaged.
        ModelUnavailableError: The model is not available.
        ModelError: The model failed. Its answers are kept in `output`.

    Example:
        Evaluate a model on two tasks:

            items = read_items("MVBench", tasks=["Action Sequence", "Moving Direction"])
            report = evaluate(VideoChatEmbed(model="videochat-7b"), items, output="answers.jsonl")
            print(report)
    """
    if num_frames < 1:
        raise InputError("num_frames", f"must be positive, got {num_frames}", "Give 1 or more")
    file = None if output is None else AnswerFile(output, _settings(model, items, num_frames, free_answers))
    answers = [answer for item in items if file is not None and (answer := file.find(item))]
    answered = {(answer.task, answer.number) for answer in answers}
    unanswered = [item for item in items if (item.task, item.number) not in answered]
    missing: list[MissingVideo] = []
    # The delay makes the bar appear with the first answer: while a model is loaded, it shows a bar of its own.
    with tqdm(None, "Questions", len(items), initial=len(answers), disable=not show_progress, delay=0.001) as bar:
        for result in _ask_all(model, unanswered, num_frames, free_answers):
            bar.update()
            if isinstance(result, MissingVideo):
                missing.append(result)
                continue
            answers.append(result)
            if file is not None:
                file.append(result)
    return build_report(items, answers, missing)


def _settings(
    model: BaseChatModel, items: Sequence[BenchmarkItem], num_frames: int, free_answers: bool
) -> dict[str, Any]:
    """Return everything that influences an answer."""
    fields = model.asdict()
    name = fields.get("model")
    folder = find_weights(name) if isinstance(name, str) else None
    # Weights that were trained further are in the same folder.
    files = sorted(folder.glob("*.safetensors")) if folder else []
    weights = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    settings = {"model": fields, "weights": weights, "num_frames": num_frames, "free_answers": free_answers}
    return settings | ({"subtitles": True} if any(item.subtitles for item in items) else {})


def _ask_all(
    model: BaseChatModel, items: Sequence[BenchmarkItem], num_frames: int, free_answers: bool
) -> Iterator[BenchmarkAnswer | MissingVideo]:
    """Ask questions concurrently, ordered by video; yield results as they arrive.

    The model's `batch` method is not used, because each question has its own schema, and answers are written to the
    file one by one. VideoChatEmbed merges the calls of several threads into one batch.
    """
    ask = partial(_ask, model, num_frames=num_frames, free_answers=free_answers)
    max_concurrency = getattr(model, "batch_size", None) or MAX_CONCURRENCY
    by_video = sorted(items, key=lambda item: (str(item.path), item.start or 0, item.end or 0))
    config = RunnableConfig(max_concurrency=max_concurrency)
    try:
        for _, result in RunnableLambda(ask).batch_as_completed(by_video, config):
            if isinstance(result, Exception):  # for the type checker: exceptions are not returned
                raise result
            yield result
    except VideoChatError:
        raise
    except Exception as error:  # each provider has its own error classes
        problem = f"failed ({type(error).__name__}: {' '.join(str(error).split())})"
        raise ModelError("language model", problem, "Fix the cause and run again; written answers are kept") from error


def _ask(
    model: BaseChatModel, item: BenchmarkItem, num_frames: int, free_answers: bool
) -> BenchmarkAnswer | MissingVideo:
    start = time.monotonic()
    samples_frames = hasattr(model, "num_frames")
    try:
        with url_block(item, num_frames) if samples_frames else base64_block(item) as video:
            subtitles = format_subtitles(item, model, num_frames if samples_frames else None)
            text = _generate_answer(model, item, video, subtitles, free=free_answers)
    except (SourceError, MediaError) as error:
        return MissingVideo(item.task, item.number, item.video, error.problem)
    index = parse_option(text, item.candidates)
    prediction = None if index is None else item.candidates[index]
    return BenchmarkAnswer(
        item.task,
        item.number,
        item.video,
        item.question,
        item.candidates,
        item.answer,
        prediction,
        text,
        correct=prediction == item.answer,
        seconds=round(time.monotonic() - start, 3),
    )


def _generate_answer(model: BaseChatModel, item: BenchmarkItem, video: Block, subtitles: str, *, free: bool) -> str:
    messages = build_messages(item, video, subtitles)
    if free or not (model.profile or {}).get("structured_output"):
        return model.invoke(messages).text
    output: Any = model.with_structured_output(choice_schema(item), include_raw=True).invoke(messages)
    choice = output["parsed"]
    # Some providers don't guarantee that the output matches the schema.
    return str(choice[CHOICE_FIELD]) if isinstance(choice, dict) and CHOICE_FIELD in choice else output["raw"].text
