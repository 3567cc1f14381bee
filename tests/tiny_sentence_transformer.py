"""A tiny sentence-transformers model: a real BERT with random weights, and mean pooling."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertModel, BertTokenizer

from tests.tiny_models import SMALL, SPREAD, WORDS


def save_sentence_transformer(folder: Path, size: int = 16, prompts: dict[str, str] | None = None) -> Path:
    """Save a model whose vectors have so many dimensions, in the layout of published models."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys([*WORDS.split(), "query", "passage"])]
    tokenizer = BertTokenizer(vocab={token: number for number, token in enumerate(tokens)})
    torch.manual_seed(0)
    config: Any = BertConfig(**SMALL | {"hidden_size": size}, vocab_size=len(tokenizer), initializer_range=SPREAD)
    tokenizer.save_pretrained(folder)
    BertModel(config).save_pretrained(folder)
    (folder / "1_Pooling").mkdir()
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    files: dict[str, Any] = {
        "modules.json": modules,
        "sentence_bert_config.json": {"max_seq_length": 64, "do_lower_case": False},
        "1_Pooling/config.json": {"word_embedding_dimension": size, "pooling_mode_mean_tokens": True},
        "config_sentence_transformers.json": {"prompts": prompts or {}},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    return folder
