"""The shape of a VideoChat-Embed model."""

import sys
from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, Blip2QFormerConfig, Blip2VisionConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec


@strict
class VideoChatEmbedConfig(PreTrainedConfig):
    """The shape of a VideoChat-Embed model (paper 3.2.1); the defaults are the paper's, with LLaMA 7B.

    Example:
        >>> config = VideoChatEmbedConfig()
        >>> config.num_visual_tokens, config.vision_config.num_hidden_layers, config.text_config.hidden_size
        (96, 39, 4096)
    """

    model_type = "videochat_embed"
    sub_configs_defaults: ClassVar[dict[str, Any]] = {
        "vision_config": Blip2VisionConfig,
        "qformer_config": Blip2QFormerConfig,
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="llama"),
    }

    vision_config: Any = None
    """The vision tower, a config or its fields; EVA-CLIP ViT-g if None."""

    qformer_config: Any = None
    """The Q-Former, a config or its fields; that of BLIP-2 if None."""

    text_config: Any = None
    """The language model, a config of any causal one of transformers or its fields; LLaMA 7B if None."""

    num_query_tokens: int = 32
    """Queries that were trained with the Q-Former."""

    num_extra_query_tokens: int = 64
    """Queries that VideoChat adds to them."""

    gmhra_layers: int = 8
    """The vision tower's last so many layers have a global relation aggregator each."""

    gmhra_intermediate_size: int | None = None
    """Width of their MLPs; that of the vision tower's if None."""

    gmhra_layer_norm_eps: float = 1e-5
    """Epsilon of their LayerNorms."""

    gmhra_dropout: float = 0.5
    """Share of their MLPs' activations that is dropped in training."""

    local_mhra: int = 0
    """Local relation aggregators in each layer of the vision tower: 0, 1 (before attention), or 2 (before the MLP
    too)."""

    vision_layer_norm_eps: float = 1e-5
    """Epsilon of the LayerNorm between the vision tower and the Q-Former."""

    video_token_id: int = 32_001
    """The token that holds the place of a visual token in a prompt. It may lie beyond the language model's vocabulary,
    which never sees it."""

    initializer_range: float = 0.02
    """Standard deviation of new weights, where nothing else is said."""

    tie_word_embeddings: bool = False
    """Taken from the language model."""

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in what follows from other fields."""
        super().__post_init__(**kwargs)
        self.qformer_config.encoder_hidden_size = self.vision_config.hidden_size
        self.tie_word_embeddings = self.text_config.tie_word_embeddings

    @property
    def context_length(self) -> int:
        """How many tokens the language model reads; as good as endless where it does not say."""
        return getattr(self.text_config, "max_position_embeddings", None) or sys.maxsize

    @property
    def num_visual_tokens(self) -> int:
        """How many tokens a video or an image takes in the prompt."""
        return self.num_query_tokens + self.num_extra_query_tokens
