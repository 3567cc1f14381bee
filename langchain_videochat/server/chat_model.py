"""ChatVideoServer, LangChain's chat model for videos on an inference server.

From a message to an answer: `media_parts` converts videos and images to what the server takes, which `capabilities`
finds out -> ChatOpenAI sends the request and reads the answer -> `failures` names the setting behind an error.
"""

import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, Self

import httpx
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.exceptions import ModelNotFoundError
from langchain_core.language_models import LangSmithParams
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.load.serializable import SerializedConstructor, SerializedNotImplemented
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import run_in_executor
from langchain_core.utils import secret_from_env
from langchain_openai import ChatOpenAI
from pydantic import Field, PrivateAttr, SecretStr, field_validator, model_validator

from langchain_videochat import __version__
from langchain_videochat.embed.cache_keys import file_cache_key
from langchain_videochat.embed.chunks import PROVIDER
from langchain_videochat.embed.errors import core_errors
from langchain_videochat.embed.media_refs import MAX_FRAMES
from langchain_videochat.errors import VideoChatError
from langchain_videochat.media.allowed_hosts import parse_allowed_hosts
from langchain_videochat.server.capabilities import OTHER, ServerKind, identify_server, list_model_names
from langchain_videochat.server.errors import ServerFailedError, connection_error
from langchain_videochat.server.failures import FAILURES, Sent, quote, typed_error, unknown_model
from langchain_videochat.server.media_parts import MediaConverter, local_files


@dataclass
class _Request:
    """A request whose media are converted, and what is known about its answer."""

    messages: list[BaseMessage]
    options: dict[str, Any]
    sent: Sent
    sampled_times: list[list[float]]

    files: ExitStack
    """Temporary files that the server may read."""

    answered_model: str = ""
    is_complete: bool = False

    def receive(self, result: ChatResult) -> None:
        """Note that the answer is complete, and add the timestamps of the sampled frames to it."""
        self.answered_model = (result.llm_output or {}).get("model_name") or ""
        self._complete(result.generations[0].message)

    def receive_chunk(self, chunk: ChatGenerationChunk) -> None:
        """Note whether the answer is complete, and add the timestamps of the sampled frames to its last chunk."""
        info = chunk.generation_info or {}
        self.answered_model = info.get("model_name") or self.answered_model
        if info.get("finish_reason") and not self.is_complete:
            self._complete(chunk.message)

    def _complete(self, message: BaseMessage) -> None:
        self.is_complete = True
        if self.sampled_times:
            message.response_metadata["sampled_times"] = self.sampled_times


@cache
def _ssl_context() -> ssl.SSLContext:
    # Creating one takes 25 ms.
    return httpx.create_ssl_context()


class ChatVideoServer(ChatOpenAI):
    """A chat model for videos and images on an inference server with an API like OpenAI's.

    It is `langchain-openai`'s ChatOpenAI, which it extends with video. Tools, structured output, streaming, token usage
    and all other arguments are as documented there.

    **Set-up.** `pip install "langchain-videochat[server]"`, and a server with a vision model: vLLM, SGLang, mistral.rs,
    `transformers serve`, llama.cpp, Ollama, LM Studio or another one with an API like OpenAI's. If it needs an API
    key, set `api_key` or the environment variable `VIDEOCHAT_SERVER_API_KEY`.

    **Key init args.** Server: `base_url`, `model`, `api_key`, `timeout`. Videos: `video_input`, `num_frames`,
    `frame_size`, `max_video_bytes`, `allowed_hosts`. Answers: `temperature`, `max_tokens`, `stop`, `seed`.

    **Video input.** Standard content blocks, as for `VideoChatEmbed`: a URL (`https:` or `file:`) or base64 data, and
    `extras` with the part of the video (`start`, `end`) and the frames to sample (`num_frames` or `fps`). Web addresses
    are downloaded on this machine, not by the server. vLLM, SGLang, mistral.rs and `transformers serve` get a video as
    a file, other servers get its frames as images, each after its time.

    Example:
        Instantiate:

            llm = ChatVideoServer(base_url="http://localhost:8000/v1", model="Qwen/Qwen3-VL-8B-Instruct")

        Invoke:

            video = {
                "type": "video",
                "url": "file:///films/yoga.mp4",
                "mime_type": "video/mp4",
                "extras": {"start": "00:15", "end": 90, "num_frames": 16},
            }
            message = HumanMessage([video, {"type": "text", "text": "What is she doing?"}])
            answer = llm.invoke([message])
            print(answer.text)

        Stream:

            for chunk in llm.stream([message]):
                print(chunk.text, end="")

        Structured output, tools and token usage:

            class Scene(BaseModel):
                people: int
                place: str

            scene = llm.with_structured_output(Scene).invoke([message])
            print(answer.usage_metadata)  # {"input_tokens": 2190, "output_tokens": 12, "total_tokens": 2202}

        Response metadata, with the timestamps of the frames of each video that was sent as images, in seconds:

            print(answer.response_metadata)
            # {"model_name": "Qwen/Qwen3-VL-8B-Instruct", "finish_reason": "stop", "sampled_times": [[17.3, 22.0, ...]]}
    """

    model_name: str = Field(alias="model")
    """The model, as the server names it."""

    openai_api_base: str | None = Field(alias="base_url")
    """Address of the API, for example "http://localhost:8000/v1"."""

    openai_api_key: SecretStr = Field(
        alias="api_key", default_factory=secret_from_env("VIDEOCHAT_SERVER_API_KEY", default="none")
    )
    """The server's API key; by default, the environment variable `VIDEOCHAT_SERVER_API_KEY`. OPENAI_API_KEY is never
    sent to the server."""

    max_tokens: int | None = Field(default=None, ge=1)
    """Maximum number of tokens per answer."""

    use_responses_api: bool | None = False
    """Whether to use OpenAI's Responses API, which has no video."""

    stream_usage: bool | None = True
    """Whether to request the token usage of streamed answers."""

    video_input: Literal["auto", "video_url", "frames"] = "auto"
    """How to send videos: as files ("video_url") or as images ("frames"). With "auto", the server is identified
    once, before the first video is sent."""

    num_frames: int | None = Field(default=None, ge=1, le=MAX_FRAMES)
    """Frames per video, unless its block sets `num_frames` or `fps`. If None, 8 images, or as many frames as a server
    that takes files samples by default. mistral.rs has no such setting."""

    frame_size: int = Field(default=512, ge=28)
    """Length of the shorter side of frames in pixels. Larger frames are scaled down to it."""

    max_video_bytes: int = Field(default=32 * 2**20, ge=1)
    """Maximum size of a video that is sent as data. By default, mistral.rs refuses requests of more than 50 MB, which
    is 37 MB of video."""

    allowed_hosts: list[str] = Field(default_factory=list)
    """Hosts in private networks from which videos and images may be downloaded, such as "nas.local", or
    "nas.local:8000" for that port only. Public hosts are always allowed."""

    _server: ServerKind | None = PrivateAttr(default=None)

    @field_validator("allowed_hosts")
    @classmethod
    def _check_allowed_hosts(cls, hosts: list[str]) -> list[str]:
        parse_allowed_hosts(hosts)
        return hosts

    @model_validator(mode="after")
    def _keep_no_async_connections(self) -> Self:
        # ChatOpenAI's default client keeps them for all event loops, but each only works in the one that opened it.
        if self.root_async_client is not None and not (self.http_async_client or self.openai_proxy):
            limits = httpx.Limits(max_keepalive_connections=0)
            client = httpx.AsyncClient(limits=limits, verify=_ssl_context(), follow_redirects=True)
            self.root_async_client = self.root_async_client.with_options(http_client=client)
            self.async_client = self.root_async_client.chat.completions
        return self

    @model_validator(mode="after")
    def _set_videochat_version(self) -> Self:
        self._add_version(PROVIDER, __version__)
        return self

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """Return the module of this class, by which LangChain's `load` finds it."""
        return cls.__module__.split(".")

    def to_json(self) -> SerializedConstructor | SerializedNotImplemented:
        """Serialize this model without its API key, which `load` takes from the environment."""
        # LangChain would name OPENAI_API_KEY as its source: a parent class has priority.
        serialized = super().to_json()
        if serialized["type"] == "constructor":
            serialized["kwargs"].pop("openai_api_key")
        return serialized

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._prepare(messages, kwargs)
        with self._sending(request):
            result = super()._generate(request.messages, stop, run_manager, **request.options)
            request.receive(result)
        return result

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = await run_in_executor(None, self._prepare, messages, kwargs)
        async with self._sending_async(request):
            result = await super()._agenerate(request.messages, stop, run_manager, **request.options)
            request.receive(result)
        return result

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        request = self._prepare(messages, kwargs)
        with self._sending(request):
            for chunk in super()._stream(request.messages, stop, run_manager, **request.options):
                request.receive_chunk(chunk)
                yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        request = await run_in_executor(None, self._prepare, messages, kwargs)
        async with self._sending_async(request):
            async for chunk in super()._astream(request.messages, stop, run_manager, **request.options):
                request.receive_chunk(chunk)
                yield chunk

    def _prepare(self, messages: list[BaseMessage], options: Mapping[str, Any]) -> _Request:
        """Convert the videos and images of messages. The caller closes the request's files."""
        with ExitStack() as files, core_errors():
            media = MediaConverter(
                self._find_server,
                num_frames=self.num_frames,
                frame_size=self.frame_size,
                max_video_bytes=self.max_video_bytes,
                allowed_hosts=tuple(self.allowed_hosts),
                files=files,
            )
            converted = [media.convert(message) for message in messages]
            # "files" is only part of the cache key.
            options = {name: value for name, value in options.items() if name != "files"}
            if media.extra_body:
                options["extra_body"] = _merge(options.get("extra_body") or self.extra_body or {}, media.extra_body)
            model = options.get("model") or self.model_name
            sent = Sent(str(self.openai_api_base), model, media.has_video, media.has_images)
            return _Request(converted, options, sent, media.sampled_times, files.pop_all())

    def _find_server(self) -> ServerKind:
        if self.video_input == "frames":
            return OTHER
        if self._server is None:
            self._server = identify_server(self.root_client)
        if self.video_input == "auto":
            return self._server
        return replace(self._server, video_source=self._server.video_source or "data", needs_sound=False)

    @contextmanager
    def _sending(self, request: _Request) -> Iterator[None]:
        """Check the answer to a request, and raise typed errors."""
        with request.files:
            try:
                yield
            except FAILURES as error:
                raise self._typed_error(error, request) from error
            self._check_answer(request)

    @asynccontextmanager
    async def _sending_async(self, request: _Request) -> AsyncIterator[None]:
        with request.files:
            try:
                yield
            except FAILURES as error:
                raise await run_in_executor(None, self._typed_error, error, request) from error
            await run_in_executor(None, self._check_answer, request)

    def _typed_error(self, error: Exception, request: _Request) -> VideoChatError:
        # Another server may have taken its place.
        self._server = None
        if isinstance(error, ModelNotFoundError):
            problem = f"the server does not have it ({quote(error)})"
            return unknown_model(request.sent, problem, list_model_names(self.root_client))
        return typed_error(error, request.sent)

    def _check_answer(self, request: _Request) -> None:
        if not request.is_complete:
            raise connection_error(
                request.sent.base_url, "the server closed the connection in the middle of its answer"
            )
        asked, answered = request.sent.model, request.answered_model
        # `transformers serve` adds the revision, and OpenAI the date.
        if answered.startswith(asked) or not answered:
            return
        models = list_model_names(self.root_client)
        if models and asked not in models:
            raise unknown_model(request.sent, f"the server answered with another one, {quote(answered)}", models)

    def _create_chat_result(self, response: Any, generation_info: dict[str, Any] | None = None) -> ChatResult:
        choices = response.get("choices") if isinstance(response, dict) else getattr(response, "choices", None)
        if not choices:
            problem = f"its answer is not a chat completion ({quote(response)})"
            raise ServerFailedError(self.openai_api_base, problem, "Check base_url, which usually ends in /v1")
        return super()._create_chat_result(response, generation_info)

    def _get_request_payload(self, input_: Any, *, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        payload = super()._get_request_payload(input_, stop=stop, **kwargs)
        if "max_completion_tokens" in payload:
            # Ollama only knows OpenAI's former name.
            payload["max_tokens"] = payload.pop("max_completion_tokens")
        return payload

    def _generate_with_cache(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return super()._generate_with_cache(messages, *args, **file_cache_key(self, messages, local_files) | kwargs)

    async def _agenerate_with_cache(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        key = file_cache_key(self, messages, local_files)
        return await super()._agenerate_with_cache(messages, *args, **key | kwargs)

    @property
    def _llm_type(self) -> str:
        return "videochat-server"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return LangSmithParams(**{**super()._get_ls_params(stop, **kwargs), "ls_provider": PROVIDER})

    def _resolve_model_profile(self) -> ModelProfile:
        return ModelProfile(
            text_inputs=True,
            image_inputs=True,
            image_url_inputs=True,
            video_inputs=True,
            text_outputs=True,
            tool_calling=True,
        )


def _merge(options: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested dictionaries; the second one has priority."""
    merged = {name: _merge(options.get(name) or {}, value) for name, value in others.items() if isinstance(value, dict)}
    return {**options, **others, **merged}
