"""Models of the profile `standard` in their real size: Whisper base with its weights, the others with random ones."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
import transformers
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers

from examples.whisper_base import whisper_folder
from tests.benchmarks.media import cached
from tests.tiny_models import SMOLVLM_SETTINGS, SMOLVLM_TEMPLATE, SMOLVLM_TOKENS
from tests.tiny_vision import DFINE_SETTINGS, XCLIP_SETTINGS, write_settings

hf: Any = transformers
"""Typed as Any: its configurations accept arguments that are not in their signatures."""

CAPTION_TOKENS = 25
"""Length of a caption: SmolVLM2 answers the prompt for one sentence with 20 to 30 tokens."""

TEXT_VOCABULARY = 32_000
"""Tokens of the embedding model's text encoder, instead of 256,000: frames do not pass through it."""


def standard_profile() -> Path:
    """Save the models once, and return `standard` with these models: it downloads nothing."""
    return cached("standard-models-4", _save_all) / "standard.yaml"


def talk_profile() -> Path:
    """Return `talk` with the weights of Whisper base on this machine."""

    def build(path: Path) -> None:
        path.write_text(yaml.safe_dump(profile_with("talk", {"speech": str(whisper_folder())})))

    return cached("talk.yaml", build)


def _save_all(folder: Path) -> None:
    folder.mkdir()
    torch.manual_seed(0)
    _save_siglip2(folder / "siglip2")
    save_smolvlm(folder / "smolvlm2")
    _save(folder / "d-fine", hf.DFineForObjectDetection(_dfine()))
    write_settings(folder / "d-fine", DFINE_SETTINGS)
    _save(folder / "x-clip", hf.XCLIPModel(hf.XCLIPConfig()), _word_tokenizer(49_408))
    write_settings(folder / "x-clip", XCLIP_SETTINGS)
    names = {
        "visual": "siglip2",
        "tags": "siglip2",
        "captions": "smolvlm2",
        "objects": "d-fine",
        "actions": "x-clip",
    }
    # The folder is still to be renamed: the profile contains the final paths of the models.
    final = folder.parent.parent / folder.name
    speech = {"speech": str(whisper_folder())}
    (folder / "standard.yaml").write_text(
        yaml.safe_dump(profile_with("standard", {one: str(final / name) for one, name in names.items()} | speech))
    )


def profile_with(name: str, paths: dict[str, str]) -> list[dict[str, Any]]:
    """Return a built-in profile with other models.

    Args:
        name: The profile.
        paths: Path of the model by perceiver.
    """
    entries = yaml.safe_load(files("langchain_videochat.perception").joinpath(f"{name}.yaml").read_text("utf-8"))
    perceivers = [entry if isinstance(entry, dict) else {entry: {}} for entry in entries]
    return [
        {one: options | ({"model": paths[one]} if one in paths else {})}
        for entry in perceivers
        for one, options in entry.items()
    ]


def _save_siglip2(folder: Path) -> None:
    tokens = {"vocab_size": TEXT_VOCABULARY, "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
    text = {**tokens, "max_position_embeddings": 64, "projection_size": 768}
    config = hf.SiglipConfig(text_config=text, vision_config={"image_size": 256, "patch_size": 32})
    processor = hf.SiglipImageProcessorPil(size={"height": 256, "width": 256})
    _save(folder, hf.SiglipModel(config), processor, _word_tokenizer(TEXT_VOCABULARY))


def save_smolvlm(
    folder: Path, *, hidden: int = 576, layers: int = 30, heads: int = 9, tokens: int = CAPTION_TOKENS
) -> None:
    """Save a SmolVLM2 that writes captions of a fixed length, by default as large as the one with 256 million weights.

    Args:
        folder: Where it is saved.
        hidden: Width of its language model.
        layers: Layers of its language model.
        heads: Attention heads of its language model, three for each head of keys and values.
        tokens: Length of its captions.
    """
    tokenizer = _word_tokenizer(49_280, ["<end_of_utterance>", *SMOLVLM_TOKENS])
    text = {
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": hidden * 8 // 3,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads // 3,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 8192,
        "bos_token_id": 1,
        "eos_token_id": 1,
        "pad_token_id": 0,
    }
    vision = {"hidden_size": 768, "num_attention_heads": 12, "image_size": 512, "patch_size": 16}
    image_token = tokenizer.convert_tokens_to_ids("<image>")
    model = hf.SmolVLMForConditionalGeneration(
        hf.SmolVLMConfig(text_config=text, vision_config=vision, scale_factor=4, image_token_id=image_token)
    )
    model.generation_config.min_new_tokens = tokens
    model.generation_config.exponential_decay_length_penalty = (tokens, 1e6)
    _save(folder, model, tokenizer)
    write_settings(folder, SMOLVLM_SETTINGS)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": SMOLVLM_TEMPLATE}))


def _dfine() -> Any:
    """Return the configuration of D-FINE small, trained on Objects365."""
    backbone = {
        "model_type": "hgnet_v2",
        "stem_channels": [3, 16, 16],
        "hidden_sizes": [128, 256, 512, 1024],
        "stage_in_channels": [16, 64, 256, 512],
        "stage_mid_channels": [16, 32, 64, 128],
        "stage_out_channels": [64, 256, 512, 1024],
        "stage_num_blocks": [1, 1, 2, 1],
        "stage_numb_of_layers": [3, 3, 3, 3],
        "use_learnable_affine_block": True,
        "out_indices": [2, 3, 4],
    }
    return hf.DFineConfig(
        backbone_config=backbone,
        num_labels=366,
        encoder_in_channels=[256, 512, 1024],
        hidden_expansion=0.5,
        depth_mult=0.34,
        decoder_layers=3,
        decoder_n_points=[3, 6, 3],
    )


def _word_tokenizer(size: int, special: list[str] | None = None) -> Any:
    words = ["[PAD]", "</s>", "[UNK]", *(special or [])]
    vocabulary = {word: number for number, word in enumerate([*words, *(f"word{n}" for n in range(size - len(words)))])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        eos_token="</s>",
        unk_token="[UNK]",
        additional_special_tokens=special or [],
    )


def _save(folder: Path, *parts: Any) -> None:
    for part in parts:
        part.save_pretrained(folder)
