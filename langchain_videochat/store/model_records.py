"""The records of the models that a store was built with."""

from collections.abc import Mapping
from typing import Any

from langchain_videochat.store.connection import Connection
from langchain_videochat.store.payloads import read_payloads, write_payloads
from langchain_videochat.store.quotas import read_rows


def write_model_record(connection: Connection, name: str, content: Mapping[str, Any]) -> None:
    """Write the record of a model."""
    write_payloads(connection.catalogue, [(_record_id(name), dict(content))], {})


def read_model_record(connection: Connection, name: str) -> Mapping[str, Any]:
    """Return the record of a model; or what earlier versions wrote instead: the metadata of the collection of moments.

    Args:
        connection: The collections of the store.
        name: "embedding" or "visual".
    """
    record_id = _record_id(name)
    found = read_payloads(connection.catalogue, read_rows(connection.catalogue, [record_id]))
    if record_id in found:
        content: Mapping[str, Any] = found[record_id]
        return content
    return connection.client.get_collection(connection.moments.name, embedding_function=None).metadata or {}


def _record_id(name: str) -> str:
    return f":model:{name}"
