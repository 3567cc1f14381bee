"""Modalities: what kinds of Observations exist, and how each is labelled, coloured and explained.

Prompts, moments, lanes, filters and the index derive from this registry. A plugin adds a modality with its perceiver:
see `Perceiver.defines`.
"""

import re
import threading
from dataclasses import dataclass

from langchain_videochat.errors import InputError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class Modality:
    """A kind of Observation, for example text on screen.

    Raises:
        InputError: The name is not made of lower-case letters, digits and underscores.

    Example:
        >>> Modality("loudness", label="Loudness", color="#4f6228", hint="how loud the sound is").name
        'loudness'
    """

    name: str
    """Identifier in Observations, filters and stores: lower-case letters, digits and underscores."""

    label: str
    """Heading in prompts and lanes, for example "On screen"."""

    color: str = "#5d6670"
    """CSS colour of its lane, legible under white text and on white."""

    order: int = 100
    """Position of its lane, smallest on top."""

    hint: str = ""
    """What its lines hold, for a language model that reads them: the rest of a sentence after the label."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            problem = f"{self.name!r} must be lower-case letters, digits and underscores"
            raise InputError("Modality.name", problem, "Choose another name")


_BUILT_IN = (
    Modality("tag", "Tags", "#8a3f8f", 90),
    Modality("caption", "Seen", "#3b7233", 60, "describes single pictures"),
    Modality("region", "In detail", "#00706b", 80, "describes parts of a picture"),
    Modality("summary", "In general", "#7a5c00", 10, "sums up a scene"),
    Modality("action", "Action", "#a02c4e", 50),
    Modality("object", "Objects", "#6b4fa0", 70),
    Modality("speech", "Speech", "#1f6f8b", 20, "is what is said"),
    Modality("subtitle", "Subtitles", "#2a62b8", 30, "is what is said"),
    Modality("screen_text", "On screen", "#b04a16", 40, "is what can be read"),
    Modality("scene", "Scenes", "#5d6670", 0),
)
"""In the order of the paper's Table 1. White text is legible on all colours, and all stand out from white and black."""

_registry = {modality.name: modality for modality in _BUILT_IN}
_lock = threading.Lock()


def modalities() -> tuple[Modality, ...]:
    """Return all registered modalities in prompt order: the paper's Table 1, then plugins."""
    return tuple(_registry.values())


def register_modality(modality: Modality) -> None:
    """Add a modality; registering the same one again does nothing.

    Raises:
        InputError: Another modality has the name.
    """
    with _lock:
        known = _registry.setdefault(modality.name, modality)
    if known != modality:
        raise InputError("modality", f"{modality.name!r} is already registered as {known}", "Choose another name")


def find_modality(name: str) -> Modality:
    """Return the modality of a name.

    Raises:
        InputError: No modality has the name.

    Example:
        >>> find_modality("screen_text").label
        'On screen'
    """
    if name not in _registry:
        known = ", ".join(_registry)
        raise InputError("modality", f"unknown modality {name!r}", f"Choose one of {known}")
    return _registry[name]
