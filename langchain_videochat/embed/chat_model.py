"""VideoChatEmbed: a chat model of LangChain that watches videos on this machine.

Messages and settings -> a request -> `answering.py`, which watches, reads and writes -> `chunks.py`.
"""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from langchain_core.caches import BaseCache
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.language_models.chat_models import agenerate_from_stream, generate_from_stream
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import get_config_list
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, PrivateAttr, field_validator, model_validator

from langchain_videochat.embed.chunks import PROVIDER, make_chunks
from langchain_videochat.embed.conversation import NUM_FRAMES
from langchain_videochat.embed.errors import core_errors
from langchain_videochat.embed.long_videos import Budget, Overflow
from langchain_videochat.embed.messages import file_states
from langchain_videochat.embed.settings import ModelSettings, Quantization
from langchain_videochat.embed.tool_calls import ANY_TOOL
from langchain_videochat.errors import InputError
from langchain_videochat.models.hub import TINY
from langchain_videochat.models.weights import share

if TYPE_CHECKING:
    from langchain_videochat.embed.answering import Request
    from langchain_videochat.embed.runtime import Runtime

_SAMPLING = ("temperature", "top_p", "repetition_penalty", "seed", "max_tokens")
_UNHEEDED = {"strict", "parallel_tool_calls", "files"}
"""What LangChain may ask of other models, and `files`, which only makes the cache's key."""
_TOY = (
    f"{TINY} answers, as no model is named. It understands Shapes in Motion alone: coloured circles, squares, triangles"
    " and stars on a dark ground that move, change and collide, in clips of four seconds. Of any other video what it"
    " says is meaningless. Name a model by `model` or by VIDEOCHAT_EMBED_MODEL"
)
_OF_SERVERS = {"api_key", "max_retries", "timeout"}
"""Fields that LangChain gives any chat model."""


class VideoChatEmbed(BaseChatModel):
    """A chat model that watches videos, and runs on this machine (paper 3.2.1).

    Nothing is loaded before its first use; instances with the same settings share the weights. A video in a message is
    a standard content block, of which `extras` may name a stretch: `{"type": "video", "url": "file:///films/yoga.mp4",
    "mime_type": "video/mp4", "extras": {"start": 60, "end": 90, "num_frames": 16}}`.

    Example:
        Ask about a video:

            llm = VideoChatEmbed(model="videochat-7b", num_frames=8)
            video = {"type": "video", "url": "file:///films/yoga.mp4", "mime_type": "video/mp4"}
            message = HumanMessage([video, {"type": "text", "text": "What is she doing?"}])
            print(llm.invoke([message]).text)

        Fill in a form, whatever the model:

            class Scene(BaseModel):
                people: int
                place: str

            llm.with_structured_output(Scene).invoke([message])
    """

    model: str | None = Field(default=None, validate_default=True)
    """A folder that `videochat convert` wrote, the name of a bundled model, or an id on the Hugging Face hub. If None,
    what the environment variable `VIDEOCHAT_EMBED_MODEL` names, or else the bundled `videochat-embed-tiny`, which knows
    nothing but coloured figures that move: it warns of that."""

    device: str = "auto"
    """As torch names it; "auto" is the graphics card if there is one."""

    dtype: str = "auto"
    """"float32", "float16" or "bfloat16"; "auto" is float32 on a processor and bfloat16 elsewhere."""

    revision: str | None = None
    """Branch, tag or commit of the model on the hub; its main branch if None."""

    quantization: Quantization | None = None
    """Load the language model's weights with 8 or 4 bits each."""

    attn_implementation: str | None = None
    """"eager", "sdpa" or "flash_attention_2"; what suits the machine if None."""

    num_frames: int = Field(default=NUM_FRAMES, ge=1)
    """Frames that are looked at of each video, unless its block says otherwise."""

    long_video: Literal["sample", "segments"] = "sample"
    """Whether `num_frames` are taken of all of a video, or of each of its segments, which take many times longer."""

    segment_seconds: float = Field(default=60.0, ge=1)
    """Seconds that a segment lasts at most."""

    max_video_tokens: int = Field(default=768, ge=1)
    """Tokens that the segments of a video may take in a prompt, without their times; one segment is always shown."""

    overflow: Overflow = "merge"
    """What is done with a video that has more segments than that: "merge" merges neighbours, at no further cost;
    "retrieve" looks at those alone that `retriever` finds, the cheapest; "map_reduce" asks about each part of the video
    and answers from the answers, at the cost of as many answers more."""

    retriever: BaseRetriever | None = Field(default=None, exclude=True)
    """Finds Documents with `start` and `end` for a question, as `VideoTimelineStore.as_retriever()` does."""

    batch_size: int = Field(default=8, ge=1)
    """Conversations that are answered at once, also when several threads or tasks ask."""

    allowed_hosts: list[str] = Field(default_factory=list)
    """Hosts of a private network from which videos and images may be fetched; public ones always may."""

    show_progress: bool = False
    """Show a progress bar where watching a video takes long."""

    system_prompt: str | None = None
    """What every conversation begins with."""

    temperature: float = Field(default=0.0, ge=0)
    """0 takes the likeliest token; higher values take others too."""

    top_p: float | None = Field(default=None, gt=0, le=1)
    """Choose among the likeliest tokens that together have this probability; among all if None."""

    repetition_penalty: float = Field(default=1.0, gt=0)
    """Above 1, tokens that were written already become less likely."""

    seed: int | None = None
    """The same seed chooses the same tokens."""

    max_tokens: int = Field(default=512, ge=1)
    """Tokens that an answer may have."""

    stop: list[str] | None = None
    """Texts before which an answer ends."""

    _loaded: "Runtime | None" = PrivateAttr(default=None)

    @model_validator(mode="before")
    @classmethod
    def _tell_of_unknown_fields(cls, fields: Any) -> Any:
        unknown = sorted(fields.keys() - cls.model_fields.keys() - _OF_SERVERS) if isinstance(fields, dict) else []
        if unknown:
            warnings.warn(f"VideoChatEmbed has no {' and no '.join(unknown)}: left out", stacklevel=4)
        return fields

    @field_validator("model")
    @classmethod
    def _find_model(cls, model: str | None) -> str:
        model = model or os.environ.get("VIDEOCHAT_EMBED_MODEL")
        if model is None:
            warnings.warn(_TOY, stacklevel=4)
        return model or TINY

    @model_validator(mode="after")
    def _check_retriever(self) -> Self:
        if self.overflow == "retrieve" and self.retriever is None:
            raise ValueError('overflow="retrieve" needs a retriever, as VideoTimelineStore(...).as_retriever()')
        if self.retriever is not None:
            # What it finds changes with its store, which no key of a cache can tell.
            self.cache = False
        return self

    def load(self) -> None:
        """Load the model now rather than at its first use.

        Raises:
            InputError: A setting makes no sense on this machine.
            ModelUnavailableError: The model is not here and cannot be fetched.
            ModelError: It is damaged, or of another kind.
        """
        if self._loaded is not None:
            return
        with core_errors():
            self._loaded = share(_load, self._settings())

    def unload(self) -> None:
        """Give the memory back, if no other instance uses the same model."""
        self._loaded = None

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Let the model call tools.

        Args:
            tools: The tools.
            tool_choice: A tool's name, or "any", to force a call, which is then always a valid one; the model decides
                if None or "auto", and is told of no tool if "none".
            **kwargs: More for each call.
        """
        described = [] if tool_choice == "none" else [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=described, tool_choice=_chosen(tool_choice, described), **kwargs)

    def get_token_ids(self, text: str) -> list[int]:
        """Encode a text as the model does."""
        ids: list[int] = self._ready().processor.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """Answer several conversations, `batch_size` of them at once unless `max_concurrency` says otherwise."""
        at_once = RunnableConfig(max_concurrency=self.batch_size)
        configs = [RunnableConfig(**{**at_once, **one}) for one in get_config_list(config, len(inputs))]
        return super().batch(inputs, configs, return_exceptions=return_exceptions, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        # A thread is taken for a step at a time: so a task that is cancelled stops, and many find room.
        return await agenerate_from_stream(self._astream(messages, stop, run_manager, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        from langchain_videochat.embed.answering import answer

        runtime = self._ready()
        with core_errors():
            request = self._request(runtime, messages, stop, kwargs)
            for chunk in make_chunks(answer(runtime, request), request.tools, self.model):
                if run_manager is not None:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    def _settings(self) -> ModelSettings:
        return ModelSettings(
            self.model or TINY,
            self.device,
            self.dtype,
            quantization=self.quantization,
            attn_implementation=self.attn_implementation,
            revision=self.revision,
        )

    def _ready(self) -> "Runtime":
        self.load()
        assert self._loaded is not None  # noqa: S101 - load() raises otherwise
        return self._loaded

    def _request(
        self, runtime: "Runtime", messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> "Request":
        from langchain_videochat.embed.answering import Request
        from langchain_videochat.embed.generation import SamplingParams

        options = {name: value for name, value in options.items() if name not in _UNHEEDED}
        tools, tool_choice = options.pop("tools", ()), options.pop("tool_choice", None)
        num_frames = options.pop("num_frames", self.num_frames)
        unknown = sorted(options.keys() - {*_SAMPLING})
        if unknown:
            raise InputError(unknown[0], "there is no such option", f"Take one of {', '.join(_SAMPLING)}")
        chosen = {name: getattr(self, name) for name in _SAMPLING} | options
        stops = stop if stop is not None else self.stop or []
        budget = Budget(
            segment_seconds=self.segment_seconds if self.long_video == "segments" else None,
            segments=max(1, self.max_video_tokens // runtime.processor.num_visual_tokens),
            overflow=self.overflow,
            retriever=self.retriever,
        )
        return Request(
            messages,
            SamplingParams(**chosen, stop=(*stops, *runtime.processor.stop_strings)),
            num_frames,
            budget,
            system_prompt=self.system_prompt,
            tools=tools,
            tool_choice=tool_choice,
            allowed_hosts=self.allowed_hosts,
            batch_size=self.batch_size,
            show_progress=self.show_progress,
        )

    def _generate_with_cache(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        # What is cached holds only as long as the files that the messages name are the same.
        return super()._generate_with_cache(messages, *args, **self._cache_key(messages) | kwargs)

    async def _agenerate_with_cache(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return await super()._agenerate_with_cache(messages, *args, **self._cache_key(messages) | kwargs)

    def _cache_key(self, messages: list[BaseMessage]) -> dict[str, Any]:
        is_cached = self.cache is not False and (isinstance(self.cache, BaseCache) or get_llm_cache() is not None)
        if not is_cached:
            return {}
        with core_errors():
            return {"files": file_states(messages)}

    @property
    def _llm_type(self) -> str:
        return "videochat-embed"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in (*_SAMPLING, *_IDENTITY)}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = LangSmithParams(
            ls_provider=PROVIDER,
            ls_model_name=kwargs.get("model") or self.model or "",
            ls_model_type="chat",
            ls_temperature=kwargs.get("temperature", self.temperature),
            ls_max_tokens=kwargs.get("max_tokens", self.max_tokens),
        )
        stops = stop or self.stop
        return params if not stops else {**params, "ls_stop": stops}

    def _resolve_model_profile(self) -> ModelProfile:
        return ModelProfile(
            text_inputs=True,
            image_inputs=True,
            image_url_inputs=True,
            video_inputs=True,
            audio_inputs=False,
            pdf_inputs=False,
            image_tool_message=True,
            text_outputs=True,
            tool_calling=True,
            tool_choice=True,
            structured_output=True,
        )


_IDENTITY = (
    "model",
    "revision",
    "dtype",
    "quantization",
    "attn_implementation",
    "num_frames",
    "long_video",
    "segment_seconds",
    "max_video_tokens",
    "overflow",
    "system_prompt",
    "stop",
)
"""What else changes an answer."""


def _load(settings: ModelSettings) -> "Runtime":
    from langchain_videochat.embed.runtime import load

    return load(settings)


def _chosen(tool_choice: str | bool | dict[str, Any] | None, tools: Sequence[dict[str, Any]]) -> str | None:
    """Tell which tool must be called: one's name, "any", or None where the model decides."""
    if isinstance(tool_choice, dict):
        tool_choice = tool_choice["function"]["name"]
    if tool_choice in (True, "required", ANY_TOOL):
        return ANY_TOOL
    if tool_choice in (None, False, "auto", "none"):
        return None
    names = [tool["function"]["name"] for tool in tools]
    if tool_choice not in names:
        raise InputError("tool_choice", f"{tool_choice!r} is none of the tools", f"Take one of {', '.join(names)}")
    return str(tool_choice)
