"""Cost estimate of a generation run."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from langchain_videochat.instruct.instruction_prompts import PromptName
from langchain_videochat.instruct.item_folder import read_item_ids
from langchain_videochat.instruct.items import ItemKind
from langchain_videochat.instruct.notes import is_empty, iter_notes
from langchain_videochat.instruct.plan import InstructionPlan
from langchain_videochat.instruct.timelines import as_timelines, missing_kinds
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.text.context import CONDENSED_SHARE, CountTokens, approximate_tokens
from langchain_videochat.timeline import Timeline

TOKENS_PER_WORD = 1.4
"""For English; other languages have up to three times as many."""

CONVERSATION_TOKENS = 400
"""Five questions with answers, in JSON."""

VERDICT_TOKENS = 10

_Usage = Counter[str]
"""Numbers of `calls`, `input` tokens and `output` tokens."""


@dataclass(frozen=True)
class Estimate:
    """Estimated cost of a run, without retries. `str()` summarizes it in one line."""

    items: int
    """Descriptions and conversations to generate."""

    videos: int
    """Number of videos."""

    calls: int
    """Calls of the language model and of the judge."""

    input_tokens: int
    """Tokens in all prompts."""

    output_tokens: int
    """Without reasoning tokens."""

    cost: float | None
    """In the currency of the prices; None without prices."""

    def __str__(self) -> str:
        cost = "" if self.cost is None else f", about {self.cost:,.2f} in the currency of the prices"
        return (
            f"{self.items:,} items of {self.videos:,} videos: {self.calls:,} calls, about {self.input_tokens:,} input "
            f"tokens and {self.output_tokens:,} output tokens{cost}"
        )


def estimate(
    timelines: VideoTimelineStore | Iterable[Timeline],
    output: str | Path,
    plan: InstructionPlan | None = None,
    *,
    judged: bool = False,
    input_price: float | None = None,
    output_price: float | None = None,
    count_tokens: CountTokens = approximate_tokens,
) -> Estimate:
    """Estimate the cost of `generate_instructions` without calling a model.

    Args:
        timelines: Timelines of the videos, or a store for all of its videos.
        output: Output folder. Items that are finished there cost nothing.
        plan: What to generate; descriptions in English if None.
        judged: Whether a judge checks the items.
        input_price: Price of a million input tokens.
        output_price: Price of a million output tokens.
        count_tokens: Token counter.

    Raises:
        InputError: An argument is invalid, or a file in the folder has another format.

    Example:
        Estimate before paying:

            print(estimate(store, "made", input_price=0.25, output_price=2))
    """
    plan = plan or InstructionPlan()
    finished = read_item_ids(output)
    items = videos = 0
    usage = _Usage()
    for timeline in as_timelines(timelines):
        kinds = () if is_empty(timeline) else missing_kinds(timeline, plan, finished)
        if kinds:
            items, videos = items + len(kinds), videos + 1
            usage += _video_usage(timeline, kinds, plan, count_tokens, judged=judged)
    prices = (input_price or 0) * usage["input"] + (output_price or 0) * usage["output"]
    cost = None if input_price is output_price is None else prices / 1_000_000
    return Estimate(items, videos, usage["calls"], usage["input"], usage["output"], cost)


def _video_usage(
    timeline: Timeline, kinds: Iterable[ItemKind], plan: InstructionPlan, count_tokens: CountTokens, *, judged: bool
) -> _Usage:
    notes = sum(count_tokens(note.text) for note in iter_notes(timeline, plan.max_context_tokens, count_tokens))
    usage = _Usage()

    def add_calls(name: PromptName, texts: int, output: int, calls: int = 1) -> None:
        prompt = plan.prompt(name)
        prompt_tokens = count_tokens(prompt.format(**dict.fromkeys(prompt.input_variables, "")))
        usage.update(calls=calls, input=calls * prompt_tokens + texts, output=output)

    while notes > plan.max_context_tokens:
        parts = math.ceil(notes / plan.max_context_tokens)
        condensed = parts * plan.max_context_tokens // CONDENSED_SHARE
        add_calls("condense", notes, condensed, parts)
        notes = condensed
    for kind in kinds:
        if kind == "description":
            output = round(plan.words[1] * TOKENS_PER_WORD)
            add_calls("describe", notes, output)
            add_calls("correct", output, output)
        else:
            output = CONVERSATION_TOKENS
            add_calls(kind, notes, output)
        if judged:
            add_calls("judge", notes + output, VERDICT_TOKENS)
    return usage
