"""VideoChatEmbed: a chat model of LangChain that watches videos on this machine.

Messages -> `messages.py` makes a conversation, and reads its frames -> the processor writes the prompt and makes pixels
-> `generation.py` has the model answer, token by token -> chunks.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.exceptions import ContextOverflowError
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.messages.tool import ToolCallChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils import from_env
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, PrivateAttr

from langchain_videochat.embed.conversation import NUM_FRAMES, Turn, Video
from langchain_videochat.embed.messages import file_states, read_messages
from langchain_videochat.embed.tool_calls import read_call, tell_tools
from langchain_videochat.errors import InputError, ModelUnavailableError
from langchain_videochat.weights import Weights, share

if TYPE_CHECKING:
    from langchain_videochat.embed.constrained import JsonConstraint
    from langchain_videochat.embed.generation import Piece, Sampling
    from langchain_videochat.embed.modeling_videochat import VideoChatEmbedForConditionalGeneration
    from langchain_videochat.embed.processing_videochat import VideoChatEmbedProcessor

PROVIDER = "langchain-videochat"

ANY_TOOL = "any"

Quantization = Literal["8bit", "4bit"]

_BITS: dict[Quantization | None, Any] = {None: None, "8bit": 8, "4bit": 4}
_SAMPLING = ("temperature", "top_p", "repetition_penalty", "seed", "max_tokens")
_UNHEEDED = {"strict", "parallel_tool_calls", "files"}
"""What LangChain may ask of other models, and `files`, which only makes the cache's key."""


class PromptTooLongError(InputError, ContextOverflowError):
    """A conversation, with its videos, takes more tokens than the language model reads."""


@dataclass(frozen=True)
class _Settings(Weights):
    """Which model, and how it is loaded."""

    quantization: Quantization | None = None
    attn_implementation: str | None = None


@dataclass(frozen=True)
class _Loaded:
    """A model that is in memory."""

    model: "VideoChatEmbedForConditionalGeneration"
    processor: "VideoChatEmbedProcessor"


@dataclass(frozen=True)
class _Task:
    """One conversation to be answered."""

    loaded: _Loaded
    turns: Sequence[Turn]
    inputs: Any
    sampling: "Sampling"
    tools: Sequence[dict[str, Any]]
    constraint: "JsonConstraint | None"


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

    quantization: Quantization | None = None
    """Load the language model's weights with 8 or 4 bits each."""

    attn_implementation: str | None = None
    """"eager", "sdpa" or "flash_attention_2"; what suits the machine if None."""

    num_frames: int = Field(default=NUM_FRAMES, ge=1)
    """Frames that are looked at of each video, unless its block says otherwise."""

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

    _loaded: _Loaded | None = PrivateAttr(default=None)

    def load(self) -> None:
        """Load the model now rather than at its first use.

        Raises:
            InputError: A setting makes no sense on this machine.
            ModelUnavailableError: The model is not here and cannot be fetched, or none is named.
            ModelError: It is damaged, or of another kind.
        """
        if self._loaded is not None:
            return
        if not self.model:
            problem = "none is named"
            advice = "Name a folder that `videochat convert` wrote, by `model` or by VIDEOCHAT_EMBED_MODEL"
            raise ModelUnavailableError("model", problem, advice)
        settings = _Settings(self.model, self.device, self.dtype, self.quantization, self.attn_implementation)
        self._loaded = share(_load, settings)

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

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        from langchain_videochat.embed.generation import write

        task = self._prepare(messages, stop, kwargs)
        model, tokenizer = task.loaded.model, task.loaded.processor.tokenizer
        pieces = write(model, tokenizer, task.inputs, task.sampling, task.constraint)
        for chunk in self._chunks(pieces, task):
            if run_manager is not None:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    def _ready(self) -> _Loaded:
        self.load()
        assert self._loaded is not None  # noqa: S101 - load() raises otherwise
        return self._loaded

    def _prepare(self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]) -> _Task:
        loaded = self._ready()
        options = {name: value for name, value in options.items() if name not in _UNHEEDED}
        tools, choice = options.pop("tools", ()), options.pop("tool_choice", None)
        num_frames = options.pop("num_frames", self.num_frames)
        turns = read_messages(messages, num_frames=num_frames, system_prompt=self.system_prompt)
        if tools:
            turns = tell_tools(turns, tools)
        inputs = loaded.processor(turns, device=loaded.model.device, dtype=loaded.model.dtype)
        sampling = self._sampling(loaded, stop, options, inputs["input_ids"].shape[1])
        if choice is None:
            return _Task(loaded, turns, inputs, sampling, tools, None)
        # A stop would cut a call off in the middle of a text in it.
        constraint = _force_call(loaded, tools, choice, sampling)
        return _Task(loaded, turns, inputs, replace(sampling, stop=()), tools, constraint)

    def _sampling(
        self, loaded: _Loaded, stop: list[str] | None, options: dict[str, Any], prompt_tokens: int
    ) -> "Sampling":
        from langchain_videochat.embed.generation import Sampling

        unknown = sorted(options.keys() - {*_SAMPLING})
        if unknown:
            raise InputError(unknown[0], "there is no such option", f"Take one of {', '.join(_SAMPLING)}")
        chosen = {name: getattr(self, name) for name in _SAMPLING} | options
        limit = loaded.model.config.context_length
        if prompt_tokens >= limit:
            problem = f"it takes {prompt_tokens} tokens, and the language model reads {limit}"
            raise PromptTooLongError("the conversation", problem, "Show fewer videos, or leave out earlier turns")
        chosen["max_tokens"] = min(chosen["max_tokens"], limit - prompt_tokens)
        stops = stop if stop is not None else self.stop or []
        return Sampling(**chosen, stop=(*stops, *loaded.processor.stop_strings))

    def _chunks(self, pieces: "Iterator[Piece]", task: _Task) -> Iterator[ChatGenerationChunk]:
        """Make chunks; what may be a tool's call is held until it is whole."""
        held = ""
        for piece in pieces:
            held += piece.text
            may_be_call = bool(task.tools) and held.lstrip()[:1] in ("", "{")
            if piece.finish_reason is None and may_be_call:
                continue
            call = read_call(held, task.tools) if may_be_call else None
            yield self._chunk(held if call is None else "", piece, task, call)
            held = ""

    def _chunk(self, text: str, piece: "Piece", task: _Task, call: ToolCallChunk | None) -> ChatGenerationChunk:
        message = AIMessageChunk(content=text, tool_call_chunks=[] if call is None else [call])
        if piece.finish_reason is None:
            return ChatGenerationChunk(message=message)
        shown = task.inputs.get("num_frames", ())
        prompt_tokens = task.inputs["input_ids"].shape[1]
        message.chunk_position = "last"
        visual = {"video": len(shown) * task.loaded.processor.num_visual_tokens}
        message.usage_metadata = UsageMetadata(
            input_tokens=prompt_tokens,
            output_tokens=piece.tokens,
            total_tokens=prompt_tokens + piece.tokens,
            input_token_details=cast("InputTokenDetails", visual),
        )
        message.response_metadata = {
            "model_name": self.model,
            "model_provider": PROVIDER,
            "finish_reason": piece.finish_reason if call is None else "tool_calls",
            "sampled_times": [list(one.times) for turn in task.turns for one in turn.content if isinstance(one, Video)],
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


_IDENTITY = ("model", "dtype", "quantization", "attn_implementation", "num_frames", "system_prompt", "stop")
"""What else changes an answer."""


def _force_call(
    loaded: _Loaded, tools: Sequence[dict[str, Any]], choice: str, sampling: "Sampling"
) -> "JsonConstraint":
    from langchain_videochat.embed.constrained import JsonConstraint
    from langchain_videochat.embed.generation import end_tokens
    from langchain_videochat.embed.json_schemas import tool_schema

    schema = tool_schema(tools, None if choice == ANY_TOOL else choice)
    ends = sorted(end_tokens(loaded.model)) or None
    return JsonConstraint(loaded.processor.tokenizer, schema, sampling.max_tokens, ends)


def _load(settings: _Settings) -> _Loaded:
    from langchain_videochat.embed.loading import load_model

    model, processor = load_model(
        settings.model,
        device=settings.device,
        dtype=settings.dtype,
        bits=_BITS[settings.quantization],
        attn_implementation=settings.attn_implementation,
    )
    return _Loaded(model, processor)


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
