"""Asking a chat model the questions of MVBench."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableConfig, RunnableLambda
from tqdm.auto import tqdm

from langchain_videochat.embed import VideoChatEmbed
from langchain_videochat.errors import InputError, MediaError, ModelError, SourceError, VideoChatError
from langchain_videochat.evaluation.mvbench.answers import Answer, AnswerFile
from langchain_videochat.evaluation.mvbench.dataset import Item
from langchain_videochat.evaluation.mvbench.prompt import CHOICE, describe_choice, write_messages
from langchain_videochat.evaluation.mvbench.results import Missing, Report, make_report
from langchain_videochat.evaluation.mvbench.scoring import read_option
from langchain_videochat.evaluation.mvbench.video_blocks import Block, shown_by_address, shown_by_data
from langchain_videochat.models.hub import find_weights

NUM_FRAMES = 16
"""Frames that a model sees of each video, as in MVBench's own evaluation."""

AT_ONCE = 8
"""Questions that are asked at once of a model that does not say how many it answers together."""


def evaluate(
    model: BaseChatModel,
    items: Sequence[Item],
    *,
    num_frames: int = NUM_FRAMES,
    free_answers: bool = False,
    output: str | Path | None = None,
    show_progress: bool = True,
) -> Report:
    """Ask a chat model questions about videos, and count the right answers.

    A `VideoChatEmbed` chooses an option by constrained decoding. Any other model that is shown videos by LangChain's
    content blocks answers freely, and its option is read from its text; it gets the stretch in question alone, as
    base64, and decides itself how many frames it looks at. Questions about one video follow each other, so that
    VideoChatEmbed watches it once. A question whose video is missing or cannot be read is named, and counts as wrong.

    Args:
        model: The model.
        items: What `read_items` gives, or a part of it.
        num_frames: How many frames VideoChatEmbed sees of each video.
        free_answers: Let VideoChatEmbed too answer freely, as those that were never trained on JSON had better.
        output: A file that gets each answer, as soon as it is there, as a line of JSON. Those that are in it already
            are not asked for again.
        show_progress: Show a progress bar.

    Raises:
        InputError: There are no questions, or `output` has answers of another model, with other settings or to other
            questions, or is something else.
        ModelUnavailableError: The model cannot be had.
        ModelError: It failed. What it has answered is in `output`.

    Example:
        Evaluate a model in two of the tasks:

            items = read_items("MVBench", tasks=["Action Sequence", "Moving Direction"])
            report = evaluate(VideoChatEmbed(model="videochat-7b"), items, output="answers.jsonl")
            print(report)
    """
    if num_frames < 1:
        raise InputError("num_frames", f"{num_frames} is no number of frames", "Give 1 or more")
    settings = _settings(model, num_frames, free_answers)
    file = None if output is None else AnswerFile(output, settings)
    known = [answer for item in items if file is not None and (answer := file.find(item))]
    done = {(answer.task, answer.number) for answer in known}
    waiting = [item for item in items if (item.task, item.number) not in done]
    if waiting and isinstance(model, VideoChatEmbed):
        model.load()  # now, as it has a progress bar of its own
    answers, missing = list(known), list[Missing]()
    with tqdm(None, "Questions", len(items), initial=len(known), disable=not show_progress) as bar:
        for outcome in _ask_all(model, waiting, num_frames, free_answers):
            bar.update()
            if isinstance(outcome, Missing):
                missing.append(outcome)
                continue
            answers.append(outcome)
            if file is not None:
                file.append(outcome)
    return make_report(items, answers, missing)


def _settings(model: BaseChatModel, num_frames: int, free_answers: bool) -> dict[str, Any]:
    """Tell what an answer depends on."""
    described = model.asdict()
    name = described.get("model")
    folder = find_weights(name) if isinstance(model, VideoChatEmbed) and isinstance(name, str) else None
    # A model that was trained further lies where it lay before.
    files = sorted(folder.glob("*.safetensors")) if folder else []
    weights = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    return {
        "model": described,
        "weights": weights,
        "num_frames": num_frames,
        "free_answers": free_answers,
    }


def _ask_all(
    model: BaseChatModel, items: Sequence[Item], num_frames: int, free_answers: bool
) -> Iterator[Answer | Missing]:
    """Ask several questions at once, in the order of their videos; yield what comes of each, in no order.

    VideoChatEmbed makes one batch of what several threads ask. They ask one by one, and not by its `batch`, as each
    answer is to be written down at once, and each question has options of its own.
    """

    def ask(item: Item) -> Answer | Missing:
        return _ask(model, item, num_frames, free_answers)

    at_once = model.batch_size if isinstance(model, VideoChatEmbed) else AT_ONCE
    by_video = sorted(items, key=lambda item: (str(item.path), item.start or 0, item.end or 0))
    try:
        for _, outcome in RunnableLambda(ask).batch_as_completed(by_video, RunnableConfig(max_concurrency=at_once)):
            if isinstance(outcome, Exception):  # for the type checker: none are returned
                raise outcome
            yield outcome
    except VideoChatError:
        raise
    except Exception as error:  # each provider has errors of its own
        problem = f"it failed ({type(error).__name__}: {' '.join(str(error).split())})"
        raise ModelError("language model", problem, "Mend that and call again: written answers are kept") from error


def _ask(model: BaseChatModel, item: Item, num_frames: int, free_answers: bool) -> Answer | Missing:
    begin = time.monotonic()
    is_local = isinstance(model, VideoChatEmbed)
    try:
        with shown_by_address(item, num_frames) if is_local else shown_by_data(item) as video:
            text = _choose(model, item, video) if is_local and not free_answers else _write(model, item, video)
    except (SourceError, MediaError) as error:
        return Missing(item.task, item.number, item.video, error.problem)
    place = read_option(text, item.candidates)
    prediction = None if place is None else item.candidates[place]
    return Answer(
        item.task,
        item.number,
        item.video,
        item.question,
        item.candidates,
        item.answer,
        prediction,
        text,
        correct=prediction == item.answer,
        seconds=round(time.monotonic() - begin, 3),
    )


def _write(model: BaseChatModel, item: Item, video: Block) -> str:
    return model.invoke(write_messages(item, video)).text


def _choose(model: BaseChatModel, item: Item, video: Block) -> str:
    chosen: Any = model.with_structured_output(describe_choice(item)).invoke(write_messages(item, video))
    return str(chosen[CHOICE])
