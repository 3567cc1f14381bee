"""Batches of training samples: token ids, pixels, and labels on the assistant's answers only."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

from langchain_videochat.embed import Image, Turn, Video
from langchain_videochat.embed.conversation import Visual, VisualTokens
from langchain_videochat.errors import InputError, MediaError, SourceError, VideoChatError
from langchain_videochat.training.batch_sampler import BatchIndices
from langchain_videochat.training.samples import Media, Sample, Samples

if TYPE_CHECKING:
    from langchain_videochat.embed import VideoChatEmbedProcessor

IGNORE_INDEX = -100
"""Label of a token without loss: the `ignore_index` of PyTorch's cross-entropy."""

MAX_CONSECUTIVE_FAILURES = 20
"""Unreadable samples in a row after which loading stops: the root directory is probably wrong."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingBatch:
    """The inputs of one forward pass."""

    inputs: dict[str, Tensor]
    """`input_ids`, `attention_mask` and `labels`, [B, L], padded on the right; `pixel_values` and `num_frames`."""

    sources: tuple[str, ...]
    """The `source` of each sample."""

    skipped: tuple[str, ...] = ()
    """Error messages of samples that could not be read. Other samples replace them."""

    @property
    def answer_tokens(self) -> int:
        """Number of tokens that have a label."""
        return int((self.inputs["labels"] != IGNORE_INDEX).sum())

    def pin_memory(self) -> "TrainingBatch":
        """Return a copy in page-locked memory; called by PyTorch's DataLoader."""
        return replace(self, inputs={name: tensor.pin_memory() for name, tensor in self.inputs.items()})


class BatchDataset(Dataset["TrainingBatch | VideoChatError"]):
    """Builds batches from samples by media type, in the worker processes of a DataLoader."""

    def __init__(
        self, samples: Mapping[Media, Samples], processor: "VideoChatEmbedProcessor", max_text_tokens: int
    ) -> None:
        self._samples = samples
        self._processor = processor
        self._max_text_tokens = max_text_tokens

    def __getitem__(self, batch: BatchIndices) -> "TrainingBatch | VideoChatError":
        """Build a batch. An error is returned, not raised: DataLoader workers cannot re-raise ours unchanged."""
        skipped: list[str] = []
        try:
            rows = [self._read(batch.media, index, skipped) for index in batch.indices]
        except VideoChatError as error:
            return error
        sources, inputs = zip(*rows, strict=True)
        return TrainingBatch(collate(inputs, self._processor.tokenizer.pad_token_id), sources, tuple(skipped))

    def _read(self, media: Media, index: int, skipped: list[str]) -> tuple[str, dict[str, Tensor]]:
        """Read a sample, or the next readable one."""
        samples = self._samples[media]
        for offset in range(MAX_CONSECUTIVE_FAILURES):
            try:
                sample = samples[(index + offset) % len(samples)]
                return sample.source, encode_sample(sample, self._processor, self._max_text_tokens)
            except (MediaError, SourceError, InputError) as error:
                skipped.append(str(error))
        problem = f"{MAX_CONSECUTIVE_FAILURES} {media}s in a row cannot be read; the last error is: {skipped[-1]}"
        raise InputError("data", problem.rstrip("."), "Check the root of the data files")


def load_batches(
    dataset: BatchDataset, batches: Iterable[BatchIndices], *, num_workers: int, pin_memory: bool
) -> Iterator[TrainingBatch]:
    """Load batches in the given order; prefetch them if there are workers.

    Raises:
        InputError: Too many samples in a row cannot be read.
    """
    loader = DataLoader(dataset, batch_size=None, sampler=batches, num_workers=num_workers, pin_memory=pin_memory)
    for batch in loader:
        if isinstance(batch, VideoChatError):
            raise batch
        for problem in batch.skipped:
            _LOG.warning("skipped: %s", problem)
        yield batch


def encode_sample(sample: Sample, processor: "VideoChatEmbedProcessor", max_text_tokens: int) -> dict[str, Tensor]:
    """Encode a sample as model inputs with labels.

    Prompts and pixels are exactly those that the processor produces for inference. The labels of an answer are what
    the model has to generate after such a prompt: the answer and its end, "###" or the chat template's end token.
    From the start of the first answer on, everything after `max_text_tokens` is cut off.

    Returns:
        `input_ids` and `labels`, [L]; `pixel_values`, [all frames, 3, H, W]; `num_frames`, [videos and images].

    Raises:
        InputError: The conversation has no video or image, has no answer, or a video or image would be cut off.
    """
    turns = [_without_pixels(turn) for turn in sample.turns]
    ids = _tokenize(processor, turns)
    labels = torch.full_like(ids, IGNORE_INDEX)
    for position, turn in enumerate(turns):
        if turn.role == "assistant":
            start = _common_prefix_length(ids, _tokenize(processor, turns[:position], add_generation_prompt=True))
            is_last = position + 1 == len(turns)
            end = len(ids) if is_last else _common_prefix_length(ids, _tokenize(processor, turns[: position + 1]))
            end = _end_of_answer(ids, start, end, processor.tokenizer.eos_token_id)
            labels[start:end] = ids[start:end]
    labelled = (labels != IGNORE_INDEX).nonzero().flatten()
    visuals = [part for turn in sample.turns for part in turn.content if isinstance(part, Video | Image)]
    if not len(labelled) or not visuals:
        raise InputError(sample.source, "the conversation has no video or image, or no answer", "Leave it out")
    length = int(labelled[0]) + max_text_tokens
    if processor.video_token_id in ids[length:]:
        problem = f"a video or image comes more than {max_text_tokens} tokens after the start of the first answer"
        raise InputError(sample.source, problem, "Raise max_text_tokens")
    pixels = [processor.preprocess(visual) for visual in visuals]
    return {
        "input_ids": ids[:length],
        "labels": labels[:length],
        "pixel_values": torch.cat(pixels),
        "num_frames": torch.tensor([len(frames) for frames in pixels]),
    }


def collate(rows: Sequence[Mapping[str, Tensor]], pad_token_id: int) -> dict[str, Tensor]:
    """Join the outputs of `encode_sample` into a batch, padded on the right. Padding is masked and has no labels."""
    ids = [row["input_ids"] for row in rows]
    return {
        "input_ids": pad_sequence(ids, batch_first=True, padding_value=pad_token_id),
        "attention_mask": pad_sequence([torch.ones_like(each) for each in ids], batch_first=True),
        "labels": pad_sequence([row["labels"] for row in rows], batch_first=True, padding_value=IGNORE_INDEX),
        "pixel_values": torch.cat([row["pixel_values"] for row in rows]),
        "num_frames": torch.cat([row["num_frames"] for row in rows]),
    }


def _without_pixels(turn: Turn) -> Turn:
    """Replace videos and images by placeholders of the same length, which need no preprocessing."""
    content = (_placeholder(part) if isinstance(part, Visual) else part for part in turn.content)
    return replace(turn, content=tuple(content))


def _placeholder(visual: Video | Image | VisualTokens) -> VisualTokens:
    empty = torch.empty(0)
    if isinstance(visual, Video):
        return VisualTokens("video", empty, None, visual.times)
    return VisualTokens("image", empty, None)


def _tokenize(
    processor: "VideoChatEmbedProcessor", turns: Sequence[Turn], *, add_generation_prompt: bool = False
) -> Tensor:
    ids: Tensor = processor(turns, add_generation_prompt=add_generation_prompt)["input_ids"][0]
    return ids


def _common_prefix_length(ids: Tensor, others: Tensor) -> int:
    """Count the tokens before two texts first differ.

    A tokenizer may merge the last characters of a prompt with the first of an answer: that token belongs to the answer.
    """
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(ids.tolist(), others.tolist(), strict=False))))


def _end_of_answer(ids: Tensor, start: int, end: int, eos: int | None) -> int:
    """Exclude what a chat template writes after the token that ends an answer."""
    ends = (ids[start:end] == eos).nonzero() if eos is not None else torch.empty(0)
    return start + int(ends[-1]) + 1 if len(ends) else end
