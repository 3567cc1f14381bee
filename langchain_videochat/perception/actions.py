"""Actions: what is being done, told by a classifier of short clips (paper 3.1.1)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from langchain_videochat.errors import InputError, ModelError
from langchain_videochat.media import FrameBatch
from langchain_videochat.models.weights import Weights
from langchain_videochat.perception.base import Frames
from langchain_videochat.perception.class_labels import read_labels
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.pretrained import BatchPerceiver, Picture
from langchain_videochat.perception.spans import LONGEST_SPAN

if TYPE_CHECKING:
    from langchain_videochat.perception.uniformerv2 import UniFormerV2
    from langchain_videochat.perception.video_classifiers import VideoClassifier

CLIP_SECONDS = 4.0
"""Length of a clip. Kinetics, from which the models learnt, shows an action for ten seconds; most need less."""

CLIP_STEP = 2.0
"""Seconds from one clip's start to the next: half a clip, so that no action falls between two."""

LEAST_SCORE = 0.3
"""Probability below which the best of 400 labels is a guess."""

LONGEST_SIDE = 4
"""A frame's longer side, in shorter ones. Models crop the centre; what lies farther out only costs memory.

A strip one pixel wide would be blown up to millions of pixels."""


def load_uniformerv2(
    path: str | Path,
    *,
    num_heads: int | None = None,
    num_frames: int = 8,
    global_layers: Iterable[int] | None = None,
) -> "UniFormerV2":
    """Load a UniFormerV2 (arXiv 2211.09552), the action model of InternVideo, from one of its official checkpoints.

    The module is in eval mode, in float32 on the processor. It takes normalised pixel values [B, T, 3, H, W] and
    returns logits [B, classes]. What is not asked here is read from the file.

    Args:
        path: A file as torch saves it, which must hold nothing but tensors and plain values, or a .safetensors file;
            the weights themselves or a training checkpoint, with or without the prefix "backbone.".
        num_heads: Attention heads; the width over 64 if None, as in the official models.
        num_frames: Frames of the clips that it was trained on.
        global_layers: Blocks, counted from 0, whose outputs the global relations watch; the last ones if None.

    Raises:
        ModelUnavailableError: There is no such file.
        ModelError: The file is damaged, holds pickled objects, or is no UniFormerV2.
        InputError: An argument does not suit the file.

    Example:
        >>> load_uniformerv2("k400+k710_uniformerv2_b16_8x224.pyth")(pixel_values).shape  # doctest: +SKIP
        torch.Size([1, 400])
    """
    from langchain_videochat.perception.uniformerv2 import load

    return load(path, num_heads=num_heads, num_frames=num_frames, global_layers=global_layers)


@dataclass(frozen=True, eq=False)
class _Clip:
    frames: list[Picture]
    end: float


@dataclass(frozen=True)
class _Guess:
    label: str
    score: float
    end: float


class Actions(BatchPerceiver["VideoClassifier", _Clip, _Guess]):
    """Notices what is being done, in clips of four seconds that overlap by half.

    An action lasts from the start of the first clip that shows it to the end of the last, as long as such clips touch,
    with its highest score; where a clip that shows another begins, it ends. Clips in which nothing is likely enough
    neither show an action nor end one. A picture that stands still is looked at once.

    Args:
        model: An id on the Hugging Face hub or a folder, of any of transformers' video classifiers; or a checkpoint
            of UniFormerV2, which the paper takes: a file that ends in .pyth, .pth, .pt or .safetensors.
        device: As torch names it; "auto" is the graphics card if there is one.
        dtype: "float32", "float16" or "bfloat16"; "auto" is float32 on a processor and bfloat16 elsewhere.
        batch_size: How many clips the model is given at once.
        least_score: Probability, 0 to 1, below which an action is not told.
        labels: A text file with one label a line, in place of the model's own; UniFormerV2's are those of Kinetics-400.

    Raises:
        InputError: `labels` cannot be read, or `least_score` or `batch_size` makes no sense.

    Example:
        >>> from langchain_videochat.perception import perceive
        >>> for action in perceive("yoga.mp4", [Actions()]):  # doctest: +SKIP
        ...     print(action.start, action.end, action.text)
        0.0 10.0 yoga
    """

    modality = "action"
    inputs = Frames(every=0.5, tolerance=0.25, size=256)
    default_model = "MCG-NJU/videomae-base-finetuned-kinetics"

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 8,
        least_score: float = LEAST_SCORE,
        labels: str | Path | None = None,
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, batch_size=batch_size)
        if not 0 <= least_score <= 1:
            raise InputError("least_score", f"{least_score} is no probability", "Give a number from 0 to 1")
        self.least_score = least_score
        self._labels_file = labels
        self._given_labels = read_labels(labels) if labels is not None else None
        self._shown: list[tuple[float, Picture]] = []
        """The frames on display in the next clip, as far as they have come."""
        self._start: float | None = None
        """Seconds at which the next clip begins."""
        self._covered = 0.0
        """Seconds up to which clips reach."""
        self._action: Observation | None = None
        """What is being done, as far as it has been seen."""

    @staticmethod
    def _load(weights: Weights) -> "VideoClassifier":
        from langchain_videochat.perception.video_classifiers import load_classifier

        return load_classifier(weights)

    @property
    def labels(self) -> list[str]:
        """What the model's classes are called.

        Raises:
            InputError: There are more or fewer labels than classes.
        """
        labels = self._model.labels if self._given_labels is None else self._given_labels
        if len(labels) != self._model.classes:
            found = f"{self._labels_file or 'Kinetics-400'} has {len(labels)} labels"
            problem = f"{found}, and {self.weights.model} has {self._model.classes} classes"
            raise InputError("labels", problem, "Give a text file with one label a line, in the order of the classes")
        return labels

    def load(self) -> None:
        """Load the weights now and not at first use, and check that the labels suit them."""
        self.labels  # noqa: B018 - loads

    def finish(self, end: float) -> Iterator[Observation]:
        """Look at the clips that are left, and at the end that no full clip reaches."""
        self._waiting += self._clips(end)
        if self._start is not None and self._covered < end:
            self._waiting.append(self._clip(self._start, end))
        self._start = None
        yield from super().finish(end)
        yield from self._end_action(end)

    def _items(self, batch: FrameBatch) -> Iterator[tuple[float, _Clip]]:
        for frame, time in zip(batch.frames, batch.times.tolist(), strict=True):
            yield from self._clips(time)
            if self._start is None:
                self._start = self._covered = time
            self._shown.append((time, _central(frame)))

    def _open_times(self) -> list[float]:
        begun = self._action.start if self._action else None
        return [time for time in (self._start, begun) if time is not None]

    def _clips(self, until: float) -> Iterator[tuple[float, _Clip]]:
        """Make the clips that are over by a time at which a new frame comes."""
        while self._start is not None and self._start + CLIP_SECONDS <= until:
            still = len(self._shown) == 1
            further = (until - self._start - CLIP_SECONDS) // CLIP_STEP if still else 0
            self._covered = self._start + further * CLIP_STEP + CLIP_SECONDS
            yield self._clip(self._start, self._covered)
            self._start += (further + 1) * CLIP_STEP
            while len(self._shown) > 1 and self._shown[1][0] <= self._start:
                del self._shown[0]

    def _clip(self, start: float, end: float) -> tuple[float, _Clip]:
        """Take as many frames as the model does: those on display at times spread evenly over the clip."""
        count = self._model.num_frames
        asked = start + (np.arange(count) + 0.5) * (end - start) / count
        shown = np.searchsorted([time for time, _ in self._shown], asked, side="right") - 1
        return start, _Clip([self._shown[number][1] for number in shown.clip(min=0)], end)

    @override
    def infer(self, items: Sequence[_Clip]) -> Iterator[_Guess]:
        labels = self.labels
        scores, best = self._model.probabilities([clip.frames for clip in items]).max(dim=1)
        if not scores.isfinite().all():
            raise ModelError(
                self.weights.model, "this model gives no numbers", 'Fetch it again, or use dtype="float32"'
            )
        for clip, score, number in zip(items, scores.tolist(), best.tolist(), strict=True):
            yield _Guess(labels[number], score, clip.end)

    @override
    def emit(self, time: float, until: float, seen: _Guess) -> Iterator[Observation]:
        if self._action and self._action.end < time:
            yield from self._end_action(time)
        if seen.score < self.least_score:
            return
        if self._action and (self._action.text != seen.label or time - self._action.start >= LONGEST_SPAN):
            yield from self._end_action(time)
        score = round(seen.score, 4)
        begun = self._action or Observation(time, time, "action", seen.label, score, source=self.weights.model)
        self._action = replace(begun, end=seen.end, score=max(score, begun.score or 0.0))

    def _end_action(self, time: float) -> Iterator[Observation]:
        if self._action:
            yield replace(self._action, end=min(time, self._action.end))
            self._action = None


def _central(frame: Picture) -> Picture:
    height, width = frame.shape[:2]
    longest = LONGEST_SIDE * min(height, width)
    top, left = max(height - longest, 0) // 2, max(width - longest, 0) // 2
    return frame[top : top + longest, left : left + longest]
