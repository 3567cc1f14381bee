"""Errors of inference servers, which are also LangChain's standard errors for chat models."""

from langchain_core import exceptions as core

from langchain_videochat.errors import VideoChatError


class ServerConnectionError(VideoChatError, core.ModelConnectionError):
    """The server cannot be reached, or it closed the connection."""


class ServerTimeoutError(VideoChatError, core.ModelTimeoutError):
    """The server did not answer in time."""


class ServerBusyError(VideoChatError, core.ModelRateLimitError):
    """The server has too many requests."""


class ServerAuthenticationError(VideoChatError, core.ModelAuthenticationError):
    """The server does not accept the API key."""


class ServerFailedError(VideoChatError, core.ModelAPIError):
    """The server failed, or its answer is not a chat completion."""


def connection_error(base_url: object, problem: str = "the server cannot be reached") -> ServerConnectionError:
    """Return the error for a server that is down, or that closed the connection."""
    return ServerConnectionError(base_url, problem, "Start the server, or set base_url to its address")
