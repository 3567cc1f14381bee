"""Tags: zero-shot classification by SigLIP or CLIP. The paper uses Tag2Text (3.1.1)."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from typing_extensions import override

from langchain_videochat.errors import InputError, ModelError
from langchain_videochat.models.weights import Weights, check_vocabulary, load_checkpoint
from langchain_videochat.perception.class_labels import read_labels
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.perceiver import FrameInputs
from langchain_videochat.perception.pretrained import BatchPerceiver, Frame, ModelOptions

if TYPE_CHECKING:
    import torch

FRAME_SIZE = 224
"""Input size of the default model in pixels."""

MAX_TAGS = 10
"""Maximum number of tags per frame: if many words match, the lower-ranked ones add little."""

LABEL_BATCH_SIZE = 64
"""Labels that are encoded at once, which bounds the memory for long lists."""


class Tags(BatchPerceiver["_Tagger", Frame, dict[str, float]]):
    """Finds the words of a list that match a frame.

    SigLIP scores each label independently, CLIP scores labels against one another.

    Args:
        model: SigLIP, SigLIP 2 or CLIP: an id on the Hugging Face Hub or a path.
        every: Seconds between two frames.
        labels: Words or short phrases, or the path of a UTF-8 file with one per line; about 400 everyday words if None.
        min_score: Minimum score of a tag, from 0 to 1. SigLIP typically returns more than 0.1 for matching labels and
            less than 0.001 for others.
        **options: `device`, `dtype` and `batch_size`; see `ModelPerceiver`.

    Raises:
        InputError: `batch_size` or `every` is not positive, or `labels` cannot be read, is empty or repeats a single
            label.

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
        every: float = 2.0,
        labels: Sequence[str] | str | Path | None = None,
        min_score: float = 0.05,
        **options: Unpack[ModelOptions],
    ) -> None:
        super().__init__(model, **options)
        self.inputs = FrameInputs(every=every, tolerance=every / 2, size=FRAME_SIZE)
        self.labels = choose_labels(labels)
        self.min_score = min_score

    @override
    @staticmethod
    def load_model(weights: Weights) -> "_Tagger":
        from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoTokenizer

        folder = weights.fetch()
        model_type = AutoConfig.from_pretrained(folder).model_type
        if model_type not in _FAMILIES:
            problem = f"models of type {model_type or 'unknown'} cannot compare images with text"
            raise ModelError(weights.model, problem, "Use a SigLIP or CLIP model")
        model = load_checkpoint(AutoModel, folder, weights)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        check_vocabulary(tokenizer, model, weights)
        image_processors: Any = AutoImageProcessor
        image_processor = image_processors.from_pretrained(folder, backend="pil")
        return _Tagger(model, image_processor, tokenizer, _FAMILIES[model_type])

    @override
    def prepare(self, model: "_Tagger") -> None:
        model.label_features(self.labels)

    @override
    def infer(self, items: Sequence[Frame]) -> Iterator[dict[str, float]]:
        best = self.model.score(items, self.labels).topk(min(MAX_TAGS, len(self.labels)))
        for scores, indices in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            tags = zip(indices, scores, strict=True)
            yield {self.labels[index]: round(score, 4) for index, score in tags if score >= self.min_score}

    @override
    def emit(self, time: float, until: float, result: dict[str, float]) -> Iterator[Observation]:
        yield from self.open_spans.close(time, lambda tag: tag.text not in result)
        known = {tag.text: tag for tag in self.open_spans}
        for text, score in result.items():
            if text in known:
                tag = known[text]
                self.open_spans.replace(tag, replace(tag, score=max(tag.score or 0.0, score)))
            else:
                self.open_spans.open(Observation(time, time, "tag", text, score, source=self.weights.model))
        yield from self.open_spans.flush_long(time)


def choose_labels(labels: Sequence[str] | str | Path | None = None) -> tuple[str, ...]:
    """Return the labels of a list or a file, in order and without duplicates; the built-in ones if None."""
    if labels is None:
        return tuple(files("langchain_videochat.perception").joinpath("tags.txt").read_text("utf-8").splitlines())
    given = read_labels(labels) if isinstance(labels, str | Path) else labels
    stripped = [" ".join(label.split()) for label in given if label.strip()]
    unique = tuple(dict.fromkeys(stripped))
    if not unique or len(unique) == 1 < len(stripped):
        subject = labels if isinstance(labels, str | Path) else "the list"
        problem = f"{subject} has {'only one label, repeated' if unique else 'no label'}"
        raise InputError("labels", problem, "Give different words, in a file one per line")
    return unique


@dataclass(frozen=True)
class _Family:
    """Prompt and scoring of a family of models, as in its training."""

    prompt: str
    padding: str
    activation: "Callable[[torch.Tensor], torch.Tensor]"


_SIGLIP = _Family("This is a photo of {}.", "max_length", lambda logits: logits.sigmoid())
_CLIP = _Family("a photo of a {}", "longest", lambda logits: logits.softmax(dim=-1))
_FAMILIES = {"clip": _CLIP, "metaclip_2": _CLIP, "siglip": _SIGLIP, "siglip2": _SIGLIP}
"""By the model type in the configuration."""


@dataclass(frozen=True, eq=False)
class _Tagger:
    """A loaded model with a cache of label features.

    The cache belongs to the model rather than to the perceiver, which is created for each segment: encoding the
    built-in labels takes as long as the frames of four minutes.
    """

    model: Any
    image_processor: Any
    tokenizer: Any
    family: _Family
    _features: "dict[tuple[str, ...], torch.Tensor]" = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def score(self, frames: Sequence[Frame], labels: tuple[str, ...]) -> "torch.Tensor":
        """Return the score of each label for each frame, [frames, labels], from 0 to 1."""
        inputs = self.image_processor(list(frames), input_data_format="channels_last", return_tensors="pt")
        inputs = inputs.to(self.model.device, self.model.dtype)
        features = _normalize(self.model.get_image_features(**inputs).pooler_output)
        logits = features @ self.label_features(labels).T * self.model.logit_scale.exp()
        logits = logits + getattr(self.model, "logit_bias", 0.0)  # CLIP has no bias
        scores: torch.Tensor = self.family.activation(logits)
        return scores

    def label_features(self, labels: tuple[str, ...]) -> "torch.Tensor":
        """Return the features of labels, [labels, width], which are computed once."""
        import torch

        with self._lock, torch.inference_mode():
            if labels not in self._features:
                starts = range(0, len(labels), LABEL_BATCH_SIZE)
                features = [self._text_features(labels[start : start + LABEL_BATCH_SIZE]) for start in starts]
                self._features[labels] = torch.cat(features)
            return self._features[labels]

    def _text_features(self, labels: Sequence[str]) -> "torch.Tensor":
        inputs = self.tokenizer(
            [self.family.prompt.format(label) for label in labels],
            padding=self.family.padding,
            max_length=self.model.config.text_config.max_position_embeddings,
            truncation=True,
            return_tensors="pt",
        )
        return _normalize(self.model.get_text_features(**inputs.to(self.model.device)).pooler_output)


def _normalize(features: "torch.Tensor") -> "torch.Tensor":
    from torch.nn.functional import normalize

    return normalize(features.float(), dim=-1)
