"""VideoChatEmbed, LangChain's chat model for videos.

From a message to an answer: this module builds a request -> `inference` parses it (`messages`, `content_blocks`),
selects segments of each video (`long_videos`), gets their visual tokens (`visual_cache`) and builds the prompt
(`videochat_backend`) -> `batching` generates tokens, limited by `constrained` -> `generation` decodes them -> `chunks`.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.language_models.chat_models import agenerate_from_stream, generate_from_stream
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import get_config_list
from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field, PrivateAttr, field_validator, model_validator

from langchain_videochat import __version__
from langchain_videochat.embed.cache_keys import file_cache_key
from langchain_videochat.embed.chunks import PROVIDER, stream_chunks
from langchain_videochat.embed.conversation import NUM_FRAMES
from langchain_videochat.embed.errors import core_errors
from langchain_videochat.embed.long_videos import SEGMENTS, Overflow, VideoBudget
from langchain_videochat.embed.messages import file_states
from langchain_videochat.embed.model_config import context_length, find_config, takes_audio
from langchain_videochat.embed.output_format import OPTIONS as OUTPUT_OPTIONS
from langchain_videochat.embed.output_format import ToolChoice, read_output_format
from langchain_videochat.embed.settings import DEFAULT_MODEL, ModelSettings, Quantization
from langchain_videochat.embed.structured_output import Method, structured_output
from langchain_videochat.embed.tool_conversion import convert_tools
from langchain_videochat.errors import InputError
from langchain_videochat.media.allowed_hosts import parse_allowed_hosts
from langchain_videochat.models.weights import share
from langchain_videochat.utils.names import check_names

if TYPE_CHECKING:
    from langchain_videochat.embed.backend import Backend
    from langchain_videochat.embed.inference import Request

_SAMPLING = ("temperature", "top_p", "repetition_penalty", "seed", "max_tokens")
_NOT_IDENTIFYING = {"device", "retriever", "batch_size", "allowed_hosts", "show_progress"}
"""Fields on which answers do not depend, or which prevent caching."""
_IGNORED_FIELDS = {"api_key", "max_retries", "streaming", "timeout"}
"""LangChain's standard parameters that only hosted models need: a configuration must work with another model."""
_IGNORED_OPTIONS = {"strict", "files"}
"""Call options that LangChain passes to any chat model, and `files`, which is only part of the cache key."""


class VideoChatEmbed(BaseChatModel):
    """A chat model for videos and images that runs on this machine.

    **Set-up.** No API key is needed. `model` is a vision-language model of transformers, such as a Qwen-VL, InternVL,
    SmolVLM2, LLaVA-OneVision, VideoLLaMA 3 or Gemma 4; or a VideoChat-Embed, the model of the paper (3.2.1), which
    `videochat convert` creates from the published checkpoints. Without `model`, Qwen3-VL-2B is downloaded (4.3 GB).

    **Key init args.** Model: `model`, `revision`, `device`, `dtype`, `quantization`. Answers: `temperature`, `top_p`,
    `max_tokens`, `stop`, `seed`. Each call may override these and `model`. Videos: `num_frames`, `max_video_tokens`,
    and for long ones `long_video` and `overflow`. The model is loaded on first use, and shared by all instances with
    the same model arguments. Unknown arguments raise an error. `api_key`, `max_retries`, `streaming` and `timeout`,
    which only hosted models need, are accepted and ignored.

    **Video input.** Standard content blocks with a URL (`https:` or `file:`) or base64 data. Their `extras` select a
    part of the video (`start` and `end`, as seconds or "mm:ss") and the frames to sample (`num_frames` or `fps`).
    Models with audio input, such as Gemma 4 E4B and Qwen2.5-Omni, also get the audio of videos of up to
    `max_audio_seconds`, and blocks of type "audio".

    Example:
        Instantiate:

            llm = VideoChatEmbed(model="videochat-7b", num_frames=8, max_tokens=256)

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

        Async, where concurrent calls are generated in one batch:

            import asyncio

            async def ask_twice():
                return await asyncio.gather(llm.ainvoke([message]), llm.ainvoke("What is yoga?"))

            asyncio.run(ask_twice())

        Tool calling; a forced call (`tool_choice`) is always valid, whatever the model:

            class AddNote(BaseModel):
                '''Add a note to the video.'''

                text: str

            answer = llm.bind_tools([AddNote], tool_choice="any").invoke([message])
            print(answer.tool_calls)  # [{"name": "AddNote", "args": {"text": ...}, ...}]

        Structured output, which always matches the schema, also as the `response_format` of an agent:

            class Scene(BaseModel):
                people: int
                place: str

            scene = llm.with_structured_output(Scene).invoke([message])

            from langchain.agents import create_agent

            agent = create_agent(llm, response_format=Scene)
            scene = agent.invoke({"messages": [message]})["structured_response"]

        Usage metadata:

            print(answer.usage_metadata)
            # {"input_tokens": 190, "output_tokens": 12, "total_tokens": 202, "input_token_details": {"video": 96}}

        Response metadata, with the timestamps of the sampled frames of each video, in seconds:

            print(answer.response_metadata)
            # {"model_name": "videochat-7b", "model_provider": "langchain-videochat",
            #  "finish_reason": "tool_calls", "sampled_times": [[17.3, 22.0, ...]]}
    """

    model: str | None = Field(default=None, validate_default=True)
    """A folder, or an id on the Hugging Face Hub, of a vision-language model or a VideoChat-Embed; or
    "videochat-embed-tiny", a toy for tests that is part of the package. If None, the environment variable
    `VIDEOCHAT_EMBED_MODEL`, or else "Qwen/Qwen3-VL-2B-Instruct"."""

    device: str = "auto"
    """A torch device; "auto" is the GPU if there is one."""

    dtype: str = "auto"
    """"float32", "float16" or "bfloat16"; "auto" is float32 on a CPU and bfloat16 elsewhere."""

    revision: str | None = None
    """Branch, tag or commit of the model on the Hub; None is the main branch."""

    quantization: Quantization | None = None
    """Load the language model with "8bit" or "4bit" weights."""

    attn_implementation: str | None = None
    """"eager", "sdpa" or "flash_attention_2"; None selects one for the machine."""

    device_map: str | None = None
    """Placement of a model on several devices, such as "auto" (needs accelerate); None uses `device` only. Not for a
    VideoChat-Embed."""

    trust_remote_code: bool = False
    """Run the code in the model's repository, which may do anything on this machine. Only with a `revision` that is a
    commit, which pins the code, or with a folder. It does not apply to models that a call names."""

    num_frames: int = Field(default=NUM_FRAMES, ge=1)
    """Frames to sample per video, unless its content block sets them."""

    long_video: Literal["sample", "segments"] = "sample"
    """Sample `num_frames` from the whole video, or from each of its segments, which takes many times longer."""

    segment_seconds: float = Field(default=60.0, ge=1)
    """Maximum length of a segment in seconds."""

    max_video_tokens: int | None = Field(default=None, ge=1)
    """Maximum visual tokens per video or image in a prompt. One segment always fits. Models that leave a choice get
    frames of a size that fits. None is 768 for a VideoChat-Embed, and 2048 for other models."""

    overflow: Overflow = "merge"
    """What to do with a video that has more segments: "merge" merges neighbors, at no extra cost; "retrieve" encodes
    only the segments that `retriever` finds, which is the cheapest; "map_reduce" answers the question for each part of
    the video, and then from these answers, which generates one more answer per part."""

    max_audio_seconds: float = Field(default=60.0, ge=0)
    """Maximum length in seconds of a video, or of a segment, whose audio is added to its frames, for models with audio
    input: a minute takes 1,500 tokens of most models. Merged segments have no audio."""

    retriever: BaseRetriever | None = Field(default=None, exclude=True)
    """Finds Documents with `start` and `end` for a question, for example `VideoTimelineStore.as_retriever()`."""

    batch_size: int = Field(default=8, ge=1)
    """Maximum number of answers to generate at once, also for calls from several threads or tasks."""

    allowed_hosts: list[str] = Field(default_factory=list)
    """Hosts in private networks from which videos and images may be downloaded, such as "nas.local", or
    "nas.local:8000" for that port only. Public hosts are always allowed."""

    show_progress: bool = False
    """Show progress bars while the model is loaded, and if encoding a video takes long."""

    system_prompt: str | None = None
    """Text at the beginning of every conversation."""

    temperature: float = Field(default=0.0, ge=0)
    """0 always selects the most likely token; higher values increase randomness."""

    top_p: float | None = Field(default=None, gt=0, le=1)
    """Sample from the most likely tokens whose probabilities add up to this; None is all."""

    repetition_penalty: float = Field(default=1.0, gt=0)
    """Values above 1 make tokens less likely that were already generated."""

    seed: int | None = None
    """Seed for sampling."""

    max_tokens: int = Field(default=512, ge=1)
    """Maximum number of tokens per answer."""

    stop: list[str] | None = None
    """Strings before which an answer ends."""

    _loaded: "Backend | None" = PrivateAttr(default=None)
    _overrides: "dict[str, Backend]" = PrivateAttr(default_factory=dict)
    """Other models that calls have named."""

    @model_validator(mode="before")
    @classmethod
    def _check_field_names(cls, fields: Any) -> Any:
        if isinstance(fields, dict):
            check_names("field", fields, cls.model_fields.keys() | _IGNORED_FIELDS)
        return fields

    @field_validator("model")
    @classmethod
    def _resolve_model(cls, model: str | None) -> str:
        return model or os.environ.get("VIDEOCHAT_EMBED_MODEL") or DEFAULT_MODEL

    @field_validator("allowed_hosts")
    @classmethod
    def _check_allowed_hosts(cls, hosts: list[str]) -> list[str]:
        parse_allowed_hosts(hosts)
        return hosts

    @model_validator(mode="after")
    def _check_trust(self) -> Self:
        is_pinned = re.fullmatch("[0-9a-f]{40}", self.revision or "") is not None
        if self.trust_remote_code and not is_pinned and not Path(self.model or DEFAULT_MODEL).is_dir():
            problem = "is only allowed for a folder, or with a revision that is a commit"
            raise InputError("trust_remote_code", problem, "Read the code, and give the 40 digits of its commit")
        return self

    @model_validator(mode="after")
    def _check_retriever(self) -> Self:
        if self.overflow == "retrieve" and self.retriever is None:
            advice = "Set retriever, for example to VideoTimelineStore(...).as_retriever()"
            raise InputError("overflow", '"retrieve" needs a retriever', advice)
        if self.retriever is not None:
            # Its results depend on the content of its store, which cannot be part of a cache key.
            self.cache = False
        return self

    @model_validator(mode="after")
    def _set_videochat_version(self) -> Self:
        self._add_version(PROVIDER, __version__)
        return self

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Return whether LangChain's `dumpd` and `load` support this class."""
        return True

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """Arguments that are not serialized as they are."""
        # It is left out of `model_dump`, and thereby of LangChain's JSON.
        return {} if self.retriever is None else {"retriever": self.retriever}

    def __getstate__(self) -> dict[Any, Any]:
        # The loaded model is not pickled: it is loaded, or shared with other instances, on first use.
        state = super().__getstate__()
        return state | {"__pydantic_private__": {**state["__pydantic_private__"], "_loaded": None, "_overrides": {}}}

    def load(self) -> None:
        """Load the model now instead of on first use.

        Raises:
            InputError: A setting is invalid on this machine.
            ModelUnavailableError: The model is not on this machine and cannot be downloaded.
            ModelError: The model is damaged, or of another type.
        """
        if self._loaded is None:
            self._loaded = self._share(self.model or DEFAULT_MODEL, self.revision)

    def unload(self) -> None:
        """Release the model, and free its memory if no other instance uses it."""
        self._loaded = None
        self._overrides.clear()

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: ToolChoice = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools that the model may call.

        Args:
            tools: The tools.
            tool_choice: The name of a tool, or "any", to force a call, which is then always valid. None and "auto" let
                the model decide; "none" hides the tools. OpenAI's and Anthropic's other forms are understood too.
            **kwargs: Options for each call. If `parallel_tool_calls` is false, an answer contains one call at most.

        Raises:
            InputError: `tool_choice` is not the name of a tool, or a tool is unknown, or one that a provider runs.
        """
        converted = convert_tools(tools)
        read_output_format(converted, tool_choice)
        return self.bind(tools=converted, tool_choice=tool_choice, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: Method = "function_calling",
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Return a runnable whose answers are always valid for a schema.

        Args:
            schema: A pydantic class, whose instances are returned, or a `TypedDict`, a JSON schema with a title or
                OpenAI's form of one (`{"name": ..., "schema": ...}`), for which a dict is returned.
            include_raw: Return a dict with the message as `raw`, the object as `parsed`, and `parsing_error`.
            method: "function_calling" prompts for a tool call; "json_schema" and "json_mode" prompt for JSON.
            strict: Ignored: answers always match the schema.
            **kwargs: Not supported.

        Raises:
            InputError: The schema, the method or an argument is unknown.
        """
        check_names("argument", kwargs, ("include_raw", "method", "strict"))
        return structured_output(self, schema, method, include_raw=include_raw)

    def get_token_ids(self, text: str) -> list[int]:
        """Return the token ids of a text."""
        ids: list[int] = self._backend().tokenizer.encode(text, add_special_tokens=False)
        return ids

    def get_num_tokens_from_messages(
        self,
        messages: list[BaseMessage],
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool] | None = None,
    ) -> int:
        """Return the number of tokens of a prompt, with its videos, images and tools, or of a part of one.

        Videos are not encoded, and not downloaded: where the duration of a video determines its tokens, a missing file
        or a web address counts as an hour of video, or a minute of audio.

        Args:
            messages: Any part of a conversation.
            tools: Tools that the model may call.

        Raises:
            InputError: A message has unsupported content, or a tool is invalid.
        """
        from langchain_videochat.embed.token_counts import count_tokens

        backend = self._backend()
        with core_errors():
            request = self._build_request(backend, messages, None, {"tools": convert_tools(tools or ())})
            return count_tokens(backend, request)

    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """Answer several conversations, `batch_size` at once unless `max_concurrency` is set."""
        default = RunnableConfig(max_concurrency=self.batch_size)
        configs = [RunnableConfig(**{**default, **one}) for one in get_config_list(config, len(inputs))]
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
        # Streaming occupies a thread for one step at a time, so cancelled tasks stop and many tasks share the threads.
        return await agenerate_from_stream(self._astream(messages, stop, run_manager, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        from langchain_videochat.embed.inference import answer

        model = kwargs.pop("model", None) or self.model
        backend = self._backend(model)
        with core_errors():
            request = self._build_request(backend, messages, stop, kwargs)
            for chunk in stream_chunks(answer(backend, request), request.output_format, model):
                if run_manager is not None:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    def _backend(self, model: str | None = None) -> "Backend":
        """Return the loaded model, or another one with the same settings."""
        if model in (None, self.model):
            self.load()
            backend = self._loaded
        else:
            backend = self._overrides.get(model) or self._overrides.setdefault(model, self._share(model))
        assert backend is not None  # noqa: S101 - load() raises otherwise
        backend.check_process()
        return backend

    def _share(self, model: str, revision: str | None = None) -> "Backend":
        from langchain_videochat.embed.backends import load_backend

        settings = ModelSettings(
            model,
            self.device,
            self.dtype,
            revision,
            quantization=self.quantization,
            attn_implementation=self.attn_implementation,
            device_map=self.device_map,
            trust_remote_code=self.trust_remote_code and model == self.model,
            show_progress=self.show_progress,
        )
        with core_errors():
            return share(load_backend, settings)

    def _build_request(
        self, backend: "Backend", messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> "Request":
        from langchain_videochat.embed.generation import SamplingParams
        from langchain_videochat.embed.inference import Request

        options = {name: value for name, value in options.items() if name not in _IGNORED_OPTIONS}
        output_format = read_output_format(**{name: options.pop(name, None) for name in OUTPUT_OPTIONS})
        num_frames = options.pop("num_frames", self.num_frames)
        check_names("option", options, (*_SAMPLING, "num_frames", *OUTPUT_OPTIONS))
        sampling = {name: getattr(self, name) for name in _SAMPLING} | options
        stops = stop if stop is not None else self.stop or []
        video_tokens = self.max_video_tokens or backend.default_video_tokens
        is_segmented = self.long_video == "segments"
        segment_tokens = max(1, video_tokens // SEGMENTS) if is_segmented else video_tokens
        max_segments = video_tokens // backend.segment_tokens(num_frames, segment_tokens) if is_segmented else 1
        budget = VideoBudget(
            segment_seconds=self.segment_seconds if is_segmented else None,
            max_segments=max(1, max_segments),
            segment_tokens=segment_tokens,
            overflow=self.overflow,
            retriever=self.retriever,
            audio_seconds=self.max_audio_seconds,
        )
        return Request(
            messages,
            SamplingParams(**sampling, stop=(*stops, *backend.stop_strings)),
            num_frames,
            budget,
            system_prompt=self.system_prompt,
            output_format=output_format,
            allowed_hosts=self.allowed_hosts,
            batch_size=self.batch_size,
            show_progress=self.show_progress,
        )

    def _generate_with_cache(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return super()._generate_with_cache(messages, *args, **file_cache_key(self, messages, file_states) | kwargs)

    async def _agenerate_with_cache(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        key = file_cache_key(self, messages, file_states)
        return await super()._agenerate_with_cache(messages, *args, **key | kwargs)

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        # LangChain would take all fields of a serializable model, also those on which answers do not depend.
        return str(sorted({**self._get_invocation_params(stop=stop, **kwargs), **kwargs}.items()))

    @property
    def _llm_type(self) -> str:
        return "videochat-embed"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        own_fields = type(self).model_fields.keys() - BaseChatModel.model_fields.keys() - _NOT_IDENTIFYING
        return {name: getattr(self, name) for name in sorted(own_fields)}

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
        config = find_config(self.model or DEFAULT_MODEL, self.revision)
        length = context_length(config)
        # At least one token must be left for the other.
        limits = ModelProfile(max_input_tokens=length - 1, max_output_tokens=length - 1) if length else ModelProfile()
        return ModelProfile(
            **limits,
            text_inputs=True,
            image_inputs=True,
            image_url_inputs=True,
            video_inputs=True,
            audio_inputs=takes_audio(config),
            pdf_inputs=False,
            image_tool_message=True,
            text_outputs=True,
            tool_calling=True,
            tool_choice=True,
            structured_output=True,
        )
