"""The Chroma client and the three collections of a store."""

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chromadb
import httpx
from chromadb.api import ClientAPI
from chromadb.config import DEFAULT_DATABASE, DEFAULT_TENANT, Settings
from chromadb.errors import (
    ChromaError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    QuotaError,
    RateLimitError,
)

from langchain_videochat.errors import InputError, StoreError, StoreUnavailableError
from langchain_videochat.store.cloud import describe_cloud, is_cloud
from langchain_videochat.store.local_database import LocalDatabase


@dataclass(frozen=True)
class Connection:
    """A Chroma client and its collections of moments, of timelines (a record per minute), and of records of videos."""

    client: ClientAPI
    place: str
    """Name of the store in error messages: its directory, or its collection."""
    database: LocalDatabase | None
    """The files of the store; None in memory and on a server."""
    moments: chromadb.Collection
    timelines: chromadb.Collection
    catalogue: chromadb.Collection

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Make the store ready for use, and convert errors of Chroma and SQLite in this block to a StoreError."""
        with _storage_errors(self.place, self.database):
            if self.database is not None:
                self.database.prepare()
            yield

    @contextmanager
    def index_errors(self) -> Iterator[None]:
        """Convert errors in this block in the same way; Chroma must not be called in it.

        Unlike `errors`, it does not wait for other programs that have locked Chroma's database.
        """
        with _storage_errors(self.place, self.database):
            if self.database is not None:
                self.database.check_identity()
            yield

    def location(self) -> dict[str, Any]:
        """Return where the collections are, as JSON.

        Returns:
            `persist_directory`, `server` for `open_server`, or `cloud` for `open_cloud`, without the API key.

        Raises:
            InputError: They are in memory, or the client has settings that may be secrets, or that JSON cannot hold.
        """
        settings = self.client.get_settings()
        scope = {"tenant": self.client.tenant, "database": self.client.database}
        if self.database is not None and scope == {"tenant": DEFAULT_TENANT, "database": DEFAULT_DATABASE}:
            return {"persist_directory": str(self.database.directory)}
        host, port = settings.chroma_server_host, settings.chroma_server_http_port
        if host is None:
            raise InputError(self.place, "is in memory, or not in Chroma's default database", "Use persist_directory")
        if is_cloud(settings):
            return {"cloud": describe_cloud(self.client)}
        if settings.chroma_server_headers or settings.chroma_client_auth_provider or "@" in host:
            advice = "Open the store again where it is needed"
            raise InputError(self.place, "its Chroma client has credentials or HTTP headers", advice)
        return {"server": {"host": host, "port": port, "ssl": bool(settings.chroma_server_ssl_enabled), **scope}}

    def check_space(self) -> None:
        """Check the free disk space before a write; raises a StoreError if there is too little."""
        if self.database is not None:
            self.database.check_space()


def connect(persist_directory: Path | None, collection_name: str, client: ClientAPI | None) -> Connection:
    """Open the collections of a store, and create missing ones.

    Raises:
        InputError: Chroma rejects the name, or both a directory and a client are given.
        StoreError: The directory or the server cannot be opened, or the database is damaged.
    """
    if persist_directory is not None and client is not None:
        raise InputError("client", "cannot be combined with persist_directory", "Give one of the two")
    # Chroma would resolve a relative path whenever it opens a file: to another one after os.chdir.
    directory = None if persist_directory is None else str(persist_directory.absolute())
    database = _find_database(directory, client)
    place = str(database.directory if database else f"the collection {collection_name!r}")
    with _storage_errors(place, database), database.opening() if database else nullcontext():
        client = client or _open_client(directory)
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
    return Connection(client, place, database, moments, timelines, catalogue)


def open_server(host: str, **options: Any) -> ClientAPI:
    """Connect to a Chroma server; the options are those of `chromadb.HttpClient`.

    Raises:
        StoreError: The server does not answer.
    """
    try:
        return chromadb.HttpClient(host, **options)
    except ValueError as error:
        raise StoreUnavailableError(
            host, f"the Chroma server does not answer ({error})", "Check that it is running"
        ) from error


def _find_database(directory: str | None, client: ClientAPI | None) -> LocalDatabase | None:
    if client is None:
        return None if directory is None else LocalDatabase(directory)
    settings = client.get_settings()
    is_local = settings.is_persistent and settings.chroma_server_host is None
    return LocalDatabase(settings.persist_directory) if is_local else None


def _open_client(directory: str | None) -> ClientAPI:
    # Default settings: Chroma allows one set of settings per directory and process, so others would prevent
    # langchain_chroma.Chroma from opening the same directory. The defaults send no telemetry.
    if directory is None:
        # In-memory clients in one process share their data, so each store gets a separate database.
        database = uuid.uuid4().hex
        chromadb.AdminClient(Settings(is_persistent=False)).create_database(database)
        return chromadb.EphemeralClient(Settings(), database=database)
    try:
        return chromadb.PersistentClient(directory)
    except (ValueError, OSError) as error:
        raise InternalError(f"Chroma cannot open it: {error}") from error


@contextmanager
def _storage_errors(place: str, database: LocalDatabase | None) -> Iterator[None]:
    """Convert errors of Chroma and SQLite to a StoreError about a place."""
    try:
        yield
    except BaseException as error:
        if not _is_storage_error(error):
            raise
        raise _explain(error, place, database) from error


def _is_unavailable(error: BaseException) -> bool:
    """Return whether a server did not answer, or a proxy before it: Chroma raises a plain Exception for its page."""
    if type(error) is Exception and isinstance(error.__context__, httpx.HTTPStatusError):
        return error.__context__.response.is_server_error
    return isinstance(error, httpx.TransportError)


def _is_storage_error(error: BaseException) -> bool:
    # The class of Chroma's panics cannot be imported, and is not a subclass of Exception.
    is_panic = type(error).__name__ == "PanicException"
    return is_panic or isinstance(error, ChromaError | sqlite3.Error) or _is_unavailable(error)


def _explain(error: BaseException, place: str, database: LocalDatabase | None) -> StoreError:
    try:
        if database is not None:
            database.check_after_error()
    except StoreError as cause:
        return cause
    if isinstance(error, NotFoundError):
        return StoreError(place, "the collection has been deleted", "Open the store again")
    if _is_unavailable(error):
        problem = f"the Chroma server does not answer ({error})"
        return StoreUnavailableError(place, problem, "Check that it is running; finished work is kept")
    if isinstance(error, RateLimitError):
        problem = f"the Chroma server gets too many requests ({error})"
        return StoreUnavailableError(place, problem, "Try again later; finished work is kept")
    if isinstance(error, QuotaError):
        problem = f"a limit of the Chroma server is exceeded ({error})"
        return StoreError(place, problem, "Request a higher quota of Chroma Cloud; finished work is kept")
    problem = f"cannot be read or written ({error})"
    advice = "Check the free disk space and the permissions, then run the command again; finished work is kept"
    return StoreError(place, problem, advice)
