"""What a user may ask, checked."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Required

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    MessageLikeRepresentation,
    convert_to_messages,
)
from typing_extensions import TypedDict

from langchain_videochat.errors import InputError
from langchain_videochat.store.filters import check_stretch
from langchain_videochat.text.prompts import visible

LONGEST_QUESTION = 4000
"""Characters of a question at most: about 1,000 tokens, beside which the notes still fit into a small model."""

_FILM = r"(?:video|film|movie|clip|talk|recording|lecture)s?"

_WHOLE = re.compile(
    "|".join(
        [
            r"\bsummar(?:y|ies|i[sz])",
            r"\b(?:overview|recap|gist|tl;?dr|throughout|table of contents)\b",
            r"\b(?:key|main) (?:points?|ideas?|topics?|takeaways?|steps?|moments?)\b",
            r"\bhow (?:often|many times)\b",
            r"\b(?:every|each) time\b",
            rf"\bwhat(?:'s| is| are) (?:the|this|that|these|those) {_FILM} (?:all )?about\b",
            rf"\bwhat happens in (?:the|this|that) {_FILM}\b",
            rf"\b(?:describe|outline) (?:the|this|that) {_FILM}\b",
            rf"\b(?:whole|entire|complete|full) {_FILM}\b",
            r"zusammenfass|\bfass\w*\b.{0,80}\bzusammen\b|\büberblick\b|\bworum geht\b|\bhauptpunkte\b",
            r"\bwie oft\b|\bwie viele male\b|\bjedes mal\b|\bganze[nsr]? (?:video|film|vortrag)",
            r"\brésum|\bcombien de fois\b|\bde quoi parle\b",
            r"\bresum(?:en|ir)\b|\bcu[aá]ntas veces\b|\bde qu[eé] trata\b",
            "总结|總結|概括|概述|概要|摘要|多少次|几次|幾次|讲了什么|講了什麼|要約|まとめ|何回",
        ]
    ),
    re.IGNORECASE,
)


class VideoQuestion(TypedDict, total=False):
    """What a question-answering chain is asked, where a bare string does not say it all."""

    question: Required[str]
    """The question, in any language."""

    history: Sequence[MessageLikeRepresentation]
    """The turns before it: messages, or pairs of role ("human" or "ai") and text. What is not said by one of the two
    is left out."""

    video_id: str | Sequence[str] | None
    """Only these videos; all if None."""

    start: float | None
    """Only what holds at or after this time, in seconds from the start of the video."""

    end: float | None
    """Only what begins before this time, in seconds."""


@dataclass(frozen=True)
class Question:
    """A question that has been checked."""

    text: str
    """What is asked, without invisible characters."""

    history: tuple[BaseMessage, ...] = ()
    """The turns before it, as text alone."""

    video_ids: tuple[str, ...] | None = None
    """Only these videos; all if None."""

    start: float | None = None
    """Only what holds at or after this time, in seconds."""

    end: float | None = None
    """Only what begins before this time, in seconds."""


def read_question(value: str | VideoQuestion) -> Question:
    """Check what a chain was asked.

    Raises:
        InputError: There is no question, it is too long, a field is unknown, or times make no sense.

    Example:
        >>> read_question({"question": "When is it done?", "video_id": "c0ffee"}).video_ids
        ('c0ffee',)
    """
    fields: Mapping[str, Any] = {"question": value} if isinstance(value, str) else value
    if not isinstance(fields, Mapping) or "question" not in fields:
        raise InputError("question", "is missing", 'Ask with a string or with {"question": ...}')
    unknown = sorted(set(fields) - set(VideoQuestion.__annotations__))
    if unknown:
        known = ", ".join(VideoQuestion.__annotations__)
        raise InputError(unknown[0], "is no field of a question", f"Take some of {known}")
    question = Question(
        text=_text(fields["question"]),
        history=_history(fields.get("history") or ()),
        video_ids=_video_ids(fields.get("video_id")),
        start=_time("start", fields.get("start")),
        end=_time("end", fields.get("end")),
    )
    check_stretch(question.start, question.end)
    return question


def asks_for_whole(question: str) -> bool:
    """Tell whether single moments cannot answer a question: summaries, counts over time.

    It goes by words of English, German, French, Spanish, Chinese and Japanese.

    Example:
        >>> asks_for_whole("How many times does she whisk?"), asks_for_whole("How many eggs are there?")
        (True, False)
    """
    return _WHOLE.search(question) is not None


def _text(text: Any) -> str:
    if not isinstance(text, str):
        raise InputError("question", f"is a {type(text).__name__}", "Ask with a string")
    if len(text) > LONGEST_QUESTION:
        problem = f"has {len(text):,} characters, more than {LONGEST_QUESTION:,}"
        raise InputError("question", problem, "Ask in fewer words; put standing instructions into `prompt`")
    readable = visible(text).strip()
    if not readable:
        raise InputError("question", "is empty", "Ask for something")
    return readable


def _history(messages: Any) -> tuple[BaseMessage, ...]:
    try:
        turns = convert_to_messages(messages)
    except (ValueError, NotImplementedError, TypeError) as error:
        raise InputError(
            "history", f"is no conversation ({error})", 'Give messages, or pairs as ("human", text)'
        ) from (error)
    spoken = [turn for turn in turns if isinstance(turn, HumanMessage | AIMessage) and turn.text.strip()]
    # Anew, because a model that rewrites questions needs neither tool calls nor pictures.
    return tuple(_plain(turn) for turn in spoken)


def _plain(turn: HumanMessage | AIMessage) -> BaseMessage:
    text = visible(turn.text)
    return HumanMessage(text) if isinstance(turn, HumanMessage) else AIMessage(text)


def _video_ids(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    ids = (value,) if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)
    if not all(isinstance(one, str) for one in ids):
        raise InputError("video_id", f"{value!r} is no id", "Give an id that videos() lists, or several")
    return ids


def _time(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise InputError(name, f"{value!r} is no time", "Give seconds from the start of the video")
    return float(value)
