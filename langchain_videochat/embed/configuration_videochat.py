"""The configuration of a VideoChat-Embed model."""

import sys
from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, Blip2QFormerConfig, Blip2VisionConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec


@strict
class VideoChatEmbedConfig(PreTrainedConfig):
    """Configuration of a VideoChat-Embed model (paper 3.2.1). The defaults are the paper's, with LLaMA 7B.

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
    """Config of the vision tower, or a dict of its fields; EVA-CLIP ViT-g if None."""

    qformer_config: Any = None
    """Config of the Q-Former, or a dict of its fields; that of BLIP-2 if None."""

    text_config: Any = None
    """Config of any causal language model in transformers, or a dict of its fields; LLaMA 7B if None."""

    num_query_tokens: int = 32
    """Number of queries of the pre-trained Q-Former."""

    num_extra_query_tokens: int = 64
    """Number of extra queries that VideoChat adds."""

    gmhra_layers: int = 8
    """Number of GMHRA modules, one beside each of the vision tower's last layers."""

    gmhra_intermediate_size: int | None = None
    """Hidden width of GMHRA's MLPs; that of the vision tower's MLPs if None."""

    gmhra_layer_norm_eps: float = 1e-5
    """Epsilon of GMHRA's LayerNorms."""

    gmhra_dropout: float = 0.5
    """Dropout probability in GMHRA's MLPs."""

    local_mhra: int = 0
    """Number of local MHRA modules in each layer of the vision tower: 0, 1 (before attention) or 2 (also before the
    MLP)."""

    vision_layer_norm_eps: float = 1e-5
    """Epsilon of the LayerNorm between the vision tower and the Q-Former."""

    video_token_id: int = 32_001
    """Id of the placeholder token. It may lie beyond the language model's vocabulary, because it is replaced before
    embedding: no language model has to be resized."""

    initializer_range: float = 0.02
    """Standard deviation of the normal distribution for initializing weights."""

    tie_word_embeddings: bool = False
    """Copied from the language model's config."""

    def __post_init__(self, **kwargs: Any) -> None:
        """Set the fields that follow from others."""
        super().__post_init__(**kwargs)
        self.qformer_config.encoder_hidden_size = self.vision_config.hidden_size
        self.tie_word_embeddings = self.text_config.tie_word_embeddings

    @property
    def context_length(self) -> int:
        """Maximum number of tokens of the language model; unlimited if its config has no maximum."""
        return getattr(self.text_config, "max_position_embeddings", None) or sys.maxsize

    @property
    def num_visual_tokens(self) -> int:
        """Number of placeholder tokens of a video or an image in a prompt."""
        return self.num_query_tokens + self.num_extra_query_tokens
