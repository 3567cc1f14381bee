"""Errors of the chat model: ours, and of the kinds that LangChain expects of all its chat models."""

from collections.abc import Iterator
from contextlib import contextmanager

from langchain_core import exceptions as core

from langchain_videochat.errors import InputError, ModelUnavailableError, VideoChatError


class PromptTooLongError(InputError, core.ContextOverflowError):
    """A conversation, with its videos, takes more tokens than the language model reads."""


class InvalidRequestError(InputError, core.ModelInvalidRequestError):
    """A message, a tool or an option is not understood."""


class ModelNotFoundError(ModelUnavailableError, core.ModelNotFoundError):
    """The model that is named is not here and cannot be fetched."""


class NotEnoughMemoryError(VideoChatError, core.ModelError):
    """The device has not the memory for what is asked."""


class TooManyFramesError(NotEnoughMemoryError):
    """The memory does not suffice for looking at so many frames at once."""


@contextmanager
def core_errors() -> Iterator[None]:
    """Raise errors of this package as those that also are LangChain's."""
    try:
        yield
    except core.ModelError:
        raise
    except InputError as error:
        raise InvalidRequestError(*error.args) from error
    except ModelUnavailableError as error:
        raise ModelNotFoundError(*error.args) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether it says that a device's memory is used up."""
    import torch

    # What torch raises for a processor's memory has no type of its own.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
