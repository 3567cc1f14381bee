"""Tags: zero-shot classification by SigLIP or CLIP. The paper uses Tag2Text (3.1.1)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Unpack

from typing_extensions import override

from langchain_videochat.errors import InputError, ModelError
from langchain_videochat.perception.class_labels import read_labels
from langchain_videochat.perception.frame_changes import VISIBLE_CHANGE
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.perceiver import FrameInputs
from langchain_videochat.perception.pretrained import BatchPerceiver, Frame, ModelOptions
from langchain_videochat.perception.visual_models import (
    DEFAULT_VISUAL_MODEL,
    FRAME_SIZE,
    DualEncoder,
    VisualModel,
    load_visual_model,
)

MAX_TAGS = 10
"""Maximum number of tags per frame: if many words match, the lower-ranked ones add little."""


class Tags(BatchPerceiver[VisualModel, Frame, dict[str, float]]):
    """Finds the words of a list that match a frame.

    SigLIP scores each label independently, CLIP scores labels against one another.

    Args:
        model: SigLIP, SigLIP 2 or CLIP: an id on the Hugging Face Hub or a path; SigLIP 2 if None. `Visual` with the
            same model shares its computations.
        every: Minimum number of seconds between two frames.
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
    default_model = DEFAULT_VISUAL_MODEL
    load_model = staticmethod(load_visual_model)

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        every: float = 1.0,
        labels: Sequence[str] | str | Path | None = None,
        min_score: float = 0.05,
        **options: Unpack[ModelOptions],
    ) -> None:
        super().__init__(model, **options)
        self.inputs = FrameInputs(every, tolerance=every / 2, size=FRAME_SIZE, min_change=VISIBLE_CHANGE)
        self.labels = choose_labels(labels)
        self.min_score = min_score

    @override
    def prepare(self, model: VisualModel) -> None:
        self._scorer(model).embed_labels(self.labels)

    @override
    def infer(self, items: Sequence[Frame]) -> Iterator[dict[str, float]]:
        best = self._scorer(self.model).score(items, self.labels).topk(min(MAX_TAGS, len(self.labels)))
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

    def _scorer(self, model: VisualModel) -> DualEncoder:
        if isinstance(model, DualEncoder):
            return model
        problem = "embeds pictures, but does not say how well a label matches one"
        raise ModelError(self.weights.model, problem, "Use a SigLIP or CLIP model")


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
