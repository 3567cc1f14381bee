"""VideoChatEmbed: a chat model of LangChain that watches videos on this machine.

Messages -> `messages.py` makes a conversation -> `long_videos.py` has the model watch its videos -> `runtime.py` makes
the prompt -> `generation.py` has the answer written, token by token -> chunks.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.language_models.chat_models import agenerate_from_stream, generate_from_stream
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.messages.tool import ToolCallChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import get_config_list
from langchain_core.tools import BaseTool
from langchain_core.utils import from_env
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, PrivateAttr, model_validator

from langchain_videochat.embed.conversation import NUM_FRAMES, Turn, VisualTokens
from langchain_videochat.embed.errors import NotEnoughMemoryError, core_errors
from langchain_videochat.embed.long_videos import Budget, OverBudget, Presenter
from langchain_videochat.embed.messages import file_states, last_question, read_messages
from langchain_videochat.embed.settings import ModelSettings, Quantization
from langchain_videochat.embed.tool_calls import read_calls, tell_tools
from langchain_videochat.errors import InputError, ModelUnavailableError
from langchain_videochat.weights import share

if TYPE_CHECKING:
    from langchain_videochat.embed.batching import Prompt
    from langchain_videochat.embed.constrained import JsonConstraint
    from langchain_videochat.embed.generation import Piece, Sampling
    from langchain_videochat.embed.runtime import Runtime

PROVIDER = "langchain-videochat"

ANY_TOOL = "any"

NOTE_TOKENS = 64
"""Tokens that an answer about one part of a long video may have."""

_SAMPLING = ("temperature", "top_p", "repetition_penalty", "seed", "max_tokens")
_UNHEEDED = {"strict", "parallel_tool_calls", "files"}
"""What LangChain may ask of other models, and `files`, which only makes the cache's key."""

logger = logging.getLogger(__name__)


@dataclass
class _Usage:
    """Tokens that were read and written."""

    prompt: int = 0
    visual: int = 0
    written: int = 0

    def add(self, prompt: "Prompt", written: int) -> None:
        self.prompt += len(prompt.keys)
        self.visual += sum(not isinstance(key, int) for key in prompt.keys)
        self.written += written


@dataclass(frozen=True)
class _Task:
    """One conversation to be answered."""

    prompt: "Prompt"
    sampling: "Sampling"
    tools: Sequence[dict[str, Any]]
    constraint: "JsonConstraint | None"
    seen: Sequence[VisualTokens]
    usage: _Usage


class VideoChatEmbed(BaseChatModel):
    """A chat model that watches videos, and runs on this machine (paper 3.2.1).

    Nothing is loaded before its first use; instances with the same settings share the weights. A video in a message is
    a standard content block, of which `extras` may name a stretch: `{"type": "video", "url": "file:///films/yoga.mp4",
    "mime_type": "video/mp4", "extras": {"start": 60, "end": 90, "num_frames": 16}}`.

    Example:
        Ask about a video::

            llm = VideoChatEmbed(model="videochat-7b", num_frames=8)
            video = {"type": "video", "url": "file:///films/yoga.mp4", "mime_type": "video/mp4"}
            message = HumanMessage([video, {"type": "text", "text": "What is she doing?"}])
            print(llm.invoke([message]).text)

        Fill in a form, whatever the model::

            class Scene(BaseModel):
                people: int
                place: str

            llm.with_structured_output(Scene).invoke([message])
    """

    model: str = Field(default_factory=from_env("VIDEOCHAT_EMBED_MODEL", default=""))
    """A folder that `videochat convert` wrote, or an id on the Hugging Face hub; the environment variable
    `VIDEOCHAT_EMBED_MODEL` unless given."""

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

    segment_seconds: float = Field(default=60.0, gt=0)
    """Seconds that a segment lasts at most."""

    max_video_tokens: int = Field(default=768, ge=1)
    """Tokens that the segments of a video may take in a prompt, without their times; one segment is always shown."""

    over_budget: OverBudget = "merge"
    """What is done with a video that has more segments than that: "merge" merges neighbours, at no further cost;
    "retrieve" looks at those alone that `retriever` finds, the cheapest; "ask_each" asks about each part of the video
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

    @model_validator(mode="after")
    def _check_retriever(self) -> Self:
        if self.over_budget == "retrieve" and self.retriever is None:
            raise ValueError('over_budget="retrieve" needs a retriever, as VideoTimelineStore(...).as_retriever()')
        return self

    def load(self) -> None:
        """Load the model now rather than at its first use.

        Raises:
            InputError: A setting makes no sense on this machine.
            ModelUnavailableError: The model is not here and cannot be fetched, or none is named.
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
                if None or "auto".
            **kwargs: More for each call.
        """
        described = [convert_to_openai_tool(tool) for tool in tools]
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
        runtime = self._ready()
        with core_errors():
            task, pieces = self._begin(runtime, messages, stop, kwargs)
            for chunk in self._chunks(pieces, task):
                if run_manager is not None:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    def _settings(self) -> ModelSettings:
        if not self.model:
            problem = "none is named"
            advice = "Name a folder that `videochat convert` wrote, by `model` or by VIDEOCHAT_EMBED_MODEL"
            raise ModelUnavailableError("model", problem, advice)
        return ModelSettings(
            self.model,
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

    def _begin(
        self, runtime: "Runtime", messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> tuple[_Task, Iterator["Piece"]]:
        """Begin an answer, with half as many segments of videos as long as the device's memory does not suffice."""
        segments = max(1, self.max_video_tokens // runtime.processor.num_visual_tokens)
        while True:
            try:
                task = self._prepare(runtime, messages, stop, dict(options), segments)
                pieces = self._write(runtime, task)
                return task, chain([next(pieces)], pieces)
            except NotEnoughMemoryError:
                if self.long_video == "sample" or segments == 1:
                    raise
            segments //= 2
            logger.warning("The device's memory is used up: trying with %d segments of a video", segments)

    def _prepare(
        self,
        runtime: "Runtime",
        messages: list[BaseMessage],
        stop: list[str] | None,
        options: dict[str, Any],
        segments: int,
    ) -> _Task:
        options = {name: value for name, value in options.items() if name not in _UNHEEDED}
        tools, choice = options.pop("tools", ()), options.pop("tool_choice", None)
        num_frames = options.pop("num_frames", self.num_frames)
        sampling = self._sampling(runtime, stop, options)
        usage = _Usage()
        presenter = Presenter(
            runtime.viewer,
            Budget(
                self.segment_seconds if self.long_video == "segments" else None,
                segments,
                self.over_budget,
                self.retriever,
            ),
            last_question(messages),
            partial(self._ask, runtime, sampling, usage),
            show_progress=self.show_progress,
        )
        turns = read_messages(
            messages,
            num_frames=num_frames,
            system_prompt=self.system_prompt,
            allowed_hosts=self.allowed_hosts,
            show=presenter.show,
        )
        prompt = runtime.read(tell_tools(turns, tools) if tools else turns)
        room = runtime.model.config.context_length - len(prompt.keys)
        sampling = replace(sampling, max_tokens=min(sampling.max_tokens, room))
        usage.add(prompt, 0)
        if choice is None:
            return _Task(prompt, sampling, tools, None, presenter.seen, usage)
        # A stop would cut a call off in the middle of a text in it.
        constraint = _force_call(runtime, tools, choice, sampling)
        return _Task(prompt, replace(sampling, stop=()), tools, constraint, presenter.seen, usage)

    def _sampling(self, runtime: "Runtime", stop: list[str] | None, options: dict[str, Any]) -> "Sampling":
        from langchain_videochat.embed.generation import Sampling

        unknown = sorted(options.keys() - {*_SAMPLING})
        if unknown:
            raise InputError(unknown[0], "there is no such option", f"Take one of {', '.join(_SAMPLING)}")
        chosen = {name: getattr(self, name) for name in _SAMPLING} | options
        stops = stop if stop is not None else self.stop or []
        return Sampling(**chosen, stop=(*stops, *runtime.processor.stop_strings))

    def _ask(self, runtime: "Runtime", sampling: "Sampling", usage: _Usage, turn: Turn) -> str:
        """Answer a question about a part of a video."""
        prompt = runtime.read([turn])
        brief = replace(sampling, max_tokens=NOTE_TOKENS, stop=tuple(runtime.processor.stop_strings))
        pieces = list(self._write(runtime, _Task(prompt, brief, (), None, (), usage)))
        usage.add(prompt, pieces[-1].tokens)
        return "".join(piece.text for piece in pieces)

    def _write(self, runtime: "Runtime", task: _Task) -> Iterator["Piece"]:
        from langchain_videochat.embed.generation import write

        return write(
            runtime.batch,
            runtime.tokenizer,
            task.prompt,
            task.sampling,
            batch_size=self.batch_size,
            constraint=task.constraint,
        )

    def _chunks(self, pieces: "Iterator[Piece]", task: _Task) -> Iterator[ChatGenerationChunk]:
        """Make chunks; what may be calls of tools is held until it is whole."""
        held = ""
        for piece in pieces:
            held += piece.text
            may_be_calls = bool(task.tools) and held.lstrip()[:1] in ("", "{")
            if piece.finish_reason is None and may_be_calls:
                continue
            calls = read_calls(held, task.tools) if may_be_calls else []
            yield self._chunk("" if calls else held, piece, task, calls)
            held = ""

    def _chunk(self, text: str, piece: "Piece", task: _Task, calls: list[ToolCallChunk]) -> ChatGenerationChunk:
        message = AIMessageChunk(content=text, tool_call_chunks=calls)
        if piece.finish_reason is None:
            return ChatGenerationChunk(message=message)
        written = task.usage.written + piece.tokens
        message.chunk_position = "last"
        message.usage_metadata = UsageMetadata(
            input_tokens=task.usage.prompt,
            output_tokens=written,
            total_tokens=task.usage.prompt + written,
            input_token_details=cast("InputTokenDetails", {"video": task.usage.visual}),
        )
        message.response_metadata = {
            "model_name": self.model,
            "model_provider": PROVIDER,
            "finish_reason": "tool_calls" if calls else piece.finish_reason,
            "sampled_times": [list(one.times) for one in task.seen if one.kind == "video"],
        }
        return ChatGenerationChunk(message=message)

    def _generate_with_cache(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        # What is cached holds only as long as the files that the messages name are the same.
        return super()._generate_with_cache(messages, *args, files=file_states(messages), **kwargs)

    async def _agenerate_with_cache(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return await super()._agenerate_with_cache(messages, *args, files=file_states(messages), **kwargs)

    @property
    def _llm_type(self) -> str:
        return "videochat-embed"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in (*_SAMPLING, *_IDENTITY)}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = LangSmithParams(
            ls_provider=PROVIDER,
            ls_model_name=kwargs.get("model", self.model),
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
    "over_budget",
    "system_prompt",
    "stop",
)
"""What else changes an answer."""


def _force_call(
    runtime: "Runtime", tools: Sequence[dict[str, Any]], choice: str, sampling: "Sampling"
) -> "JsonConstraint":
    from langchain_videochat.embed.constrained import JsonConstraint
    from langchain_videochat.embed.json_schemas import tool_schema

    schema = tool_schema(tools, None if choice == ANY_TOOL else choice)
    return JsonConstraint(runtime.tokenizer, schema, sampling.max_tokens, sorted(runtime.batch.ends) or None)


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
