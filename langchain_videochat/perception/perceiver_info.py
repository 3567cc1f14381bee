"""The available perceivers: built-in ones and those of plugins."""

import inspect
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from typing import Any

from langchain_videochat.models.cards import CARDS, ModelCard
from langchain_videochat.perception.plugins import find_entry_points
from langchain_videochat.perception.pretrained import ModelPerceiver


@dataclass(frozen=True)
class PerceiverInfo:
    """A perceiver that profiles can use."""

    name: str
    """Its name in profiles."""

    provider: str
    """The Python distribution that provides it."""

    modality: str = ""
    """The modality of its Observations."""

    summary: str = ""
    """The first paragraph of its docstring."""

    options: dict[str, Any] = field(default_factory=dict)
    """Its options with their defaults."""

    model: str | None = None
    """Its default model; None if it needs no pretrained model."""

    card: ModelCard | None = None
    """Download size and license of the default model, if known."""

    error: str | None = None
    """Why the perceiver cannot be loaded; None if it can."""


def list_perceivers() -> list[PerceiverInfo]:
    """Return the built-in perceivers, then those of other packages.

    A plugin that cannot be loaded is listed with its error.

    Example:
        >>> scenes = next(info for info in list_perceivers() if info.name == "scenes")
        >>> scenes.provider, scenes.modality, scenes.options
        ('langchain-videochat', 'scene', {})
    """
    return [_describe(name, point) for name, point in find_entry_points().items()]


def _describe(name: str, point: EntryPoint) -> PerceiverInfo:
    provider = point.dist.name if point.dist else "langchain-videochat"
    try:
        perceiver = point.load()
        model = perceiver.default_model if issubclass(perceiver, ModelPerceiver) else None
        return PerceiverInfo(
            name,
            provider,
            modality=perceiver.modality,
            summary=" ".join((inspect.getdoc(perceiver) or "").partition("\n\n")[0].split()),
            options=_options(perceiver) | ({"model": model} if model else {}),
            model=model,
            card=CARDS.get(model) if model else None,
        )
    except Exception as error:
        return PerceiverInfo(name, provider, error=f"{type(error).__name__}: {error}")


def _options(perceiver: type) -> dict[str, Any]:
    """Return the options of a class and, as far as its constructor passes them on, of its base classes."""
    options: dict[str, Any] = {}
    for base in perceiver.__mro__:
        parameters = inspect.signature(base).parameters.values()
        for parameter in parameters:
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                options.setdefault(parameter.name, parameter.default)
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
            break
    return options
