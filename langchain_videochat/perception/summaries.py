"""Summaries: a sequence-to-sequence model summarizes the captions of each scene and of the video (paper 3.1.1)."""

import threading
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import ceil
from typing import Any

from typing_extensions import override

from langchain_videochat.models.weights import Weights, check_vocabulary, load_checkpoint
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.perceiver import ObservationInputs
from langchain_videochat.perception.pretrained import ModelPerceiver

PROMPT = "summarize: "
"""The task prefix that T5 was trained with."""

SEPARATOR = ". "
"""Separator of captions, as in the original implementation."""

MAX_NEW_TOKENS = 100
"""Three or four sentences, and a fifth of T5's context, so summaries can be summarized again."""

DEFAULT_CONTEXT = 512
"""Context length in tokens if the model's configuration has none: that of T5."""

SECTION_SECONDS = 60.0
"""Length of the sections that replace scenes if none are known."""


@dataclass(frozen=True)
class _Section:
    """A scene, or a section that replaces it, with its captions."""

    start: float
    end: float
    texts: list[str]


@dataclass(frozen=True, eq=False)
class Summarizer:
    """A sequence-to-sequence model with its tokenizer."""

    model: Any
    tokenizer: Any
    context: int
    """Context length in tokens."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def summarize(self, groups: Sequence[list[str]]) -> list[str]:
        """Summarize each group of texts, deterministically; a summary may be empty."""
        prompts = [PROMPT + SEPARATOR.join(map(_strip, group)) + SEPARATOR.rstrip() for group in groups]
        # Videos are processed in separate threads, and tokenizers keep their truncation setting between calls.
        with self._lock:
            inputs = self._encode(prompts).to(self.model.device)
            tokens = self.model.generate(**inputs, do_sample=False, max_new_tokens=MAX_NEW_TOKENS)
            summaries = self.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [" ".join(summary.split()) for summary in summaries]

    def _encode(self, prompts: list[str]) -> Any:
        """Tokenize prompts without the special tokens that captions spell out: "</s>" must not end the prompt."""
        encoded = self.tokenizer(prompts, truncation=True, max_length=self.context, return_special_tokens_mask=True)
        special = set(self.tokenizer.all_special_ids) - {self.tokenizer.unk_token_id}
        ids = [
            [token for token, added in zip(*sequence, strict=True) if added or token not in special]
            for sequence in zip(encoded.input_ids, encoded.special_tokens_mask, strict=True)
        ]
        return self.tokenizer.pad({"input_ids": ids}, return_tensors="pt")

    def split(self, texts: Sequence[str]) -> list[list[str]]:
        """Split texts into groups that fit the context.

        Each group but the last has at least two texts, so there are fewer summaries than texts. A text that takes more
        than half of the context is truncated to that.
        """
        with self._lock:
            budget = self.context - len(self.tokenizer(PROMPT).input_ids)
            captions = [text + SEPARATOR for text in texts]
            encoded = self.tokenizer(captions, add_special_tokens=False, return_offsets_mapping=True)
        max_length = max(1, budget // 2)
        groups: list[list[str]] = [[]]
        used = 0
        for text, tokens in zip(texts, encoded.offset_mapping, strict=True):
            length = min(len(tokens), max_length)
            if used + length > budget and len(groups[-1]) > 1:
                groups.append([])
                used = 0
            groups[-1].append(text[: max((end for _, end in tokens[:max_length]), default=0)])
            used += length
        return groups


class Summaries(ModelPerceiver[ObservationInputs, Sequence[Observation], Summarizer]):
    """Summarizes the captions of each scene and of the whole video.

    Texts that exceed the context are summarized in groups, and the summaries again. Scenes and videos whose captions
    are all the same get no summary.

    Args:
        model: A sequence-to-sequence model that summarizes, such as T5 or BART: an id on the Hugging Face Hub or a
            path; FLAN-T5 if None.
        device, dtype, batch_size: See `ModelPerceiver`.

    Example:
        >>> Summaries().inputs
        ObservationInputs(modalities=('scene', 'caption'))
    """

    modality = "summary"
    inputs = ObservationInputs(("scene", "caption"))
    default_model = "google/flan-t5-base"

    @override
    @staticmethod
    def load_model(weights: Weights) -> Summarizer:
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        folder = weights.fetch()
        model = load_checkpoint(AutoModelForSeq2SeqLM, folder, weights)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        check_vocabulary(tokenizer, model, weights)
        lengths = (getattr(model.config, name, None) for name in ("n_positions", "max_position_embeddings"))
        context = next(filter(None, lengths), DEFAULT_CONTEXT)
        return Summarizer(model, tokenizer, min(context, tokenizer.model_max_length))

    def perceive(self, batch: Sequence[Observation]) -> Iterator[Observation]:
        """Return a summary of each scene, then that of the video, from its scenes and captions in time order."""
        sections = _make_sections(batch)
        if not sections:
            return
        summaries = self._condense([section.texts for section in sections])
        for section, summary in zip(sections, summaries, strict=True):
            if len(section.texts) > 1:
                yield from self._observe(section.start, section.end, summary)
        start, end = min(one.start for one in batch), max(one.end for one in batch)
        texts = _unique([text for section in sections for text in section.texts])
        if len(texts) > 1 and (start, end) != (sections[0].start, sections[0].end):
            fits = len(self.model.split(texts)) == 1
            yield from self._observe(start, end, *self._condense([texts if fits else _unique(summaries)]))

    def _observe(self, start: float, end: float, summary: str) -> Iterator[Observation]:
        if summary:
            yield Observation(start, end, "summary", summary, source=self.weights.model)

    def _condense(self, lists: list[list[str]]) -> list[str]:
        """Summarize each list of texts into one text, in as many rounds as necessary."""
        while any(len(texts) > 1 for texts in lists):
            grouped = [self.model.split(texts) for texts in lists]
            summaries = iter(self._summarize([group for groups in grouped for group in groups if len(group) > 1]))
            lists = [_unique(next(summaries) if len(group) > 1 else group[0] for group in groups) for groups in grouped]
        return [texts[0] if texts else "" for texts in lists]

    def _summarize(self, groups: list[list[str]]) -> Iterator[str]:
        size = self.batch_size  # which run_with_backoff may reduce
        for first in range(0, len(groups), size):
            yield from self.run_with_backoff(self.model.summarize, groups[first : first + size])


def _make_sections(observations: Sequence[Observation]) -> list[_Section]:
    """Assign captions to scenes: each to the last scene that starts before it."""
    captions = [one for one in observations if one.modality == "caption" and _strip(one.text)]
    if not captions:
        return []
    scenes = _scenes(observations) or _equal_sections(captions[0].start, max(one.end for one in captions))
    starts = [start for start, _ in scenes]
    texts: list[list[str]] = [[] for _ in scenes]
    for one in captions:
        texts[max(0, bisect_right(starts, one.start) - 1)].append(_strip(one.text))
    return [_Section(*scene, _unique(captions)) for scene, captions in zip(scenes, texts, strict=True) if captions]


def _scenes(observations: Sequence[Observation]) -> list[tuple[float, float]]:
    """Return the times of scenes; a long scene comes in parts with the same text."""
    scenes = [one for one in observations if one.modality == "scene"]
    joined = [list(parts) for _, parts in groupby(scenes, key=lambda one: one.text)]
    return [(parts[0].start, parts[-1].end) for parts in joined]


def _equal_sections(start: float, end: float) -> list[tuple[float, float]]:
    starts = [start + SECTION_SECONDS * index for index in range(max(1, ceil((end - start) / SECTION_SECONDS)))]
    return [(one, min(one + SECTION_SECONDS, end)) for one in starts]


def _strip(text: str) -> str:
    """Remove line breaks and the final full stop, which the separator adds."""
    return " ".join(text.split()).rstrip(". ")


def _unique(texts: Iterable[str]) -> list[str]:
    """Remove empty texts and successive duplicates."""
    return [text for text, _ in groupby(filter(None, texts))]
