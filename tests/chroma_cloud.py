"""Chroma Cloud on this machine: a proxy of a Chroma server that checks the API key and refuses what is too large."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import chromadb
import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.chroma_server import run_chroma_server

TENANT, DATABASE, API_KEY = "acme", "films", "ck-s3cret"

MAX_RECORDS = 300
MAX_DOCUMENT_BYTES = 16_384
MAX_VALUE_BYTES = 256
MAX_METADATA_BYTES = 4096
MAX_KEYS = 32
MAX_KEY_BYTES = 36
MAX_ID_BYTES = 128
MAX_PREDICATES = 8
MAX_WHERE_BYTES = 4096
MAX_COLLECTION_METADATA_BYTES = 256


@dataclass
class Cloud:
    """A running proxy."""

    port: int
    calls: list[tuple[str, int]] = field(default_factory=list)
    """The operations on records so far ("upsert", "get" ...), with the number of records written or returned."""
    rejected: list[str] = field(default_factory=list)
    """Why requests were refused."""

    def client(self, api_key: str = API_KEY) -> chromadb.api.ClientAPI:
        """Return a client, as for Chroma Cloud."""
        return chromadb.CloudClient(
            TENANT, DATABASE, api_key, cloud_host="127.0.0.1", cloud_port=self.port, enable_ssl=False
        )

    def count(self, operation: str) -> int:
        """Return the number of records that all calls of an operation have written or returned."""
        return sum(records for name, records in self.calls if name == operation)


@contextmanager
def run_chroma_cloud(folder: Path) -> Iterator[Cloud]:
    """Run a Chroma server and the proxy on free ports."""
    with run_chroma_server(folder) as (port, _):
        address = f"http://127.0.0.1:{port}"
        admin = chromadb.AdminClient(chromadb.HttpClient(port=port).get_settings())
        admin.create_tenant(TENANT)
        admin.create_database(DATABASE, TENANT)
        cloud = Cloud(0)
        with httpx.Client(base_url=address, timeout=60) as upstream, _serve(_make_app(cloud, upstream)) as cloud.port:
            yield cloud


@contextmanager
def _serve(app: Starlette) -> Iterator[int]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def _make_app(cloud: Cloud, upstream: httpx.Client) -> Starlette:
    async def answer(request: Request) -> Response:
        if request.headers.get("x-chroma-token") != API_KEY:
            return _error(403, "AuthError", "Permission denied.")
        if request.url.path.endswith("/auth/identity"):
            return JSONResponse({"user_id": "ada", "tenant": TENANT, "databases": [DATABASE]})
        body = await request.body()
        operation = request.url.path.rpartition("/")[2]
        content = json.loads(body) if body else {}
        problem = next(_find_problems(operation, content), None)
        if problem is not None:
            cloud.rejected.append(f"{operation}: {problem}")
            return _error(400, "QuotaError", problem)
        path = f"{request.url.path}?{request.url.query}"
        sent = {"content-type": request.headers.get("content-type", "application/json")}
        found = await run_in_threadpool(lambda: upstream.request(request.method, path, content=body, headers=sent))
        cloud.calls.append((operation, _count_records(content, found)))
        return Response(found.content, found.status_code, media_type=found.headers.get("content-type"))

    app = Starlette()
    app.add_route("/{path:path}", answer, ["GET", "POST", "PUT", "DELETE"])
    return app


def _error(status: int, kind: str, message: str) -> Response:
    return JSONResponse({"error": kind, "message": message}, status)


def _count_records(content: Mapping[str, Any], found: httpx.Response) -> int:
    answer = found.json() if found.content else None
    ids = (isinstance(answer, dict) and answer.get("ids")) or content.get("ids")
    if ids and isinstance(ids[0], list):
        (ids,) = ids
    return len(ids or [])


def _find_problems(operation: str, content: Mapping[str, Any]) -> Iterator[str]:
    """Return which limits a request exceeds."""
    if operation in ("add", "upsert", "update"):
        yield from _check_records(content)
    elif operation in ("get", "query", "delete"):
        yield from _check_selection(operation, content)
    else:
        metadata = content.get("metadata") or content.get("new_metadata") or {}
        if _size(metadata) > MAX_COLLECTION_METADATA_BYTES:
            yield f"{_size(metadata)} bytes of collection metadata"


def _check_records(content: Mapping[str, Any]) -> Iterator[str]:
    ids: Sequence[str] = content["ids"]
    if len(ids) > MAX_RECORDS:
        yield f"{len(ids)} records"
    yield from (f"an id of {_size(one)} bytes" for one in ids if _size(one) > MAX_ID_BYTES)
    for document in content.get("documents") or []:
        if _size(document) > MAX_DOCUMENT_BYTES:
            yield f"a document of {_size(document)} bytes"
    for metadata in content.get("metadatas") or []:
        yield from _check_metadata(metadata or {})


def _check_metadata(metadata: Mapping[str, Any]) -> Iterator[str]:
    kept = {key: value for key, value in metadata.items() if value is not None}
    if len(kept) > MAX_KEYS:
        yield f"{len(kept)} metadata keys"
    if _size(kept) > MAX_METADATA_BYTES:
        yield f"{_size(kept)} bytes of metadata"
    for key, value in kept.items():
        if _size(key) > MAX_KEY_BYTES:
            yield f"a key of {_size(key)} bytes"
        if _size(value) > MAX_VALUE_BYTES:
            yield f"{_size(value)} bytes of {key}"


def _check_selection(operation: str, content: Mapping[str, Any]) -> Iterator[str]:
    ids = content.get("ids")
    limit = content.get("n_results", content.get("limit")) if operation != "delete" else None
    count = len(ids) if ids is not None else limit
    if count is None:
        yield "no limit"
    elif count > MAX_RECORDS:
        yield f"{count} records"
    where = content.get("where") or {}
    if len(json.dumps(where)) > MAX_WHERE_BYTES or _count_predicates(where) > MAX_PREDICATES:
        yield f"a filter of {len(json.dumps(where))} bytes and {_count_predicates(where)} predicates"


def _count_predicates(where: Mapping[str, Any]) -> int:
    return sum(sum(map(_count_predicates, value)) if key in ("$and", "$or") else 1 for key, value in where.items())


def _size(value: object) -> int:
    """Return the size in UTF-8 of a text, of a number, or of the keys and values of a mapping."""
    if isinstance(value, Mapping):
        return sum(_size(key) + _size(one) for key, one in value.items())
    return 8 if isinstance(value, bool | int | float) else len(str(value or "").encode())
