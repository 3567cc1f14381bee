"""Whisper models of openai-whisper, saved in the other formats."""

from pathlib import Path
from typing import Any

import torch
from ctranslate2.converters.transformers import WhisperLoader
from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration
from whisper.tokenizer import LANGUAGES

NAMES = (
    ("attn_ln", "self_attn_layer_norm"),
    ("cross_self_attn_layer_norm", "encoder_attn_layer_norm"),
    ("cross_attn", "encoder_attn"),
    (".attn.", ".self_attn."),
    ("mlp_ln", "final_layer_norm"),
    ("mlp.0", "fc1"),
    ("mlp.2", "fc2"),
    ("query", "q_proj"),
    ("key", "k_proj"),
    ("value", "v_proj"),
    ("attn.out", "attn.out_proj"),
    ("blocks", "layers"),
    ("token_embedding", "embed_tokens"),
    ("positional_embedding", "embed_positions.weight"),
    ("ln_post", "layer_norm"),
    ("decoder.ln.", "decoder.layer_norm."),
)
"""Parts of the names of parameters in openai-whisper and in transformers."""

Heads = list[list[int]] | None


def save_transformers(checkpoint: Path, folder: Path, alignment_heads: Heads = None) -> Path:
    """Save a .pt file as a folder of transformers.

    Args:
        checkpoint: The .pt file.
        folder: Where to save it.
        alignment_heads: Layer and number of each head whose attention follows the words, if known.
    """
    model = _load(checkpoint)
    model.generation_config = GenerationConfig(alignment_heads=alignment_heads)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    return folder


def save_ctranslate2(checkpoint: Path, folder: Path) -> Path:
    """Save a .pt file as a folder of CTranslate2, without quantization."""
    model = _load(checkpoint)
    loader: Any = WhisperLoader()
    spec = loader.get_model_spec(model)
    vocabulary = _vocabulary(model.config.vocab_size)
    spec.register_vocabulary(vocabulary)
    spec.config.lang_ids = [number for number, token in enumerate(vocabulary) if token[2:-2] in LANGUAGES]
    layers, heads = model.config.decoder_layers, model.config.decoder_attention_heads
    spec.config.alignment_heads = [[layer, head] for layer in range(layers // 2, layers) for head in range(heads)]
    spec.validate()
    spec.optimize()
    folder.mkdir(parents=True)
    spec.save(str(folder))
    return folder


def _load(checkpoint: Path) -> WhisperForConditionalGeneration:
    content = torch.load(checkpoint, weights_only=True)
    dims = content["dims"]
    config = WhisperConfig(
        vocab_size=dims["n_vocab"],
        num_mel_bins=dims["n_mels"],
        d_model=dims["n_audio_state"],
        encoder_layers=dims["n_audio_layer"],
        encoder_attention_heads=dims["n_audio_head"],
        decoder_layers=dims["n_text_layer"],
        decoder_attention_heads=dims["n_text_head"],
        encoder_ffn_dim=4 * dims["n_audio_state"],
        decoder_ffn_dim=4 * dims["n_text_state"],
        max_source_positions=dims["n_audio_ctx"],
        max_target_positions=dims["n_text_ctx"],
    )
    model = WhisperForConditionalGeneration(config)
    state = {f"model.{_transformers_name(name)}": value.float() for name, value in content["model_state_dict"].items()}
    missing = model.load_state_dict(state, strict=False)
    assert missing == (["proj_out.weight"], [])
    model.tie_weights()
    return model


def _transformers_name(name: str) -> str:
    for part, replacement in NAMES:
        name = name.replace(part, replacement)
    return name


def _vocabulary(size: int) -> list[str]:
    """Return the special tokens at their places among placeholders: text is decoded by openai-whisper's tokenizer."""
    # CTranslate2 recognizes multilingual models by their empty token.
    text = [f"token{number}" for number in range(50256)] + ([""] if size > 51864 else [])
    languages = max(99, size - 51766)
    special = ["endoftext", "startoftranscript", *list(LANGUAGES)[:languages]]
    special += ["translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps"]
    tokens = text + [f"<|{name}|>" for name in special]
    return tokens + [f"<|{0.02 * number:.2f}|>" for number in range(size - len(tokens))]
