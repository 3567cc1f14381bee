"""Structured output: answers that are parsed into a class, or into a dict."""

from operator import itemgetter
from typing import Any, Literal, get_args

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.output_parsers import BaseOutputParser, JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.pydantic import is_basemodel_subclass

from langchain_videochat.embed.tool_conversion import ToolLike, convert_tool
from langchain_videochat.errors import InputError

Method = Literal["function_calling", "json_schema", "json_mode"]


def structured_output(
    llm: BaseChatModel, schema: ToolLike, method: Method, *, include_raw: bool
) -> Runnable[LanguageModelInput, Any]:
    """Return a runnable that answers with an object of a schema, as documented for `VideoChatEmbed`.

    Raises:
        InputError: The schema or the method is unknown.
    """
    if method not in get_args(Method):
        raise InputError("method", f"unknown method {method!r}", f"Use one of {', '.join(get_args(Method))}")
    tool = convert_tool(schema)
    name, parameters = tool["function"]["name"], tool["function"].get("parameters", {})
    model = schema if isinstance(schema, type) and is_basemodel_subclass(schema) else None
    trace = {"kwargs": {"method": method}, "schema": tool}
    parser: BaseOutputParser[Any]
    if method == "function_calling":
        bound = llm.bind_tools([dict(tool)], tool_choice=name, ls_structured_output_format=trace)
        parser = (
            PydanticToolsParser(tools=[model], first_tool_only=True)
            if model
            else JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)
        )
    else:
        response_format = {"type": "json_schema", "json_schema": {"name": name, "schema": parameters}}
        bound = llm.bind(response_format=response_format, ls_structured_output_format=trace)
        parser = PydanticOutputParser(pydantic_object=model) if model else JsonOutputParser()
    return _with_raw(bound, parser) if include_raw else bound | parser


def _with_raw(llm: Runnable[LanguageModelInput, Any], parser: BaseOutputParser[Any]) -> Runnable[Any, Any]:
    """Return the message with what was parsed, and the error if parsing failed."""
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=llm) | parsed.with_fallbacks([failed], exception_key="parsing_error")
