"""Questions about videos: parsing and validation."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Required

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, MessageLikeRepresentation, convert_to_messages
from typing_extensions import TypedDict

from langchain_videochat.errors import InputError
from langchain_videochat.utils.interval import Interval
from langchain_videochat.utils.names import check_names
from langchain_videochat.utils.untrusted_text import strip_invisible

MAX_QUESTION_LENGTH = 4000
"""Characters: about 1,000 tokens, which leaves room for the notes in a small model's context."""


class VideoQuestion(TypedDict, total=False):
    """Input of a question-answering chain: a question with its history, or restricted to some videos or times."""

    question: Required[str]
    """The question, in any language."""

    history: Sequence[MessageLikeRepresentation]
    """The previous turns: messages, or pairs of role ("human" or "ai") and text. Other roles are ignored."""

    video_id: str | Sequence[str] | None
    """Restricts the answer to these videos; all if None."""

    start: float | None
    """Restricts the answer to moments that end after this time, in seconds from the start of the video."""

    end: float | None
    """Restricts the answer to moments that start before this time, in seconds."""


class VideoMessages(TypedDict, total=False):
    """Input of a question-answering chain: a conversation, for example the state of an agent.

    Fields that are not listed here are ignored.
    """

    messages: Required[Sequence[MessageLikeRepresentation]]
    """The last human message is the question, the messages before it are the history. Only their text is used."""

    video_id: str | Sequence[str] | None
    """As in `VideoQuestion`."""

    start: float | None
    """As in `VideoQuestion`."""

    end: float | None
    """As in `VideoQuestion`."""


QuestionInput = str | VideoQuestion | VideoMessages | BaseMessage | Sequence[MessageLikeRepresentation]
"""What a question-answering chain takes: a question, or messages, alone or with restrictions."""


@dataclass(frozen=True)
class ParsedQuestion:
    """A validated question."""

    text: str
    """The question, without invisible characters."""

    history: tuple[BaseMessage, ...] = ()
    """The previous turns, as text only."""

    video_ids: tuple[str, ...] | None = None
    """The videos to answer from; all if None."""

    start: float | None = None
    end: float | None = None


def parse_question(value: QuestionInput) -> ParsedQuestion:
    """Validate the input of a question-answering chain.

    Raises:
        InputError: The question is missing, empty or too long, or a field is unknown or invalid.

    Example:
        >>> parse_question({"question": "When is it done?", "video_id": "c0ffee"}).video_ids
        ('c0ffee',)
        >>> parse_question([("human", "What is made?"), ("ai", "Eggs."), ("human", "When?")]).text
        'When?'
    """
    fields = _read_fields(value)
    question = ParsedQuestion(
        text=_parse_text(fields["question"]),
        history=_parse_history(fields.get("history") or ()),
        video_ids=_parse_video_ids(fields.get("video_id")),
        start=_parse_seconds("start", fields.get("start")),
        end=_parse_seconds("end", fields.get("end")),
    )
    Interval(question.start or 0.0, math.inf if question.end is None else question.end)  # checks their order
    return question


def _read_fields(value: Any) -> Mapping[str, Any]:
    """Return the fields of a VideoQuestion for any input."""
    if isinstance(value, str):
        return {"question": value}
    if isinstance(value, BaseMessage):
        return _split_conversation([value])
    if isinstance(value, list | tuple):
        return _split_conversation(value)
    if not isinstance(value, Mapping) or not {"question", "messages"} & value.keys():
        raise InputError("question", "is missing", 'Ask with a string, with {"question": ...} or with messages')
    if "question" in value:
        check_names("field of a question", value, list(VideoQuestion.__annotations__))
        return value
    restrictions = {name: value[name] for name in ("video_id", "start", "end") if name in value}
    return _split_conversation(value["messages"]) | restrictions


def _split_conversation(messages: Any) -> dict[str, Any]:
    """Return the last human message as the question, and the messages before it as its history."""
    turns = _to_messages("messages", [("human", messages)] if isinstance(messages, str) else messages)
    questions = [place for place, turn in enumerate(turns) if isinstance(turn, HumanMessage)]
    if not questions:
        raise InputError("messages", "have no human message", "End them with the question, as a HumanMessage")
    last = questions[-1]
    return {"question": str(turns[last].text), "history": turns[:last]}


def _parse_text(text: Any) -> str:
    if not isinstance(text, str):
        raise InputError("question", f"must be a string, got {type(text).__name__}", "Ask with a string")
    if len(text) > MAX_QUESTION_LENGTH:
        problem = f"has {len(text):,} characters, more than {MAX_QUESTION_LENGTH:,}"
        raise InputError("question", problem, "Shorten it; put standing instructions into `prompt`")
    readable = strip_invisible(text).strip()
    if not readable:
        raise InputError("question", "is empty", "Ask a question")
    return readable


def _parse_history(messages: Any) -> tuple[BaseMessage, ...]:
    turns = _to_messages("history", messages)
    # Text only: rewriting a question needs neither tool calls nor images.
    return tuple(_text_only(turn) for turn in turns if isinstance(turn, HumanMessage | AIMessage) and turn.text.strip())


def _to_messages(field: str, messages: Any) -> list[BaseMessage]:
    try:
        return convert_to_messages(messages)
    except (ValueError, NotImplementedError, TypeError) as error:
        problem = f"is not a list of messages ({error})"
        raise InputError(field, problem, 'Give messages, or pairs such as ("human", text)') from error


def _text_only(turn: HumanMessage | AIMessage) -> BaseMessage:
    text = strip_invisible(turn.text)
    return HumanMessage(text) if isinstance(turn, HumanMessage) else AIMessage(text)


def _parse_video_ids(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    ids = (value,) if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)
    if not all(isinstance(one, str) for one in ids):
        raise InputError("video_id", f"must be a string or several, got {value!r}", "Use ids that videos() lists")
    return ids


def _parse_seconds(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise InputError(name, f"must be 0 or a positive number, got {value!r}", "Give a time in seconds")
    return float(value)
