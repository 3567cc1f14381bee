"""Loading the backend of a model."""

import logging
from pathlib import Path

from langchain_videochat.embed.backend import Backend
from langchain_videochat.embed.model_config import read_config
from langchain_videochat.embed.settings import DEFAULT_MODEL, ModelSettings
from langchain_videochat.errors import ModelUnavailableError
from langchain_videochat.models.cards import describe_size
from langchain_videochat.models.hub import TINY

logger = logging.getLogger(__name__)

VIDEOCHAT = "videochat_embed"
"""Model type of a VideoChat-Embed."""


def load_backend(settings: ModelSettings) -> Backend:
    """Load a VideoChat-Embed, or a model of transformers that reads images or videos.

    Raises:
        InputError: A setting is invalid on this machine.
        ModelUnavailableError: The model is not on this machine and cannot be downloaded.
        ModelError: The model is damaged, or of another kind.
    """
    if read_config(_fetch(settings)).get("model_type") == VIDEOCHAT:
        from langchain_videochat.embed.videochat_backend import load_videochat

        return load_videochat(settings)
    from langchain_videochat.embed.transformers_backend import load_transformers

    return load_transformers(settings)


def _fetch(settings: ModelSettings) -> Path:
    """Return the folder of a model; log its size before downloading it."""
    if settings.find() is None:
        logger.warning("Downloading %s (%s)", settings.model, describe_size(settings.model))
    try:
        return settings.fetch()
    except ModelUnavailableError as error:
        if settings.model != DEFAULT_MODEL:
            raise
        advice = f'{error.advice}; or use model="{TINY}", a toy for tests that is part of this package'
        raise ModelUnavailableError(error.subject, error.problem, advice) from error
