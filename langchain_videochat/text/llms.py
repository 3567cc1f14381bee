"""Language models by name, and what is told when one fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_videochat.errors import ModelError, ModelUnavailableError, VideoChatError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


def is_provided(name: str) -> bool:
    """Tell whether a model is named as PROVIDER:MODEL, and not by a folder or an id on the Hugging Face hub.

    Example:
        >>> is_provided("ollama:qwen3"), is_provided("videochat-7b")
        (True, False)
    """
    return ":" in name and not Path(name).is_dir()


def load_model(name: str) -> "BaseChatModel":
    """Make a chat model of LangChain of its name, as PROVIDER:MODEL.

    Raises:
        ModelUnavailableError: Its package is not installed, or it cannot be made.
    """
    from langchain.chat_models import init_chat_model

    try:
        return init_chat_model(name)
    except ImportError as error:
        raise ModelUnavailableError(name, _one_line(error), "Or name another model with --model") from error
    except Exception as error:  # each provider has errors of its own
        advice = (
            "Name it as PROVIDER:MODEL, as openai:gpt-5-mini or ollama:qwen3, and set the key that its provider wants"
        )
        raise ModelUnavailableError(name, _one_line(error), advice) from error


@contextmanager
def model_errors() -> Iterator[None]:
    """Turn what a language model's provider raises into a ModelError; errors of this package stay as they are."""
    try:
        yield
    except VideoChatError:
        raise
    except Exception as error:  # each provider has errors of its own
        problem = f"it failed ({type(error).__name__}: {_one_line(error)})"
        advice = "See whether its server can be reached, and its key is valid"
        raise ModelError("language model", problem, advice) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
