"""Output within a number of tokens, for language models that run the commands."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from langchain_core.documents import Document

    from langchain_videochat.text.video_answers import VideoAnswer
    from langchain_videochat.timeline import Timeline

MIN_TOKENS = 500
"""Smallest number of tokens: the description of a video takes up to half of it."""

MIN_TEXT_LENGTH = 20
"""Characters of an observation that are kept before observations are left out."""

MaxTokensOption = Annotated[
    int | None,
    typer.Option(min=MIN_TOKENS, help="Shorten the output to about this number of tokens, for a language model."),
]


def fit_timeline(
    timeline: "Timeline", start: float, max_tokens: int, serialize: Callable[["Timeline"], str]
) -> tuple["Timeline", float | None]:
    """Return as much of a timeline as fits, without vectors.

    Args:
        timeline: The timeline, or a slice of it from `start` on.
        start: Seconds.
        max_tokens: Maximum number of tokens.
        serialize: Formats a timeline.

    Returns:
        The timeline, and the time in seconds at which it was cut off; None if it is complete.
    """
    from langchain_videochat.text.timeline_start import fitting_start

    def fits(part: "Timeline") -> bool:
        return _fits(serialize(part), max_tokens)

    texts = replace(timeline, observations=tuple(replace(one, vector=None) for one in timeline if one.text))
    part, rest = fitting_start(texts, start, fits)
    if fits(part):
        return part, rest
    longest = max((len(one.text) for one in part), default=0)
    length = _largest(longest, lambda length: fits(_truncate_texts(part, length)))
    part = _truncate_texts(part, max(length, MIN_TEXT_LENGTH))
    observations = part.observations
    kept = _largest(len(observations), lambda count: fits(replace(part, observations=observations[:count])))
    return replace(part, observations=observations[:kept]), rest


def fit_moments(
    moments: Sequence["Document"], max_tokens: int, serialize: Callable[[Sequence["Document"]], str]
) -> list["Document"]:
    """Return the first moments that fit; the text of the first is truncated if necessary."""
    from langchain_videochat.text.context import truncate_to_fit

    kept = _largest(len(moments), lambda count: _fits(serialize(moments[:count]), max_tokens))
    if kept or not moments:
        return list(moments[:kept])
    first = moments[0]

    def with_text(text: str) -> "Document":
        return first.model_copy(update={"page_content": text})

    text = truncate_to_fit(first.page_content, lambda text: _fits(serialize([with_text(text)]), max_tokens))
    return [with_text(text)]


def fit_answer(answer: "VideoAnswer", max_tokens: int, serialize: Callable[["VideoAnswer"], str]) -> "VideoAnswer":
    """Return an answer that fits: without the last of the closest moments, then with less text."""
    from langchain_videochat.text.context import truncate_to_fit

    def shortened(closest: int, citations: int, text: str) -> "VideoAnswer":
        changes = {"closest": answer["closest"][:closest], "citations": answer["citations"][:citations], "answer": text}
        return cast("VideoAnswer", {**answer, **changes})

    def fits(closest: int, citations: int, text: str) -> bool:
        return _fits(serialize(shortened(closest, citations, text)), max_tokens)

    text = answer["answer"]
    citations = _largest(len(answer["citations"]), lambda count: fits(0, count, ""))
    closest = _largest(len(answer["closest"]), lambda count: fits(count, citations, text))
    return shortened(closest, citations, truncate_to_fit(text, lambda text: fits(closest, citations, text)))


def _fits(text: str, max_tokens: int) -> bool:
    from langchain_videochat.text.context import approximate_tokens

    return approximate_tokens(text) <= max_tokens


def _largest(limit: int, fits: Callable[[int], bool]) -> int:
    """Return the largest number up to `limit` for which something fits; 0 if it fits for none."""
    return bisect_right(range(1, limit + 1), False, key=lambda number: not fits(number))


def _truncate_texts(timeline: "Timeline", length: int) -> "Timeline":
    from langchain_videochat.text.tools.base import shorten

    return replace(timeline, observations=tuple(replace(one, text=shorten(one.text, length)) for one in timeline))
