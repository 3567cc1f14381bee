"""From LangChain's messages to a conversation.

Content blocks become texts and `MediaRef`s in `content_blocks.py`; `media_refs.py` opens the latter. Unknown content
raises an error: nothing is dropped silently.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

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
from langchain_videochat.embed.conversation import NUM_FRAMES, Part, Role, Turn
from langchain_videochat.embed.media_refs import MediaRef, file_state, read_visual
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

_THOUGHTS = frozenset({"reasoning", "thinking", "redacted_thinking"})
"""What a model said to itself: it is not shown again."""

_CALLS = frozenset(
    {"tool_call", "tool_call_chunk", "invalid_tool_call", "tool_use", "function_call", "input_json_delta"}
)
"""Content blocks that repeat what stands in a message's `tool_calls`."""


def _show_whole(visual: MediaRef) -> Sequence[Part]:
    return [read_visual(visual)]


def read_messages(
    messages: Sequence[BaseMessage],
    *,
    num_frames: int = NUM_FRAMES,
    system_prompt: str | None = None,
    allowed_hosts: Sequence[str] = (),
    show: Callable[[MediaRef], Sequence[Part]] = _show_whole,
) -> tuple[Turn, ...]:
    """Make a conversation of messages.

    What the system says comes first, neighbours of one role become one turn, and what a tool answers is said by the
    human. Of a video, `extras` choose a stretch: `start` and `end` (seconds or "mm:ss"), and `num_frames` or `fps`.

    Args:
        messages: They end with what is to be answered, by a human or a tool.
        num_frames: How many frames are shown of a video whose block does not tell.
        system_prompt: What the system says before all else.
        allowed_hosts: Hosts that may be visited although they lie in a private network.
        show: Opens what is shown.

    Raises:
        InputError: There is nothing to answer, or something in a message is not understood.
        SourceError: There is no such file, or an address is refused or fails.
        MediaError: A file cannot be read as what it is called.

    Example:
        >>> read_messages([HumanMessage("Hello"), SystemMessage("Be brief.")])[0]
        Turn(role='system', content=('Be brief.',))
    """

    def shown(part: str | MediaRef) -> Sequence[Part]:
        if isinstance(part, str):
            return [part]
        unsaid = part.kind == "video" and part.num_frames is None and part.fps is None
        frames = num_frames if unsaid else part.num_frames
        return show(replace(part, num_frames=frames, allowed_hosts=tuple(allowed_hosts)))

    _check_that_one_asks(messages)
    turns = _understand(messages, system_prompt)
    return tuple(Turn(role, tuple(chain.from_iterable(map(shown, parts)))) for role, parts in turns)


def last_question(messages: Sequence[BaseMessage]) -> str:
    """Find what a human asks last, in words.

    Raises:
        InputError: Something in a message is not understood.

    Example:
        >>> last_question([HumanMessage("Who is it?"), AIMessage("A cook."), HumanMessage("What does she do?")])
        'What does she do?'
    """
    said = [message for message in messages if not isinstance(message, ToolMessage | FunctionMessage)]
    asked = [parts for role, parts in _understand(said) if role == "human"]
    return "\n".join(part for part in asked[-1] if isinstance(part, str)) if asked else ""


def file_states(messages: Sequence[BaseMessage]) -> list[tuple[str, int, int]]:
    """Tell which files of this machine messages show, and in which state, without opening them.

    Returns:
        Path, size in bytes and time of the last change in nanoseconds of each, in the order of the messages; -1 and -1
        where there is no such file.

    Raises:
        InputError: Something in a message is not understood.

    Example:
        >>> file_states([HumanMessage([{"type": "video", "url": "file:///missing.mp4"}])])
        [('file:///missing.mp4', -1, -1)]
    """
    shown = [part for _, parts in _understand(messages) for part in parts if isinstance(part, MediaRef)]
    return [file_state(visual.source) for visual in shown if visual.is_local]


def write_tool_call(name: str, arguments: Any) -> str:
    """Write the call of a tool as a model writes it: JSON in one line, the arguments in their own order.

    Example:
        >>> write_tool_call("find", {"what": "a goal", "limit": 2})
        '{"name":"find","arguments":{"what":"a goal","limit":2}}'
    """
    call = {"name": name, "arguments": arguments}
    return json.dumps(call, ensure_ascii=False, separators=(",", ":"), default=str)


def _check_that_one_asks(messages: Sequence[BaseMessage]) -> None:
    roles = [role for role in map(_role, messages) if role != "system"]
    if not roles:
        raise InputError("messages", "there is nothing to answer", "Add a HumanMessage with a question")
    if roles[-1] == "assistant":
        problem = "they end with an answer, and answers are not continued"
        raise InputError("messages", problem, "Let a HumanMessage or a ToolMessage follow")


def _understand(
    messages: Sequence[BaseMessage], system_prompt: str | None = None
) -> list[tuple[Role, list[str | MediaRef]]]:
    """Bring what messages say and show into turns."""
    calls = [call for message in messages if isinstance(message, AIMessage) for call in message.tool_calls]
    tool_names = {call["id"]: call["name"] for call in calls}
    said: list[tuple[Role, list[str | MediaRef]]] = [("system", [system_prompt])] if system_prompt else []
    said += [(_role(message), _parts(message, tool_names)) for message in messages]
    said = [(role, parts) for role, parts in said if parts]
    said.sort(key=lambda turn: turn[0] != "system")
    return [(role, [part for _, parts in turns for part in parts]) for role, turns in groupby(said, itemgetter(0))]


def _role(message: BaseMessage) -> Role:
    if isinstance(message, ChatMessage):
        role = _CHAT_ROLES.get(message.role.lower())
    else:
        role = next((role for kind, role in _ROLES.items() if isinstance(message, kind)), None)
    if role is None:
        name = message.role if isinstance(message, ChatMessage) else message.type
        raise InputError("messages", f"nobody speaks as {name!r}", f"Take one of {', '.join(_CHAT_ROLES)}, or a tool")
    return role


def _parts(message: BaseMessage, tool_names: Mapping[str | None, str]) -> list[str | MediaRef]:
    """List what one message says and shows."""
    if isinstance(message, AIMessage):
        calls = [*message.tool_calls, *message.invalid_tool_calls]
        parts = _content(message, _THOUGHTS | _CALLS if calls else _THOUGHTS)
        return [*parts, *(write_tool_call(call["name"] or "", call["args"]) for call in calls)]
    parts = _content(message, _THOUGHTS if _role(message) == "assistant" else ())
    if isinstance(message, ToolMessage | FunctionMessage):
        return _tool_parts(message, parts, tool_names)
    if not parts and _role(message) == "human":
        raise InputError("messages", "a human message is empty", "Ask something in it, or leave it out")
    return parts


def _tool_parts(
    message: ToolMessage | FunctionMessage, parts: list[str | MediaRef], tool_names: Mapping[str | None, str]
) -> list[str | MediaRef]:
    call = message.tool_call_id if isinstance(message, ToolMessage) else None
    name = message.name or tool_names.get(call, "")
    failed = isinstance(message, ToolMessage) and message.status == "error"
    heading = " ".join(filter(None, ["The tool", name, "failed:" if failed else "answered:"]))
    if parts and isinstance(parts[0], str):
        return [f"{heading}\n{parts[0]}", *parts[1:]]
    return [heading, *parts]


def _content(message: BaseMessage, unsaid: Collection[str]) -> list[str | MediaRef]:
    """List what the content of a message says and shows, but for blocks of some types."""
    items = [message.content] if isinstance(message.content, str) else message.content
    blocks = [{"type": "text", "text": item} if isinstance(item, str) else item for item in items]
    parts = [read_block(block) for block in blocks if str(block.get("type")) not in unsaid]
    return [part for part in parts if isinstance(part, MediaRef) or part.strip()]
