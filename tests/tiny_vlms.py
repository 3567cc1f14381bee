"""Tiny vision-language models with random weights for tests: real architectures and processors, by name."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tests.custom_vlm import CustomConfig, CustomForConditionalGeneration, CustomProcessor

hf: Any = transformers
"""Typed as Any: its configurations accept arguments that are not in their signatures."""

SPREAD = 0.3
"""Standard deviation of the random weights: large enough that different inputs give different tokens."""

CHATML = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

TEXT: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 32_768,
    "tie_word_embeddings": False,
}

VISION: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}

AUDIO = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "subsampling_conv_channels": [128, 4],
    "output_proj_dims": 32,
}

MROPE = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [4, 2, 2]}

QWEN_TOKENS = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]

IDEFICS_PICTURES = {"size": {"longest_edge": 64}, "max_image_size": {"longest_edge": 64}}

IDEFICS_TOKENS = ["<end_of_utterance>", "<fake_token_around_image>", "<image>", "<global-img>"]


def chatml(image: str, video: str, audio: str = "") -> str:
    """Return a chat template in the style of ChatML, with the placeholders of a picture, a video and a sound."""
    return (
        "{% for message in messages %}<|im_start|>{{ message.role }}\n{% for item in message.content %}"
        f"{{% if item.type == 'image' %}}{image}{{% elif item.type == 'video' %}}{video}"
        f"{{% elif item.type == 'audio' %}}{audio}"
        "{% else %}{{ item.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


QWEN = chatml("<|vision_start|><|image_pad|><|vision_end|>", "<|vision_start|><|video_pad|><|vision_end|>")


def make_tokenizer(special: list[str], **tokens: str) -> PreTrainedTokenizerFast:
    """Build a byte-level tokenizer with special tokens."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*CHATML, *special, *letters])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer: PreTrainedTokenizerFast = hf.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        extra_special_tokens={f"token_{number}": token for number, token in enumerate([CHATML[1], *special])} | tokens,
    )
    return tokenizer


def qwen3_vl(
    folder: Path,
    *,
    text: Mapping[str, Any] | None = None,
    vision: Mapping[str, Any] | None = None,
    special: Sequence[str] = (),
) -> None:
    """Save a Qwen3-VL, whose processor writes the times of frames.

    `text` and `vision` change its configuration, and `special` are more special tokens.
    """
    tokenizer = make_tokenizer([*QWEN_TOKENS, *special])
    ids = tokenizer.get_vocab()
    tower = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_heads": 2,
        "out_hidden_size": 32,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0],
        "patch_size": 16,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }
    config = hf.Qwen3VLConfig(
        text_config=TEXT | {"vocab_size": len(tokenizer), "head_dim": 16, "rope_parameters": MROPE} | dict(text or {}),
        vision_config=tower | dict(vision or {}),
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    video = {"size": {"shortest_edge": 4096, "longest_edge": 2**24}}
    processor = hf.Qwen3VLProcessor(
        hf.Qwen2VLImageProcessor(patch_size=16, size={"shortest_edge": 1024, "longest_edge": 2**24}),
        tokenizer,
        hf.Qwen3VLVideoProcessor(**video),
        chat_template=chatml(
            "<|vision_start|><|image_pad|><|vision_end|>", "<|vision_start|><|video_pad|><|vision_end|>"
        ),
    )
    _save(folder, hf.Qwen3VLForConditionalGeneration(config), processor)


def qwen2_5_vl(
    folder: Path,
    config_class: Any = hf.Qwen2_5_VLConfig,
    model_class: Any = hf.Qwen2_5_VLForConditionalGeneration,
    processor_class: Any = hf.Qwen2_5_VLProcessor,
) -> None:
    """Save a Qwen2.5-VL, which learns the times of frames from their positions only."""
    tokenizer = make_tokenizer(QWEN_TOKENS)
    ids = tokenizer.get_vocab()
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_heads": 2,
        "out_hidden_size": 32,
        "fullatt_block_indexes": [1],
    }
    config = config_class(
        text_config=TEXT | {"vocab_size": len(tokenizer), "rope_parameters": MROPE},
        vision_config=vision,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    size = {"shortest_edge": 4 * 784, "longest_edge": 2**24}
    processor = processor_class(
        hf.Qwen2VLImageProcessor(size=size), tokenizer, hf.Qwen2VLVideoProcessor(size=size), chat_template=QWEN
    )
    _save(folder, model_class(config), processor)


def qwen2_5_omni(folder: Path) -> None:
    """Save a Qwen2.5-Omni, which also takes sound, without the part that speaks."""
    special = {
        "image_token": "<|IMAGE|>",
        "video_token": "<|VIDEO|>",
        "audio_token": "<|AUDIO|>",
        "vision_bos_token": "<|vision_bos|>",
        "vision_eos_token": "<|vision_eos|>",
        "audio_bos_token": "<|audio_bos|>",
        "audio_eos_token": "<|audio_eos|>",
    }
    tokenizer = make_tokenizer(list(special.values()), **special)
    ids = tokenizer.get_vocab()
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 32}
    audio = {"d_model": 32, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 32, "output_dim": 32}
    thinker = {
        "text_config": TEXT | {"vocab_size": len(tokenizer), "rope_parameters": MROPE},
        "vision_config": vision | {"fullatt_block_indexes": [1]},
        "audio_config": audio | {"n_window": 10},
        "image_token_id": ids["<|IMAGE|>"],
        "video_token_id": ids["<|VIDEO|>"],
        "audio_token_id": ids["<|AUDIO|>"],
        "vision_start_token_id": ids["<|vision_bos|>"],
        "vision_end_token_id": ids["<|vision_eos|>"],
        "audio_start_token_id": ids["<|audio_bos|>"],
        "audio_end_token_id": ids["<|audio_eos|>"],
    }
    config = hf.Qwen2_5OmniConfig(thinker_config=thinker, enable_audio_output=False)
    size = {"shortest_edge": 4 * 784, "longest_edge": 2**24}
    processor = hf.Qwen2_5OmniProcessor(
        hf.Qwen2VLImageProcessor(size=size),
        hf.Qwen2VLVideoProcessor(size=size),
        hf.WhisperFeatureExtractor(feature_size=128, chunk_length=30),
        tokenizer,
        chat_template=chatml(
            "<|vision_bos|><|IMAGE|><|vision_eos|>",
            "<|vision_bos|><|VIDEO|><|vision_eos|>",
            "<|audio_bos|><|AUDIO|><|audio_eos|>",
        ),
    )
    _save(folder, hf.Qwen2_5OmniForConditionalGeneration(config), processor)


def custom_vlm(folder: Path, auto_class: str) -> None:
    """Save a model with its own code, whose class is named as `auto_class` in its configuration."""
    CustomConfig.register_for_auto_class()
    CustomForConditionalGeneration.register_for_auto_class(auto_class)
    CustomProcessor.register_for_auto_class()
    qwen2_5_vl(folder, CustomConfig, CustomForConditionalGeneration, CustomProcessor)


def smolvlm(folder: Path) -> None:
    """Save a SmolVLM2."""
    tokenizer = make_tokenizer([*IDEFICS_TOKENS, "<video>"])
    processor = hf.SmolVLMProcessor(
        hf.SmolVLMImageProcessor(**IDEFICS_PICTURES, do_image_splitting=False),
        tokenizer,
        hf.SmolVLMVideoProcessor(**IDEFICS_PICTURES, fps=1, num_frames=64),
        image_seq_len=4,
        chat_template=chatml("<image>", "<video>"),
    )
    config = _idefics_config(hf.SmolVLMConfig, tokenizer)
    _save(folder, hf.SmolVLMForConditionalGeneration(config), processor)


def idefics3(folder: Path) -> None:
    """Save an Idefics3, whose processor takes images only."""
    tokenizer = make_tokenizer(IDEFICS_TOKENS)
    processor = hf.Idefics3Processor(
        hf.Idefics3ImageProcessor(**IDEFICS_PICTURES, do_image_splitting=False),
        tokenizer,
        image_seq_len=4,
        chat_template=chatml("<image>", ""),
    )
    config = _idefics_config(hf.Idefics3Config, tokenizer)
    _save(folder, hf.Idefics3ForConditionalGeneration(config), processor)


def _idefics_config(config_class: Any, tokenizer: PreTrainedTokenizerFast) -> Any:
    """Return the configuration of an Idefics3 or a SmolVLM: 64 pixels, four tokens per picture."""
    return config_class(
        text_config=TEXT | {"model_type": "llama", "vocab_size": len(tokenizer), "pad_token_id": 0},
        vision_config=VISION | {"image_size": 64, "patch_size": 16},
        scale_factor=2,
        image_token_id=tokenizer.get_vocab()["<image>"],
    )


def internvl(folder: Path) -> None:
    """Save an InternVL 3: 32 pixels, four tokens per frame."""
    special = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = make_tokenizer(list(special.values()), **special)
    config = hf.InternVLConfig(
        text_config=TEXT | {"model_type": "qwen2", "vocab_size": len(tokenizer)},
        vision_config=VISION | {"image_size": [32, 32], "patch_size": [8, 8]},
        image_token_id=tokenizer.get_vocab()["<IMG_CONTEXT>"],
        image_seq_length=4,
        downsample_ratio=0.5,
    )
    size = {"height": 32, "width": 32}
    processor = hf.InternVLProcessor(
        hf.GotOcr2ImageProcessor(size=size, crop_to_patches=False),
        tokenizer,
        hf.InternVLVideoProcessor(size=size),
        image_seq_length=4,
        chat_template=chatml("<IMG_CONTEXT>\n", "<video>\n"),
    )
    _save(folder, hf.InternVLForConditionalGeneration(config), processor)


def llava_onevision(folder: Path) -> None:
    """Save a LLaVA-OneVision: 32 pixels."""
    tokenizer = make_tokenizer(["<image>", "<video>"])
    ids = tokenizer.get_vocab()
    config = hf.LlavaOnevisionConfig(
        text_config=TEXT | {"model_type": "qwen2", "vocab_size": len(tokenizer)},
        vision_config=VISION | {"model_type": "siglip_vision_model", "image_size": 32, "patch_size": 8},
        image_token_id=ids["<image>"],
        video_token_id=ids["<video>"],
        image_grid_pinpoints=[[32, 32]],
        vision_feature_layer=-1,
    )
    size = {"height": 32, "width": 32}
    processor = hf.LlavaOnevisionProcessor(
        hf.LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=[[32, 32]]),
        tokenizer,
        hf.LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=chatml("<image>\n", "<video>\n"),
    )
    _save(folder, hf.LlavaOnevisionForConditionalGeneration(config), processor)


def llava_next_video(folder: Path) -> None:
    """Save a LLaVA-NeXT-Video: 32 pixels."""
    tokenizer = make_tokenizer(["<image>", "<video>"])
    ids = tokenizer.get_vocab()
    config = hf.LlavaNextVideoConfig(
        text_config=TEXT | {"model_type": "llama", "vocab_size": len(tokenizer), "pad_token_id": 0},
        vision_config=VISION
        | {"model_type": "clip_vision_model", "image_size": 32, "patch_size": 8, "projection_dim": 32},
        image_token_index=ids["<image>"],
        video_token_index=ids["<video>"],
        image_grid_pinpoints=[[32, 32]],
        vision_feature_layer=-1,
    )
    size, crop = {"shortest_edge": 32}, {"height": 32, "width": 32}
    processor = hf.LlavaNextVideoProcessor(
        hf.LlavaNextVideoVideoProcessor(size=size, crop_size=crop),
        hf.LlavaNextImageProcessor(size=size, crop_size=crop, image_grid_pinpoints=[[32, 32]]),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chatml("<image>\n", "<video>\n"),
    )
    _save(folder, hf.LlavaNextVideoForConditionalGeneration(config), processor)


def video_llama_3(folder: Path) -> None:
    """Save a VideoLLaMA 3."""
    tokenizer = make_tokenizer(QWEN_TOKENS)
    ids = tokenizer.get_vocab()
    config = hf.VideoLlama3Config(
        text_config=TEXT | {"model_type": "qwen2", "vocab_size": len(tokenizer)},
        vision_config=VISION | {"patch_size": 14},
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
    )
    processor = hf.VideoLlama3Processor(
        hf.VideoLlama3ImageProcessor(), tokenizer, hf.VideoLlama3VideoProcessor(), chat_template=QWEN
    )
    _save(folder, hf.VideoLlama3ForConditionalGeneration(config), processor)


def gemma4(folder: Path) -> None:
    """Save a Gemma 4, whose layers attend to a window or to everything, and which also takes sound."""
    special = {
        "image_token": "<|image|>",
        "boi_token": "<|image>",
        "eoi_token": "<image|>",
        "audio_token": "<|audio|>",
        "boa_token": "<|audio>",
        "eoa_token": "<audio|>",
        "video_token": "<|video|>",
    }
    tokenizer = make_tokenizer(list(special.values()), **special)
    ids = tokenizer.get_vocab()
    text = TEXT | {
        "num_hidden_layers": 2,
        "head_dim": 16,
        "global_head_dim": 16,
        "vocab_size": len(tokenizer),
        "vocab_size_per_layer_input": len(tokenizer),
        "hidden_size_per_layer_input": 8,
        "layer_types": ["sliding_attention", "full_attention"],
        "sliding_window": 64,
        "tie_word_embeddings": True,
        "pad_token_id": 0,
        "eos_token_id": 2,
        "bos_token_id": 1,
    }
    config = hf.Gemma4Config(
        text_config=text,
        vision_config=VISION | {"num_key_value_heads": 2, "head_dim": 16, "position_embedding_size": 64},
        audio_config=AUDIO,
        image_token_id=ids["<|image|>"],
        video_token_id=ids["<|video|>"],
        audio_token_id=ids["<|audio|>"],
        boi_token_id=ids["<|image>"],
        eoi_token_id=ids["<image|>"],
    )
    processor = hf.Gemma4Processor(
        hf.Gemma4AudioFeatureExtractor(),
        hf.Gemma4ImageProcessor(),
        tokenizer,
        hf.Gemma4VideoProcessor(),
        chat_template=chatml("<|image|>", "<|video|>", "<|audio|>"),
    )
    _save(folder, hf.Gemma4ForConditionalGeneration(config), processor)


BUILDERS: dict[str, Callable[[Path], None]] = {
    build.__name__: build
    for build in (
        qwen2_5_omni,
        qwen2_5_vl,
        qwen3_vl,
        smolvlm,
        internvl,
        llava_onevision,
        llava_next_video,
        video_llama_3,
        gemma4,
        idefics3,
    )
}
"""By model type."""


def _save(folder: Path, model: Any, processor: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=SPREAD, generator=generator)
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
