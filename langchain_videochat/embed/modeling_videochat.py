"""The VideoChat-Embed model: a vision tower, a learnable token interface, and a language model (paper 3.2.1)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    Blip2QFormerConfig,
    Blip2QFormerModel,
    GenerationMixin,
    PreTrainedModel,
)
from transformers import initialization as init
from transformers.modeling_outputs import CausalLMOutputWithPast

from langchain_videochat.embed.configuration_videochat import VideoChatEmbedConfig
from langchain_videochat.embed.vision_tower import VisionTower
from langchain_videochat.errors import InputError

TRAINED_PARTS = (
    ".gmhra",
    ".local_mhra.",
    "vision_layernorm.",
    "extra_query_tokens",
    "language_projection.",
    ".lora_",
)
"""Parts of the names of the weights that `freeze_pretrained` does not freeze."""


@dataclass(frozen=True)
class VideoFeatures:
    """Video features after each stage of the model's vision side."""

    vision_tokens: Tensor
    """Output of the vision tower, [B, tokens, vision width]."""

    qformer_output: Tensor
    """Output of the Q-Former, [B, queries, Q-Former width]."""

    language_inputs: Tensor
    """Projected input embeddings of the language model, [B, queries, language width]."""


class VideoChatEmbedForConditionalGeneration(PreTrainedModel, GenerationMixin):
    """The VideoChat-Embed model (paper 3.2.1).

    The vision tower (EVA-CLIP ViT-g with GMHRA), a LayerNorm, the Q-Former with pre-trained and extra queries, and a
    linear projection convert each video to a fixed number of input embeddings of the language model. An image is a
    video of one frame.

    In a prompt, `config.num_visual_tokens` placeholder tokens represent a video or an image. Both share this token, and
    the frames of a batch come in one tensor with `num_frames`, so videos of any length and images can be mixed.

    Args:
        config: The model's configuration.

    Example:
        Describe a video:

            model = VideoChatEmbedForConditionalGeneration.from_pretrained("videochat-7b", dtype="bfloat16")
            processor = VideoChatEmbedProcessor.from_pretrained("videochat-7b")
            question = Turn("human", (read_video("yoga.mp4"), "What is she doing?"))
            tokens = model.generate(**processor([question]), max_new_tokens=100)
            print(processor.batch_decode(tokens, skip_special_tokens=True)[0])
    """

    config: VideoChatEmbedConfig
    config_class = VideoChatEmbedConfig
    main_input_name = "input_ids"
    input_modalities = ["video", "image", "text"]  # noqa: RUF012
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True
    _no_split_modules = ["VisionLayer", "GlobalRelationAggregator", "Blip2QFormerLayer"]  # noqa: RUF012
    _skip_keys_device_placement = ["past_key_values"]  # noqa: RUF012

    def __init__(self, config: VideoChatEmbedConfig) -> None:
        super().__init__(config)
        width = config.qformer_config.hidden_size
        self.vision_tower = VisionTower(config)
        self.vision_layernorm = nn.LayerNorm(config.vision_config.hidden_size, eps=config.vision_layer_norm_eps)
        self.query_tokens = nn.Parameter(torch.zeros(1, config.num_query_tokens, width))
        self.extra_query_tokens = nn.Parameter(torch.zeros(1, config.num_extra_query_tokens, width))
        self.qformer = Blip2QFormerModel._from_config(_without_flash_attention(config.qformer_config))
        self.language_projection = nn.Linear(width, config.text_config.hidden_size)
        self.language_model = AutoModelForCausalLM.from_config(config.text_config)
        self.post_init()

    def get_video_features(self, pixel_values: Tensor) -> Tensor:
        """Encode videos with the same number of frames as input embeddings of the language model.

        Args:
            pixel_values: Normalized frames, [B, T, 3, H, W].

        Returns:
            [B, `config.num_visual_tokens`, language width].
        """
        return self.encode_videos(pixel_values).language_inputs

    def get_image_features(self, pixel_values: Tensor) -> Tensor:
        """Encode images [B, 3, H, W] like videos of one frame; see `get_video_features`."""
        return self.get_video_features(pixel_values.unsqueeze(1))

    def encode_videos(self, pixel_values: Tensor) -> VideoFeatures:
        """Encode videos [B, T, 3, H, W] like `get_video_features`, and also return the intermediate features.

        Raises:
            InputError: There are no frames, their size differs from the model's, or a value is not finite.
        """
        self._check_pixels(pixel_values)
        vision_tokens = self.vision_tower(pixel_values)
        queries = torch.cat([self.query_tokens, self.extra_query_tokens], dim=1).expand(len(pixel_values), -1, -1)
        qformer_output = self.qformer(
            query_embeds=queries, encoder_hidden_states=self.vision_layernorm(vision_tokens)
        ).last_hidden_state
        return VideoFeatures(vision_tokens, qformer_output, self.language_projection(qformer_output))

    def get_visual_features(self, pixel_values: Tensor | None, num_frames: Tensor | None) -> Tensor | None:
        """Encode videos and images of different lengths, batching those with the same number of frames.

        Args:
            pixel_values: The frames of all videos and images, [frames, 3, H, W]; None for text-only prompts.
            num_frames: Number of frames of each video or image.

        Returns:
            [videos and images, `config.num_visual_tokens`, language width]; None if there are none.
        """
        if pixel_values is None or num_frames is None or not len(num_frames):
            return None
        videos = pixel_values.split(num_frames.tolist())
        features: dict[int, Tensor] = {}
        for length in set(num_frames.tolist()):
            indices = [index for index, video in enumerate(videos) if len(video) == length]
            encoded = self.get_video_features(torch.stack([videos[index] for index in indices]))
            features |= zip(indices, encoded, strict=True)
        return torch.stack([features[index] for index in range(len(videos))])

    def embed(self, input_ids: Tensor, visual_features: Tensor | None = None) -> Tensor:
        """Return the input embeddings of prompts, with visual features in place of the placeholder tokens.

        Args:
            input_ids: [B, L].
            visual_features: Output of `get_visual_features`, in the order of the prompts.

        Returns:
            [B, L, language width].

        Raises:
            InputError: The number of placeholder tokens does not match the features, or a prompt is too long.
        """
        self._check_length(input_ids.shape[1])
        is_visual = input_ids == self.config.video_token_id
        self._check_placeholders(int(is_visual.sum()), visual_features)
        # The placeholder token may lie beyond the vocabulary.
        embeddings = self.get_input_embeddings()(input_ids.masked_fill(is_visual, 0))
        if visual_features is None:
            return embeddings
        return embeddings.masked_scatter(is_visual.unsqueeze(-1).to(embeddings.device), visual_features.to(embeddings))

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        num_frames: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Run the language model on prompts.

        Args:
            input_ids: [B, L].
            attention_mask: 0 for padding, [B, L].
            pixel_values: The frames of all videos and images, in the order of the prompts, [frames, 3, H, W].
            num_frames: Number of frames of each video or image.
            inputs_embeds: Output of `embed`, as an alternative to the arguments above.
            **kwargs: Passed on to the language model, for example `labels`.
        """
        if input_ids is not None:
            inputs_embeds = self.embed(input_ids, self.get_visual_features(pixel_values, num_frames))
        return self.language_model(inputs_embeds=inputs_embeds, attention_mask=attention_mask, **kwargs)

    @torch.no_grad()
    def generate(  # type: ignore[override]
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        num_frames: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Generate continuations of prompts.

        Args:
            input_ids: [B, L], padded on the left.
            attention_mask: 0 for padding, [B, L].
            pixel_values: The frames of all videos and images, in the order of the prompts, [frames, 3, H, W].
            num_frames: Number of frames of each video or image.
            **kwargs: Passed on to the language model's `generate`.

        Returns:
            The new tokens only, [B, new tokens], or what `kwargs` request.
        """
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        embeddings = self.embed(input_ids, self.get_visual_features(pixel_values, num_frames))
        # from_pretrained sets this model's generation config, which users may also change.
        self.language_model.generation_config = self.generation_config
        return self.language_model.generate(inputs_embeds=embeddings, attention_mask=attention_mask, **kwargs)

    def freeze_pretrained(self) -> None:
        """Freeze all weights except those that the paper trains: GMHRA, vision LayerNorm, extra queries, projection.

        Local MHRA, which the released models don't use, and LoRA adapters (`add_lora`) stay trainable too.
        """
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(any(part in name for part in TRAINED_PARTS))

    def get_input_embeddings(self) -> nn.Module:
        """Return the language model's input embeddings."""
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the language model's input embeddings."""
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        """Return the language model's output embeddings."""
        return self.language_model.get_output_embeddings()

    def _check_pixels(self, pixel_values: Tensor) -> None:
        size = self.config.vision_config.image_size
        if 0 in pixel_values.shape:
            raise InputError("pixel_values", "there are no frames", "Give at least one frame")
        if pixel_values.ndim != 5 or pixel_values.shape[2:] != (3, size, size):  # noqa: PLR2004 - [B, T, 3, H, W]
            problem = f"the shape must be [videos, frames, 3, {size}, {size}], got {list(pixel_values.shape)}"
            raise InputError("pixel_values", problem, "Use VideoChatEmbedProcessor")
        if not pixel_values.isfinite().all():
            raise InputError("pixel_values", "some values are not finite", "Check the frames for NaN")

    def _check_length(self, length: int) -> None:
        if length > self.config.context_length:
            problem = f"the prompt has {length} tokens, but the context length is {self.config.context_length}"
            raise InputError("input_ids", problem, "Use fewer videos, or drop earlier turns")

    def _check_placeholders(self, count: int, features: Tensor | None) -> None:
        per_visual = self.config.num_visual_tokens
        given = 0 if features is None else len(features)
        if count != given * per_visual:
            problem = f"the prompts have placeholders for {count / per_visual:g} videos and images, got {given}"
            raise InputError("input_ids", problem, "Write the prompts with VideoChatEmbedProcessor")

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is self:
            init.zeros_(self.query_tokens)
            init.zeros_(self.extra_query_tokens)


def _without_flash_attention(qformer_config: Blip2QFormerConfig) -> Blip2QFormerConfig:
    """Replace flash attention, which transformers' Q-Former does not support; it does little of the work."""
    if "flash" in (qformer_config._attn_implementation or ""):
        qformer_config._attn_implementation = "sdpa"
    return qformer_config
