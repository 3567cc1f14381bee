"""From samples to what the model learns: token ids, pixels, and labels on the assistant's answers alone."""

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
from langchain_videochat.embed.conversation import VisualTokens
from langchain_videochat.errors import InputError, MediaError, SourceError, VideoChatError
from langchain_videochat.training.mixing import Draw
from langchain_videochat.training.samples import Media, Sample, Samples

if TYPE_CHECKING:
    from langchain_videochat.embed import VideoChatEmbedProcessor

IGNORED = -100
"""Label of a token that is not to be learnt, as torch's cross-entropy has it."""

MOST_BROKEN = 20
"""So many samples in a row that cannot be read are no accident: their folder is wrong."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """What goes through the model at once."""

    inputs: dict[str, Tensor]
    """`input_ids`, `attention_mask` and `labels`, [B, L], padded on the right; `pixel_values` and `num_frames`."""

    sources: tuple[str, ...]
    """Whose samples they are."""

    broken: tuple[str, ...] = ()
    """What could not be read, and why; others are in its place."""

    @property
    def answer_tokens(self) -> int:
        """How many tokens are learnt."""
        return int((self.inputs["labels"] != IGNORED).sum())

    def pin_memory(self) -> "Batch":
        """Lay the tensors where a graphics card can fetch them by itself; torch's DataLoader calls this."""
        return replace(self, inputs={name: tensor.pin_memory() for name, tensor in self.inputs.items()})


class Batches(Dataset["Batch | VideoChatError"]):
    """Makes batches of samples; worker processes call it.

    Args:
        samples: Where they come from.
        processor: The model's.
        max_text_tokens: A conversation is cut so many tokens after the beginning of its first answer.
    """

    def __init__(
        self, samples: Mapping[Media, Samples], processor: "VideoChatEmbedProcessor", max_text_tokens: int
    ) -> None:
        self._samples = samples
        self._processor = processor
        self._max_text_tokens = max_text_tokens

    def __getitem__(self, draw: Draw) -> "Batch | VideoChatError":
        """Make a batch, or give the error that prevents it: a worker process cannot raise it as it is."""
        broken: list[str] = []
        try:
            rows = [self._read(draw.media, index, broken) for index in draw.indices]
        except VideoChatError as error:
            return error
        sources, inputs = zip(*rows, strict=True)
        return Batch(collate(inputs, self._processor.tokenizer.pad_token_id), sources, tuple(broken))

    def _read(self, media: Media, index: int, broken: list[str]) -> tuple[str, dict[str, Tensor]]:
        """Read a sample, or the next one after it that can be read."""
        samples = self._samples[media]
        for offset in range(MOST_BROKEN):
            try:
                sample = samples[(index + offset) % len(samples)]
                return sample.source, encode(sample, self._processor, self._max_text_tokens)
            except (MediaError, SourceError, InputError) as error:
                broken.append(str(error))
        problem = f"{MOST_BROKEN} {media}s in a row cannot be read, at last: {broken[-1].rstrip('.')}"
        raise InputError("data", problem, "Check the root of the files")


def load_batches(batches: Batches, draws: Iterable[Draw], *, workers: int, pin_memory: bool) -> Iterator[Batch]:
    """Make batches in the order of the draws, ahead of their use where there are workers.

    Raises:
        InputError: None of many samples in a row can be read.
    """
    loader = DataLoader(batches, batch_size=None, sampler=draws, num_workers=workers, pin_memory=pin_memory)
    for batch in loader:
        if isinstance(batch, VideoChatError):
            raise batch
        for problem in batch.broken:
            _LOG.warning("skipped: %s", problem)
        yield batch


def encode(sample: Sample, processor: "VideoChatEmbedProcessor", max_text_tokens: int) -> dict[str, Tensor]:
    """Make a sample what the model takes, with labels.

    Prompts are those that the processor writes for answering, pixels too. What is learnt of an answer is what the
    model has to write after such a prompt: the answer, and what ends it, "###" or the chat template's token.

    Args:
        sample: A conversation.
        processor: The model's.
        max_text_tokens: It is cut so many tokens after the beginning of its first answer.

    Returns:
        `input_ids` and `labels`, [L]; `pixel_values`, [all frames, 3, H, W]; `num_frames`, [videos and images].

    Raises:
        InputError: Nothing is shown or answered in it, or what is shown would be cut off.
    """
    turns = [_without_pixels(turn) for turn in sample.turns]
    ids = _write(processor, turns)
    labels = torch.full_like(ids, IGNORED)
    for place, turn in enumerate(turns):
        if turn.role == "assistant":
            start = _shared(ids, _write(processor, turns[:place], add_generation_prompt=True))
            is_last = place + 1 == len(turns)
            end = len(ids) if is_last else _shared(ids, _write(processor, turns[: place + 1]))
            end = _end_of_answer(ids, start, end, processor.tokenizer.eos_token_id)
            labels[start:end] = ids[start:end]
    learnt = (labels != IGNORED).nonzero().flatten()
    shown = [part for turn in sample.turns for part in turn.content if isinstance(part, Video | Image)]
    if not len(learnt) or not shown:
        problem = "its conversation shows nothing, or the assistant says nothing in it"
        raise InputError(sample.source, problem, "Leave it out")
    length = int(learnt[0]) + max_text_tokens
    if processor.video_token_id in ids[length:]:
        problem = f"it shows something later than {max_text_tokens} tokens after its first answer begins"
        raise InputError(sample.source, problem, "Raise max_text_tokens")
    pixels = [processor.pixels(each) for each in shown]
    return {
        "input_ids": ids[:length],
        "labels": labels[:length],
        "pixel_values": torch.cat(pixels),
        "num_frames": torch.tensor([len(frames) for frames in pixels]),
    }


def collate(rows: Sequence[Mapping[str, Tensor]], pad_token_id: int) -> dict[str, Tensor]:
    """Put what `encode` made of several samples together; padding is neither read nor learnt."""
    ids = [row["input_ids"] for row in rows]
    return {
        "input_ids": pad_sequence(ids, batch_first=True, padding_value=pad_token_id),
        "attention_mask": pad_sequence([torch.ones_like(each) for each in ids], batch_first=True),
        "labels": pad_sequence([row["labels"] for row in rows], batch_first=True, padding_value=IGNORED),
        "pixel_values": torch.cat([row["pixel_values"] for row in rows]),
        "num_frames": torch.cat([row["num_frames"] for row in rows]),
    }


def _without_pixels(turn: Turn) -> Turn:
    """Replace what is shown by something that takes the same place in a prompt."""
    return replace(turn, content=tuple(part if isinstance(part, str) else _place(part) for part in turn.content))


def _place(shown: Video | Image | VisualTokens) -> VisualTokens:
    nothing = torch.empty(0)
    if isinstance(shown, Video):
        return VisualTokens("video", nothing, None, shown.times)
    return VisualTokens("image", nothing, None)


def _write(
    processor: "VideoChatEmbedProcessor", turns: Sequence[Turn], *, add_generation_prompt: bool = False
) -> Tensor:
    ids: Tensor = processor(turns, add_generation_prompt=add_generation_prompt)["input_ids"][0]
    return ids


def _shared(ids: Tensor, others: Tensor) -> int:
    """Tell how many tokens two texts have in common before they part.

    A tokenizer may join the last letters of a prompt to the first of an answer: that token then belongs to the answer.
    """
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(ids.tolist(), others.tolist(), strict=False))))


def _end_of_answer(ids: Tensor, start: int, end: int, eos: int | None) -> int:
    """Leave out what a chat template writes after the token that ends an answer."""
    ends = (ids[start:end] == eos).nonzero() if eos is not None else torch.empty(0)
    return start + int(ends[-1]) + 1 if len(ends) else end
