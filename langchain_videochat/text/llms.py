"""Chat models of LangChain: by name, their errors, and the text of their answers."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_videochat.errors import ModelError, ModelUnavailableError, VideoChatError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import Runnable


def has_provider(name: str) -> bool:
    """Return whether a name is PROVIDER:MODEL, not a folder or an id on the Hugging Face hub.

    Example:
        >>> has_provider("ollama:qwen3"), has_provider("videochat-7b")
        (True, False)
    """
    return ":" in name and not Path(name).is_dir()


def load_chat_model(name: str) -> "BaseChatModel":
    """Create a chat model from its name, PROVIDER:MODEL.

    Raises:
        ModelUnavailableError: The provider's package is not installed, or the model cannot be created.
    """
    from langchain.chat_models import init_chat_model

    try:
        return init_chat_model(name)
    except ImportError as error:
        raise ModelUnavailableError(name, _one_line(error), "Or choose another model with --model") from error
    except Exception as error:  # each provider has its own errors
        advice = "Use PROVIDER:MODEL, for example openai:gpt-5-mini or ollama:qwen3, and set the provider's API key"
        raise ModelUnavailableError(name, _one_line(error), advice) from error


@contextmanager
def model_errors() -> Iterator[None]:
    """Convert errors of a model's provider to ModelError; errors of this package pass unchanged."""
    try:
        yield
    except VideoChatError:
        raise
    except Exception as error:  # each provider has its own errors
        problem = f"it failed ({type(error).__name__}: {_one_line(error)})"
        advice = "Check that its server is reachable and its API key is valid"
        raise ModelError("language model", problem, advice) from error


def read_text() -> "Runnable[Any, str]":
    """Return a Runnable that converts the output of a language model to text, also while it streams.

    Unlike StrOutputParser, it raises a ModelError if the model returns anything but text: a tool call, or the object of
    `with_structured_output`.
    """
    from langchain_core.runnables import RunnableGenerator

    return RunnableGenerator(_read_outputs, _aread_outputs, name="read_text")


def _read_outputs(outputs: Iterator[Any]) -> Iterator[str]:
    is_empty = True
    for output in outputs:
        is_empty = False
        yield _read_output(output)
    if is_empty:  # with_structured_output() streams nothing if the model itself does not stream
        raise _not_text("it returned nothing")


async def _aread_outputs(outputs: AsyncIterator[Any]) -> AsyncIterator[str]:
    is_empty = True
    async for output in outputs:
        is_empty = False
        yield _read_output(output)
    if is_empty:
        raise _not_text("it returned nothing")


def _read_output(output: Any) -> str:
    from langchain_core.messages import AIMessage, BaseMessage

    if isinstance(output, AIMessage) and (output.tool_calls or output.invalid_tool_calls):
        raise _not_text("it called a tool instead of writing an answer")
    if not isinstance(output, str | BaseMessage):
        raise _not_text(f"its answer is not text ({type(output).__name__})")
    return output if isinstance(output, str) else str(output.text)


def _not_text(problem: str) -> ModelError:
    return ModelError("the language model", problem, "Pass a model without tools and without with_structured_output()")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
