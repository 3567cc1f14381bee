"""Keeping the videos in an agent's messages within a token budget."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import takewhile
from typing import Any, Literal, TypeGuard

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_videochat.errors import VideoChatError
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.text.attachments import block_key, path_key, read_attachment
from langchain_videochat.text.tools.base import one_line, shorten
from langchain_videochat.text.tools.view_frames import NOTES_RADIUS
from langchain_videochat.text.video_overviews import VideoOverview, describe_observations
from langchain_videochat.utils.untrusted_text import mark_as_data

CountTokens = Callable[[list[BaseMessage]], int]
"""Counts the tokens of messages."""

Form = Callable[[AnyMessage], AnyMessage | None]
"""Returns a shorter form of a message, or None if it has none."""

KEPT_SHARE = 0.5
"""Fraction of the budget that messages are shortened to once they exceed it. Shortening changes the prompt's prefix, so
the provider's prompt cache is lost each time."""

MAX_NOTES_LENGTH = 1200
"""Characters of the notes that take the place of the frames of a result: they take fewer tokens than one frame."""

MIN_SHORTENED_LENGTH = 500
"""Characters of a result that is worth shortening: others say what has been done, such as the path of a clip."""

MAX_EXCERPT_LENGTH = 100
"""Characters of a moment that remain of a search result."""

MAX_CITATIONS = 20
"""Citations that remain of a result."""

MAX_CACHED_NOTES = 4096
"""Frames whose notes are kept in memory."""

UNKNOWN_VIDEO = "(A video that was not opened.)"
"""Takes the place of a video that the middleware has not seen: another one has added it to the request."""


class ContextBudget:
    """Replaces the videos in messages by text, and shortens what is older once it exceeds a budget.

    What is shortened depends only on the messages before it, so the prefix of the prompt stays the same from call to
    call, and providers can cache it.

    Args:
        store: The store that notes are read from.
        tools: Names of the tools whose results may be shortened.
        max_tokens: The budget.
        count_tokens: Counts the tokens of messages.
    """

    def __init__(
        self, store: VideoTimelineStore, tools: Collection[str], max_tokens: int, count_tokens: CountTokens
    ) -> None:
        self._store = store
        self._tools = frozenset(tools)
        self._max_tokens = max_tokens
        self._count_tokens = count_tokens
        self._notes = lru_cache(MAX_CACHED_NOTES)(self._read_notes)

    def fit(
        self, messages: Iterable[AnyMessage], overviews: Mapping[str, VideoOverview], used: int = 0
    ) -> list[AnyMessage]:
        """Return messages whose videos are replaced by their overviews, within the budget.

        From the oldest on, frames are replaced by what was noted around their times, then results and overviews by
        their citations; then calls of tools are left out with their results. What people and the model have written
        stays as it is, and so does the newest result.

        Args:
            messages: The messages of a conversation.
            overviews: What takes the place of each video, by the key of the attachment.
            used: Tokens that the rest of the prompt takes.
        """
        context = _Context(self._count_tokens, tokens=used)
        for message in messages:
            context.append(message, with_overviews(message, overviews))
            if context.tokens > self._max_tokens:
                self._shorten(context, overviews)
        return [one for one in context.shown if one is not None]

    def _shorten(self, context: "_Context", overviews: Mapping[str, VideoOverview]) -> None:
        answered = context.last_answer
        # The model has asked for the newest result, but not for the timelines of the user's videos.
        unseen = range(answered, len(context.messages) - isinstance(context.messages[-1], ToolMessage))
        forms: list[Form] = [self._without_images, partial(self._without_details, overviews=overviews)]
        for level, form in enumerate(forms, start=1):
            context.replace(range(answered), form, level, self._max_tokens * KEPT_SHARE)
        context.drop(self._calls(context.messages[:answered]), self._max_tokens * KEPT_SHARE)
        # What the model has not seen yet is shortened only as far as it must be.
        for level, form in enumerate(forms, start=1):
            context.replace(unseen, form, level, self._max_tokens)

    def _calls(self, messages: Sequence[AnyMessage]) -> Iterator[list[int]]:
        """Yield the numbers of each message that does nothing but call tools of videos, and those of their results."""
        for number, message in enumerate(messages):
            if isinstance(message, AIMessage) and self._only_calls(message):
                results = takewhile(
                    lambda one: isinstance(messages[one], ToolMessage), range(number + 1, len(messages))
                )
                yield [number, *results]

    def _only_calls(self, message: AIMessage) -> bool:
        names = {call["name"] for call in message.tool_calls}
        return bool(names) and names <= self._tools and not message.text

    def _without_images(self, message: AnyMessage) -> AnyMessage | None:
        """Return a result with notes in place of its frames; None if it has no frames."""
        if not self._is_result(message) or not _has_images(message):
            return None
        artifact = message.artifact if isinstance(message.artifact, dict) else {}
        times, citations = artifact.get("times", []), artifact.get("citations", [])
        lines = [citations[0].rpartition("#t=")[0]] if citations else []
        for time, cited in zip(times, citations, strict=False):
            notes = self._find_notes(artifact["video_id"], time, MAX_NOTES_LENGTH // len(times))
            lines.append(f"#t={cited.rpartition('#t=')[2]} {notes}".rstrip())
        heading = f"These frames were removed to save context; {message.name} returns them. What was noted around them:"
        return _with_notes(message, heading, lines)

    def _without_details(self, message: AnyMessage, overviews: Mapping[str, VideoOverview]) -> AnyMessage | None:
        """Return a result with nothing but its citations, or a message with brief overviews; None if it is neither."""
        if self._is_result(message):
            if not _has_images(message) and len(message.text) < MIN_SHORTENED_LENGTH:
                return None
            heading = f"This result was shortened to save context; {message.name} returns it. It cited:"
            return _with_notes(message, heading, _citations(message.artifact))
        brief = with_overviews(message, overviews, brief=True)
        return None if brief is message else brief

    def _is_result(self, message: AnyMessage) -> TypeGuard[ToolMessage]:
        return isinstance(message, ToolMessage) and message.status == "success" and message.name in self._tools

    def _find_notes(self, video_id: str, time: float, max_length: int) -> str:
        try:
            return self._notes(video_id, time, max_length)
        except VideoChatError:  # the video was removed from the store, or the store is locked
            return ""

    def _read_notes(self, video_id: str, time: float, max_length: int) -> str:
        timeline = self._store.timeline(video_id, max(0.0, time - NOTES_RADIUS), time + NOTES_RADIUS)
        return describe_observations(timeline.observations, max_length)


@dataclass
class _Context:
    """The messages of a prompt, as they are and as the model gets them."""

    count_tokens: CountTokens
    messages: list[AnyMessage] = field(default_factory=list)
    shown: list[AnyMessage | None] = field(default_factory=list)
    costs: list[int] = field(default_factory=list)
    levels: list[int] = field(default_factory=list)
    """How far each message has been shortened."""
    tokens: int = 0
    last_answer: int = 0
    """Number of the model's latest message."""

    def append(self, message: AnyMessage, shown: AnyMessage) -> None:
        """Add a message."""
        if isinstance(message, AIMessage):
            self.last_answer = len(self.messages)
        self.messages.append(message)
        self.shown.append(shown)
        self.costs.append(self.count_tokens([shown]))
        self.levels.append(0)
        self.tokens += self.costs[-1]

    def replace(self, numbers: Iterable[int], form: Form, level: int, goal: float) -> None:
        """Give messages a shorter form, in order, until the prompt has at most `goal` tokens."""
        for number in numbers:
            if self.tokens <= goal:
                return
            if self.levels[number] < level:
                self.levels[number] = level
                shorter = form(self.messages[number])
                if shorter is not None and (cost := self.count_tokens([shorter])) < self.costs[number]:
                    self._show(number, shorter, cost)

    def drop(self, groups: Iterable[Sequence[int]], goal: float) -> None:
        """Leave out groups of messages, in order, until the prompt has at most `goal` tokens."""
        for group in groups:
            if self.tokens <= goal:
                return
            for number in group:
                self._show(number, None, 0)

    def _show(self, number: int, message: AnyMessage | None, cost: int) -> None:
        self.tokens += cost - self.costs[number]
        self.shown[number] = message
        self.costs[number] = cost


def with_overviews(message: AnyMessage, overviews: Mapping[str, VideoOverview], *, brief: bool = False) -> AnyMessage:
    """Return a message with overviews in place of its videos, and after a path; the same message if it has none."""
    form: Literal["text", "brief"] = "brief" if brief else "text"
    if not isinstance(message, HumanMessage | ToolMessage):
        return message
    content = message.content
    if not isinstance(content, str):
        content = [
            _replace_video(block, overviews.get(block_key(message, number)), form)
            for number, block in enumerate(content)
        ]
    named = overviews.get(path_key(message))
    if named is not None:
        text = named[form]
        content = f"{content}\n{text}" if isinstance(content, str) else [*content, {"type": "text", "text": text}]
    return message if content == message.content else message.model_copy(update={"content": content})


def _replace_video(block: Any, overview: VideoOverview | None, form: Literal["text", "brief"]) -> Any:
    if read_attachment(block) is None:
        return block
    return {"type": "text", "text": UNKNOWN_VIDEO if overview is None else overview[form]}


def _with_notes(message: ToolMessage, heading: str, lines: Sequence[str]) -> ToolMessage:
    notes = mark_as_data("\n".join(lines))
    return message.model_copy(update={"content": f"{heading}\n{notes}"})


def _has_images(message: ToolMessage) -> bool:
    blocks = [] if isinstance(message.content, str) else message.content
    return any(isinstance(block, dict) and block.get("type") == "image" for block in blocks)


def _citations(artifact: Any) -> list[str]:
    """Return what remains of a result: a line per moment or video, with its citation."""
    if isinstance(artifact, dict):
        lines = [artifact.get("answer"), artifact.get("citation"), *artifact.get("citations", ())]
        return [one for one in lines if one][:MAX_CITATIONS]
    return [_line(one) for one in artifact[:MAX_CITATIONS]] if isinstance(artifact, list) else []


def _line(entry: dict[str, Any]) -> str:
    text = one_line(entry.get("text", "").removeprefix(entry["title"]))
    name = entry.get("citation") or entry["video_id"]
    return f"{name} {one_line(entry['title'])}: {shorten(text, MAX_EXCERPT_LENGTH)}".rstrip(" :")
