"""Backends: loaded models behind one interface, whatever their architecture."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Hashable, Sequence
from typing import Any, Literal, Protocol
from weakref import WeakSet

import torch

from langchain_videochat.embed.conversation import Audio, Turn, Visual
from langchain_videochat.embed.errors import PromptTooLongError
from langchain_videochat.embed.reasoning import find_delimiters
from langchain_videochat.embed.visual_cache import VisualCache
from langchain_videochat.errors import ModelError

TokenIds = tuple[Hashable, ...]
"""A token id per position of a prompt; for a visual token, a value that identifies its content."""

SelectToken = Callable[[list[int], torch.Tensor], int]
"""Selects the next token, given the tokens generated so far and the logits, [1, vocabulary]."""

_backends: "WeakSet[Backend]" = WeakSet()


class Prompt(Protocol):
    """A conversation as input of a model."""

    @property
    def token_ids(self) -> TokenIds:
        """Its tokens."""

    @property
    def audio_tokens(self) -> int:
        """How many of them are audio."""


class TokenGenerator(Protocol):
    """Generates answers, for several threads at once."""

    @property
    def end_tokens(self) -> Collection[int]:
        """Ids of the tokens that end an answer."""

    def generate(self, prompt: Any, select: SelectToken, *, max_tokens: int, batch_size: int) -> Generator[int]:
        """Generate an answer token by token, including the end token. Closing the generator stops the work.

        The answer only joins a batch of at most `batch_size` answers, including itself.

        Raises:
            NotEnoughMemoryError: Out of memory for this answer alone.
            ModelError: The process was forked meanwhile, and this is the new one.
        """

    def reset(self) -> None:
        """Forget all answers and prompts. Needed in a forked process, in which the threads of answers don't exist."""


class Backend(ABC):
    """A loaded model, shared by all chat models with the same `ModelSettings`.

    Args:
        model: The model of transformers.
        tokenizer: The tokenizer of its language model.
        visual_cache: Opens, encodes and caches videos and images.
        generator: Generates answers to prompts.
        context_length: Maximum number of tokens of a prompt and its answer.
        default_video_tokens: Maximum visual tokens of a video in a prompt, unless the request sets it.
        stop_strings: Strings before which an answer ends, besides those of the request.
        sampling_rate: Samples per second of the model's audio input; None if it has none.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        visual_cache: VisualCache[Any],
        generator: TokenGenerator,
        *,
        context_length: int,
        default_video_tokens: int,
        stop_strings: Sequence[str] = (),
        sampling_rate: int | None = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.visual_cache = visual_cache
        self.generator = generator
        self.context_length = context_length
        self.default_video_tokens = default_video_tokens
        self.stop_strings = tuple(stop_strings)
        self.sampling_rate = sampling_rate
        self.delimiters = find_delimiters(tokenizer)
        self.delimiting_tokens = self.delimiters.special_tokens(tokenizer)
        _backends.add(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Backend":
        return self  # Copies of a chat model share it, too.

    @property
    def device(self) -> torch.device:
        """The device that processes prompts."""
        device: torch.device = self.model.device
        return device

    def reset(self) -> None:
        """Forget answers and videos. Needed in a forked process, in which threads that hold the locks don't exist."""
        self.generator.reset()
        self.visual_cache.reset()

    def check_process(self) -> None:
        """Check that this process can use the model.

        Raises:
            ModelError: The model is on a GPU, and this process was forked after it was loaded.
        """
        if self.device.type == "cuda" and torch.cuda._is_in_bad_fork():
            advice = 'Start processes with the start method "spawn", or load the model in the new process only'
            raise ModelError("the model", "CUDA cannot be used in a forked process", advice)

    def check_length(self, length: int) -> None:
        """Check that a prompt leaves room for an answer.

        Raises:
            PromptTooLongError: It does not.
        """
        if length >= self.context_length:
            problem = f"it takes {length} tokens, and the model's context length is {self.context_length}"
            advice = "Send fewer videos, lower max_video_tokens or max_audio_seconds, or drop earlier turns"
            raise PromptTooLongError("the conversation", problem, advice)

    @abstractmethod
    def segment_tokens(self, num_frames: int, at_most: int) -> int:
        """Return the tokens of a video or segment with so many frames: `at_most`, if the model leaves a choice."""

    @abstractmethod
    def frame_size(self, num_frames: int | None, size: tuple[int, int], max_tokens: int) -> int | None:
        """Return the length of the shorter side to which frames are scaled down, in pixels; None keeps their size.

        Args:
            num_frames: Number of frames of a video or segment; None for an image.
            size: Their width and height in pixels.
            max_tokens: Maximum tokens of the video, segment or image, if the model leaves a choice.
        """

    @abstractmethod
    def merge_segments(self, segments: Sequence[Any], count: int) -> Sequence[Visual]:
        """Merge neighboring segments into `count` segments, each with as many tokens as one had before."""

    @abstractmethod
    def placeholder(
        self,
        kind: Literal["video", "image"],
        size: tuple[int, int],
        times: tuple[float, ...] = (),
        audio: Audio | None = None,
    ) -> Visual:
        """Return a stand-in for an image or a video that takes as many tokens.

        Args:
            kind: "video" or "image".
            size: Its width and height in pixels, after scaling.
            times: Times of the frames of the video in seconds.
            audio: Audio that is as long as the video; None if the video has none.
        """

    @abstractmethod
    def count_tokens(self, turns: Sequence[Turn], *, add_generation_prompt: bool = True) -> int:
        """Count the tokens of a conversation, however long it is.

        Args:
            turns: The conversation.
            add_generation_prompt: Whether an answer is to follow.

        Raises:
            InputError: The chat template rejects the conversation.
        """

    def starts_reasoning(self, prompt: Any) -> bool:
        """Return whether the text that is generated for a prompt starts with reasoning."""
        return False

    @abstractmethod
    def build_prompt(self, turns: Sequence[Turn]) -> Prompt:
        """Build the prompt of a conversation with videos and images from `visual_cache`.

        Raises:
            PromptTooLongError: The prompt leaves no room for an answer in the context.
            InputError: The chat template rejects the conversation.
        """


def end_tokens_of(model: Any) -> list[int]:
    """Return the ids of the tokens that end an answer, from the generation settings of a model."""
    ids = model.generation_config.eos_token_id
    return [] if ids is None else [ids] if isinstance(ids, int) else list(ids)


def _reset_after_fork() -> None:
    if not _backends:
        return
    # Threads don't survive a fork: PyTorch would wait for its own forever, and nobody would release locks of others.
    torch.set_num_threads(1)
    for backend in list(_backends):
        backend.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
