"""Parsing LangChain messages into turns. Unsupported content raises an error: nothing is dropped silently."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, NamedTuple

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_videochat.embed.content_blocks import read_block
from langchain_videochat.embed.conversation import NUM_FRAMES, Role
from langchain_videochat.embed.media_refs import MediaRef, file_state
from langchain_videochat.errors import InputError

_ROLES: Mapping[type[BaseMessage], Role] = {
    SystemMessage: "system",
    HumanMessage: "human",
    AIMessage: "assistant",
    ToolMessage: "human",
    FunctionMessage: "human",
}
_CHAT_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "human": "human",
    "user": "human",
    "ai": "assistant",
    "assistant": "assistant",
}

_REASONING = frozenset({"reasoning", "thinking", "redacted_thinking"})
"""Content blocks that are not sent back to the model."""

_CALLS = frozenset(
    {"tool_call", "tool_call_chunk", "invalid_tool_call", "tool_use", "function_call", "input_json_delta"}
)
"""Content blocks that repeat a message's `tool_calls`."""


class ParsedTurn(NamedTuple):
    """A turn whose videos and images are not opened yet."""

    role: Role
    content: list[str | MediaRef]


def read_messages(
    messages: Sequence[BaseMessage],
    *,
    num_frames: int = NUM_FRAMES,
    system_prompt: str | None = None,
    allowed_hosts: Sequence[str] = (),
    is_partial: bool = False,
) -> list[ParsedTurn]:
    """Parse messages into turns.

    System messages come first, consecutive messages of one role become one turn, and tool results belong to the human.
    `num_frames` applies to videos whose block sets neither `num_frames` nor `fps`. If `is_partial`, the messages may be
    any part of a conversation.

    Raises:
        InputError: The last message, except for system messages, is not from a human or a tool, or a message is empty
            or has unsupported content.

    Example:
        >>> read_messages([HumanMessage("Hello"), SystemMessage("Be brief.")])[0]
        ParsedTurn(role='system', content=['Be brief.'])
    """
    if not is_partial:
        _check_last_role(messages)
    turns = _parse(messages, system_prompt, is_partial=is_partial)
    for turn in turns:
        for place, part in enumerate(turn.content):
            if isinstance(part, MediaRef):
                is_default = part.kind == "video" and part.num_frames is None and part.fps is None
                frames = num_frames if is_default else part.num_frames
                turn.content[place] = replace(part, num_frames=frames, allowed_hosts=tuple(allowed_hosts))
    return turns


def last_question(messages: Sequence[BaseMessage]) -> str:
    """Return the text of the last human turn, without tool results.

    Raises:
        InputError: A message has unsupported content.

    Example:
        >>> last_question([HumanMessage("Who is it?"), AIMessage("A cook."), HumanMessage("What does she do?")])
        'What does she do?'
    """
    spoken = [message for message in messages if not isinstance(message, ToolMessage | FunctionMessage)]
    questions = [turn.content for turn in _parse(spoken) if turn.role == "human"]
    return "\n".join(part for part in questions[-1] if isinstance(part, str)) if questions else ""


def file_states(messages: Sequence[BaseMessage]) -> list[tuple[str, int, int]]:
    """Return the `file_state` of each local file that messages refer to, in their order.

    Raises:
        InputError: A message has unsupported content.

    Example:
        >>> file_states([HumanMessage([{"type": "video", "url": "file:///missing.mp4"}])])
        [('file:///missing.mp4', -1, -1)]
    """
    parts = chain.from_iterable(turn.content for turn in _parse(messages))
    return [file_state(part.source) for part in parts if isinstance(part, MediaRef) and part.is_local]


def write_tool_call(name: str, arguments: Any) -> str:
    """Serialize a tool call as the model generates it: one line of JSON, with the arguments in the given order.

    Example:
        >>> write_tool_call("find", {"what": "a goal", "limit": 2})
        '{"name":"find","arguments":{"what":"a goal","limit":2}}'
    """
    call = {"name": name, "arguments": arguments}
    return json.dumps(call, ensure_ascii=False, separators=(",", ":"), default=str)


def _check_last_role(messages: Sequence[BaseMessage]) -> None:
    roles = [role for role in map(_role, messages) if role != "system"]
    if not roles:
        raise InputError("messages", "there is nothing to answer", "Add a HumanMessage with a question")
    if roles[-1] == "assistant":
        problem = "they end with an answer, which cannot be continued"
        raise InputError("messages", problem, "Add a HumanMessage or a ToolMessage")


def _parse(
    messages: Sequence[BaseMessage], system_prompt: str | None = None, *, is_partial: bool = False
) -> list[ParsedTurn]:
    calls = [call for message in messages if isinstance(message, AIMessage) for call in message.tool_calls]
    tool_names = {call["id"]: call["name"] for call in calls}
    turns = [ParsedTurn("system", [system_prompt])] if system_prompt else []
    turns += [ParsedTurn(_role(message), _parts(message, tool_names)) for message in messages]
    if not is_partial and any(turn.role == "human" and not turn.content for turn in turns):
        raise InputError("messages", "a human message is empty", "Add a question to it, or remove it")
    turns = sorted((turn for turn in turns if turn.content), key=lambda turn: turn.role != "system")
    return [
        ParsedTurn(role, [part for turn in group for part in turn.content])
        for role, group in groupby(turns, itemgetter(0))
    ]


def _role(message: BaseMessage) -> Role:
    if isinstance(message, ChatMessage):
        role = _CHAT_ROLES.get(message.role.lower())
    else:
        role = next((role for kind, role in _ROLES.items() if isinstance(message, kind)), None)
    if role is None:
        name = message.role if isinstance(message, ChatMessage) else message.type
        advice = f"Use one of {', '.join(_CHAT_ROLES)}, or a ToolMessage"
        raise InputError("messages", f"unknown role {name!r}", advice)
    return role


def _parts(message: BaseMessage, tool_names: Mapping[str | None, str]) -> list[str | MediaRef]:
    if isinstance(message, AIMessage):
        calls = [*message.tool_calls, *message.invalid_tool_calls]
        parts = _content(message, _REASONING | _CALLS if calls else _REASONING)
        return [*parts, *(write_tool_call(call["name"] or "", call["args"]) for call in calls)]
    parts = _content(message, _REASONING if _role(message) == "assistant" else ())
    if isinstance(message, ToolMessage | FunctionMessage):
        return _tool_parts(message, parts, tool_names)
    return parts


def _tool_parts(
    message: ToolMessage | FunctionMessage, parts: list[str | MediaRef], tool_names: Mapping[str | None, str]
) -> list[str | MediaRef]:
    call_id = message.tool_call_id if isinstance(message, ToolMessage) else None
    name = message.name or tool_names.get(call_id, "")
    failed = isinstance(message, ToolMessage) and message.status == "error"
    heading = " ".join(filter(None, ["The tool", name, "failed:" if failed else "answered:"]))
    if parts and isinstance(parts[0], str):
        return [f"{heading}\n{parts[0]}", *parts[1:]]
    return [heading, *parts]


def _content(message: BaseMessage, excluded: Collection[str]) -> list[str | MediaRef]:
    """Return texts and media of a message, without content blocks of excluded types."""
    items = [message.content] if isinstance(message.content, str) else message.content
    blocks = [{"type": "text", "text": item} if isinstance(item, str) else item for item in items]
    parts = [read_block(block) for block in blocks if str(block.get("type")) not in excluded]
    return [part for part in parts if isinstance(part, MediaRef) or part.strip()]
