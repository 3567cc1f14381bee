"""Evaluation of a chat model on the questions of MVBench."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableConfig, RunnableLambda
from tqdm.auto import tqdm

from langchain_videochat.embed import VideoChatEmbed
from langchain_videochat.errors import InputError, MediaError, ModelError, SourceError, VideoChatError
from langchain_videochat.evaluation.mvbench.answer_file import AnswerFile, BenchmarkAnswer
from langchain_videochat.evaluation.mvbench.dataset import BenchmarkItem
from langchain_videochat.evaluation.mvbench.question_prompt import CHOICE_FIELD, build_messages, choice_schema
from langchain_videochat.evaluation.mvbench.results import BenchmarkReport, MissingVideo, build_report
from langchain_videochat.evaluation.mvbench.scoring import parse_option
from langchain_videochat.evaluation.mvbench.video_blocks import Block, base64_block, url_block
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

    VideoChatEmbed chooses an option by constrained decoding. Other models that accept videos as LangChain content
    blocks answer freely, and the option is parsed from their text; they get the relevant interval only, as base64, and
    sample frames themselves. Questions are ordered by video, so that VideoChatEmbed encodes each video once. Questions
    whose video is missing or cannot be read are reported, and count as wrong.

    Args:
        model: The model.
        items: Questions from `read_items`.
        num_frames: Frames per video, for VideoChatEmbed.
        free_answers: Let VideoChatEmbed answer freely, too. Better for models that were not trained on JSON.
        output: JSON Lines file that each answer is appended to immediately. Questions whose answers are in it already
            are not asked again.
        show_progress: Show a progress bar.

    Raises:
        InputError: `items` is empty; or `output` has answers of another model, with other settings or to other
            questions, or has another format.
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
    file = None if output is None else AnswerFile(output, _settings(model, num_frames, free_answers))
    answers = [answer for item in items if file is not None and (answer := file.find(item))]
    answered = {(answer.task, answer.number) for answer in answers}
    unanswered = [item for item in items if (item.task, item.number) not in answered]
    if unanswered and isinstance(model, VideoChatEmbed):
        model.load()  # before the progress bar below, because it shows its own
    missing: list[MissingVideo] = []
    with tqdm(None, "Questions", len(items), initial=len(answers), disable=not show_progress) as bar:
        for result in _ask_all(model, unanswered, num_frames, free_answers):
            bar.update()
            if isinstance(result, MissingVideo):
                missing.append(result)
                continue
            answers.append(result)
            if file is not None:
                file.append(result)
    return build_report(items, answers, missing)


def _settings(model: BaseChatModel, num_frames: int, free_answers: bool) -> dict[str, Any]:
    """Return everything that influences an answer."""
    fields = model.asdict()
    name = fields.get("model")
    folder = find_weights(name) if isinstance(model, VideoChatEmbed) and isinstance(name, str) else None
    # Weights that were trained further are in the same folder.
    files = sorted(folder.glob("*.safetensors")) if folder else []
    weights = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    return {"model": fields, "weights": weights, "num_frames": num_frames, "free_answers": free_answers}


def _ask_all(
    model: BaseChatModel, items: Sequence[BenchmarkItem], num_frames: int, free_answers: bool
) -> Iterator[BenchmarkAnswer | MissingVideo]:
    """Ask questions concurrently, ordered by video; yield results as they arrive.

    VideoChatEmbed merges the calls of several threads into one batch. Its `batch` method is not used, because each
    question has its own schema, and answers are written to the file one by one.
    """
    ask = partial(_ask, model, num_frames=num_frames, free_answers=free_answers)
    max_concurrency = model.batch_size if isinstance(model, VideoChatEmbed) else MAX_CONCURRENCY
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
    is_local = isinstance(model, VideoChatEmbed)
    try:
        with url_block(item, num_frames) if is_local else base64_block(item) as video:
            text = _generate_answer(model, item, video, constrained=is_local and not free_answers)
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


def _generate_answer(model: BaseChatModel, item: BenchmarkItem, video: Block, *, constrained: bool) -> str:
    messages = build_messages(item, video)
    if not constrained:
        return model.invoke(messages).text
    choice: Any = model.with_structured_output(choice_schema(item)).invoke(messages)
    return str(choice[CHOICE_FIELD])
