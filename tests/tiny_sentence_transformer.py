"""Tiny sentence-transformers models: real encoders with random weights, and mean pooling."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    XLMRobertaConfig,
    XLMRobertaModel,
    XLMRobertaTokenizer,
)

from tests.tiny_models import SMALL, SPREAD, WORDS

MAX_TOKENS = 64


def save_sentence_transformer(folder: Path, size: int = 16, prompts: dict[str, str] | None = None) -> Path:
    """Save a BERT whose vectors have so many dimensions, in the layout of published models."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys([*WORDS.split(), "query", "passage"])]
    tokenizer = BertTokenizer(vocab={token: number for number, token in enumerate(tokens)})
    torch.manual_seed(0)
    config: Any = BertConfig(**SMALL | {"hidden_size": size}, vocab_size=len(tokenizer), initializer_range=SPREAD)
    return _save(folder, BertModel(config), tokenizer, prompts)


def save_cased_sentence_transformer(folder: Path, prompts: dict[str, str] | None = None) -> Path:
    """Save an XLM-RoBERTa whose tokenizer distinguishes capital letters and reads several scripts."""
    pieces = [
        "<s>",
        "<pad>",
        "</s>",
        "<unk>",
        "▁",
        *"abcdefghijklmnopqrstuvwxyzABCTäß日本東京한국:.🎬",
        "▁egg",
        "▁pan",
    ]
    tokenizer = XLMRobertaTokenizer(vocab=[*((piece, -len(pieces) / len(piece)) for piece in pieces), ("<mask>", 0.0)])
    torch.manual_seed(0)
    config: Any = XLMRobertaConfig(
        **SMALL, vocab_size=len(tokenizer), initializer_range=SPREAD, max_position_embeddings=MAX_TOKENS + 2
    )
    return _save(folder, XLMRobertaModel(config), tokenizer, prompts)


def _save(
    folder: Path, encoder: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: dict[str, str] | None
) -> Path:
    tokenizer.save_pretrained(folder)
    encoder.save_pretrained(folder)
    (folder / "1_Pooling").mkdir()
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    files: dict[str, Any] = {
        "modules.json": modules,
        "sentence_bert_config.json": {"max_seq_length": MAX_TOKENS, "do_lower_case": False},
        "1_Pooling/config.json": {
            "word_embedding_dimension": encoder.config.hidden_size,
            "pooling_mode_mean_tokens": True,
        },
        "config_sentence_transformers.json": {"prompts": prompts or {}},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    return folder
