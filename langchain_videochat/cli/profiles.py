"""The explanation of the profile that `videochat index` uses if none is given."""

import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from langchain_videochat.cli.options import FAILED
from langchain_videochat.cli.output import errors

if TYPE_CHECKING:
    from langchain_videochat.perception import RequiredModel


@dataclass(frozen=True)
class ModelUse:
    """A pretrained model that indexing needs."""

    name: str
    purpose: str
    """The modalities that it recognizes."""

    is_present: bool
    """Whether it is on this machine."""


def explain_default(profile: str, embedding: str | None, *, assume_yes: bool) -> None:
    """Print the models and downloads of the default profile, and the other profiles, to stderr; ask before downloading.

    Nothing is asked if there is no terminal, or if `assume_yes` is set.

    Args:
        profile: The default profile.
        embedding: The embedding model, which may have to be downloaded too; None if the store decides.
        assume_yes: Whether to download models without asking.

    Raises:
        typer.Exit: The user does not want to download the models.
    """
    from langchain_videochat.perception import describe_profile

    models = models_of(profile) + ([_embedding_model(embedding)] if embedding else [])
    missing = [model for model in models if not model.is_present]
    size = _total_size(missing)
    errors.print(f"[bold]Profile {profile}[/bold], as no --profile is given. {escape(describe_profile(profile))}")
    _print_models("On this machine:", [model for model in models if model.is_present])
    _print_models(f"To download, once ({size}):", missing)
    _print_others(profile)
    if missing and not assume_yes and _has_terminal():
        _confirm(f"Download {size} and index?")


def _has_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _confirm(question: str) -> None:
    if not typer.confirm(question, default=True, err=True):
        errors.print("Nothing was downloaded or indexed.")
        raise typer.Exit(FAILED)


def models_of(profile: str) -> list[ModelUse]:
    """Return the pretrained models of a profile, each once.

    Raises:
        InputError: The profile or one of its perceivers is unknown.
    """
    from langchain_videochat.perception import create_perceivers

    models: dict[str, RequiredModel] = {}
    modalities = defaultdict[str, list[str]](list)
    for perceiver in create_perceivers(profile):
        for model in perceiver.required_models:
            models[model.name] = model
            modalities[model.name].append(perceiver.modality)
    return [ModelUse(name, ", ".join(modalities[name]), model.find() is not None) for name, model in models.items()]


def _embedding_model(embedding: str) -> ModelUse:
    from langchain_videochat.store.embeddings import find_model

    return ModelUse(embedding, "search", find_model(embedding) is not None)


def _total_size(models: Sequence[ModelUse]) -> str:
    from langchain_videochat.models.cards import describe_total_size

    return describe_total_size(model.name for model in models)


def _print_models(title: str, models: Sequence[ModelUse]) -> None:
    from langchain_videochat.models.cards import CARDS, describe_size

    if not models:
        return
    errors.print(title)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for model in models:
        card = CARDS.get(model.name)
        facts = (describe_size(model.name), card.license if card else "license unknown")
        table.add_row(model.purpose, escape(model.name), *facts)
    errors.print(Padding(table, (0, 0, 0, 2)))


def _print_others(profile: str) -> None:
    from langchain_videochat.perception import describe_profile
    from langchain_videochat.perception.profiles import PROFILES

    errors.print("Other profiles:")
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for other in PROFILES:
        if other != profile:
            table.add_row(f"--profile {other}", f"{escape(describe_profile(other))} {_describe_downloads(other)}")
    errors.print(Padding(table, (0, 0, 0, 2)))


def _describe_downloads(profile: str) -> str:
    models = models_of(profile)
    missing = [model for model in models if not model.is_present]
    if missing:
        return f"Downloads {_total_size(missing)}."
    return "Everything is on this machine." if models else "Downloads nothing."
