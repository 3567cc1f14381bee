"""UniFormerV2 (arXiv 2211.09552): CLIP's image transformer, armed with relations between frames.

The modules bear the names of the official checkpoints, so that these can be loaded as they are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from langchain_videochat.errors import InputError, ModelError, ModelUnavailableError

HEAD_WIDTH = 64
"""Width of an attention head in CLIP's transformers."""

MLP_RATIO = 4

NESTS = ("model", "model_state", "state_dict")
"""Entries under which training programs save the weights, beside their own state."""

PREFIX = "backbone."

NAMED_KEYS = 3
"""How many keys of each kind an error names: a file of another kind differs in hundreds."""


@dataclass(frozen=True)
class UniFormerV2Config:
    """The dimensions of a UniFormerV2."""

    width: int
    """Numbers a token."""

    layers: int
    """Blocks of the image transformer."""

    heads: int
    """Attention heads, in the blocks and in the global relations."""

    patch: int
    """Pixels of a patch's side."""

    span: int
    """Frames that a patch covers: 1, or 3, of which every second one is taken."""

    grid: int
    """Patches of a frame's side."""

    classes: int
    """How many actions are told apart."""

    global_layers: tuple[int, ...]
    """Blocks, counted from 0, on whose outputs there are global relations."""

    local: int
    """How many local relations a block has: 0, 1 or 2."""

    local_width: int
    """Numbers a token within the local relations."""

    num_frames: int
    """Frames of the clips that it was trained on; it takes others too."""

    @property
    def image_size(self) -> int:
        """Pixels of a frame's side."""
        return self.grid * self.patch


class UniFormerV2(nn.Module):
    """An action classifier: pixel values of clips in, logits out."""

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
            pixel_values: Normalised pictures, [B, T, 3, H, W].

        Returns:
            Logits, [B, classes].

        Raises:
            InputError: The pictures have not the model's size.
        """
        picture = (3, self.config.image_size, self.config.image_size)
        if pixel_values.dim() != 5 or pixel_values.shape[2:] != picture:  # noqa: PLR2004
            expected = f"[B, T, {', '.join(map(str, picture))}]"
            raise InputError("pixel_values", f"{list(pixel_values.shape)} is not {expected}", "Resize and crop them")
        patches = self.conv1(pixel_values.transpose(1, 2)).flatten(3).permute(0, 2, 3, 1)
        classes = self.class_embedding.expand(*patches.shape[:2], 1, -1)
        tokens = torch.cat([classes, patches], dim=2) + self.positional_embedding
        logits: Tensor = self.transformer(self.ln_pre(tokens))
        return logits


class _Transformer(nn.Module):
    """The blocks, and the global relations that watch the last of them: tokens [B, T, 1 + P, C] in, logits out."""

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
        watchers = dict(zip(self.global_layers, zip(self.dpe, self.dec, strict=True), strict=True))
        video = self.temporal_cls_token.expand(len(tokens), 1, -1)
        for layer, block in enumerate(self.resblocks):
            tokens = block(tokens)
            if layer in watchers:
                position, relation = watchers[layer]
                video = relation(video, (tokens + _on_patches(position, tokens)).flatten(1, 2))
        share = self.balance.sigmoid()
        frames = tokens[:, :, 0].mean(dim=1)
        logits: Tensor = self.proj((1 - share) * video[:, 0] + share * frames)
        return logits


class _Block(nn.Module):
    """A block of CLIP's transformer, each frame by itself, with local relations before its two halves."""

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
    """Local MHRA: what a patch has to do with the same place one frame before and after."""

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
    """Global MHRA: one token for the video [B, 1, C] looks at the tokens of all frames [B, T * (1 + P), C]."""

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


def load(
    path: str | Path,
    *,
    num_heads: int | None = None,
    num_frames: int = 8,
    global_layers: Iterable[int] | None = None,
) -> UniFormerV2:
    """Load a checkpoint; `actions.load_uniformerv2` tells what the arguments are."""
    weights = _read_weights(Path(path))
    config = _read_config(path, weights, num_heads, num_frames, global_layers)
    with torch.device("meta"):
        model = UniFormerV2(config)
    _check_fit(path, weights, model.state_dict())
    model.load_state_dict(weights, assign=True)
    return model.eval()


def _read_weights(path: Path) -> dict[str, Tensor]:
    if path.is_dir():
        raise ModelError(path, "this is a folder", "Give the checkpoint file in it")
    if not path.is_file():
        raise ModelUnavailableError(path, "there is no such file", "Check the path")
    try:
        checkpoint = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # torch has no type of its own for what it cannot read
        problem = "this file is damaged, or holds pickled objects, which are not loaded since they could run code"
        raise ModelError(path, problem, "Fetch it again, or save its weights alone") from error
    return {name.removeprefix(PREFIX): tensor.float() for name, tensor in _tensors(checkpoint)}


def _tensors(checkpoint: Any) -> list[tuple[str, Tensor]]:
    """Find the weights in what was saved: themselves, or with a training program's own state beside them."""
    for nest in NESTS:
        if isinstance(checkpoint, dict) and isinstance(checkpoint.get(nest), dict):
            checkpoint = checkpoint[nest]
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
        problem = f"this is no whole UniFormerV2: it has {layers} blocks and {relations} global relations"
        raise ModelError(path, problem, "Fetch it again")
    local = "transformer.resblocks.0.lmhra{}.pos_embed.1.weight"
    return UniFormerV2Config(
        width=width,
        layers=layers,
        heads=_check_heads(width, num_heads),
        patch=patch,
        span=span,
        grid=isqrt(max(tokens - 1, 0)),
        classes=classes,
        global_layers=_check_global_layers(layers, relations, global_layers),
        local=sum(local.format(number) in weights for number in (1, 2)),
        local_width=_shape(path, weights, local.format(1), 5)[0] if local.format(1) in weights else 0,
        num_frames=_check_frames(num_frames),
    )


def _shape(path: str | Path, weights: Mapping[str, Tensor], name: str, dimensions: int) -> torch.Size:
    if name not in weights or weights[name].dim() != dimensions:
        found = f"{list(weights[name].shape)}" if name in weights else "missing"
        problem = f"this is no UniFormerV2: {name} is {found}"
        raise ModelError(path, problem, "Give a checkpoint such as k400+k710_uniformerv2_b16_8x224.pyth")
    return weights[name].shape


def _count(weights: Mapping[str, Tensor], prefix: str) -> int:
    return len({name.removeprefix(prefix).split(".")[0] for name in weights if name.startswith(prefix)})


def _check_heads(width: int, num_heads: int | None) -> int:
    heads = width // HEAD_WIDTH if num_heads is None else num_heads
    if heads < 1 or width % heads:
        raise InputError("num_heads", f"{heads} heads cannot share a width of {width}", "Give the model's number")
    return heads


def _check_frames(num_frames: int) -> int:
    if num_frames < 1:
        raise InputError("num_frames", f"{num_frames} is no number of frames", "Give 1 or more")
    return num_frames


def _check_global_layers(layers: int, relations: int, global_layers: Iterable[int] | None) -> tuple[int, ...]:
    chosen = tuple(range(layers - relations, layers)) if global_layers is None else tuple(global_layers)
    if len(chosen) != relations or list(chosen) != sorted(set(chosen) & set(range(layers))):
        problem = f"{list(chosen)} does not name {relations} of the blocks 0 to {layers - 1}, in their order"
        raise InputError("global_layers", problem, "Give one block for each global relation of the file")
    return chosen


def _check_fit(path: str | Path, weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    misfits = {
        "missing": sorted(expected.keys() - weights.keys()),
        "unknown": sorted(weights.keys() - expected.keys()),
        "of another shape": [
            f"{name} {list(weights[name].shape)}, not {list(tensor.shape)}"
            for name, tensor in expected.items()
            if name in weights and weights[name].shape != tensor.shape
        ],
    }
    problems = [f"{kind}: {_some(names)}" for kind, names in misfits.items() if names]
    if problems:
        raise ModelError(path, f"this is no whole UniFormerV2 ({'; '.join(problems)})", "Fetch it again")


def _some(names: list[str]) -> str:
    rest = len(names) - NAMED_KEYS
    return ", ".join(names[:NAMED_KEYS]) + (f" and {rest} more" if rest > 0 else "")
