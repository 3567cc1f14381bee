"""Objects: detections that are tracked from frame to frame (paper 3.1.1)."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Unpack

from typing_extensions import override

from langchain_videochat.errors import InputError
from langchain_videochat.models.weights import Weights, check_vocabulary, load_checkpoint
from langchain_videochat.perception.frame_changes import VISIBLE_CHANGE
from langchain_videochat.perception.observation import Observation, scale_box
from langchain_videochat.perception.perceiver import FrameInputs
from langchain_videochat.perception.pretrained import BatchPerceiver, Frame, ModelOptions, earliest
from langchain_videochat.perception.tracks import Detection, Tracks

FRAME_SIZE = 640
"""Input size of D-FINE and RT-DETR in pixels."""

PROMPTED_MODEL = "IDEA-Research/grounding-dino-tiny"
"""The default model if there is a prompt."""


class Objects(BatchPerceiver["_Detector", Frame, list[Detection]]):
    """Detects and tracks objects. An Observation is one track: "dog, left" from 3 s to 9 s.

    Without a prompt, a detector finds the classes that it was trained on: D-FINE, RT-DETR, DETR and other models that
    transformers loads as AutoModelForObjectDetection. With a prompt, a zero-shot detector finds what the prompt names:
    Grounding DINO, OWLv2.

    Only frames in which something has moved or changed are processed, and one every ten seconds: an object that was
    found in a frame is taken to stay where it is until the next.

    The text of an Observation is the label and the third of the frame that contains the centre of the object, or the
    two thirds between which it moves: "dog, from left to right". Score and box are those of its best detection.

    Args:
        model: An id on the Hugging Face Hub or a path; D-FINE small, which knows 365 kinds of objects, if None;
            Grounding DINO if there is a prompt.
        every: Seconds between two frames while something moves.
        prompt: Names of the objects to find; only for zero-shot detectors.
        min_score: Detections must score higher than this, from 0 to 1. Zero-shot detectors return lower scores: 0.3
            suits them better.
        **options: `device`, `dtype` and `batch_size`; see `ModelPerceiver`.

    Raises:
        InputError: `batch_size` or `every` is not positive, or `prompt` is empty.

    Example:
        >>> Objects().weights.model, Objects(prompt=["whisk", "bowl"]).weights.model
        ('ustc-community/dfine-small-obj365', 'IDEA-Research/grounding-dino-tiny')
    """

    modality = "object"
    default_model = "ustc-community/dfine-small-obj365"

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        every: float = 1.0,
        prompt: Sequence[str] | None = None,
        min_score: float = 0.5,
        **options: Unpack[ModelOptions],
    ) -> None:
        self.prompt = _parse_prompt(prompt)
        super().__init__(model or (PROMPTED_MODEL if self.prompt else None), **options)
        self.inputs = FrameInputs(every=every, tolerance=every / 2, size=FRAME_SIZE, min_change=VISIBLE_CHANGE)
        self.min_score = min_score
        self._tracks = Tracks(self.weights.model)

    @override
    @staticmethod
    def load_model(weights: Weights) -> "_Detector":
        import transformers
        from transformers.models.auto.modeling_auto import MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING_NAMES

        folder = weights.fetch()
        processors: Any = transformers.AutoProcessor
        image_processors: Any = transformers.AutoImageProcessor
        model_type = transformers.AutoConfig.from_pretrained(folder).model_type
        if model_type not in MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING_NAMES:
            model = load_checkpoint(transformers.AutoModelForObjectDetection, folder, weights)
            return _Detector(model, image_processors.from_pretrained(folder, backend="pil"), takes_prompt=False)
        model = load_checkpoint(transformers.AutoModelForZeroShotObjectDetection, folder, weights)
        processor = processors.from_pretrained(folder, backend="pil")
        check_vocabulary(processor.tokenizer, model, weights)
        return _Detector(model, processor, takes_prompt=True)

    @override
    def prepare(self, model: "_Detector") -> None:
        if self.prompt and not model.takes_prompt:
            problem = f"{self.weights.model} detects only the classes that it was trained on"
            raise InputError("prompt", problem, f"Omit it, or use a zero-shot detector such as {PROMPTED_MODEL}")
        if model.takes_prompt and not self.prompt:
            problem = f"{self.weights.model} is a zero-shot detector and needs a prompt"
            raise InputError("prompt", problem, "Give names of objects, for example ['whisk', 'bowl']")

    @property
    def pending_since(self) -> float | None:
        """Start of the earliest Observation that is still to come, in seconds; None if nothing is pending."""
        return earliest(super().pending_since, self._tracks.since)

    def finish(self, end: float) -> Iterator[Observation]:
        """Process the remaining frames, and close all tracks."""
        yield from super().finish(end)
        yield from self._tracks.close()

    @override
    def infer(self, items: Sequence[Frame]) -> list[list[Detection]]:
        return self.model.detect(items, self.prompt, self.min_score)

    @override
    def emit(self, time: float, until: float, result: list[Detection]) -> list[Observation]:
        return self._tracks.add(time, until, result)


@dataclass(frozen=True, eq=False)
class _Detector:
    model: Any
    processor: Any
    takes_prompt: bool
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def detect(self, frames: Sequence[Frame], prompt: Sequence[str], min_score: float) -> list[list[Detection]]:
        """Return the detections in each frame, with boxes from 0 to 1; those without area or label are left out."""
        sizes = [frame.shape[:2] for frame in frames]
        names = [list(prompt)] * len(frames)
        inputs = (list(frames), names) if self.takes_prompt else (list(frames),)
        # Perceivers with different prompts share the model, and tokenizers are not thread-safe.
        with self._lock:
            encoded = self.processor(*inputs, input_data_format="channels_last", return_tensors="pt")
            outputs = self.model(**encoded.to(self.model.device, self.model.dtype))
            if self.takes_prompt:
                found = self.processor.post_process_grounded_object_detection(
                    outputs, threshold=min_score, target_sizes=sizes, text_labels=names
                )
            else:
                found = self.processor.post_process_object_detection(outputs, min_score, sizes)
        return [list(self._detections(one, size, prompt)) for one, size in zip(found, sizes, strict=True)]

    def _detections(self, found: dict[str, Any], size: tuple[int, ...], prompt: Sequence[str]) -> Iterator[Detection]:
        if self.takes_prompt:
            labels = [_closest_name(phrase, prompt) for phrase in found["text_labels"]]
        else:
            labels = [self.model.config.id2label[index] for index in found["labels"].tolist()]
        for label, score, edges in zip(labels, found["scores"].tolist(), found["boxes"].tolist(), strict=True):
            x0, y0, x1, y1 = box = scale_box(edges, width=size[1], height=size[0])
            if label and x0 < x1 and y0 < y1:
                yield Detection(label, box, round(score, 4))


def _parse_prompt(prompt: Sequence[str] | None) -> tuple[str, ...]:
    if prompt is None:
        return ()
    given = [prompt] if isinstance(prompt, str) else prompt
    # Grounding DINO takes all names as one text in which a full stop ends each name.
    names = tuple(dict.fromkeys(" ".join(name.replace(".", " ").split()) for name in given))
    if not all(names) or not names:
        raise InputError("prompt", f"must be non-empty names, got {prompt!r}", "Give names, for example ['whisk']")
    return names


def _closest_name(phrase: str, prompt: Sequence[str]) -> str:
    """Return the prompted name that a phrase stands for: Grounding DINO returns only the words that it matched."""
    if not phrase:
        return ""
    return max(prompt, key=lambda name: SequenceMatcher(None, name.lower(), phrase.lower()).ratio())
