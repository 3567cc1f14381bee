"""Tags: words for what a frame shows, chosen from a list by SigLIP or CLIP."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from langchain_videochat.errors import InputError, ModelError
from langchain_videochat.models.hub import fetch_weights
from langchain_videochat.models.weights import Weights, check_vocabulary, load_checkpoint
from langchain_videochat.perception.base import Frames
from langchain_videochat.perception.class_labels import read_labels
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.pretrained import BatchPerceiver, Picture
from langchain_videochat.perception.spans import OpenSpans

if TYPE_CHECKING:
    import torch

SIDE = 224
"""Pixels of the frames' shorter side: what the default model looks at."""

MOST_TAGS = 10
"""Tags of a frame, the best ones: where many words fit, the further ones say little."""

LABELS_AT_ONCE = 64
"""Labels whose features are computed at once, so that a long list takes no more memory than this."""


class Tags(BatchPerceiver["_Tagger", Picture, dict[str, float]]):
    """Notes which words of a list fit what is seen, from when to when (paper 3.1.1, where Tag2Text does it).

    SigLIP judges each label for itself, CLIP all of them against one another.

    Args:
        model: An id on the Hugging Face hub or a path: SigLIP, SigLIP 2 or CLIP.
        device: As torch names it; "auto" is the graphics card if there is one.
        dtype: "float32", "float16" or "bfloat16"; "auto" is float32 on a processor and bfloat16 elsewhere.
        batch_size: How many frames the model is given at once.
        every: Seconds between two frames.
        labels: Words or short phrases, or the path of a UTF-8 file with one a line; about 400 everyday words if None.
        least_score: From 0 to 1, what a tag must have. SigLIP tends to give 0.1 and more to what is right, and less
            than 0.001 to what is wrong.

    Raises:
        InputError: `batch_size` is below 1, or `labels` cannot be read, is empty or repeats a single one.

    Example:
        >>> Tags(labels=["cat", "dog", "cat"]).labels
        ('cat', 'dog')
    """

    modality = "tag"
    default_model = "google/siglip-base-patch16-224"

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 8,
        every: float = 2.0,
        labels: Sequence[str] | str | Path | None = None,
        least_score: float = 0.05,
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, batch_size=batch_size)
        self.inputs = Frames(every=every, tolerance=every / 2, size=SIDE)
        self.labels = choose_labels(labels)
        self.least_score = least_score
        self._going_on = OpenSpans()

    @staticmethod
    def _load(weights: Weights) -> "_Tagger":
        from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoTokenizer

        folder = fetch_weights(weights.model)
        kind = AutoConfig.from_pretrained(folder).model_type
        if kind not in _MANNERS:
            problem = f"this is a {kind or 'nameless'} model, which cannot compare pictures with words"
            raise ModelError(weights.model, problem, "Take a SigLIP or CLIP model")
        model = load_checkpoint(AutoModel, folder, weights)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        check_vocabulary(tokenizer, model, weights)
        image_processors: Any = AutoImageProcessor
        return _Tagger(model, image_processors.from_pretrained(folder, backend="pil"), tokenizer, _MANNERS[kind])

    def load(self) -> None:
        """Load the weights and compute the labels' features now and not at first use."""
        self._model.label_features(self.labels)

    def finish(self, end: float) -> Iterator[Observation]:
        """Look at what is left, and tell the tags that go on."""
        yield from super().finish(end)
        yield from self._going_on.close(end)

    def _open_times(self) -> list[float]:
        return [one.start for one in self._going_on]

    @override
    def infer(self, items: Sequence[Picture]) -> Iterator[dict[str, float]]:
        best = self._model.compare(items, self.labels).topk(min(MOST_TAGS, len(self.labels)))
        for scores, numbers in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            tags = zip(numbers, scores, strict=True)
            yield {self.labels[number]: round(score, 4) for number, score in tags if score >= self.least_score}

    @override
    def emit(self, time: float, until: float, seen: dict[str, float]) -> Iterator[Observation]:
        yield from self._going_on.close(time, lambda tag: tag.text not in seen)
        known = {tag.text: tag for tag in self._going_on}
        for text, score in seen.items():
            if text in known:
                tag = known[text]
                self._going_on.replace(tag, replace(tag, score=max(tag.score or 0.0, score)))
            else:
                self._going_on.open(Observation(time, time, "tag", text, score, source=self.weights.model))
        yield from self._going_on.flush_long(time)


def choose_labels(labels: Sequence[str] | str | Path | None = None) -> tuple[str, ...]:
    """Make a list of labels, each once, in their order.

    Args:
        labels: The labels, or the path of a file with one a line; our own list if None.

    Raises:
        InputError: The file cannot be read, there is no label, or a single one again and again.

    Example:
        >>> choose_labels()[:3]
        ('advertisement', 'aerial view', 'airplane')
    """
    if labels is None:
        return tuple(files("langchain_videochat.perception").joinpath("tags.txt").read_text("utf-8").splitlines())
    given = read_labels(labels) if isinstance(labels, str | Path) else labels
    tidy = [" ".join(label.split()) for label in given if label.strip()]
    different = tuple(dict.fromkeys(tidy))
    if not different or len(different) == 1 < len(tidy):
        subject = labels if isinstance(labels, str | Path) else "the list"
        problem = f"{subject} holds {'only one label, repeated' if different else 'no label'}"
        raise InputError("labels", problem, "Give different words, in a file one a line")
    return different


@dataclass(frozen=True)
class _Manner:
    """How models of a kind were trained to be asked, and how their answers become scores."""

    prompt: str
    padding: str
    score: "Callable[[torch.Tensor], torch.Tensor]"


_SIGLIP = _Manner("This is a photo of {}.", "max_length", lambda logits: logits.sigmoid())
_CLIP = _Manner("a photo of a {}", "longest", lambda logits: logits.softmax(dim=-1))
_MANNERS = {"clip": _CLIP, "metaclip_2": _CLIP, "siglip": _SIGLIP, "siglip2": _SIGLIP}
"""By the model's type, as its configuration names it."""


class _Tagger:
    """A loaded model, with the features of all lists of labels that it has compared pictures with.

    They are kept here and not with the perceiver, of which there is one for each stretch of a video: those of our own
    list take as long as the frames of four minutes.
    """

    def __init__(self, model: Any, image_processor: Any, tokenizer: Any, manner: _Manner) -> None:
        self._model = model
        self._image_processor = image_processor
        self._tokenizer = tokenizer
        self._manner = manner
        self._bias = getattr(model, "logit_bias", 0.0)
        self._features: dict[tuple[str, ...], torch.Tensor] = {}
        self._busy = threading.Lock()

    def compare(self, pictures: Sequence[Picture], labels: tuple[str, ...]) -> "torch.Tensor":
        """Score labels for pictures: [pictures, labels], each 0 to 1."""
        inputs = self._image_processor(list(pictures), input_data_format="channels_last", return_tensors="pt")
        inputs = inputs.to(self._model.device, self._model.dtype)
        features = _unit(self._model.get_image_features(**inputs).pooler_output)
        logits = features @ self.label_features(labels).T * self._model.logit_scale.exp() + self._bias
        scores: torch.Tensor = self._manner.score(logits)
        return scores

    def label_features(self, labels: tuple[str, ...]) -> "torch.Tensor":
        """Compute the labels' features once: [labels, width]."""
        import torch

        with self._busy, torch.inference_mode():
            if labels not in self._features:
                parts = [labels[start : start + LABELS_AT_ONCE] for start in range(0, len(labels), LABELS_AT_ONCE)]
                self._features[labels] = torch.cat([self._text_features(part) for part in parts])
            return self._features[labels]

    def _text_features(self, labels: Sequence[str]) -> "torch.Tensor":
        inputs = self._tokenizer(
            [self._manner.prompt.format(label) for label in labels],
            padding=self._manner.padding,
            max_length=self._model.config.text_config.max_position_embeddings,
            truncation=True,
            return_tensors="pt",
        )
        return _unit(self._model.get_text_features(**inputs.to(self._model.device)).pooler_output)


def _unit(features: "torch.Tensor") -> "torch.Tensor":
    from torch.nn.functional import normalize

    return normalize(features.float(), dim=-1)
