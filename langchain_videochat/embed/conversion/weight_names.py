"""Mapping of weight names: from the original's files, and from BLIP-2 in transformers, to ours."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

Patterns = tuple[tuple[str, str], ...]
"""Regular expressions for whole names, and their replacements. The first match counts."""

ORIGINAL: Patterns = (
    (r"cls_token", r"vision_tower.embeddings.class_embedding"),
    (r"pos_embed", r"vision_tower.embeddings.position_embedding"),
    (r"patch_embed\.proj\.(weight|bias)", r"vision_tower.embeddings.patch_embedding.\1"),
    (r"blocks\.(\d+)\.attn\.(qkv\.weight|qkv\.bias)", r"vision_tower.layers.\1.self_attn.\2"),
    (r"blocks\.(\d+)\.attn\.proj\.(weight|bias)", r"vision_tower.layers.\1.self_attn.projection.\2"),
    (r"blocks\.(\d+)\.norm([12])\.(weight|bias)", r"vision_tower.layers.\1.layer_norm\2.\3"),
    (r"blocks\.(\d+)\.(mlp\.fc[12]\.(?:weight|bias))", r"vision_tower.layers.\1.\2"),
    (r"(gmhra_cls_token|gmhra\.\d+\..+)", r"vision_tower.\1"),
    (r"ln_vision\.(weight|bias)", r"vision_layernorm.\1"),
    (r"((?:extra_)?query_tokens)", r"\1"),
    (r"llama_proj\.(weight|bias)", r"language_projection.\1"),
    (r"Qformer\.bert\.embeddings\.LayerNorm\.(weight|bias)", r"qformer.layernorm.\1"),
    (
        r"Qformer\.bert\.encoder\.layer\.(\d+)\.((?:cross)?attention)\.self\.(.+)",
        r"qformer.encoder.layer.\1.\2.attention.\3",
    ),
    (
        r"Qformer\.bert\.(encoder\.layer\.\d+\.(?:(?:cross)?attention\.output|(?:intermediate|output)_query)\..+)",
        r"qformer.\1",
    ),
)
"""From the original's names, without the prefix `visual_encoder.`, to ours."""

ORIGINAL_UNUSED: Patterns = (
    (
        r"Qformer\.bert\.embeddings\.(?:word_embeddings|position_embeddings|position_ids).*",
        "the Q-Former's text branch",
    ),
    (r"Qformer\.bert\.encoder\.layer\.\d+\.(?:intermediate|output)\..+", "the Q-Former's text branch"),
    (r"Qformer\.cls\..+", "the Q-Former's text branch"),
    (r"(?:t5_proj|opt_proj|vision_proj|text_proj|itm_head)\..+|temp", "BLIP-2's own heads"),
    (r"(?:norm|fc_norm|head|lm_head)\..+|mask_token", "EVA's own head"),
    (r".*(?:rotary_emb\.inv_freq|relative_position_index)", "computed buffers"),
)
"""Other weights in the original's files, and what they are."""

BLIP2: Patterns = (
    (r"vision_model\.(embeddings\..+)", r"vision_tower.\1"),
    (r"vision_model\.encoder\.(layers\..+)", r"vision_tower.\1"),
    (r"vision_model\.post_layernorm\.(weight|bias)", r"vision_layernorm.\1"),
    (r"(query_tokens)", r"\1"),
    (r"qformer\.(?:embeddings\.)?layernorm\.(weight|bias)", r"qformer.layernorm.\1"),
    (r"(qformer\.encoder\.layer\.\d+\.(?:(?:cross)?attention|(?:intermediate|output)_query)\..+)", r"\1"),
)
"""From the names of BLIP-2 and InstructBLIP in transformers to ours."""

BLIP2_UNUSED: Patterns = (
    (r"qformer\.embeddings\.(?:word|position)_embeddings\..+", "the Q-Former's text branch"),
    (r"qformer\.encoder\.layer\.\d+\.(?:intermediate|output)\..+", "the Q-Former's text branch"),
    (r"language_(?:model|projection)\..+", "the language model of BLIP-2"),
)
"""Other weights of BLIP-2 in transformers, and what they are."""


def match_name(name: str, patterns: Patterns) -> str | None:
    """Return the replacement for a name; None if no pattern matches.

    Example:
        >>> match_name("blocks.3.norm1.bias", ORIGINAL)
        'vision_tower.layers.3.layer_norm1.bias'
    """
    for pattern, replacement in patterns:
        if found := re.fullmatch(pattern, name):
            return found.expand(replacement)
    return None


def convert_original(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert the original's weights to the layout of ours, and remove the vision tower's prefix.

    The patch embedding [C, 3, 1, 14, 14] becomes [C, 3, 14, 14]. The biases of queries and values are joined,
    with zeros for the keys, to one bias.
    """
    converted = {name.removeprefix("visual_encoder."): tensor for name, tensor in weights.items()}
    embedding = converted.get("patch_embed.proj.weight")
    if embedding is not None and embedding.shape[2:3] == (1,):
        converted["patch_embed.proj.weight"] = embedding.squeeze(2)
    for name in [name for name in converted if name.endswith(".attn.q_bias")]:
        query, value = converted[name], converted.get(name.replace("q_bias", "v_bias"))
        if value is not None and query.shape == value.shape:
            del converted[name], converted[name.replace("q_bias", "v_bias")]
            converted[name.replace("q_bias", "qkv.bias")] = torch.cat([query, torch.zeros_like(query), value])
    return converted
