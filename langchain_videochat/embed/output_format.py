"""What an answer may consist of: text, tool calls, or JSON that is valid for a response format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_videochat.embed.json_schemas import call_schema, union_schema
from langchain_videochat.embed.tool_calls import Tool
from langchain_videochat.embed.tool_conversion import ToolLike, convert_tool, convert_tools
from langchain_videochat.errors import InputError

ToolChoice = str | bool | Mapping[str, Any] | None
"""A tool choice in any conventional form, see `read_output_format`."""

OPTIONS = ("tools", "tool_choice", "parallel_tool_calls", "response_format")
"""Options of a call that determine its output format."""

_AUTO = (None, False, "auto")
_ANY = (True, "any", "required")


@dataclass(frozen=True)
class OutputFormat:
    """What an answer may consist of. Without a forced call or a response schema, it may be any text."""

    tools: Sequence[Tool] = ()
    """Tools that the model may call, in OpenAI's format."""

    forced_tools: Sequence[str] = ()
    """Names of tools of which at least one must be called; if there are none, the model decides whether to call any."""

    allows_several_calls: bool = True
    """Whether one answer may contain several calls."""

    response_schema: dict[str, Any] | None = None
    """A JSON schema for answers that are not tool calls; None if they may be any text, or must be calls."""

    @property
    def is_constrained(self) -> bool:
        """Whether the answer must be valid for a schema."""
        return bool(self.forced_tools) or self.response_schema is not None

    def schemas(self) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """Return the schema of an answer that is one JSON value, and that of each line of one with several calls."""
        names = self.forced_tools or [tool["function"]["name"] for tool in self.tools]
        callable_tools = [tool for tool in self.tools if tool["function"]["name"] in names]
        calls = call_schema(callable_tools) if callable_tools else None
        if self.allows_several_calls:
            return self.response_schema, calls
        return union_schema([schema for schema in (calls, self.response_schema) if schema is not None]), None


def read_output_format(
    tools: Sequence[ToolLike] | None = None,
    tool_choice: ToolChoice = None,
    parallel_tool_calls: bool | None = None,
    response_format: ToolLike | None = None,
) -> OutputFormat:
    """Read the options of a call that determine its output format.

    Args:
        tools: Tools in any form that LangChain takes.
        tool_choice: "any", "required" or True to force a call, a tool's name to force a call of it, None, False or
            "auto" to let the model decide, "none" to hide the tools; or one of these as OpenAI's or Anthropic's dicts.
        parallel_tool_calls: Whether one answer may contain several calls; None is True.
        response_format: OpenAI's response format, a JSON schema, or a class. Answers that are not tool calls are JSON
            that is valid for it.

    Raises:
        InputError: A tool, choice or format is unknown or cannot be used.

    Example:
        >>> add = {"type": "function", "function": {"name": "add"}}
        >>> read_output_format([add], tool_choice={"type": "tool", "name": "add"}).forced_tools
        ['add']
    """
    converted = convert_tools(tools or ())
    choice = dict(tool_choice) if isinstance(tool_choice, Mapping) else {}
    if choice.get("type") == "allowed_tools":
        converted, tool_choice = _allowed_tools(choice, converted)
    elif choice:
        tool_choice = _chosen(choice)
    if tool_choice == "none":
        converted = []
    names = [tool["function"]["name"] for tool in converted]
    is_one_call = parallel_tool_calls is False or choice.get("disable_parallel_tool_use") or tool_choice in names
    forced_tools = _forced_tools(tool_choice, names)
    response_schema = None if forced_tools else _response_schema(response_format)
    return OutputFormat(converted, forced_tools, not is_one_call, response_schema)


def _chosen(choice: Mapping[str, Any]) -> ToolChoice:
    """Return the name or the mode in OpenAI's and Anthropic's dicts."""
    function = choice.get("function", choice)
    name = function.get("name", choice.get("type")) if isinstance(function, Mapping) else None
    if not isinstance(name, str):
        problem = f"unknown form {dict(choice)!r}"
        raise InputError("tool_choice", problem, 'Give the name of a tool, "any", "auto" or "none"')
    return name


def _allowed_tools(choice: Mapping[str, Any], tools: Sequence[Tool]) -> tuple[list[Tool], str]:
    """Return the tools that OpenAI's choice of several tools allows, and its mode."""
    allowed = choice.get("allowed_tools", choice)
    known = {tool["function"]["name"]: tool for tool in tools}
    names = [_known_tool(_chosen(tool), list(known)) for tool in allowed.get("tools", [])]
    return [known[name] for name in names], allowed.get("mode", "auto")


def _forced_tools(tool_choice: ToolChoice, names: Sequence[str]) -> Sequence[str]:
    if tool_choice in _AUTO or tool_choice == "none":
        return ()
    if not names:
        problem = f"{tool_choice!r} forces a call, but there are no tools"
        raise InputError("tool_choice", problem, "Bind tools, or leave it out")
    return names if tool_choice in _ANY else [_known_tool(tool_choice, names)]


def _known_tool(name: ToolChoice, names: Sequence[str]) -> str:
    if name not in names:
        raise InputError("tool_choice", f"unknown tool {name!r}", f"Use one of {', '.join(names)}")
    return str(name)


def _response_schema(response_format: ToolLike | None) -> dict[str, Any] | None:
    kind = response_format.get("type") if isinstance(response_format, Mapping) else None
    if response_format is None or kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    schema: dict[str, Any] = convert_tool(response_format)["function"].get("parameters", {})
    return schema
