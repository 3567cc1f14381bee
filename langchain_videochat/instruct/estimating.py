"""What a run will cost, told before it starts."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from langchain_core.prompts import ChatPromptTemplate

from langchain_videochat.instruct.item_folder import finished_ids
from langchain_videochat.instruct.items import Kind
from langchain_videochat.instruct.notes import is_empty, write_notes
from langchain_videochat.instruct.plan import Plan
from langchain_videochat.instruct.timelines import list_timelines, open_kinds
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.text.context import SHARE, Count, approximate_tokens
from langchain_videochat.timeline import Timeline

TOKENS_A_WORD = 1.4
"""Of English; other languages have up to three times as many."""

CONVERSATION_TOKENS = 400
"""Five questions with their answers, in JSON."""

VERDICT_TOKENS = 10

MILLION = 1_000_000

_Used = Counter[str]
"""How many calls, and tokens in and out."""


@dataclass(frozen=True)
class Estimate:
    """What a run will cost, without what is asked again; printed, a line."""

    items: int
    """Descriptions and conversations that are still to be made."""

    videos: int
    """Videos of which they are made."""

    calls: int
    """Calls of the language model, and of the judge if there is one."""

    input_tokens: int
    """Tokens that it will read."""

    output_tokens: int
    """Tokens that it will write; those that it thinks come on top."""

    cost: float | None
    """In the currency of the prices; None if there are none."""

    def __str__(self) -> str:
        cost = "" if self.cost is None else f", about {self.cost:,.2f} in the currency of the prices"
        return (
            f"{self.items:,} items of {self.videos:,} videos: {self.calls:,} calls, about {self.input_tokens:,} tokens "
            f"read and {self.output_tokens:,} written{cost}"
        )


def estimate(
    timelines: VideoTimelineStore | Iterable[Timeline],
    output: str | Path,
    plan: Plan | None = None,
    *,
    judged: bool = False,
    input_price: float | None = None,
    output_price: float | None = None,
    count: Count = approximate_tokens,
) -> Estimate:
    """Estimate what `make_instructions` would cost, without asking a model.

    Args:
        timelines: What it would be given.
        output: Its folder; what is finished there is left out.
        plan: What is to be made.
        judged: Whether a judge is asked.
        input_price: Price of a million tokens that are read.
        output_price: Price of a million tokens that are written.
        count: Counts tokens.

    Raises:
        InputError: An argument makes no sense, or a file in the folder is something else.

    Example:
        See before paying:

            print(estimate(store, "made", input_price=0.25, output_price=2))
    """
    plan = plan or Plan()
    finished = finished_ids(output)
    items = videos = 0
    used = _Used()
    for timeline in list_timelines(timelines):
        kinds = () if is_empty(timeline) else open_kinds(timeline, plan, finished)
        if kinds:
            items, videos = items + len(kinds), videos + 1
            used += _video(timeline, kinds, plan, count, judged=judged)
    read, written = used["read"], used["written"]
    prices = (input_price or 0) * read + (output_price or 0) * written
    cost = None if input_price is output_price is None else prices / MILLION
    return Estimate(items, videos, used["calls"], read, written, cost)


def _video(timeline: Timeline, kinds: Iterable[Kind], plan: Plan, count: Count, *, judged: bool) -> _Used:
    notes = sum(count(note.text) for note in write_notes(timeline, plan.max_context_tokens, count))
    used = _Used()
    while notes > plan.max_context_tokens:
        parts = math.ceil(notes / plan.max_context_tokens)
        written = parts * plan.max_context_tokens // SHARE
        used += _Used(calls=parts, read=parts * _length(plan.prompt("condense"), count) + notes, written=written)
        notes = written
    for kind in kinds:
        written = round(plan.words[1] * TOKENS_A_WORD) if kind == "description" else CONVERSATION_TOKENS
        prompt = plan.prompt("describe" if kind == "description" else kind)
        used += _Used(calls=1, read=_length(prompt, count) + notes, written=written)
        if kind == "description":
            used += _Used(calls=1, read=_length(plan.prompt("correct"), count) + written, written=written)
        if judged:
            read = _length(plan.prompt("judge"), count) + notes + written
            used += _Used(calls=1, read=read, written=VERDICT_TOKENS)
    return used


def _length(prompt: ChatPromptTemplate, count: Count) -> int:
    """Count the tokens of a prompt, without what is put into it."""
    return count(prompt.format(**dict.fromkeys(prompt.input_variables, "")))
