"""The Chroma client and the three collections of a store."""

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import chromadb
import httpx
from chromadb.api import ClientAPI
from chromadb.config import Settings
from chromadb.errors import ChromaError, InvalidArgumentError, NotFoundError

from langchain_videochat.errors import InputError, StoreError


@dataclass(frozen=True)
class Connection:
    """A client and its three collections."""

    client: ClientAPI
    """The client that all calls go through."""

    place: str
    """What error messages call the store: its directory, if it has one."""

    moments: chromadb.Collection
    """One record a moment, with its embedding: what is searched."""

    timelines: chromadb.Collection
    """The observations of one minute of one video a record."""

    catalogue: chromadb.Collection
    """One record a video."""

    @property
    def is_volatile(self) -> bool:
        """Whether all is lost when this process ends."""
        settings = self.client.get_settings()
        return settings.chroma_server_host is None and not settings.is_persistent


def connect(persist_directory: Path | None, collection_name: str, client: ClientAPI | None) -> Connection:
    """Open a store's collections, creating those that are missing.

    Raises:
        InputError: Chroma refuses the name, or both a directory and a client are given.
        StoreError: The directory or the server cannot be opened.
    """
    if persist_directory is not None and client is not None:
        raise InputError("client", "is given together with persist_directory", "Give one of the two")
    place = str(persist_directory or f"the collection {collection_name!r}")
    with storage_errors(place):
        client = client or _open_client(persist_directory)
        try:
            moments = client.get_or_create_collection(
                collection_name, configuration={"hnsw": {"space": "cosine"}}, embedding_function=None
            )
            timelines = client.get_or_create_collection(f"{collection_name}-timelines", embedding_function=None)
            catalogue = client.get_or_create_collection(f"{collection_name}-catalogue", embedding_function=None)
        except InvalidArgumentError as error:
            raise InputError(
                "collection_name",
                f"Chroma refuses the name {collection_name!r}",
                "Take 3 to 500 letters a-z, digits, dots, hyphens and underscores, with a letter or digit at both ends",
            ) from error
    return Connection(client, place, moments, timelines, catalogue)


@contextmanager
def storage_errors(place: str) -> Iterator[None]:
    """Turn what Chroma and SQLite raise into a StoreError.

    Args:
        place: What the message calls the store.
    """
    try:
        yield
    except NotFoundError as error:
        raise StoreError(place, "the collection has been deleted meanwhile", "Open the store again") from error
    except httpx.TransportError as error:
        problem = f"the Chroma server does not answer ({error})"
        raise StoreError(place, problem, "Check that it runs; what was finished is kept") from error
    except (ChromaError, sqlite3.Error) as error:
        problem = f"reading or writing fails ({error})"
        advice = "Check the free disk space and the permissions, then run the same again; what was finished is kept"
        raise StoreError(place, problem, advice) from error


def _open_client(persist_directory: Path | None) -> ClientAPI:
    # Default settings, because Chroma gives a directory only one client a process, with one set of settings:
    # others would lock out a plain langchain_chroma.Chroma on the same directory. They send no telemetry.
    try:
        if persist_directory is not None:
            return chromadb.PersistentClient(persist_directory)
        # In-memory clients of one process share their data, so each store gets a database of its own.
        database = uuid.uuid4().hex
        chromadb.AdminClient(Settings(is_persistent=False)).create_database(database)
        return chromadb.EphemeralClient(Settings(), database=database)
    except (ValueError, OSError) as error:
        place = persist_directory or "the store in memory"
        raise StoreError(
            place, f"Chroma cannot open it ({error})", "Check the directory and its permissions"
        ) from error
