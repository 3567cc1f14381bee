"""Tools in every form that LangChain takes, converted to OpenAI's format."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from langchain_core.tools import BaseTool, create_schema_from_function
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic.v1 import BaseModel as BaseModelV1
from typing_extensions import is_typeddict

from langchain_videochat.embed.json_schemas import JSON_TYPES, follow_reference, is_recursive
from langchain_videochat.embed.tool_calls import Tool
from langchain_videochat.errors import InputError

ToolLike = Mapping[str, Any] | type | Callable[..., Any] | BaseTool

_OWN_TYPES = {"custom", "function", "json_schema", *JSON_TYPES}
"""Values of `type` in descriptions of tools that run in the user's program. Other values name a provider's tool."""

_SCHEMA_KEYWORDS = {"$ref", "allOf", "anyOf", "enum", "oneOf", "properties", "title", "type"}


def convert_tools(tools: Iterable[ToolLike]) -> list[Tool]:
    """Convert tools to OpenAI's format.

    Raises:
        InputError: A tool is a provider's, has an unknown format, or has arguments that are not a JSON object.

    Example:
        >>> convert_tools([{"name": "stop", "input_schema": {"type": "object"}}])
        [{'type': 'function', 'function': {'name': 'stop', 'parameters': {'type': 'object'}}}]
    """
    converted = [convert_tool(tool) for tool in tools]
    for function in (tool["function"] for tool in converted):
        parameters = function.get("parameters") or {}
        if "$ref" in parameters:
            parameters = follow_reference(parameters, parameters["$ref"])
        if parameters.get("type", "object") != "object":
            problem = f"the arguments of {function['name']!r} are not a JSON object"
            raise InputError("tools", problem, 'Give it named arguments, or use method="json_schema" for such a form')
    return converted


def convert_tool(tool: ToolLike) -> Tool:
    """Convert a tool to OpenAI's format, as LangChain does, but with the references of a recursive schema.

    Args:
        tool: A function, a tool of LangChain, a class, a description in the format of OpenAI, Anthropic or Bedrock, an
            OpenAI response format, or a JSON schema with a title.

    Raises:
        InputError: A provider's tool, or an unknown format.
    """
    converted = _convert_description(tool) if isinstance(tool, Mapping) else _convert_code(tool)
    function = converted.get("function")
    if not isinstance(function, Mapping) or not _is_function(function):
        raise InputError("tools", f"{tool!r} describes no function", "Give its name and its arguments")
    return converted


def _is_function(function: Mapping[str, Any]) -> bool:
    return isinstance(function.get("name"), str) and isinstance(function.get("parameters") or {}, Mapping)


def _convert_code(tool: Any) -> Tool:
    schema = _own_schema(tool)
    if is_recursive(schema) and is_typeddict(tool):
        return _describe(tool.__name__, tool.__doc__, schema)
    converted = _convert_as_langchain(tool)
    if is_recursive(schema):
        # LangChain inlines references, and replaces those of a recursive schema with {}.
        return {**converted, "function": {**converted["function"], "parameters": schema}}
    return converted


def _own_schema(tool: Any) -> dict[str, Any]:
    """Return the JSON schema of a tool's arguments with its references; {} if pydantic cannot create it."""
    model = tool.tool_call_schema if isinstance(tool, BaseTool) else tool
    if isinstance(model, dict):
        return model
    if isinstance(model, type) and issubclass(model, BaseModelV1):
        return model.schema()
    try:
        if not isinstance(model, type):
            model = create_schema_from_function(model.__name__, model, filter_args=(), include_injected=False)
        return TypeAdapter(model).json_schema()
    except (AttributeError, PydanticUserError, TypeError, ValueError):
        return {}


def _convert_description(tool: Mapping[str, Any]) -> Tool:
    kind = tool.get("type")
    if isinstance(kind, str) and kind not in _OWN_TYPES:
        problem = f"{kind!r} is a tool that a provider runs on its servers"
        raise InputError("tools", problem, "Give a function that does the same instead")
    response_format = tool["json_schema"] if isinstance(tool.get("json_schema"), Mapping) else tool
    if "schema" in response_format:
        return _describe(response_format.get("name"), response_format.get("description"), response_format["schema"])
    if kind == "function" or "function" in tool:
        return {"type": "function", "function": tool.get("function", tool)}
    if not tool.keys() & {"input_schema", "name", "toolSpec"} and tool.keys() & _SCHEMA_KEYWORDS:
        parameters = {key: value for key, value in tool.items() if key not in ("title", "description")}
        return _describe(tool.get("title", tool.get("$ref", "").split("/")[-1]), tool.get("description"), parameters)
    return _convert_as_langchain(tool)


def _describe(name: Any, description: str | None, parameters: Any) -> Tool:
    if not name:
        raise InputError("schema", "it has no name", 'Give a JSON schema a "title", and a response format a "name"')
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": {key: value for key, value in function.items() if value is not None}}


def _convert_as_langchain(tool: Any) -> Tool:
    try:
        return convert_to_openai_tool(tool)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        advice = "Give a function, a tool of LangChain, a pydantic class, or a JSON schema with a title"
        raise InputError("tools", f"{tool!r} cannot be converted", advice) from error
