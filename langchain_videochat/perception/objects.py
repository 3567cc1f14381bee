"""Objects: what is in the picture and where, found by a detector and followed from frame to frame."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from langchain_videochat.errors import InputError
from langchain_videochat.models.hub import fetch_weights
from langchain_videochat.models.weights import Weights, check_vocabulary, load_checkpoint
from langchain_videochat.perception.base import Frames
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.pretrained import BatchPerceiver, Picture
from langchain_videochat.perception.tracks import Detection, Tracks

if TYPE_CHECKING:
    import torch

SIDE = 640
"""Pixels of the frames' shorter side: RT-DETR looks at 640 x 640."""

PROMPTED_MODEL = "IDEA-Research/grounding-dino-tiny"
"""The default model where a prompt says what to look for."""


class Objects(BatchPerceiver["_Detector", Picture, list[Detection]]):
    """Finds things and tells each once, from when to when it is there: "dog, left" from 3 s to 9 s (paper 3.1.1).

    Without a prompt, a detector finds what it was trained to find: RT-DETR, DETR and others that transformers loads as
    AutoModelForObjectDetection. With one, a zero-shot detector looks for what the prompt names: Grounding DINO, OWLv2.

    An Observation's text is the label and the third of the picture where the thing's centre is, or the two between
    which it moves: "dog, from left to right". Its score is the highest, and its box the one that has it.

    Args:
        model: An id on the Hugging Face hub or a path; RT-DETR if None, Grounding DINO if there is a prompt.
        device: As torch names it; "auto" is the graphics card if there is one.
        dtype: "float32", "float16" or "bfloat16"; "auto" is float32 on a processor and bfloat16 elsewhere.
        batch_size: How many frames the model is given at once.
        every: Seconds between two frames.
        prompt: Names of what to look for; only for zero-shot detectors.
        least_score: From 0 to 1, what a detection must be above. Zero-shot detectors are less sure of things than
            others: 0.3 suits them better.

    Raises:
        InputError: `batch_size` is below 1, or `prompt` names nothing.

    Example:
        >>> Objects().weights.model, Objects(prompt=["whisk", "bowl"]).weights.model
        ('PekingU/rtdetr_r50vd', 'IDEA-Research/grounding-dino-tiny')
    """

    modality = "object"
    default_model = "PekingU/rtdetr_r50vd"

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 8,
        every: float = 1.0,
        prompt: Sequence[str] | None = None,
        least_score: float = 0.5,
    ) -> None:
        self.prompt = _names(prompt)
        model = model or (PROMPTED_MODEL if self.prompt else None)
        super().__init__(model, device=device, dtype=dtype, batch_size=batch_size)
        self.inputs = Frames(every=every, tolerance=every / 2, size=SIDE)
        self.least_score = least_score
        self._tracks = Tracks(self.weights.model)

    @staticmethod
    def _load(weights: Weights) -> "_Detector":
        from transformers import AutoConfig
        from transformers.models.auto.modeling_auto import MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING_NAMES

        folder = fetch_weights(weights.model)
        prompted = AutoConfig.from_pretrained(folder).model_type in MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING_NAMES
        kind = _PromptedDetector if prompted else _TrainedDetector
        return kind.load(folder, weights)

    @property
    def _model(self) -> "_Detector":
        detector = super()._model
        if self.prompt and not detector.takes_prompt:
            problem = f"{self.weights.model} finds only what it was trained to find"
            raise InputError("prompt", problem, f"Leave it out, or take a zero-shot detector such as {PROMPTED_MODEL}")
        if detector.takes_prompt and not self.prompt:
            problem = f"{self.weights.model} has to be told what to look for"
            raise InputError("prompt", problem, "Give names, such as ['whisk', 'bowl']")
        return detector

    def finish(self, end: float) -> Iterator[Observation]:
        """Look at what is left, and tell what is still in the picture."""
        yield from super().finish(end)
        yield from self._tracks.close()

    def _open_times(self) -> list[float]:
        since = self._tracks.since
        return [] if since is None else [since]

    @override
    def infer(self, items: Sequence[Picture]) -> list[list[Detection]]:
        return self._model.detect(items, self.prompt, self.least_score)

    @override
    def emit(self, time: float, until: float, seen: list[Detection]) -> list[Observation]:
        return self._tracks.add(time, until, seen)


@dataclass(frozen=True)
class _Found:
    """What was found in a picture."""

    labels: list[str]
    scores: "torch.Tensor"
    boxes: "torch.Tensor"
    """In the picture's pixels: [things, 4]."""

    def detections(self, height: int, width: int) -> Iterator[Detection]:
        """Put boxes into numbers from 0 to 1, and leave out those without area or label."""
        for label, score, edges in zip(self.labels, self.scores.tolist(), self.boxes.tolist(), strict=True):
            x0, y0, x1, y1 = (_part(edge, side) for edge, side in zip(edges, (width, height) * 2, strict=True))
            if label and x0 < x1 and y0 < y1:
                yield Detection(label, (x0, y0, x1, y1), round(score, 4))


@dataclass(frozen=True, eq=False)
class _Detector(ABC):
    """A loaded detector, with what prepares its inputs and reads its outputs."""

    model: Any
    processor: Any
    _busy: threading.Lock = field(default_factory=threading.Lock)

    takes_prompt: ClassVar[bool]

    def detect(self, pictures: Sequence[Picture], prompt: Sequence[str], least_score: float) -> list[list[Detection]]:
        """Find things in each picture."""
        sizes = [picture.shape[:2] for picture in pictures]
        # Two perceivers with different prompts share it, and a tokenizer does not bear two callers.
        with self._busy:
            found = list(self._find(list(pictures), sizes, prompt, least_score))
        return [list(one.detections(*size)) for one, size in zip(found, sizes, strict=True)]

    @abstractmethod
    def _find(
        self, pictures: list[Picture], sizes: list[tuple[int, ...]], prompt: Sequence[str], least_score: float
    ) -> Iterator[_Found]:
        """Find things in each picture; sizes are heights and widths."""

    def _run(self, *inputs: Any) -> Any:
        prepared = self.processor(*inputs, input_data_format="channels_last", return_tensors="pt")
        return self.model(**prepared.to(self.model.device, self.model.dtype))


class _TrainedDetector(_Detector):
    """Finds what it was trained to find."""

    takes_prompt = False

    @classmethod
    def load(cls, folder: Path, weights: Weights) -> _Detector:
        from transformers import AutoImageProcessor, AutoModelForObjectDetection

        loader: Any = AutoImageProcessor
        processor = loader.from_pretrained(folder, backend="pil")
        return cls(load_checkpoint(AutoModelForObjectDetection, folder, weights), processor)

    def _find(
        self, pictures: list[Picture], sizes: list[tuple[int, ...]], prompt: Sequence[str], least_score: float
    ) -> Iterator[_Found]:
        outputs = self._run(pictures)
        names = self.model.config.id2label
        for one in self.processor.post_process_object_detection(outputs, least_score, sizes):
            yield _Found([names[number] for number in one["labels"].tolist()], one["scores"], one["boxes"])


class _PromptedDetector(_Detector):
    """Finds what a prompt names."""

    takes_prompt = True

    @classmethod
    def load(cls, folder: Path, weights: Weights) -> _Detector:
        from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

        model = load_checkpoint(AutoModelForZeroShotObjectDetection, folder, weights)
        loader: Any = AutoProcessor
        processor = loader.from_pretrained(folder)
        check_vocabulary(processor.tokenizer, model, weights)
        return cls(model, processor)

    def _find(
        self, pictures: list[Picture], sizes: list[tuple[int, ...]], prompt: Sequence[str], least_score: float
    ) -> Iterator[_Found]:
        names = [list(prompt)] * len(pictures)
        outputs = self._run(pictures, names)
        for one in self.processor.post_process_grounded_object_detection(
            outputs, threshold=least_score, target_sizes=sizes, text_labels=names
        ):
            yield _Found([_closest(phrase, prompt) for phrase in one["text_labels"]], one["scores"], one["boxes"])


def _names(prompt: Sequence[str] | None) -> tuple[str, ...]:
    if prompt is None:
        return ()
    given = [prompt] if isinstance(prompt, str) else prompt
    # Grounding DINO is asked with all names in one text, each ended by a full stop.
    names = tuple(dict.fromkeys(" ".join(name.replace(".", " ").split()) for name in given))
    if not all(names) or not names:
        raise InputError("prompt", f"{prompt!r} names nothing, or has an empty name", "Give names, such as ['whisk']")
    return names


def _closest(phrase: str, prompt: Sequence[str]) -> str:
    """Tell which name is meant: Grounding DINO answers with those words of it that it recognised, if any."""
    if not phrase:
        return ""
    return max(prompt, key=lambda name: SequenceMatcher(None, name.lower(), phrase.lower()).ratio())


def _part(edge: float, side: int) -> float:
    return round(min(max(edge / side, 0.0), 1.0), 4)
