"""Asking a language model for something, and once more where its answer is of no use."""

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
from langchain_videochat.instruct.items import Pair
from langchain_videochat.text.prompts import visible

T = TypeVar("T")

_PAIRS = TypeAdapter(tuple[Pair, ...])
_NUMBERS = TypeAdapter(tuple[int, ...])

# A model that was cut off must not pass for one that had finished: langchain-core's own parser would mend that.
_read_json = partial(json.loads, strict=False)


class BrokenAnswerError(ModelError):
    """A language model answered, and not as it was asked to.

    Args:
        problem: What is wrong with the answer, as the rest of a sentence.
        text: The answer.
    """

    def __init__(self, problem: str, text: str) -> None:
        super().__init__("the language model", problem, "Ask again, or take another model")
        self.text = text


def ask(
    prompt: ChatPromptTemplate, llm: LanguageModelLike, read: Callable[[str], Any] = lambda text: text
) -> Runnable[dict[str, Any], Any]:
    """Make a chain that asks a model, and asks once more where the answer is broken.

    Args:
        prompt: Made of what the chain is given.
        llm: The model.
        read: Makes something of what the model wrote, or raises BrokenAnswerError.
    """
    chain: Runnable[dict[str, Any], Any] = prompt | llm | StrOutputParser() | RunnableLambda(partial(_read, read))
    return chain.with_retry(
        retry_if_exception_type=(BrokenAnswerError,), wait_exponential_jitter=False, stop_after_attempt=2
    )


def _read(read: Callable[[str], Any], text: str) -> Any:
    text = visible(text).strip()
    if not text:
        raise BrokenAnswerError("its answer is empty", "")
    return read(text)


def read_pairs(text: str) -> tuple[Pair, ...]:
    r"""Read a conversation from JSON, also where Markdown or an object is around it.

    Raises:
        BrokenAnswerError: It is no list of questions and answers.

    Example:
        >>> read_pairs('```json\n[{"q": "What is it?", "a": "A cat."}]\n```')
        (Pair(q='What is it?', a='A cat.'),)
    """
    return _validated(_PAIRS, text, "no list of questions and answers")


def read_numbers(text: str) -> tuple[int, ...]:
    """Read a list of numbers from JSON.

    Raises:
        BrokenAnswerError: It is none.
    """
    return _validated(_NUMBERS, text, "no list of numbers")


def _validated(adapter: TypeAdapter[T], text: str, problem: str) -> T:
    try:
        value = parse_json_markdown(text, parser=_read_json)
        if isinstance(value, dict) and len(value) == 1:
            (value,) = value.values()
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise BrokenAnswerError(f"its answer is {problem} ({place}: {first['msg']})", text) from error
    except (ValueError, RecursionError) as error:
        raise BrokenAnswerError(f"its answer is {problem} ({error})", text) from error
