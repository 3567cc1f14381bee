"""Summaries: a sequence-to-sequence model clarifies each scene's captions, and the whole video's (paper 3.1.1)."""

import threading
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import ceil
from typing import Any

from langchain_videochat.models.hub import fetch_weights
from langchain_videochat.models.weights import Weights, check_vocabulary, load_checkpoint
from langchain_videochat.perception.base import ObservationInputs
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.pretrained import ModelPerceiver

PROMPT = "summarize: "
"""How T5 was trained to be asked for a summary."""

SEPARATOR = ". "
"""What the original put between captions."""

LONGEST = 100
"""Tokens of a summary at most: three or four sentences, and a fifth of what T5 reads, so that summaries can be summed
up again."""

CONTEXT = 512
"""Tokens that a model can read where its config does not say: what T5 was trained with."""

STRETCH = 60.0
"""Seconds that stand in for a scene where none are known."""


@dataclass(frozen=True)
class _Stretch:
    """A scene, or what stands in for one, with its captions."""

    start: float
    end: float
    texts: list[str]


@dataclass(frozen=True, eq=False)
class Summarizer:
    """A sequence-to-sequence model with its tokenizer."""

    model: Any
    tokenizer: Any
    context: int
    """Tokens that it can read at once."""
    _busy: threading.Lock = field(default_factory=threading.Lock)

    def summarize(self, groups: Sequence[list[str]]) -> list[str]:
        """Put each group of texts into a few words, always the same for the same; "" where it says nothing."""
        prompts = [PROMPT + SEPARATOR.join(map(_clean, group)) + SEPARATOR.rstrip() for group in groups]
        # Videos have threads of their own, and a tokenizer keeps the length at which it cuts off from call to call.
        with self._busy:
            inputs = self._encode(prompts).to(self.model.device)
            tokens = self.model.generate(**inputs, do_sample=False, max_new_tokens=LONGEST)
            summaries = self.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [" ".join(summary.split()) for summary in summaries]

    def _encode(self, prompts: list[str]) -> Any:
        """Tokenize prompts without the special tokens that their texts spell: "</s>" in a caption ends nothing."""
        encoded = self.tokenizer(prompts, truncation=True, max_length=self.context, return_special_tokens_mask=True)
        spelt = set(self.tokenizer.all_special_ids) - {self.tokenizer.unk_token_id}
        ids = [
            [token for token, added in zip(*sequence, strict=True) if added or token not in spelt]
            for sequence in zip(encoded.input_ids, encoded.special_tokens_mask, strict=True)
        ]
        return self.tokenizer.pad({"input_ids": ids}, return_tensors="pt")

    def groups(self, texts: Sequence[str]) -> list[list[str]]:
        """Cut a list of texts into groups that the model can read at once.

        Each but the last has two texts or more, so that there are fewer summaries than texts. A text that takes more
        than half of the context is cut off there.
        """
        with self._busy:
            room = self.context - len(self.tokenizer(PROMPT).input_ids)
            places = self.tokenizer(
                [text + SEPARATOR for text in texts],
                add_special_tokens=False,
                return_offsets_mapping=True,
            ).offset_mapping
        longest = max(1, room // 2)
        groups: list[list[str]] = [[]]
        used = 0
        for text, tokens in zip(texts, places, strict=True):
            length = min(len(tokens), longest)
            if used + length > room and len(groups[-1]) > 1:
                groups.append([])
                used = 0
            groups[-1].append(text[: max((end for _, end in tokens[:longest]), default=0)])
            used += length
        return groups


class Summaries(ModelPerceiver[Sequence[Observation], Summarizer]):
    """Clarifies the captions: one summary for each scene, and one for the whole video.

    What the model cannot read at once is summarised in parts, and their summaries again. Where all captions are one
    and the same, there is nothing to clarify.

    Args:
        model: A sequence-to-sequence model that summarises, such as T5 or BART: an id on the Hugging Face hub or a
            path; FLAN-T5 if None.
        device: As torch names it; "auto" is the graphics card if there is one.
        dtype: "float32", "float16" or "bfloat16"; "auto" is float32 on a processor and bfloat16 elsewhere.
        batch_size: How many texts the model is given at once.

    Raises:
        InputError: `batch_size` is below 1.

    Example:
        >>> Summaries().wants
        ObservationInputs(modalities=('scene', 'caption'))
    """

    modality = "summary"
    inputs = ObservationInputs(("scene", "caption"))
    default_model = "google/flan-t5-base"

    @staticmethod
    def _load(weights: Weights) -> Summarizer:
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        folder = fetch_weights(weights.model)
        model = load_checkpoint(AutoModelForSeq2SeqLM, folder, weights)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        check_vocabulary(tokenizer, model, weights)
        return Summarizer(model, tokenizer, min(_positions(model.config), tokenizer.model_max_length))

    def perceive(self, batch: Sequence[Observation]) -> Iterator[Observation]:
        """Summarise all captions of a video.

        Args:
            batch: Its scenes and captions, in time order.

        Returns:
            A summary for each scene, then that of the video.
        """
        stretches = _stretches(batch)
        if not stretches:
            return
        summaries = self._condense([one.texts for one in stretches])
        for one, summary in zip(stretches, summaries, strict=True):
            if len(one.texts) > 1:
                yield from self._emit(one.start, one.end, summary)
        start, end = min(one.start for one in batch), max(one.end for one in batch)
        texts = _join([text for one in stretches for text in one.texts])
        if len(texts) > 1 and (start, end) != (stretches[0].start, stretches[0].end):
            whole = texts if len(self._model.groups(texts)) == 1 else _join(summaries)
            yield from self._emit(start, end, *self._condense([whole]))

    def _emit(self, start: float, end: float, summary: str) -> Iterator[Observation]:
        if summary:
            yield Observation(start, end, "summary", summary, source=self.weights.model)

    def _condense(self, lists: list[list[str]]) -> list[str]:
        """Bring each list of texts down to one text, in as many rounds as its length takes."""
        while any(len(texts) > 1 for texts in lists):
            grouped = [self._model.groups(texts) for texts in lists]
            summaries = iter(self._summarize([group for groups in grouped for group in groups if len(group) > 1]))
            lists = [_join([next(summaries) if len(group) > 1 else group[0] for group in groups]) for groups in grouped]
        return [texts[0] if texts else "" for texts in lists]

    def _summarize(self, groups: list[list[str]]) -> Iterator[str]:
        size = self.batch_size  # which may shrink on the way
        for first in range(0, len(groups), size):
            yield from self._within_memory(self._model.summarize, groups[first : first + size])


def _positions(config: Any) -> int:
    """Find out how many tokens a model can read."""
    return getattr(config, "n_positions", None) or getattr(config, "max_position_embeddings", None) or CONTEXT


def _stretches(observations: Sequence[Observation]) -> list[_Stretch]:
    """Give each scene its captions: those that begin before the next scene does."""
    captions = [one for one in observations if one.modality == "caption" and _clean(one.text)]
    if not captions:
        return []
    scenes = _scenes(observations) or _minutes(captions[0].start, max(one.end for one in captions))
    starts = [start for start, _ in scenes]
    texts: list[list[str]] = [[] for _ in scenes]
    for one in captions:
        texts[max(0, bisect_right(starts, one.start) - 1)].append(_clean(one.text))
    return [_Stretch(*scene, _join(said)) for scene, said in zip(scenes, texts, strict=True) if said]


def _scenes(observations: Sequence[Observation]) -> list[tuple[float, float]]:
    """Find the scenes' times; one that lasts is told in pieces of the same text."""
    scenes = [one for one in observations if one.modality == "scene"]
    wholes = [list(pieces) for _, pieces in groupby(scenes, key=lambda one: one.text)]
    return [(pieces[0].start, pieces[-1].end) for pieces in wholes]


def _minutes(start: float, end: float) -> list[tuple[float, float]]:
    starts = [start + STRETCH * number for number in range(max(1, ceil((end - start) / STRETCH)))]
    return [(one, min(one + STRETCH, end)) for one in starts]


def _clean(text: str) -> str:
    """Take away what would end the sentence twice, and line breaks."""
    return " ".join(text.split()).rstrip(". ")


def _join(texts: Iterable[str]) -> list[str]:
    """Leave out neighbours that say the same, and those that say nothing."""
    return [text for text, _ in groupby(filter(None, texts))]
