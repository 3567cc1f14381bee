"""Chroma Cloud: describing its clients without their API key, and opening them again."""

import os
from typing import Any

import chromadb
from chromadb.api import ClientAPI
from chromadb.auth.token_authn import TokenTransportHeader
from chromadb.config import Settings
from chromadb.errors import ChromaError

from langchain_videochat.errors import InputError, StoreError

API_KEY = "CHROMA_API_KEY"
"""Environment variable with the API key, as `chromadb.CloudClient` names it."""

_DOMAIN = ".trychroma.com"

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def is_cloud(settings: Settings) -> bool:
    """Return whether these are the settings of a `chromadb.CloudClient` for a host to which keys may be sent."""
    sends_key = settings.chroma_auth_token_transport_header == TokenTransportHeader.X_CHROMA_TOKEN
    host, ssl = settings.chroma_server_host or "", bool(settings.chroma_server_ssl_enabled)
    return sends_key and not settings.chroma_server_headers and _is_trusted(host, ssl)


def describe_cloud(client: ClientAPI) -> dict[str, Any]:
    """Return the arguments of `open_cloud`, as JSON: all of the client but its API key."""
    settings = client.get_settings()
    return {
        "tenant": client.tenant,
        "database": client.database,
        "cloud_host": settings.chroma_server_host,
        "cloud_port": settings.chroma_server_http_port,
        "enable_ssl": bool(settings.chroma_server_ssl_enabled),
    }


def open_cloud(tenant: str, database: str, cloud_host: str, cloud_port: int, *, enable_ssl: bool) -> ClientAPI:
    """Connect to Chroma Cloud with the API key in the environment variable `CHROMA_API_KEY`.

    Raises:
        InputError: There is no key, or the host is not one of Chroma Cloud: the author of a store's description
            must not choose where the key is sent.
        StoreError: The server does not answer, or rejects the key.
    """
    if not _is_trusted(cloud_host, enable_ssl):
        problem = f"API keys are sent only to hosts of Chroma Cloud, not to {cloud_host!r}"
        raise InputError("cloud_host", problem, "Create the client yourself, and pass it as client")
    key = os.environ.get(API_KEY)
    if not key:
        advice = "Set this environment variable to the API key of Chroma Cloud"
        raise InputError(API_KEY, "is needed to open this store, and not set", advice)
    try:
        return chromadb.CloudClient(
            tenant, database, key, cloud_host=cloud_host, cloud_port=cloud_port, enable_ssl=enable_ssl
        )
    except (ValueError, ChromaError) as error:
        advice = f"Check that the server can be reached, and the key in {API_KEY}"
        raise StoreError(cloud_host, f"Chroma Cloud cannot be opened ({error})", advice) from error


def _is_trusted(host: str, ssl: bool) -> bool:
    return host in _LOOPBACK or (ssl and host.endswith(_DOMAIN))
