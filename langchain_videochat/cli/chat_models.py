"""Chat models by the name that a command gets."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


def open_chat_model(name: str | None) -> "BaseChatModel":
    """Return a chat model of a provider, PROVIDER:MODEL, or else a VideoChatEmbed with a model on this machine.

    Args:
        name: The name; None for the default model of VideoChatEmbed.

    Raises:
        ModelUnavailableError: The provider's package is not installed, or the model cannot be created.
    """
    from langchain_videochat.embed import VideoChatEmbed
    from langchain_videochat.text.llms import has_provider, load_chat_model

    return load_chat_model(name) if name is not None and has_provider(name) else VideoChatEmbed(model=name)
