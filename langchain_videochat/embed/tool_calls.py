"""How a model that was never taught tools is told of them, and how its calls are read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk

from langchain_videochat.embed.conversation import Turn

INSTRUCTION = """You can call these tools. To call some, write nothing but a line of JSON for each:
{"name":"...","arguments":{...}}
"""

ANY_TOOL = "any"
"""In place of a tool's name, where one of them must be called."""

_DECODER = json.JSONDecoder()

Tool = Mapping[str, Any]
"""A tool as OpenAI describes it: {"type": "function", "function": {"name": ..., ...}}."""


def tell_tools(turns: Sequence[Turn], tools: Sequence[Tool]) -> tuple[Turn, ...]:
    """Put what the tools are at the beginning of a conversation."""
    described = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    text = f"{INSTRUCTION}{described}"
    if turns[0].role == "system":
        return (replace(turns[0], content=(*turns[0].content, text)), *turns[1:])
    return (Turn("system", (text,)), *turns)


def read_calls(text: str, tools: Sequence[Tool]) -> list[ToolCallChunk]:
    """Read calls of tools, one after the other; none if the text is anything else.

    Example:
        >>> tools = [{"type": "function", "function": {"name": "add"}}]
        >>> [call["args"] for call in read_calls('{"name": "add", "arguments": {"a": 1}}', tools)]
        ['{"a": 1}']
    """
    names = {tool["function"]["name"] for tool in tools}
    calls: list[ToolCallChunk] = []
    text = text.strip()
    while text:
        try:
            call, end = _DECODER.raw_decode(text)
        except json.JSONDecodeError:
            return []
        if not isinstance(call, dict) or call.get("name") not in names or not isinstance(call.get("arguments"), dict):
            return []
        arguments = json.dumps(call["arguments"], ensure_ascii=False)
        calls.append(tool_call_chunk(name=call["name"], args=arguments, id=f"call_{uuid4().hex}", index=len(calls)))
        text = text[end:].lstrip()
    return calls
