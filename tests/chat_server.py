"""An inference server with OpenAI's chat completions, whose answers come from a chat model of LangChain."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx2
import uvicorn
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, convert_to_messages
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from langchain_videochat import ChatVideoServer
from langchain_videochat.errors import VideoChatError

OPTIONS = (
    "max_tokens",
    "parallel_tool_calls",
    "response_format",
    "seed",
    "stop",
    "temperature",
    "tool_choice",
    "tools",
)
"""Fields of a request that are options of the model."""


class ChatServer:
    """Serves chat models under their names, and records what it is asked.

    `models` and `failure` may be changed between requests.
    """

    def __init__(self, models: Mapping[str, BaseChatModel], *, owner: str = "vllm") -> None:
        self.models = models
        self.owner = owner
        self.paths: Sequence[str] = ()
        """Paths that the server lists in its OpenAPI document; it has none if there are none."""
        self.only_model: str | None = None
        """The model that answers, whichever is asked for."""
        self.failure: Response | None = None
        """The answer to all requests for a completion."""
        self.bodies: list[dict[str, Any]] = []
        """Requests for completions."""
        self.headers: list[Mapping[str, str]] = []
        self.questions: list[str] = []
        """Paths of other requests."""
        routes = [
            Route("/v1/chat/completions", self._complete, methods=["POST"]),
            Route("/v1/models", self._list_models),
            Route("/openapi.json", self._list_paths),
        ]
        self.app = Starlette(routes=routes)

    @property
    def last_content(self) -> Any:
        """The content of the last message of the last request."""
        return self.bodies[-1]["messages"][-1]["content"]

    async def _list_models(self, request: Request) -> Response:
        self.questions.append(request.url.path)
        return JSONResponse({"object": "list", "data": [{"id": name, "owned_by": self.owner} for name in self.models]})

    async def _list_paths(self, request: Request) -> Response:
        self.questions.append(request.url.path)
        return JSONResponse({"paths": {path: {} for path in self.paths}}, status_code=200 if self.paths else 404)

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(request.headers)
        if self.failure is not None:
            return self.failure
        name = self.only_model or body["model"]
        model = self.models.get(name)
        if model is None:
            return _error(404, f"The model `{body['model']}` does not exist.")
        messages = convert_to_messages(body["messages"])
        options = {name: body[name] for name in OPTIONS if body.get(name) is not None}
        try:
            if body.get("stream"):
                deltas = model.stream(messages, **options)
                # An error before the first token has a status of its own.
                first = next(deltas)
                has_usage = bool((body.get("stream_options") or {}).get("include_usage"))
                events = _events(name, first, deltas, has_usage=has_usage)
                return StreamingResponse(events, media_type="text/event-stream")
            return JSONResponse(_completion(name, await model.ainvoke(messages, **options)))
        except VideoChatError as error:
            return _error(400, str(error))


def connect(server: ChatServer, url: str = "http://localhost:8000/v1", **fields: Any) -> ChatVideoServer:
    """Create a chat model that calls a server without a socket."""
    clients: dict[str, Any] = {
        "http_client": TestClient(server.app),
        "http_socket_options": (),
        "http_async_client": httpx2.AsyncClient(transport=httpx2.ASGITransport(server.app)),
    }
    return ChatVideoServer(base_url=url, **{"model": next(iter(server.models)), "max_retries": 0, **clients, **fields})


@contextmanager
def serve(server: ChatServer, *, port: int = 0) -> Iterator[str]:
    """Run a server in a thread, and return its base URL."""
    running = uvicorn.Server(uvicorn.Config(server.app, port=port, log_level="critical"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        thread.join(0.01)
    port = running.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        running.should_exit = True
        thread.join()


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": {"message": message, "type": "invalid_request_error"}}, status_code=status)


def _completion(name: str, answer: AIMessage) -> dict[str, Any]:
    calls = [
        {"id": call["id"], "type": "function", "function": _function(call["name"], json.dumps(call["args"]))}
        for call in answer.tool_calls
    ]
    message = {"role": "assistant", "content": answer.text or None, **({"tool_calls": calls} if calls else {})}
    choice = {"index": 0, "message": message, "finish_reason": _finish_reason(answer)}
    return {**_head(name, "chat.completion"), "choices": [choice], "usage": _usage(answer)}


def _events(name: str, first: AIMessageChunk, others: Iterator[AIMessageChunk], *, has_usage: bool) -> Iterator[str]:
    head = _head(name, "chat.completion.chunk")
    answer = first
    yield _event(head | {"choices": [_choice({"role": "assistant", **_delta(first)})]})
    for chunk in others:
        answer += chunk
        yield _event(head | {"choices": [_choice(_delta(chunk))]})
    yield _event(head | {"choices": [_choice({}, _finish_reason(answer))]})
    if has_usage:
        yield _event(head | {"choices": [], "usage": _usage(answer)})
    yield "data: [DONE]\n\n"


def _delta(chunk: AIMessageChunk) -> dict[str, Any]:
    calls = [
        {
            "index": call["index"],
            "id": call["id"],
            "type": "function",
            "function": _function(call["name"], call["args"]),
        }
        for call in chunk.tool_call_chunks
    ]
    return {"content": chunk.text, **({"tool_calls": calls} if calls else {})}


def _function(name: str | None, arguments: str | None) -> dict[str, str | None]:
    return {"name": name, "arguments": arguments}


def _choice(delta: Mapping[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason}


def _head(name: str, kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": name}


def _usage(answer: AIMessage) -> dict[str, int]:
    usage = answer.usage_metadata or {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    return {
        "prompt_tokens": usage["input_tokens"],
        "completion_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
    }


def _finish_reason(answer: AIMessage) -> str:
    return str(answer.response_metadata.get("finish_reason", "stop"))


def _event(data: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"
