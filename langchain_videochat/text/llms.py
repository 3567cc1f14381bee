"""Chat models of LangChain by name, and their errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_videochat.errors import ModelError, ModelUnavailableError, VideoChatError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


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


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
