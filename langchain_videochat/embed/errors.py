"""Errors of the chat model, which are also LangChain's standard errors for chat models."""

from collections.abc import Iterator
from contextlib import contextmanager

from langchain_core import exceptions as core

from langchain_videochat.errors import InputError, ModelUnavailableError, VideoChatError


class PromptTooLongError(InputError, core.ContextOverflowError):
    """The conversation, with its videos, exceeds the model's context length."""


class InvalidRequestError(InputError, core.ModelInvalidRequestError):
    """A message, tool or option is invalid."""


class ModelNotFoundError(ModelUnavailableError, core.ModelNotFoundError):
    """The model is not on this machine and cannot be downloaded."""


class NotEnoughMemoryError(VideoChatError, core.ModelError):
    """The device is out of memory."""


@contextmanager
def core_errors() -> Iterator[None]:
    """Convert errors of this package to those that are LangChain's standard errors, too."""
    try:
        yield
    except core.ModelError:
        raise
    except InputError as error:
        raise InvalidRequestError(*error.args) from error
    except ModelUnavailableError as error:
        raise ModelNotFoundError(*error.args) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that a device is out of memory."""
    import torch

    # torch has no error type for CPU memory.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def no_audio_error() -> InputError:
    """Return the error for audio in the prompt of a model without audio input."""
    advice = "Use a model with audio input, such as Gemma 4 E4B or Qwen2.5-Omni"
    return InputError("content", "the model takes no audio", advice)
