"""Parsing of a language model's answers, with one retry if an answer is malformed."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from langchain_core.language_models import LanguageModelLike
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.utils.json import parse_json_markdown
from pydantic import TypeAdapter, ValidationError

from langchain_videochat.errors import ModelError
from langchain_videochat.instruct.items import QAPair
from langchain_videochat.utils.untrusted_text import strip_invisible

T = TypeVar("T")

_PAIRS = TypeAdapter(tuple[QAPair, ...])
_NUMBERS = TypeAdapter(tuple[int, ...])

# Prompts ask for JSON, because not every model has structured output. langchain-core's default parser is not used: it
# completes truncated JSON, and a truncated answer must not be accepted.
_load_json = partial(json.loads, strict=False)


class MalformedAnswerError(ModelError):
    """A language model's answer, `text`, has the wrong format."""

    def __init__(self, problem: str, text: str) -> None:
        super().__init__("the language model", problem, "Try again, or use another model")
        self.text = text


def ask_with_retry(
    prompt: ChatPromptTemplate, llm: LanguageModelLike, parse: Callable[[str], Any] = lambda text: text
) -> Runnable[dict[str, Any], Any]:
    """Create a chain that calls a model, and calls it once more if `parse` raises MalformedAnswerError."""
    chain: Runnable[dict[str, Any], Any] = prompt | llm | StrOutputParser() | RunnableLambda(partial(_parse, parse))
    return chain.with_retry(
        retry_if_exception_type=(MalformedAnswerError,), wait_exponential_jitter=False, stop_after_attempt=2
    )


def _parse(parse: Callable[[str], Any], text: str) -> Any:
    text = strip_invisible(text).strip()
    if not text:
        raise MalformedAnswerError("its answer is empty", "")
    return parse(text)


def parse_pairs(text: str) -> tuple[QAPair, ...]:
    r"""Parse a conversation from JSON, optionally in a Markdown code block or in an object with one key.

    Raises:
        MalformedAnswerError: The text is not a list of questions and answers.

    Example:
        >>> parse_pairs('```json\n[{"q": "What is it?", "a": "A cat."}]\n```')
        (QAPair(q='What is it?', a='A cat.'),)
    """
    return _validate(_PAIRS, text, "not a list of questions and answers")


def parse_numbers(text: str) -> tuple[int, ...]:
    """Parse a list of integers from JSON.

    Raises:
        MalformedAnswerError: The text is not a list of integers.
    """
    return _validate(_NUMBERS, text, "not a list of numbers")


def _validate(adapter: TypeAdapter[T], text: str, problem: str) -> T:
    try:
        value = parse_json_markdown(text, parser=_load_json)
        if isinstance(value, dict) and len(value) == 1:
            (value,) = value.values()
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        location = ".".join(map(str, first["loc"])) or "top level"
        raise MalformedAnswerError(f"its answer is {problem} ({location}: {first['msg']})", text) from error
    except (ValueError, RecursionError) as error:
        raise MalformedAnswerError(f"its answer is {problem} ({error})", text) from error
