"""Profiles: named lists of perceivers and their settings."""

import json
import zlib
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import TypeAdapter, ValidationError

from langchain_videochat.errors import InputError
from langchain_videochat.perception.base import Perceiver

ProfileName = Literal["lite", "standard", "full"]

GROUP = "langchain_videochat.perceivers"
"""The entry point group in which other packages register perceivers of their own."""

_OURS = {
    "actions": "actions:Actions",
    "captions": "captions:Captions",
    "objects": "objects:Objects",
    "regions": "regions:Regions",
    "scenes": "scenes:Scenes",
    "screen_text": "screen_text:ScreenText",
    "speech": "speech:Speech",
    "subtitles": "subtitle_tracks:SubtitleTracks",
    "summaries": "summaries:Summaries",
    "tags": "tags:Tags",
}

_Entry = str | dict[str, dict[str, Any] | None]


@dataclass(frozen=True)
class Profile:
    """A list of perceivers and their settings."""

    name: str
    """One of ours, or the file's name and a hash of what it says: another profile has another name."""

    perceivers: tuple[tuple[str, dict[str, Any]], ...]
    """Names and settings."""

    def create(self) -> list[Perceiver[Any]]:
        """Make the perceivers, each fit for one stretch of one video; no weights are loaded.

        Raises:
            InputError: A perceiver is not known, or does not take the settings.
        """
        return [_create(self.name, name, settings) for name, settings in self.perceivers]


def load_profile(profile: str | Path) -> Profile:
    """Read a profile: one of ours by its name, or a YAML file.

    The file lists perceivers, each a name, or a name with settings, which are the arguments of its class:

    ```yaml
    - subtitles
    - captions: {model: /models/blip-large, every: 2}
    ```

    Args:
        profile: "lite" needs no downloaded weights: subtitles, text on screen, scenes. "standard" adds actions,
            captions, tags, objects and speech; "full" takes larger models and adds captions of regions and summaries.
            A path that ends in .yaml or .yml is read.

    Raises:
        InputError: There is no such profile, or the file cannot be understood.

    Example:
        >>> [name for name, settings in load_profile("lite").perceivers]
        ['subtitles', 'screen_text', 'scenes']
    """
    if profile in get_args(ProfileName):
        entries = _read(str(profile), files("langchain_videochat.perception").joinpath(f"{profile}.yaml").read_text())
        return Profile(str(profile), entries)
    path = Path(profile)
    if path.suffix not in (".yaml", ".yml"):
        names = ", ".join(get_args(ProfileName))
        raise InputError("profile", f"{profile!r} is none of {names}", "Choose one of them, or give a .yaml file")
    try:
        entries = _read(str(profile), path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError("profile", f"{profile} cannot be read ({error})", "Check the path") from error
    return Profile(f"{path.stem}-{zlib.crc32(json.dumps(entries).encode()):08x}", entries)


def create_perceivers(profile: str | Path) -> list[Perceiver[Any]]:
    """Make the perceivers of a profile, as `load_profile` reads it.

    Raises:
        InputError: There is no such profile, or it names something unknown.

    Example:
        >>> [perceiver.modality for perceiver in create_perceivers("lite")]
        ['subtitle', 'screen_text', 'scene']
    """
    return load_profile(profile).create()


def _read(name: str, text: str) -> tuple[tuple[str, dict[str, Any]], ...]:
    try:
        entries = TypeAdapter(list[_Entry]).validate_python(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        problem = f"{name} is no list of perceivers ({str(error).splitlines()[0]})"
        raise InputError("profile", problem, "Write one a line: `- captions` or `- captions: {every: 2}`") from error
    pairs = [({entry: None} if isinstance(entry, str) else entry) for entry in entries]
    return tuple((perceiver, settings or {}) for pair in pairs for perceiver, settings in pair.items())


def _create(profile: str, name: str, settings: dict[str, Any]) -> Perceiver[Any]:
    points = {point.name: point for point in entry_points(group=GROUP)}
    points |= {ours: EntryPoint(ours, f"{__package__}.{place}", GROUP) for ours, place in _OURS.items()}
    if name not in points:
        raise InputError(f"profile {profile}", f"there is no perceiver {name!r}", f"Choose of {', '.join(points)}")
    try:
        perceiver: Perceiver[Any] = points[name].load()(**settings)
    except TypeError as error:
        raise InputError(
            f"profile {profile}", f"{name} does not take these settings: {error}", "Correct them"
        ) from error
    return perceiver
