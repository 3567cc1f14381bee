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
    """A Chroma client and its collections of moments, of timelines (a record per minute), and of records of videos."""

    client: ClientAPI
    place: str
    """Name of the store in error messages: its directory, or its collection."""
    moments: chromadb.Collection
    timelines: chromadb.Collection
    catalogue: chromadb.Collection


def connect(persist_directory: Path | None, collection_name: str, client: ClientAPI | None) -> Connection:
    """Open the collections of a store, and create missing ones.

    Raises:
        InputError: Chroma rejects the name, or both a directory and a client are given.
        StoreError: The directory or the server cannot be opened.
    """
    if persist_directory is not None and client is not None:
        raise InputError("client", "cannot be combined with persist_directory", "Give one of the two")
    place = str(persist_directory or f"the collection {collection_name!r}")
    with storage_errors(place):
        client = client or _open_client(persist_directory, place)
        try:
            moments = client.get_or_create_collection(
                collection_name, configuration={"hnsw": {"space": "cosine"}}, embedding_function=None
            )
            timelines = client.get_or_create_collection(f"{collection_name}-timelines", embedding_function=None)
            catalogue = client.get_or_create_collection(f"{collection_name}-catalogue", embedding_function=None)
        except InvalidArgumentError as error:
            raise InputError(
                "collection_name",
                f"Chroma rejects the name {collection_name!r}",
                "Use 3 to 500 letters a-z, digits, dots, hyphens and underscores, with a letter or digit at both ends",
            ) from error
    return Connection(client, place, moments, timelines, catalogue)


@contextmanager
def storage_errors(place: str) -> Iterator[None]:
    """Convert errors of Chroma and SQLite to a StoreError about a place."""
    try:
        yield
    except NotFoundError as error:
        raise StoreError(place, "the collection has been deleted", "Open the store again") from error
    except httpx.TransportError as error:
        problem = f"the Chroma server does not answer ({error})"
        raise StoreError(place, problem, "Check that it is running; finished work is kept") from error
    except (ChromaError, sqlite3.Error) as error:
        problem = f"cannot be read or written ({error})"
        advice = "Check the free disk space and the permissions, then run the command again; finished work is kept"
        raise StoreError(place, problem, advice) from error


def _open_client(persist_directory: Path | None, place: str) -> ClientAPI:
    # Default settings: Chroma allows one set of settings per directory and process, so others would prevent
    # langchain_chroma.Chroma from opening the same directory. The defaults send no telemetry.
    try:
        if persist_directory is not None:
            return chromadb.PersistentClient(persist_directory)
        # In-memory clients in one process share their data, so each store gets a separate database.
        database = uuid.uuid4().hex
        chromadb.AdminClient(Settings(is_persistent=False)).create_database(database)
        return chromadb.EphemeralClient(Settings(), database=database)
    except (ValueError, OSError) as error:
        problem = f"Chroma cannot open it ({error})"
        raise StoreError(place, problem, "Check the directory and its permissions") from error
