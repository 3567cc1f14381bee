"""A chat model for videos on an inference server, such as vLLM, SGLang, llama.cpp or Ollama."""

from typing import TYPE_CHECKING, Any

from langchain_videochat.utils.lazy import lazy_exports
from langchain_videochat.utils.optional_dependencies import require_extra

if TYPE_CHECKING:
    from langchain_videochat.server.chat_model import ChatVideoServer
    from langchain_videochat.server.errors import (
        ServerAuthenticationError,
        ServerBusyError,
        ServerConnectionError,
        ServerFailedError,
        ServerTimeoutError,
    )

__all__ = [
    "ChatVideoServer",
    "ServerAuthenticationError",
    "ServerBusyError",
    "ServerConnectionError",
    "ServerFailedError",
    "ServerTimeoutError",
]

_EXPORTS = {
    "chat_model": ("ChatVideoServer",),
    "errors": (
        "ServerAuthenticationError",
        "ServerBusyError",
        "ServerConnectionError",
        "ServerFailedError",
        "ServerTimeoutError",
    ),
}

_get_export, __dir__ = lazy_exports(__name__, _EXPORTS)


def __getattr__(name: str) -> Any:
    if name == "ChatVideoServer":
        require_extra("server", name)
    return _get_export(name)
