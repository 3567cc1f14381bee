"""Modalities: the kinds of Observations, with their labels, colors and explanations.

Prompts, moments, lanes, filters and the index derive from this registry. A plugin adds a modality with its perceiver:
see `Perceiver.defines`.
"""

import re
from dataclasses import dataclass

from langchain_videochat.errors import InputError
from langchain_videochat.perception.plugins import import_plugins

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
    """CSS color of its lane, legible under white text and on white."""

    order: int = 100
    """Position of its lane, smallest on top."""

    hint: str = ""
    """What its lines contain, as a noun phrase: explains the label to language models; empty if it needs none."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            problem = f"{self.name!r} must be lower-case letters, digits and underscores"
            raise InputError("Modality.name", problem, "Choose another name")


_BUILT_IN = (
    Modality("tag", "Tags", "#8a3f8f", 90),
    Modality("caption", "Seen", "#3b7233", 60, "descriptions of single frames"),
    Modality("region", "In detail", "#00706b", 80, "descriptions of parts of a frame"),
    Modality("summary", "In general", "#7a5c00", 10, "a summary of a scene"),
    Modality("action", "Action", "#a02c4e", 50),
    Modality("object", "Objects", "#6b4fa0", 70),
    Modality("speech", "Speech", "#1f6f8b", 20, "what is said"),
    Modality("subtitle", "Subtitles", "#2a62b8", 30, "what is said"),
    Modality("screen_text", "On screen", "#b04a16", 40, "text in the picture"),
    Modality("scene", "Scenes", "#5d6670", 0),
    Modality("visual", "Frames", "#4a5d23", 95),
)
"""In the order of the paper's Table 1, then vectors. White text is legible on all colors, and all stand out from white
and black."""

_registry = {modality.name: modality for modality in _BUILT_IN}


def list_modalities() -> tuple[Modality, ...]:
    """Return all registered modalities in prompt order: the paper's Table 1, vectors, then plugins."""
    return tuple(_registry.values())


def register_modality(modality: Modality) -> None:
    """Add a modality; registering the same one again does nothing.

    Raises:
        InputError: Another modality has the name.
    """
    known = _registry.get(modality.name, modality)
    if known not in (modality, _placeholder(modality.name)):
        raise InputError("modality", f"{modality.name!r} is already registered as {known}", "Choose another name")
    _registry[modality.name] = modality


def find_modality(name: str) -> Modality:
    """Return the modality of a name, importing plugins if it is not registered yet.

    Raises:
        InputError: No modality has the name.

    Example:
        >>> find_modality("screen_text").label
        'On screen'
    """
    if name not in _registry:
        import_plugins()
    if name not in _registry:
        raise InputError("modality", f"unknown modality {name!r}", f"Choose one of {', '.join(_registry)}")
    return _registry[name]


def modality_or_default(name: str) -> Modality:
    """Return the modality of a name; an unknown one is registered with default settings.

    Timelines that were saved with a plugin can thus be read without it.

    Raises:
        InputError: The name is not made of lower-case letters, digits and underscores.
    """
    try:
        return find_modality(name)
    except InputError:
        return _registry.setdefault(name, _placeholder(name))


def _placeholder(name: str) -> Modality:
    return Modality(name, label=name.replace("_", " ").capitalize())
