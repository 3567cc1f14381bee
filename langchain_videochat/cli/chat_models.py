"""Chat models named by --model."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


def open_chat_model(name: str | None) -> "BaseChatModel":
    """Return a chat model of a provider, PROVIDER:MODEL, or else a VideoChatEmbed with a model on this machine.

    Args:
        name: The name; None for the default model of VideoChatEmbed.

    Raises:
        ModelUnavailableError: The provider's package is not installed, or the model is not available.
        ModelError: The model cannot be used.
    """
    from langchain_videochat.embed import VideoChatEmbed
    from langchain_videochat.text.llms import has_provider, load_chat_model

    if name is not None and has_provider(name):
        return load_chat_model(name)
    model = VideoChatEmbed(model=name, show_progress=True)
    model.load()  # now, so that a model that is missing is reported at once
    return model
