"""Profiles: named lists of perceivers."""

from importlib import import_module
from typing import Any, Literal, get_args

from langchain_videochat.errors import InputError, ModelUnavailableError
from langchain_videochat.perception.base import Perceiver

Profile = Literal["lite", "standard", "full"]

_PERCEIVERS: dict[str, list[tuple[str, str]]] = {
    "lite": [
        ("langchain_videochat.perception.subtitles", "SubtitleTracks"),
        ("langchain_videochat.perception.screen_text", "ScreenText"),
        ("langchain_videochat.perception.scenes", "Scenes"),
    ],
}


def create_perceivers(profile: str) -> list[Perceiver[Any]]:
    """Make the perceivers of a profile.

    Args:
        profile: "lite" needs no downloaded weights: subtitles, text on screen, scenes.

    Raises:
        InputError: There is no such profile.
        ModelUnavailableError: The profile's models cannot be had.

    Example:
        >>> [perceiver.modality for perceiver in create_perceivers("lite")]
        ['subtitle', 'screen_text', 'scene']
    """
    if profile not in get_args(Profile):
        raise InputError("profile", f"{profile!r} is none of {', '.join(get_args(Profile))}", "Choose one of them")
    if profile not in _PERCEIVERS:
        raise ModelUnavailableError(
            f"profile {profile!r}", "its perception models are not part of this version", 'Use profile="lite"'
        )
    return [getattr(import_module(module), name)() for module, name in _PERCEIVERS[profile]]
