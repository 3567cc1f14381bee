"""Video classifiers: UniFormerV2 checkpoints, X-CLIP, and other models of transformers."""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cachetools
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from langchain_videochat.models.weights import Weights, check_vocabulary, load_checkpoint
from langchain_videochat.perception.class_labels import kinetics_labels
from langchain_videochat.perception.pretrained import Frame
from langchain_videochat.perception.uniformerv2 import load_uniformerv2

CHECKPOINTS = (".pyth", ".pth", ".pt", ".safetensors")
"""Suffixes of UniFormerV2 checkpoints; models of transformers are folders."""

LABEL_BATCH_SIZE = 64
"""Labels that are encoded at once, which bounds the memory for long lists."""

CROP = 224 / 256
"""Fraction of the shorter side that UniFormerV2's centre crop keeps."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

IMAGE_SETTINGS = "preprocessor_config.json"
VIDEO_SETTINGS = "video_preprocessor_config.json"
"""Preprocessor settings of a model, for images and for videos."""

Clip = Sequence[Frame]


@dataclass(frozen=True, eq=False)
class VideoClassifier:
    """A classifier of clips."""

    num_frames: int
    """Frames per clip."""

    classes: int | None
    """Number of classes; None if it recognizes any labels."""

    labels: list[str]
    """Labels of its classes, or the default ones."""

    compute_logits: Callable[[Sequence[Clip], Sequence[str]], Tensor]
    """Returns the logits of clips for labels, [clips, labels]; all frames must have the same size."""

    def probabilities(self, clips: Sequence[Clip], labels: Sequence[str]) -> Tensor:
        """Return the probability of each label for each clip, [clips, labels].

        Args:
            clips: `num_frames` frames each.
            labels: One for each of the model's classes, or any.
        """
        return self.compute_logits(clips, labels).float().softmax(dim=1)


def load_classifier(weights: Weights) -> VideoClassifier:
    """Load a UniFormerV2 if the name is that of a checkpoint file, and a model of transformers otherwise."""
    if Path(weights.model).suffix not in CHECKPOINTS:
        return _load_pretrained(weights)
    model = load_uniformerv2(weights.fetch()).to(weights.torch_device, weights.torch_dtype)
    size = model.config.image_size
    preprocess = _ClipPreprocessor(round(size / CROP), size, IMAGENET_MEAN, IMAGENET_STD, weights)
    num_frames, classes = model.config.num_frames, model.config.classes
    return VideoClassifier(num_frames, classes, kinetics_labels(), lambda clips, _: model(preprocess(clips)))


def _load_pretrained(weights: Weights) -> VideoClassifier:
    from transformers import AutoConfig, AutoModelForVideoClassification

    folder = weights.fetch()
    if AutoConfig.from_pretrained(folder).model_type == "xclip":
        return _load_xclip(folder, weights)
    model = load_checkpoint(AutoModelForVideoClassification, folder, weights)
    config = model.config
    num_frames = getattr(config, "num_frames", None) or config.frames_per_clip
    labels = [config.id2label[number] for number in range(config.num_labels)]
    preprocess = _make_preprocessor(folder, weights)

    def compute_logits(clips: Sequence[Clip], _: Sequence[str]) -> Any:
        return model(**{model.main_input_name: preprocess(clips)}).logits

    return VideoClassifier(num_frames, config.num_labels, labels, compute_logits)


def _load_xclip(folder: Path, weights: Weights) -> VideoClassifier:
    from transformers import AutoModel, AutoTokenizer

    model = load_checkpoint(AutoModel, folder, weights)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    check_vocabulary(tokenizer, model, weights)
    preprocess = _make_preprocessor(folder, weights)
    texts = LabelEncoder(model, tokenizer)

    def compute_logits(clips: Sequence[Clip], labels: Sequence[str]) -> Tensor:
        return _compare_with_labels(model, preprocess(clips), texts.encode(tuple(labels)))

    return VideoClassifier(model.config.vision_config.num_frames, None, kinetics_labels(), compute_logits)


class LabelEncoder:
    """Text embeddings of X-CLIP, which are computed once per list of labels.

    Args:
        model: An X-CLIP.
        tokenizer: Its tokenizer.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._encode = cachetools.cached(cachetools.LRUCache(maxsize=4), lock=threading.Lock())(self._compute)

    def encode(self, labels: tuple[str, ...]) -> Tensor:
        """Return the embeddings of labels, [labels, width]."""
        return self._encode(labels)

    def _compute(self, labels: tuple[str, ...]) -> Tensor:
        starts = range(0, len(labels), LABEL_BATCH_SIZE)
        return torch.cat([self._compute_batch(labels[start : start + LABEL_BATCH_SIZE]) for start in starts])

    @torch.inference_mode()
    def _compute_batch(self, labels: Sequence[str]) -> Tensor:
        length = self._model.config.text_config.max_position_embeddings
        inputs = self._tokenizer(list(labels), padding=True, truncation=True, max_length=length, return_tensors="pt")
        ids, mask = (inputs[name].to(self._model.device) for name in ("input_ids", "attention_mask"))
        features: Tensor = self._model.get_text_features(input_ids=ids, attention_mask=mask).pooler_output
        return features


def _compare_with_labels(model: Any, pixels: Tensor, texts: Tensor) -> Tensor:
    """Return the logits of clips for labels, [clips, labels], as X-CLIP's own method, which encodes texts every time.

    Args:
        model: An X-CLIP.
        pixels: Frames of clips, [clips, frames, 3, H, W].
        texts: Embeddings of the labels, [labels, width].
    """
    outputs = model.get_video_features(pixels)
    videos = outputs.pooler_output
    patches = model.prompts_visual_layernorm(outputs.last_hidden_state[:, 1:]) @ model.prompts_visual_projection
    context = patches.view(*pixels.shape[:2], -1, videos.shape[-1]).mean(dim=1)
    expanded = texts.expand(len(videos), -1, -1)
    prompts = expanded + model.prompts_generator(expanded, context)
    similarities = torch.einsum("bd,bkd->bk", normalize(videos, dim=-1), normalize(prompts, dim=-1))
    logits: Tensor = similarities * model.logit_scale.exp()
    return logits


def _make_preprocessor(folder: Path, weights: Weights) -> Callable[[Sequence[Clip]], Tensor]:
    """Return a function from clips to pixel values [B, T, 3, H, W] on the model's device and in its dtype.

    transformers needs torchvision for models with video settings only (V-JEPA 2): their clips are preprocessed here.
    """
    from transformers import AutoImageProcessor

    settings = folder / VIDEO_SETTINGS
    if settings.is_file() and not (folder / IMAGE_SETTINGS).is_file():
        values = json.loads(settings.read_text(encoding="utf-8"))
        crop = values["crop_size"]["height"]
        side, mean, std = values["size"]["shortest_edge"], values["image_mean"], values["image_std"]
        return _ClipPreprocessor(side, crop, mean, std, weights)
    loader: Any = AutoImageProcessor
    processor = loader.from_pretrained(folder, backend="pil")

    def preprocess(clips: Sequence[Clip]) -> Tensor:
        videos = [list(clip) for clip in clips]
        pixels: Tensor = processor(videos, return_tensors="pt", input_data_format="channels_last").pixel_values
        return pixels.to(weights.torch_device, weights.torch_dtype)

    return preprocess


@dataclass(frozen=True)
class _ClipPreprocessor:
    """Scales the shorter side to `side` pixels, crops the centre and normalizes the colors."""

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
