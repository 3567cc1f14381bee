"""Tool calling for models that were not trained on tools: describing tools in the prompt, and parsing calls."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk

from langchain_videochat.embed.conversation import Turn

TOOLS_INSTRUCTION = """You can call these tools. To call some, write nothing but a line of JSON for each:
{"name":"...","arguments":{...}}
"""

FORMAT_INSTRUCTION = "Answer with nothing but a line of JSON that is valid for this schema:\n"
OTHERWISE_INSTRUCTION = "If you call none, answer with nothing but a line of JSON that is valid for this schema:\n"

_DECODER = json.JSONDecoder()

Tool = Mapping[str, Any]
"""A tool in OpenAI's format: {"type": "function", "function": {"name": ..., ...}}."""


def add_tools(
    turns: Sequence[Turn], tools: Sequence[Tool], response_schema: Mapping[str, Any] | None = None
) -> Sequence[Turn]:
    """Add descriptions of the tools and of the response schema, if there are any, to the system turn."""
    lines = [json.dumps(tool["function"], ensure_ascii=False) for tool in tools]
    if lines:
        lines[0] = TOOLS_INSTRUCTION + lines[0]
    if response_schema is not None:
        instruction = OTHERWISE_INSTRUCTION if tools else FORMAT_INSTRUCTION
        lines.append(instruction + json.dumps(response_schema, ensure_ascii=False))
    if not lines:
        return turns
    text = "\n".join(lines)
    if turns[0].role == "system":
        return [replace(turns[0], content=(*turns[0].content, text)), *turns[1:]]
    return [Turn("system", (text,)), *turns]


def parse_tool_calls(text: str, tools: Sequence[Tool]) -> list[ToolCallChunk]:
    """Parse consecutive tool calls; return none if the text contains anything else.

    Example:
        >>> tools = [{"type": "function", "function": {"name": "add"}}]
        >>> [call["args"] for call in parse_tool_calls('{"name": "add", "arguments": {"a": 1}}', tools)]
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
