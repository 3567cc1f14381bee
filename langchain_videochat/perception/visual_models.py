"""Visual models, which embed images and texts in one space: an image is near the texts that describe it."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from langchain_videochat.errors import ModelError
from langchain_videochat.models.hub import without_progress_bars
from langchain_videochat.models.weights import Weights, check_vocabulary, load_checkpoint, silence_bitsandbytes
from langchain_videochat.perception.label_vectors import cached_vectors
from langchain_videochat.perception.pretrained import Frame
from langchain_videochat.utils.vectors import unit

if TYPE_CHECKING:
    import torch

DEFAULT_VISUAL_MODEL = "google/siglip2-base-patch32-256"
"""64 tokens per image instead of the 196 of most models of this size: 0.1 s per frame on two cores. It supports many
languages."""

FRAME_SIZE = 256
"""Input size of the default model in pixels."""

RECENT_PICTURES = 64
"""Pictures whose vectors are kept: `visual` and `tags` get the same frames."""

BATCH_SIZE = 64
"""Texts that are embedded at once, which bounds the memory for long lists."""

Vectors = NDArray[np.float32]
"""Unit vectors [items, dimensions]."""


class VisualModel(ABC):
    """A model that embeds pictures and texts; safe for use from several threads."""

    def __init__(self) -> None:
        self._recent: LRUCache[bytes, NDArray[np.float32]] = LRUCache(RECENT_PICTURES)
        self._lock = threading.RLock()

    def embed_images(self, pictures: Sequence[Frame]) -> Vectors:
        """Embed RGB pictures, [H, W, 3] each; those that were embedded recently are not embedded again."""
        with self._lock:
            keys = [_hash(picture) for picture in pictures]
            missing = {key: one for key, one in zip(keys, pictures, strict=True) if key not in self._recent}
            vectors = {key: self._recent[key] for key in keys if key not in missing}
            if missing:
                vectors |= zip(missing, unit(self._encode_images(list(missing.values()))), strict=True)
            self._recent.update(vectors)
        return np.stack([vectors[key] for key in keys])

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Embed texts."""
        with self._lock:
            starts = range(0, len(texts), BATCH_SIZE)
            return unit(np.concatenate([self._encode_texts(texts[one : one + BATCH_SIZE]) for one in starts]))

    @abstractmethod
    def _encode_images(self, pictures: Sequence[Frame]) -> Vectors:
        """Return the vectors of pictures, of any length."""

    @abstractmethod
    def _encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of texts, of any length."""


@dataclass(frozen=True)
class _Family:
    """Text input and scoring of a family of models, as in its training."""

    prompt: str
    lowercase: bool
    padding: str
    activation: "Callable[[torch.Tensor], torch.Tensor]"


_SIGLIP = _Family("this is a photo of {}.", True, "max_length", lambda logits: logits.sigmoid())
_CLIP = _Family("a photo of a {}", False, "longest", lambda logits: logits.softmax(dim=-1))
_FAMILIES = {"clip": _CLIP, "metaclip_2": _CLIP, "siglip": _SIGLIP, "siglip2": _SIGLIP}
"""By the model type in the configuration. The checkpoints of SigLIP 2 with a fixed input size have the type siglip."""


class DualEncoder(VisualModel):
    """SigLIP, SigLIP 2 or CLIP of transformers, which also score how well labels match a picture."""

    def __init__(self, model: Any, image_processor: Any, tokenizer: Any, weights: Weights) -> None:
        super().__init__()
        self._weights = weights
        self._model = model
        self._image_processor = image_processor
        self._tokenizer = tokenizer
        self._family = _FAMILIES[model.config.model_type]
        self._labels: dict[tuple[str, ...], Vectors] = {}
        """Vectors of lists of labels. They belong to the model rather than to a perceiver, which is created for each
        segment."""

    def score(self, pictures: Sequence[Frame], labels: tuple[str, ...]) -> "torch.Tensor":
        """Return the score of each label for each picture, [pictures, labels], from 0 to 1.

        SigLIP scores each label independently, CLIP scores labels against one another.
        """
        import torch

        cosines = torch.from_numpy(self.embed_images(pictures) @ self.embed_labels(labels).T)
        logits = cosines * self._model.logit_scale.float().exp().cpu()
        bias = getattr(self._model, "logit_bias", None)  # CLIP has none
        return self._family.activation(logits if bias is None else logits + bias.float().cpu())

    def embed_labels(self, labels: tuple[str, ...]) -> Vectors:
        """Embed labels within the prompt of the model's training; each list is embedded once, and kept on disk."""
        with self._lock:
            if labels not in self._labels:
                prompts = [self._family.prompt.format(label) for label in labels]
                self._labels[labels] = cached_vectors(self._weights, prompts, self.embed_texts)
            return self._labels[labels]

    def _encode_images(self, pictures: Sequence[Frame]) -> Vectors:
        inputs = self._image_processor(list(pictures), input_data_format="channels_last", return_tensors="pt")
        return self._run(self._model.get_image_features, inputs.to(self._model.device, self._model.dtype))

    def _encode_texts(self, texts: Sequence[str]) -> Vectors:
        inputs = self._tokenizer(
            # SigLIP was trained on lowercase texts, but not all published tokenizers convert to them.
            [text.lower() if self._family.lowercase else text for text in texts],
            padding=self._family.padding,
            max_length=self._model.config.text_config.max_position_embeddings,
            truncation=True,
            return_tensors="pt",
        )
        return self._run(self._model.get_text_features, inputs.to(self._model.device))

    def _run(self, encode: Any, inputs: Any) -> Vectors:
        import torch

        with torch.inference_mode():
            vectors: Vectors = encode(**inputs).pooler_output.float().cpu().numpy()
        return vectors


class MultimodalTransformer(VisualModel):
    """A model of sentence-transformers that embeds pictures and texts."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._model = model

    def _encode_images(self, pictures: Sequence[Frame]) -> Vectors:
        from PIL import Image

        return self._encode(self._model.encode_document, [Image.fromarray(picture) for picture in pictures])

    def _encode_texts(self, texts: Sequence[str]) -> Vectors:
        return self._encode(self._model.encode_query, list(texts))

    def _encode(self, encode: Any, inputs: list[Any]) -> Vectors:
        return np.asarray(encode(inputs, show_progress_bar=False, convert_to_tensor=True).float().cpu())


def load_visual_model(weights: Weights) -> VisualModel:
    """Load SigLIP, SigLIP 2 or CLIP, or a multimodal model of sentence-transformers.

    Raises:
        ModelError: The model is of another kind.
    """
    folder = weights.fetch()
    is_sentence_transformer = (folder / "modules.json").is_file()
    return (_load_sentence_transformer if is_sentence_transformer else _load_dual_encoder)(weights, folder)


def _load_dual_encoder(weights: Weights, folder: Path) -> DualEncoder:
    from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoTokenizer

    model_type = AutoConfig.from_pretrained(folder).model_type
    if model_type not in _FAMILIES:
        problem = f"models of type {model_type or 'unknown'} cannot compare images with texts"
        raise ModelError(weights.model, problem, "Use a SigLIP or CLIP model")
    model = load_checkpoint(AutoModel, folder, weights)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    check_vocabulary(tokenizer, model, weights)
    image_processors: Any = AutoImageProcessor
    return DualEncoder(model, image_processors.from_pretrained(folder, backend="pil"), tokenizer, weights)


def _load_sentence_transformer(weights: Weights, folder: Path) -> MultimodalTransformer:
    silence_bitsandbytes()
    from sentence_transformers import SentenceTransformer

    with without_progress_bars():
        model = SentenceTransformer(
            str(folder),
            device=str(weights.torch_device),
            model_kwargs={"dtype": weights.torch_dtype},
            processor_kwargs={"backend": "pil"},  # as for other models, also where torchvision is installed
            trust_remote_code=False,
            local_files_only=True,
        )
    if not (model.supports("image") and model.supports("text")):
        problem = f"embeds {', '.join(map(str, model.modalities))}, not pictures and texts"
        raise ModelError(weights.model, problem, "Use a multimodal embedding model, or a SigLIP or CLIP model")
    return MultimodalTransformer(model)


def _hash(picture: Frame) -> bytes:
    return blake2b(np.ascontiguousarray(picture).tobytes() + str(picture.shape).encode()).digest()
