"""Converting failed requests to errors that name the setting to change."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

import openai
from langchain_core import exceptions as core

from langchain_videochat.embed.errors import InvalidRequestError, ModelNotFoundError, PromptTooLongError
from langchain_videochat.errors import VideoChatError
from langchain_videochat.server.errors import (
    ServerAuthenticationError,
    ServerBusyError,
    ServerFailedError,
    ServerTimeoutError,
    connection_error,
)
from langchain_videochat.utils.plain_text import plain_line

FAILURES = (openai.APIError, json.JSONDecodeError)
"""Errors that OpenAI's client raises for a failed request."""

MAX_MESSAGE_LENGTH = 300
"""Characters of a server's message that an error quotes."""

MAX_NAMES = 10
"""Models of a server that an error lists."""

_CONTEXT_ERROR = re.compile(r"context.{0,20}(length|size|window)", re.IGNORECASE)
_MEDIA_ERROR = re.compile(r"video|image|vision|modal|media|mmproj|content|\bpart\b", re.IGNORECASE)
_SERVER_ERROR = 500


@dataclass(frozen=True)
class Sent:
    """The parts of a request that may have made it fail."""

    base_url: str
    model: str
    has_video: bool = False
    has_images: bool = False


def typed_error(error: Exception, sent: Sent) -> VideoChatError:
    """Return the error to raise for a failed request."""
    message = quote(error)
    if isinstance(error, core.ModelTimeoutError):
        return ServerTimeoutError(sent.base_url, "the server did not answer in time", "Raise timeout")
    if isinstance(error, core.ModelConnectionError):
        return connection_error(sent.base_url, f"the server cannot be reached, or closed the connection ({message})")
    if isinstance(error, core.ModelAuthenticationError | core.ModelPermissionDeniedError):
        return ServerAuthenticationError("api_key", f"the server refuses it ({message})", "Set it to the server's key")
    if isinstance(error, core.ModelRateLimitError):
        advice = "Try again later, or lower max_concurrency"
        return ServerBusyError(sent.base_url, f"the server has too many requests ({message})", advice)
    if isinstance(error, core.ContextOverflowError) or _CONTEXT_ERROR.search(message):
        advice = "Lower num_frames or frame_size, or serve the model with a longer context"
        return PromptTooLongError("messages", f"the server says that they are too long ({message})", advice)
    return _refusal(error, message, sent) or _failure(message, sent)


def unknown_model(sent: Sent, problem: str, models: Sequence[str]) -> ModelNotFoundError:
    """Return the error for a model that the server does not have, which lists those that it has."""
    names = ", ".join(quote(name) for name in models[:MAX_NAMES])
    advice = f"Set model to one of {names}" if names else "Check model, and base_url, which usually ends in /v1"
    return ModelNotFoundError(f"model {sent.model}", problem, advice)


def quote(text: object) -> str:
    """Return a server's text as one line of limited length."""
    return plain_line(str(text), MAX_MESSAGE_LENGTH)


def _refusal(error: Exception, message: str, sent: Sent) -> InvalidRequestError | None:
    status = error.status_code if isinstance(error, openai.APIStatusError) else _SERVER_ERROR
    # llama.cpp answers 500 if the model takes no images.
    is_about_media = (sent.has_video or sent.has_images) and _MEDIA_ERROR.search(message)
    if status >= _SERVER_ERROR and not is_about_media:
        return None
    if is_about_media and sent.has_video:
        advice = 'Set it to "frames", or serve a model that takes videos'
        return InvalidRequestError("video_input", f"the server refuses the video ({message})", advice)
    if is_about_media:
        advice = "Serve a model that takes images, or lower num_frames if there are too many"
        return InvalidRequestError("model", f"the server refuses the images ({message})", advice)
    return InvalidRequestError("request", f"the server refuses it ({message})", "Change what the message names")


def _failure(message: str, sent: Sent) -> ServerFailedError:
    advice = "See its log"
    if sent.has_video:
        advice += ', and set video_input="frames" if it cannot read the video'
    return ServerFailedError(sent.base_url, f"the server failed ({message})", advice)
