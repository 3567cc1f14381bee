"""VideoChat-Embed: a vision tower and a language model, joined by a learnable token interface (paper 3.2.1)."""

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

TRAINED = (".gmhra", ".local_mhra.", "vision_layernorm.", "extra_query_tokens", "language_projection.", ".lora_")
"""Parts of the names of the weights that training changes."""


@dataclass(frozen=True)
class VideoFeatures:
    """What becomes of videos on their way to the language model."""

    vision_tokens: Tensor
    """Of the vision tower, [B, tokens, vision width]."""

    qformer_output: Tensor
    """What the queries gathered from them, [B, queries, Q-Former width]."""

    language_inputs: Tensor
    """The same as embeddings of the language model, [B, queries, language width]."""


class VideoChatEmbedForConditionalGeneration(PreTrainedModel, GenerationMixin):
    """A language model that watches videos.

    Vision tower with GMHRA -> LayerNorm -> Q-Former with pre-trained and extra queries -> Linear -> language model
    (paper 3.2.1). In a prompt, each video or image takes `config.num_visual_tokens` tokens `config.video_token_id`;
    `VideoChatEmbedProcessor` writes them.

    Args:
        config: Its shape.

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
        """Turn videos of equally many frames into embeddings of the language model.

        Args:
            pixel_values: Normalised frames, [B, T, 3, H, W].

        Returns:
            [B, `config.num_visual_tokens`, language width].
        """
        return self.encode_videos(pixel_values).language_inputs

    def get_image_features(self, pixel_values: Tensor) -> Tensor:
        """Turn images [B, 3, H, W] into embeddings of the language model, as videos of one frame."""
        return self.get_video_features(pixel_values.unsqueeze(1))

    def encode_videos(self, pixel_values: Tensor) -> VideoFeatures:
        """Turn videos [B, T, 3, H, W] into embeddings of the language model, and keep what they were made from.

        Raises:
            InputError: There are no frames, they are of another size than the model's, or not all are numbers.
        """
        self._check_pixels(pixel_values)
        vision_tokens = self.vision_tower(pixel_values)
        queries = torch.cat([self.query_tokens, self.extra_query_tokens], dim=1).expand(len(pixel_values), -1, -1)
        qformer_output = self.qformer(
            query_embeds=queries, encoder_hidden_states=self.vision_layernorm(vision_tokens)
        ).last_hidden_state
        return VideoFeatures(vision_tokens, qformer_output, self.language_projection(qformer_output))

    def get_visual_features(self, pixel_values: Tensor | None, num_frames: Tensor | None) -> Tensor | None:
        """Turn videos and images into embeddings of the language model, those of equally many frames together.

        Args:
            pixel_values: The frames of all of them, [frames, 3, H, W]; None if there is nothing to see.
            num_frames: How many of the frames belong to each.

        Returns:
            [visuals, `config.num_visual_tokens`, language width].
        """
        if pixel_values is None or num_frames is None or not len(num_frames):
            return None
        videos = pixel_values.split(num_frames.tolist())
        features: dict[int, Tensor] = {}
        for length in set(num_frames.tolist()):
            places = [place for place, video in enumerate(videos) if len(video) == length]
            encoded = self.get_video_features(torch.stack([videos[place] for place in places]))
            features |= zip(places, encoded, strict=True)
        return torch.stack([features[place] for place in range(len(videos))])

    def embed(self, input_ids: Tensor, visual_features: Tensor | None = None) -> Tensor:
        """Turn prompts into embeddings of the language model, those of videos and images in their places.

        Args:
            input_ids: [B, L].
            visual_features: What `get_visual_features` made of all that is shown, in the order of the prompts.

        Returns:
            [B, L, language width].

        Raises:
            InputError: There are more or fewer videos than the prompts have room for, or a prompt is too long.
        """
        self._check_length(input_ids.shape[1])
        is_visual = input_ids == self.config.video_token_id
        self._check_places(int(is_visual.sum()), visual_features)
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
        """Run the language model on prompts; all other arguments, as `labels`, are its own.

        Args:
            input_ids: [B, L].
            attention_mask: 0 where a prompt is padded, [B, L].
            pixel_values: The frames of all videos and images, in the order of the prompts, [frames, 3, H, W].
            num_frames: How many of them belong to each.
            inputs_embeds: What `embed` returned, in place of the prompts and what they show.
            **kwargs: The language model's.
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
        """Go on from prompts; all other arguments are those of transformers' `generate`.

        Args:
            input_ids: [B, L], padded on the left.
            attention_mask: 0 where a prompt is padded, [B, L].
            pixel_values: The frames of all videos and images, in the order of the prompts, [frames, 3, H, W].
            num_frames: How many of them belong to each.
            **kwargs: Those of the language model's `generate`.

        Returns:
            The new tokens alone, [B, new], or what `kwargs` ask for.
        """
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        embeddings = self.embed(input_ids, self.get_visual_features(pixel_values, num_frames))
        # Where the user may have changed it, and where from_pretrained puts it.
        self.language_model.generation_config = self.generation_config
        return self.language_model.generate(inputs_embeds=embeddings, attention_mask=attention_mask, **kwargs)

    def freeze_pretrained(self) -> None:
        """Leave trainable what the paper trains: GMHRA, the vision LayerNorm, extra queries and the projection.

        Local MHRA, which the released models do not have, is trained too, and so are adapters (`add_lora`).
        """
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(any(part in name for part in TRAINED))

    def get_input_embeddings(self) -> nn.Module:
        """The language model's."""
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the language model's."""
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        """The language model's."""
        return self.language_model.get_output_embeddings()

    def _check_pixels(self, pixel_values: Tensor) -> None:
        size = self.config.vision_config.image_size
        if 0 in pixel_values.shape:
            raise InputError("pixel_values", "there are no frames", "Give one frame or more")
        if pixel_values.ndim != 5 or pixel_values.shape[2:] != (3, size, size):  # noqa: PLR2004 - [B, T, 3, H, W]
            problem = f"their shape is {list(pixel_values.shape)}"
            raise InputError(
                "pixel_values", problem, f"Give [videos, frames, 3, {size}, {size}], as the processor does"
            )
        if not pixel_values.isfinite().all():
            raise InputError("pixel_values", "not all are numbers", "Look for NaN in the frames")

    def _check_length(self, length: int) -> None:
        if length > self.config.context_length:
            problem = f"the prompt has {length} tokens, and the language model reads {self.config.context_length}"
            raise InputError("input_ids", problem, "Ask about fewer videos, or leave out earlier turns")

    def _check_places(self, places: int, features: Tensor | None) -> None:
        each = self.config.num_visual_tokens
        given = 0 if features is None else len(features)
        if places != given * each:
            problem = f"the prompts have room for {places / each:g} videos and images, and {given} are given"
            raise InputError("input_ids", problem, "Let the processor write the prompts")

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is self:
            init.zeros_(self.query_tokens)
            init.zeros_(self.extra_query_tokens)


def _without_flash_attention(qformer_config: Blip2QFormerConfig) -> Blip2QFormerConfig:
    """Leave flash attention to the other parts: transformers' Q-Former has none, and does little of the work."""
    if "flash" in (qformer_config._attn_implementation or ""):
        qformer_config._attn_implementation = "sdpa"
    return qformer_config
