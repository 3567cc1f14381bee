"""The vision tower: EVA-CLIP ViT-g with the relation aggregators of UniFormerV2 (paper 3.2.1)."""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.models.blip_2.modeling_blip_2 import (
    Blip2Attention,
    Blip2MLP,
    Blip2PreTrainedModel,
    Blip2VisionEmbeddings,
)

from langchain_videochat.embed.configuration_videochat import VideoChatEmbedConfig


class VisionTower(Blip2PreTrainedModel):
    """Encodes the frames of a video as tokens of each frame, followed by one global token.

    The transformer layers process each frame independently. Beside the last `config.gmhra_layers` layers, GMHRA
    updates the global token from the tokens of all frames, without feeding back into the layers (paper 3.2.1;
    UniFormerV2, arXiv 2211.09552, section 3.3).

    Args:
        config: The configuration of the whole model.
    """

    def __init__(self, config: VideoChatEmbedConfig) -> None:
        super().__init__(config.vision_config)
        vision = config.vision_config
        self.embeddings = Blip2VisionEmbeddings(vision)
        self.layers = nn.ModuleList(VisionLayer(config) for _ in range(vision.num_hidden_layers))
        self.gmhra_cls_token = nn.Parameter(torch.zeros(1, 1, vision.hidden_size))
        self.gmhra = nn.ModuleList(GlobalRelationAggregator(config) for _ in range(config.gmhra_layers))
        self.post_init()

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Encode videos with the same number of frames.

        Args:
            pixel_values: Normalized frames, [B, T, 3, H, W].

        Returns:
            [B, T * (H * W / patch_size² + 1) + 1, width]; without the last token if there is no GMHRA.
        """
        videos, frames = pixel_values.shape[:2]
        hidden = self.embeddings(pixel_values.flatten(0, 1))
        token = self.gmhra_cls_token.expand(videos, -1, -1)
        first = len(self.layers) - len(self.gmhra)
        for number, layer in enumerate(self.layers):
            hidden = layer(hidden, frames)
            if number >= first:
                # Right after its layer, so that only one layer's output is in memory.
                token = self.gmhra[number - first](token, hidden.unflatten(0, (videos, frames)))
        tokens = hidden.reshape(videos, -1, hidden.shape[-1])
        return torch.cat([tokens, token], dim=1) if self.gmhra else tokens

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, ZeroLinear):
            init.zeros_(module.weight)
        elif isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
        elif isinstance(module, nn.Conv1d | nn.Conv3d):
            init.kaiming_uniform_(module.weight, a=5**0.5)  # PyTorch's default
        elif isinstance(module, SingleQueryAttention):
            init.xavier_uniform_(module.in_proj_weight)
            init.zeros_(module.in_proj_bias)
        elif isinstance(module, VisionTower):
            init.zeros_(module.gmhra_cls_token)


class VisionLayer(GradientCheckpointingLayer):
    """A transformer layer of EVA-CLIP ViT-g, with optional local MHRA, which relates a frame to its neighbors."""

    def __init__(self, config: VideoChatEmbedConfig) -> None:
        super().__init__()
        vision = config.vision_config
        self.self_attn = Blip2Attention(vision)
        self.layer_norm1 = nn.LayerNorm(vision.hidden_size, eps=vision.layer_norm_eps)
        self.mlp = Blip2MLP(vision)
        self.layer_norm2 = nn.LayerNorm(vision.hidden_size, eps=vision.layer_norm_eps)
        self.local_mhra = nn.ModuleList(LocalRelationAggregator(vision.hidden_size) for _ in range(config.local_mhra))

    def forward(self, hidden: Tensor, frames: int) -> Tensor:
        """Apply the layer to hidden states.

        Args:
            hidden: [B * T, 1 + patches, width].
            frames: T.
        """
        before_attention, before_mlp = [*self.local_mhra, None, None][:2]
        if before_attention is not None:
            hidden = before_attention(hidden, frames)
        hidden = hidden + self.self_attn(self.layer_norm1(hidden))[0]
        if before_mlp is not None:
            hidden = before_mlp(hidden, frames)
        return hidden + self.mlp(self.layer_norm2(hidden))


class ZeroLinear(nn.Linear):
    """A linear layer initialized with zeros, so that a new residual branch leaves a pre-trained model unchanged."""


class GlobalRelationAggregator(nn.Module):
    """GMHRA: updates a global token by cross-attention to all tokens of a video, then by an MLP."""

    def __init__(self, config: VideoChatEmbedConfig) -> None:
        super().__init__()
        width, eps = config.vision_config.hidden_size, config.gmhra_layer_norm_eps
        inner = config.gmhra_intermediate_size or config.vision_config.intermediate_size
        self.dpe = nn.Conv3d(width, width, kernel_size=3, padding=1, groups=width)
        self.attn = SingleQueryAttention(width, config.vision_config.num_attention_heads)
        self.ln_1 = nn.LayerNorm(width, eps=eps)
        self.ln_2 = nn.LayerNorm(width, eps=eps)
        self.ln_3 = nn.LayerNorm(width, eps=eps)
        self.mlp = nn.Sequential(
            OrderedDict(
                c_fc=nn.Linear(width, inner),
                gelu=nn.GELU(),
                dropout=nn.Dropout(config.gmhra_dropout),
                c_proj=ZeroLinear(inner, width),
            )
        )

    def forward(self, token: Tensor, hidden: Tensor) -> Tensor:
        """Update the global token.

        Args:
            token: The global token, [B, 1, width].
            hidden: Output of a transformer layer, [B, T, 1 + patches, width].
        """
        hidden = self.ln_3(hidden)
        patches = hidden[:, :, 1:]
        encoded = torch.cat([hidden[:, :, :1], patches + self._encode_positions(patches)], dim=2)
        token = token + self.attn(self.ln_1(token), encoded.flatten(1, 2))
        return token + self.mlp(self.ln_2(token))

    def _encode_positions(self, patches: Tensor) -> Tensor:
        """Return the dynamic position encoding: a depthwise convolution over space and time."""
        side = round(patches.shape[2] ** 0.5)
        grid = patches.unflatten(2, (side, side)).permute(0, 4, 1, 2, 3)
        # On a CPU in fp32: in bf16, oneDNN computes wrong weight gradients for two frames (torch 2.13; a test shows
        # whether that still holds).
        with torch.autocast("cpu", enabled=False):
            positions = self.dpe(grid.to(self.dpe.weight.dtype))
        return positions.permute(0, 2, 3, 4, 1).flatten(2, 3)


class SingleQueryAttention(nn.Module):
    """Multi-head attention with a single query, compatible with the weights of `nn.MultiheadAttention`.

    Instead of projecting every token to keys and values, this projects the query by the key weights, and the weighted
    sum of the tokens by the value weights. With one query, the result is the same for a hundredth of the work. The key
    bias adds the same amount to all scores, which the softmax cancels.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.zeros(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = ZeroLinear(width, width)

    def forward(self, query: Tensor, tokens: Tensor) -> Tensor:
        """Attend from a query [B, 1, width] to tokens [B, N, width]."""
        to_query, to_keys, to_values = self.in_proj_weight.unflatten(0, (3, self.heads, -1))
        query_bias, _, value_bias = self.in_proj_bias.unflatten(0, (3, self.heads, -1))
        queries = torch.einsum("bqc,hdc->bhd", query, to_query) + query_bias
        projected = torch.einsum("bhd,hdc->bhc", queries * queries.shape[-1] ** -0.5, to_keys)
        weights = (projected @ tokens.mT).softmax(dim=-1)
        values = torch.einsum("bhc,hdc->bhd", weights @ tokens, to_values) + value_bias
        return self.out_proj(values.flatten(1).unsqueeze(1))


class LocalRelationAggregator(nn.Module):
    """Local MHRA: mixes each patch with those at the same position in the previous and next frames."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.reduce = nn.Linear(width, width // 2)
        self.mix = nn.Conv1d(width // 2, width // 2, kernel_size=3, padding=1, groups=width // 2)
        self.expand = ZeroLinear(width // 2, width)

    def forward(self, hidden: Tensor, frames: int) -> Tensor:
        """Mix the patches of hidden states [B * T, 1 + patches, width] over T frames."""
        patches = hidden[:, 1:]
        normed = self.norm(patches.flatten(0, 1)).view_as(patches)
        over_time = self.reduce(normed).unflatten(0, (-1, frames)).permute(0, 2, 3, 1)
        mixed = self.mix(over_time.flatten(0, 1)).view_as(over_time).permute(0, 3, 1, 2).flatten(0, 1)
        return torch.cat([hidden[:, :1], patches + self.expand(mixed)], dim=1)
