"""UniFormerV2 (arXiv 2211.09552): CLIP's image transformer with relations between frames.

Module names are those of the official checkpoints.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's convention

from langchain_videochat.errors import InputError, ModelError, ModelUnavailableError

HEAD_DIM = 64
"""Dimension of an attention head in CLIP's transformers."""

MLP_RATIO = 4

STATE_DICT_KEYS = ("model", "model_state", "state_dict")
"""Keys under which training checkpoints store the weights."""

PREFIX = "backbone."

MAX_LISTED_KEYS = 3
"""Keys of each kind that an error lists: files of another model differ in hundreds."""


@dataclass(frozen=True)
class UniFormerV2Config:
    """The dimensions of a UniFormerV2."""

    width: int
    """Dimension of a token."""

    layers: int

    heads: int
    """Attention heads of the blocks and of the global relation blocks."""

    patch: int
    """Side of a patch in pixels."""

    span: int
    """Frames that a patch covers: 1, or 3 with a stride of 2."""

    grid: int
    """Patches along a side of a frame."""

    classes: int

    global_layers: tuple[int, ...]
    """Indices of the blocks whose outputs the global relation blocks attend to."""

    local: int
    """Local relation modules per block: 0, 1 or 2."""

    local_width: int
    """Dimension of a token within the local relation modules."""

    num_frames: int
    """Frames of the clips that it was trained on; other numbers work too."""

    @property
    def image_size(self) -> int:
        """Side of a frame in pixels."""
        return self.grid * self.patch


class UniFormerV2(nn.Module):
    """A video classifier."""

    def __init__(self, config: UniFormerV2Config) -> None:
        super().__init__()
        self.config = config
        span, patch = config.span, config.patch
        self.conv1 = nn.Conv3d(
            3,
            config.width,
            kernel_size=(span, patch, patch),
            stride=(1 if span == 1 else 2, patch, patch),
            padding=(span // 2, 0, 0),
            bias=False,
        )
        self.class_embedding = nn.Parameter(torch.zeros(config.width))
        self.positional_embedding = nn.Parameter(torch.zeros(config.grid**2 + 1, config.width))
        self.ln_pre = nn.LayerNorm(config.width)
        self.transformer = _Transformer(config)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Classify clips.

        Args:
            pixel_values: Normalized frames, [B, T, 3, H, W].

        Returns:
            Logits, [B, classes].

        Raises:
            InputError: The shape does not match the model.
        """
        frame = (3, self.config.image_size, self.config.image_size)
        if pixel_values.dim() != 5 or pixel_values.shape[2:] != frame:  # noqa: PLR2004
            expected = f"[B, T, {', '.join(map(str, frame))}]"
            problem = f"expected {expected}, got {list(pixel_values.shape)}"
            raise InputError("pixel_values", problem, "Resize and crop the frames")
        patches = self.conv1(pixel_values.transpose(1, 2)).flatten(3).permute(0, 2, 3, 1)
        classes = self.class_embedding.expand(*patches.shape[:2], 1, -1)
        tokens = torch.cat([classes, patches], dim=2) + self.positional_embedding
        logits: Tensor = self.transformer(self.ln_pre(tokens))
        return logits


class _Transformer(nn.Module):
    """The blocks and the global relation blocks: tokens [B, T, 1 + P, C] in, logits out."""

    def __init__(self, config: UniFormerV2Config) -> None:
        super().__init__()
        width = config.width
        self.global_layers = config.global_layers
        self.resblocks = nn.ModuleList(_Block(config) for _ in range(config.layers))
        self.temporal_cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.dpe = nn.ModuleList(nn.Conv3d(width, width, 3, padding=1, groups=width) for _ in config.global_layers)
        self.dec = nn.ModuleList(_GlobalRelation(config) for _ in config.global_layers)
        self.balance = nn.Parameter(torch.zeros(width))
        self.proj = nn.Sequential(nn.LayerNorm(width), nn.Dropout(0.5), nn.Linear(width, config.classes))

    def forward(self, tokens: Tensor) -> Tensor:
        relations = dict(zip(self.global_layers, zip(self.dpe, self.dec, strict=True), strict=True))
        video = self.temporal_cls_token.expand(len(tokens), 1, -1)
        for layer, block in enumerate(self.resblocks):
            tokens = block(tokens)
            if layer in relations:
                position, relation = relations[layer]
                video = relation(video, (tokens + _on_patches(position, tokens)).flatten(1, 2))
        share = self.balance.sigmoid()
        frames = tokens[:, :, 0].mean(dim=1)
        logits: Tensor = self.proj((1 - share) * video[:, 0] + share * frames)
        return logits


class _Block(nn.Module):
    """A block of CLIP's transformer, applied to each frame, with local relations before attention and MLP."""

    def __init__(self, config: UniFormerV2Config) -> None:
        super().__init__()
        if config.local > 0:
            self.lmhra1 = _LocalRelation(config)
        if config.local > 1:
            self.lmhra2 = _LocalRelation(config)
        self.attn = nn.MultiheadAttention(config.width, config.heads, batch_first=True)
        self.ln_1 = nn.LayerNorm(config.width)
        self.mlp = _MLP(config.width)
        self.ln_2 = nn.LayerNorm(config.width)
        self.local = config.local

    def forward(self, tokens: Tensor) -> Tensor:
        if self.local > 0:
            tokens = self.lmhra1(tokens)
        frames = self.ln_1(tokens).flatten(0, 1)
        tokens = tokens + self.attn(frames, frames, frames, need_weights=False)[0].reshape(tokens.shape)
        if self.local > 1:
            tokens = self.lmhra2(tokens)
        output: Tensor = tokens + self.mlp(self.ln_2(tokens))
        return output


class _LocalRelation(nn.Module):
    """Local MHRA: relates a patch to the same place in the frames before and after."""

    def __init__(self, config: UniFormerV2Config) -> None:
        super().__init__()
        width, inner = config.width, config.local_width
        self.pos_embed = nn.Sequential(
            nn.BatchNorm3d(width),
            nn.Conv3d(width, inner, kernel_size=1),
            nn.Conv3d(inner, inner, kernel_size=(3, 1, 1), padding=(1, 0, 0), groups=inner),
            nn.Conv3d(inner, width, kernel_size=1),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens + _on_patches(self.pos_embed, tokens)


class _GlobalRelation(nn.Module):
    """Global MHRA: one video token [B, 1, C] attends to the tokens of all frames [B, T * (1 + P), C]."""

    def __init__(self, config: UniFormerV2Config) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(config.width, config.heads, batch_first=True)
        self.ln_1 = nn.LayerNorm(config.width)
        self.mlp = _MLP(config.width)
        self.ln_2 = nn.LayerNorm(config.width)
        self.ln_3 = nn.LayerNorm(config.width)

    def forward(self, video: Tensor, tokens: Tensor) -> Tensor:
        tokens = self.ln_3(tokens)
        video = video + self.attn(self.ln_1(video), tokens, tokens, need_weights=False)[0]
        output: Tensor = video + self.mlp(self.ln_2(video))
        return output


class _MLP(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, MLP_RATIO * width)
        self.c_proj = nn.Linear(MLP_RATIO * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.c_fc(tokens)
        output: Tensor = self.c_proj(hidden * torch.sigmoid(1.702 * hidden))
        return output


def _on_patches(convolve: nn.Module, tokens: Tensor) -> Tensor:
    """Convolve the patches in time and space; the class tokens [B, T, 0, C] of the result are zero."""
    batch, frames, count, width = tokens.shape
    side = isqrt(count - 1)
    patches = tokens[:, :, 1:].reshape(batch, frames, side, side, width).permute(0, 4, 1, 2, 3)
    return F.pad(convolve(patches).flatten(3).permute(0, 2, 3, 1), (0, 0, 1, 0))


def load_uniformerv2(
    path: str | Path,
    *,
    num_heads: int | None = None,
    num_frames: int = 8,
    global_layers: Iterable[int] | None = None,
) -> UniFormerV2:
    """Load a UniFormerV2 (arXiv 2211.09552), the action model of InternVideo, from an official checkpoint.

    The module is in eval mode, in float32 on the CPU. It takes normalized pixel values [B, T, 3, H, W] and returns
    logits [B, classes]. Dimensions that are not arguments are read from the file.

    Args:
        path: A .safetensors file, or a file of `torch.save` that contains only tensors and plain values: the weights or
            a training checkpoint, with or without the prefix "backbone.".
        num_heads: Attention heads; width / 64 if None, as in the official models.
        num_frames: Frames of the clips that it was trained on.
        global_layers: Indices of the blocks whose outputs the global relation blocks attend to; the last ones if None.

    Raises:
        ModelUnavailableError: There is no such file.
        ModelError: The file is damaged, contains pickled objects, or is not a UniFormerV2.
        InputError: An argument does not suit the file.

    Example:
        >>> load_uniformerv2("k400+k710_uniformerv2_b16_8x224.pyth")(pixel_values).shape  # doctest: +SKIP
        torch.Size([1, 400])
    """
    weights = _read_weights(Path(path))
    config = _read_config(path, weights, num_heads, num_frames, global_layers)
    with torch.device("meta"):
        model = UniFormerV2(config)
    _check_fit(path, weights, model.state_dict())
    model.load_state_dict(weights, assign=True)
    return model.eval()


def _read_weights(path: Path) -> dict[str, Tensor]:
    if path.is_dir():
        raise ModelError(path, "is a folder", "Give the checkpoint file in it")
    if not path.is_file():
        raise ModelUnavailableError(path, "no such file", "Check the path")
    try:
        checkpoint = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # torch has no common class for these errors
        problem = "the file is damaged, or contains pickled objects, which are not loaded since they could run code"
        raise ModelError(path, problem, "Download it again, or save only its weights") from error
    return {name.removeprefix(PREFIX): tensor.float() for name, tensor in _tensors(checkpoint)}


def _tensors(checkpoint: Any) -> list[tuple[str, Tensor]]:
    """Return the weights in a state dict or a training checkpoint."""
    for key in STATE_DICT_KEYS:
        if isinstance(checkpoint, dict) and isinstance(checkpoint.get(key), dict):
            checkpoint = checkpoint[key]
    if not isinstance(checkpoint, dict):
        return []
    return [(str(name), value) for name, value in checkpoint.items() if isinstance(value, Tensor)]


def _read_config(
    path: str | Path,
    weights: Mapping[str, Tensor],
    num_heads: int | None,
    num_frames: int,
    global_layers: Iterable[int] | None,
) -> UniFormerV2Config:
    width, _, span, _, patch = _shape(path, weights, "conv1.weight", 5)
    tokens, _ = _shape(path, weights, "positional_embedding", 2)
    classes, _ = _shape(path, weights, "transformer.proj.2.weight", 2)
    layers = _count(weights, "transformer.resblocks.")
    relations = _count(weights, "transformer.dec.")
    if not 0 < relations <= layers:
        problem = f"not a complete UniFormerV2: {layers} blocks and {relations} global relations"
        raise ModelError(path, problem, "Download it again")
    heads = width // HEAD_DIM if num_heads is None else num_heads
    if heads < 1 or width % heads:
        raise InputError("num_heads", f"must divide the width {width}, got {heads}", "Give the model's number of heads")
    if num_frames < 1:
        raise InputError("num_frames", f"must be positive, got {num_frames}", "Give 1 or more")
    local = "transformer.resblocks.0.lmhra{}.pos_embed.1.weight"
    return UniFormerV2Config(
        width=width,
        layers=layers,
        heads=heads,
        patch=patch,
        span=span,
        grid=isqrt(max(tokens - 1, 0)),
        classes=classes,
        global_layers=_check_global_layers(layers, relations, global_layers),
        local=sum(local.format(number) in weights for number in (1, 2)),
        local_width=_shape(path, weights, local.format(1), 5)[0] if local.format(1) in weights else 0,
        num_frames=num_frames,
    )


def _shape(path: str | Path, weights: Mapping[str, Tensor], name: str, dimensions: int) -> torch.Size:
    if name not in weights or weights[name].dim() != dimensions:
        found = f"{list(weights[name].shape)}" if name in weights else "missing"
        problem = f"not a UniFormerV2: {name} is {found}"
        raise ModelError(path, problem, "Give a checkpoint such as k400+k710_uniformerv2_b16_8x224.pyth")
    return weights[name].shape


def _count(weights: Mapping[str, Tensor], prefix: str) -> int:
    return len({name.removeprefix(prefix).split(".")[0] for name in weights if name.startswith(prefix)})


def _check_global_layers(layers: int, relations: int, global_layers: Iterable[int] | None) -> tuple[int, ...]:
    chosen = tuple(range(layers - relations, layers)) if global_layers is None else tuple(global_layers)
    if len(chosen) != relations or list(chosen) != sorted(set(chosen) & set(range(layers))):
        problem = f"expected {relations} increasing indices of the blocks 0 to {layers - 1}, got {list(chosen)}"
        raise InputError("global_layers", problem, "Give one block for each global relation in the file")
    return chosen


def _check_fit(path: str | Path, weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    mismatches = {
        "missing": sorted(expected.keys() - weights.keys()),
        "unknown": sorted(weights.keys() - expected.keys()),
        "wrong shape": [
            f"{name} {list(weights[name].shape)}, not {list(tensor.shape)}"
            for name, tensor in expected.items()
            if name in weights and weights[name].shape != tensor.shape
        ],
    }
    problems = [f"{kind}: {_summarize(names)}" for kind, names in mismatches.items() if names]
    if problems:
        raise ModelError(path, f"not a complete UniFormerV2 ({'; '.join(problems)})", "Download it again")


def _summarize(names: list[str]) -> str:
    rest = len(names) - MAX_LISTED_KEYS
    return ", ".join(names[:MAX_LISTED_KEYS]) + (f" and {rest} more" if rest > 0 else "")
