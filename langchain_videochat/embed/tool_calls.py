"""How a model that was never taught tools is told of them, and how its calls are read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk

from langchain_videochat.embed.conversation import Turn

INSTRUCTION = """You can call these tools. To call one, write nothing but a line of JSON with its name and arguments:
{"name":"...","arguments":{...}}
"""

Tool = Mapping[str, Any]
"""A tool as OpenAI describes it: {"type": "function", "function": {"name": ..., ...}}."""


def tell_tools(turns: Sequence[Turn], tools: Sequence[Tool]) -> tuple[Turn, ...]:
    """Put what the tools are at the beginning of a conversation."""
    described = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    text = f"{INSTRUCTION}{described}"
    if turns[0].role == "system":
        return (replace(turns[0], content=(*turns[0].content, text)), *turns[1:])
    return (Turn("system", (text,)), *turns)


def read_call(text: str, tools: Sequence[Tool]) -> ToolCallChunk | None:
    """Read a call of one of the tools; None if the text is none.

    Example:
        >>> tools = [{"type": "function", "function": {"name": "add"}}]
        >>> read_call('{"name": "add", "arguments": {"a": 1}}', tools)["args"]
        '{"a": 1}'
    """
    try:
        call = json.loads(text)
    except json.JSONDecodeError:
        return None
    names = [tool["function"]["name"] for tool in tools]
    if not isinstance(call, dict) or call.get("name") not in names or not isinstance(call.get("arguments"), dict):
        return None
    arguments = json.dumps(call["arguments"], ensure_ascii=False)
    return tool_call_chunk(name=call["name"], args=arguments, id=f"call_{uuid4().hex}", index=0)
