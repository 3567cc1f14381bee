"""Loading the backend of a model."""

from langchain_videochat.embed.backend import Backend
from langchain_videochat.embed.settings import ModelSettings
from langchain_videochat.embed.videochat_backend import load_videochat


def load_backend(settings: ModelSettings) -> Backend:
    """Load a model, whatever its architecture; errors are those of `load_model`."""
    return load_videochat(settings)
