"""Actions: classes of short clips (paper 3.1.1)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np
from typing_extensions import override

from langchain_videochat.errors import InputError, ModelError
from langchain_videochat.media import FrameBatch
from langchain_videochat.models.weights import Weights
from langchain_videochat.perception.class_labels import read_labels
from langchain_videochat.perception.frame_changes import VISIBLE_CHANGE
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.perceiver import FrameInputs
from langchain_videochat.perception.pretrained import BatchPerceiver, Frame, ModelOptions, earliest
from langchain_videochat.perception.spans import MAX_SPAN_SECONDS

if TYPE_CHECKING:
    from langchain_videochat.perception.video_classifiers import VideoClassifier

CLIP_SECONDS = 4.0
"""Length of a clip. The models were trained on Kinetics' clips of ten seconds, but most actions take less."""

CLIP_STEP = 2.0
"""Default seconds between the starts of two clips: they overlap by half, so no action is split between two clips."""

MIN_FRAMES = 3
"""Different frames that a clip must have: a still picture shows no action, nor do two slides."""

MIN_SCORE = 0.3
"""Probability below which the best of 400 labels is a guess."""

MAX_ASPECT_RATIO = 4
"""Longer frames are cropped: models use the central square, and a one-pixel strip would become millions of pixels."""


@dataclass(frozen=True, eq=False)
class _Clip:
    frames: list[Frame]
    end: float


@dataclass(frozen=True)
class _Prediction:
    label: str
    score: float
    end: float


class Actions(BatchPerceiver["VideoClassifier", _Clip, _Prediction]):
    """Classifies actions in clips of four seconds.

    Successive clips with the same action are joined: from the start of the first to the end of the last, with the
    highest score. A clip with another action ends it; clips in which no action reaches `min_score` are ignored. Clips
    in which nothing moves, such as a slide or a cut between two still pictures, are not classified: the models name an
    action for any picture.

    Args:
        model: X-CLIP or any video classifier of transformers: an id on the Hugging Face Hub or a folder; or a
            checkpoint of UniFormerV2, which the paper uses: a .pyth, .pth, .pt or .safetensors file, or such a file in
            a repository on the Hub, such as "owner/repository/file.pyth". X-CLIP base if None.
        every: Seconds between the starts of two clips; by default they overlap by half.
        min_score: Minimum probability of an action, from 0 to 1.
        labels: A text file with one label per line. X-CLIP chooses among any actions that are named there, by default
            those of Kinetics-400; scores compare the labels, so list what else can be seen too. The labels of other
            models are replaced, one for each of their classes; those of UniFormerV2 are the labels of Kinetics-400.
        **options: `device`, `dtype` and `batch_size`; see `ModelPerceiver`.

    Raises:
        InputError: `labels` cannot be read, or `every`, `min_score` or `batch_size` is out of range.

    Example:
        >>> from langchain_videochat.perception import perceive
        >>> for action in perceive("yoga.mp4", [Actions()]):  # doctest: +SKIP
        ...     print(action.start, action.end, action.text)
        0.0 10.0 yoga
    """

    modality = "action"
    # Clips are made of sampled frames: there is one way to decode, and overlapping clips share their frames.
    inputs = FrameInputs(every=0.5, tolerance=0.25, size=256, min_change=VISIBLE_CHANGE)
    default_model = "microsoft/xclip-base-patch32"

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        every: float = CLIP_STEP,
        min_score: float = MIN_SCORE,
        labels: str | Path | None = None,
        **options: Unpack[ModelOptions],
    ) -> None:
        super().__init__(model, **options)
        if not 0 <= min_score <= 1:
            raise InputError("min_score", f"must be from 0 to 1, got {min_score}", "Give a probability")
        if not 0 < every <= CLIP_SECONDS:
            problem = f"must be positive and at most {CLIP_SECONDS:g}, got {every}"
            raise InputError("every", problem, "Give the seconds between the starts of two clips")
        self.every = every
        self.min_score = min_score
        self._labels_file = labels
        self._given_labels = read_labels(labels) if labels is not None else None
        self.labels = self._given_labels or []
        """The labels of the model's classes; complete when the model is loaded."""
        self._frames: list[tuple[float, Frame]] = []
        """Frames of the next clip so far, with their times; a frame is displayed until the next one."""
        self._clip_start: float | None = None
        """Start of the next clip in seconds."""
        self._covered = 0.0
        """End of the last clip in seconds."""
        self._action: Observation | None = None
        """The current action so far."""

    @override
    @staticmethod
    def load_model(weights: Weights) -> "VideoClassifier":
        from langchain_videochat.perception.video_classifiers import load_classifier

        return load_classifier(weights)

    @override
    def prepare(self, model: "VideoClassifier") -> None:
        self.labels = model.labels if self._given_labels is None else self._given_labels
        if model.classes is not None and len(self.labels) != model.classes:
            found = f"{self._labels_file or 'Kinetics-400'} has {len(self.labels)} labels"
            problem = f"{found}, but {self.weights.model} has {model.classes} classes"
            raise InputError("labels", problem, "Give a text file with one label per line, in the order of the classes")
        if model.classes is None and len(self.labels) == 1:
            problem = f"{self._labels_file} has only one label, which every clip would get"
            raise InputError("labels", problem, "Add other actions that can be seen: a clip gets the most similar one")

    @property
    def pending_since(self) -> float | None:
        """Start of the earliest Observation that is still to come, in seconds; None if nothing is pending."""
        return earliest(super().pending_since, self._clip_start, self._action.start if self._action else None)

    def finish(self, end: float) -> Iterator[Observation]:
        """Process the remaining clips, and a shorter one at the end that no full clip covers."""
        self._queue += self._cut_clips(end)
        if self._clip_start is not None and self._covered < end and len(self._frames) >= MIN_FRAMES:
            self._queue.append(self._make_clip(self._clip_start, end))
        self._clip_start = None
        yield from super().finish(end)
        yield from self._end_action(end)

    @override
    def make_items(self, batch: FrameBatch) -> Iterator[tuple[float, _Clip]]:
        for frame, time in zip(batch.frames, batch.times.tolist(), strict=True):
            yield from self._cut_clips(time)
            if self._clip_start is None:
                self._clip_start = self._covered = time
            self._frames.append((time, _crop(frame)))

    def _cut_clips(self, until: float) -> Iterator[tuple[float, _Clip]]:
        """Make the clips that end by `until`, the time of a new frame."""
        while self._clip_start is not None and self._clip_start + CLIP_SECONDS <= until:
            self._covered = self._clip_start + CLIP_SECONDS
            if len(self._frames) >= MIN_FRAMES:
                yield self._make_clip(self._clip_start, self._covered)
            self._clip_start += self.every
            while len(self._frames) > 1 and self._frames[1][0] <= self._clip_start:
                del self._frames[0]

    def _make_clip(self, start: float, end: float) -> tuple[float, _Clip]:
        """Select the frames displayed at `num_frames` times that are spread evenly over the clip."""
        count = self.model.num_frames
        times = start + (np.arange(count) + 0.5) * (end - start) / count
        indices = np.searchsorted([time for time, _ in self._frames], times, side="right") - 1
        return start, _Clip([self._frames[index][1] for index in indices.clip(min=0)], end)

    @override
    def infer(self, items: Sequence[_Clip]) -> Iterator[_Prediction]:
        scores, best = self.model.probabilities([clip.frames for clip in items], self.labels).max(dim=1)
        if not scores.isfinite().all():
            advice = 'Download it again, or use dtype="float32"'
            raise ModelError(self.weights.model, "the model returns NaN or infinity", advice)
        for clip, score, index in zip(items, scores.tolist(), best.tolist(), strict=True):
            yield _Prediction(self.labels[index], score, clip.end)

    @override
    def emit(self, time: float, until: float, result: _Prediction) -> Iterator[Observation]:
        if self._action and self._action.end < time:
            yield from self._end_action(time)
        if result.score < self.min_score:
            return
        if self._action and (self._action.text != result.label or time - self._action.start >= MAX_SPAN_SECONDS):
            yield from self._end_action(time)
        score = round(result.score, 4)
        action = self._action or Observation(time, time, "action", result.label, score, source=self.weights.model)
        self._action = replace(action, end=result.end, score=max(score, action.score or 0.0))

    def _end_action(self, time: float) -> Iterator[Observation]:
        if self._action:
            yield replace(self._action, end=min(time, self._action.end))
            self._action = None


def _crop(frame: Frame) -> Frame:
    height, width = frame.shape[:2]
    longer = MAX_ASPECT_RATIO * min(height, width)
    top, left = max(height - longer, 0) // 2, max(width - longer, 0) // 2
    return frame[top : top + longer, left : left + longer]
