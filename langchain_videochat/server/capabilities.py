"""Video input of inference servers, and identifying a server."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Literal

from langchain_videochat.server.errors import ServerTimeoutError, connection_error

if TYPE_CHECKING:
    from openai import OpenAI

TIMEOUT_SECONDS = 10.0
"""Time limit of a request that identifies a server."""


@dataclass(frozen=True)
class ServerKind:
    """How an inference server with an API like OpenAI's takes videos."""

    video_source: Literal["data", "path"] | None = None
    """As base64 data, or as a path on its machine; None if it takes frames, as images."""

    sampling: Literal["media_io_kwargs", "video_url", "chat_template_kwargs"] | None = None
    """Where a request sets the number of frames that the server samples; None if it cannot."""

    needs_sound: bool = False
    """Whether it fails for videos without sound, which it then gets as frames."""


VLLM = ServerKind("data", "media_io_kwargs")
SGLANG = ServerKind("data", "video_url")
MISTRAL_RS = ServerKind("data")
# It reads the sound of each video, whether or not the model can process it.
TRANSFORMERS = ServerKind("path", "chat_template_kwargs", needs_sound=True)
OTHER = ServerKind()
"""For example llama.cpp, Ollama or LM Studio."""

_BY_OWNER = {"vllm": VLLM, "sglang": SGLANG}
"""Servers by the owner of the models that they list."""


def identify_server(client: "OpenAI") -> ServerKind:
    """Identify a server. An unknown one is `OTHER`: every vision model takes images.

    Raises:
        ServerConnectionError: The server cannot be reached.
        ServerTimeoutError: The server does not answer.
    """
    models = _list_models(client)
    first = models[0] if models else {}
    owner = str(first.get("owned_by"))
    if owner in _BY_OWNER:
        return _BY_OWNER[owner]
    if owner == "local" and first.get("id") == "default":
        return MISTRAL_RS
    # `transformers serve` lists the models in the Hub's cache, with their authors.
    paths = _get(client, str(client.base_url.join("/openapi.json"))).get("paths")
    if not isinstance(paths, Mapping) or "/load_model" not in paths:
        return OTHER
    return TRANSFORMERS if _is_local(client.base_url.host) else replace(TRANSFORMERS, video_source=None)


def list_model_names(client: "OpenAI") -> list[str]:
    """Return the names of a server's models; none if it does not list them.

    Raises:
        ServerConnectionError: The server cannot be reached.
        ServerTimeoutError: The server does not answer.
    """
    return [str(model["id"]) for model in _list_models(client) if "id" in model]


def _list_models(client: "OpenAI") -> list[Mapping[str, Any]]:
    models = _get(client, "/models").get("data")
    return [model for model in models if isinstance(model, Mapping)] if isinstance(models, list) else []


def _get(client: "OpenAI", path: str) -> Mapping[str, Any]:
    """Return a JSON object of a server; an empty one if it has none there."""
    import openai

    base_url = str(client.base_url).rstrip("/")
    try:
        # A server may have closed an idle connection, so the first try may fail.
        answer = client.get(path, cast_to=object, options={"timeout": TIMEOUT_SECONDS, "max_retries": 1})
    except openai.APITimeoutError as error:
        problem = "the server did not list its models in time"
        raise ServerTimeoutError(base_url, problem, 'Set video_input="frames", which skips this request') from error
    except openai.APIConnectionError as error:
        raise connection_error(base_url) from error
    except (openai.APIStatusError, ValueError):
        return {}
    return answer if isinstance(answer, Mapping) else {}


def _is_local(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"
