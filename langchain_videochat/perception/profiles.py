"""Profiles: named lists of perceivers with their options."""

import json
import zlib
from dataclasses import dataclass
from importlib.resources import files
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from langchain_videochat.errors import InputError
from langchain_videochat.perception.perceiver import AnyPerceiver, RequiredModel
from langchain_videochat.perception.plugins import find_entry_point, find_entry_points

PROFILES = ("lite", "talk", "standard", "full", "paper")
"""The built-in profiles; `describe_profile` describes them."""


@dataclass(frozen=True)
class Profile:
    """A list of perceivers with their options."""

    name: str
    """A built-in name, or the file's name and a hash of its content: profiles with different options differ in name."""

    perceivers: tuple[tuple[str, dict[str, Any]], ...]
    """Names and options."""

    def create(self) -> list[AnyPerceiver]:
        """Create the perceivers for one segment of one video, without loading weights.

        Raises:
            InputError: A perceiver is unknown or does not accept the options.
        """
        return [_create(self.name, name, options) for name, options in self.perceivers]


def load_profile(profile: str | Path) -> Profile:
    """Load a built-in profile or a YAML file.

    The file lists perceivers: a name, or a name with options, which are the arguments of its class:

    ```yaml
    - subtitles
    - captions: {model: /models/blip-large, every: 2}
    ```

    Args:
        profile: "lite" needs no downloaded weights: subtitles, text on screen, scenes. "talk" adds speech. "standard"
            adds frame embeddings, tags, captions, objects and actions, too; "full" uses larger models and adds region
            captions and summaries; "paper" uses the models of the paper. A name that ends in .yaml or .yml is the path
            of a file.

    Raises:
        InputError: The profile is unknown, or the file cannot be parsed.

    Example:
        >>> [name for name, options in load_profile("lite").perceivers]
        ['subtitles', 'screen_text', 'scenes']
    """
    if profile in PROFILES:
        return Profile(str(profile), _parse(str(profile), _read_built_in(str(profile))))
    path = Path(profile)
    if path.suffix not in (".yaml", ".yml"):
        advice = f"Use one of {', '.join(PROFILES)}, or give a .yaml file"
        raise InputError("profile", f"unknown profile {str(profile)!r}", advice)
    try:
        entries = _parse(str(profile), path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError("profile", f"{profile} cannot be read ({error})", "Check the path") from error
    return Profile(f"{path.stem}-{zlib.crc32(json.dumps(entries).encode()):08x}", entries)


def describe_profile(profile: str) -> str:
    """Return what a built-in profile recognizes and how fast it is: the comment at the top of its file.

    Args:
        profile: One of `PROFILES`.

    Example:
        >>> describe_profile("lite")
        'Subtitles, text on screen and scenes; more than 20 times as fast as playing on 2 cores.'
    """
    comment = takewhile(lambda line: line.startswith("#"), _read_built_in(profile).splitlines())
    return " ".join(line.removeprefix("#").strip() for line in comment)


def create_perceivers(profile: str | Path) -> list[AnyPerceiver]:
    """Create the perceivers of a profile; see `load_profile`.

    Raises:
        InputError: The profile or one of its perceivers is unknown.

    Example:
        >>> [perceiver.modality for perceiver in create_perceivers("lite")]
        ['subtitle', 'screen_text', 'scene']
    """
    return load_profile(profile).create()


def required_models(profile: str | Path) -> list[RequiredModel]:
    """Return the pretrained models of a profile that no package contains, each once.

    Raises:
        InputError: The profile or one of its perceivers is unknown.

    Example:
        >>> [model.name for model in required_models("talk")]
        ['Systran/faster-whisper-base']
    """
    models = [model for perceiver in create_perceivers(profile) for model in perceiver.required_models]
    return list({model.name: model for model in models}.values())


def _read_built_in(profile: str) -> str:
    return files("langchain_videochat.perception").joinpath(f"{profile}.yaml").read_text(encoding="utf-8")


def _parse(name: str, text: str) -> tuple[tuple[str, dict[str, Any]], ...]:
    try:
        entries = TypeAdapter(list[str | dict[str, dict[str, Any] | None]]).validate_python(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        problem = f"{name} is not a list of perceivers ({str(error).splitlines()[0]})"
        raise InputError("profile", problem, "Write one per line: `- captions` or `- captions: {every: 2}`") from error
    pairs = [({entry: None} if isinstance(entry, str) else entry) for entry in entries]
    return tuple((perceiver, options or {}) for pair in pairs for perceiver, options in pair.items())


def _create(profile: str, name: str, options: dict[str, Any]) -> AnyPerceiver:
    point = find_entry_point(name)
    if point is None:
        known = ", ".join(find_entry_points())
        raise InputError(f"profile {profile}", f"unknown perceiver {name!r}", f"Use one of {known}")
    perceiver_class: type[AnyPerceiver] = point.load()
    try:
        return perceiver_class(**options)
    except TypeError as error:
        advice = "See `videochat perceivers` for the options"
        raise InputError(f"profile {profile}", f"{name} does not accept these options: {error}", advice) from error
