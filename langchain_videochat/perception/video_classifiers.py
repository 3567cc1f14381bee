"""Classifiers of short clips, of two kinds: UniFormerV2's checkpoints, and the models of transformers."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from langchain_videochat.models.hub import fetch_weights
from langchain_videochat.models.weights import Weights, load_checkpoint
from langchain_videochat.perception.class_labels import kinetics_labels
from langchain_videochat.perception.pretrained import Picture
from langchain_videochat.perception.uniformerv2 import load

CHECKPOINTS = (".pyth", ".pth", ".pt", ".safetensors")
"""Endings of files that are taken for a UniFormerV2; the models of transformers are folders."""

CROP = 224 / 256
"""Share of the shorter side that is left by UniFormerV2's central crop."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

IMAGE_SETTINGS = "preprocessor_config.json"
VIDEO_SETTINGS = "video_preprocessor_config.json"
"""Where a model says how to prepare pictures one by one, and whole videos."""

Clip = Sequence[Picture]


class VideoClassifier(Protocol):
    """A model that tells actions apart, whatever its kind."""

    num_frames: int
    """Frames of a clip."""

    classes: int
    """How many actions."""

    labels: list[str]
    """What they are called."""

    def probabilities(self, clips: Sequence[Clip]) -> Tensor:
        """Tell how likely each action is in each clip, [clips, classes]; all pictures have one size."""


def load_classifier(weights: Weights) -> VideoClassifier:
    """Load a classifier of the kind that its name tells.

    Raises:
        ModelUnavailableError: The weights cannot be had on this machine.
        ModelError: They are damaged, or of another kind of model.
    """
    if Path(weights.model).suffix in CHECKPOINTS:
        return UniFormerV2Classifier(weights)
    return TransformersClassifier(weights)


class UniFormerV2Classifier:
    """A UniFormerV2 with the settings of its authors; its labels are those of Kinetics-400."""

    def __init__(self, weights: Weights) -> None:
        self._network = load(weights.model).to(weights.torch_device, weights.torch_dtype)
        config = self._network.config
        self.num_frames = config.num_frames
        self.classes = config.classes
        self.labels = kinetics_labels()
        side = round(config.image_size / CROP)
        self._prepare = _Preparation(side, config.image_size, IMAGENET_MEAN, IMAGENET_STD, weights)

    def probabilities(self, clips: Sequence[Clip]) -> Tensor:
        """Tell how likely each action is in each clip, [clips, classes]."""
        logits: Tensor = self._network(self._prepare(clips))
        return logits.float().softmax(dim=1)


class TransformersClassifier:
    """Any of the video classifiers in transformers."""

    def __init__(self, weights: Weights) -> None:
        from transformers import AutoModelForVideoClassification

        folder = fetch_weights(weights.model)
        self._network = load_checkpoint(AutoModelForVideoClassification, folder, weights)
        config = self._network.config
        self.num_frames = getattr(config, "num_frames", None) or config.frames_per_clip
        self.classes = config.num_labels
        self.labels = [config.id2label[number] for number in range(self.classes)]
        self._prepare = _preparation(folder, weights)

    def probabilities(self, clips: Sequence[Clip]) -> Tensor:
        """Tell how likely each action is in each clip, [clips, classes]."""
        inputs = {self._network.main_input_name: self._prepare(clips)}
        logits: Tensor = self._network(**inputs).logits
        return logits.float().softmax(dim=1)


_Prepare = Callable[[Sequence[Clip]], Tensor]
"""Makes pixel values [B, T, 3, H, W] of clips, on the model's device and in its type."""


def _preparation(folder: Path, weights: Weights) -> _Prepare:
    """Prepare clips as the model says.

    Those that only know whole videos (V-JEPA 2) are prepared here: transformers needs torchvision for that.
    """
    from transformers import AutoImageProcessor

    settings = folder / VIDEO_SETTINGS
    if settings.is_file() and not (folder / IMAGE_SETTINGS).is_file():
        values = json.loads(settings.read_text(encoding="utf-8"))
        crop = values["crop_size"]["height"]
        return _Preparation(values["size"]["shortest_edge"], crop, values["image_mean"], values["image_std"], weights)
    loader: Any = AutoImageProcessor
    processor = loader.from_pretrained(folder, backend="pil")

    def prepare(clips: Sequence[Clip]) -> Tensor:
        videos = [list(clip) for clip in clips]
        pixels: Tensor = processor(videos, return_tensors="pt", input_data_format="channels_last").pixel_values
        return pixels.to(weights.torch_device, weights.torch_dtype)

    return prepare


@dataclass(frozen=True)
class _Preparation:
    """The usual one, in torch: the shorter side to `side` pixels, a central crop, normalised colours."""

    side: int
    crop: int
    mean: Sequence[float]
    std: Sequence[float]
    weights: Weights

    def __call__(self, clips: Sequence[Clip]) -> Tensor:
        return torch.stack([self._clip(clip) for clip in clips]).to(self.weights.torch_dtype)

    def _clip(self, clip: Clip) -> Tensor:
        device = self.weights.torch_device
        pixels = torch.from_numpy(np.stack(clip)).to(device).permute(0, 3, 1, 2).float() / 255
        shorter = min(pixels.shape[2:])
        size = [length * self.side // shorter for length in pixels.shape[2:]]
        pixels = interpolate(pixels, size=size, mode="bilinear", antialias=True)
        top, left = [round((length - self.crop) / 2) for length in size]
        pixels = pixels[:, :, top : top + self.crop, left : left + self.crop]
        mean = torch.tensor(self.mean, device=device)[:, None, None]
        return (pixels - mean) / torch.tensor(self.std, device=device)[:, None, None]
