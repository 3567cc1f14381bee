"""A tiny cross-encoder: a real BERT whose weights are set so that its scores are known."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

from tests.tiny_models import SMALL, WORDS

SIZE = 16
TEXT, LIKED = 0, 1
"""Dimensions of the hidden states: all words, and the words with weights."""


def save_cross_encoder(folder: Path, weights: Mapping[str, float], labels: int = 1) -> Path:
    """Save a model whose score of a query and a text rises with the mean weight of their words.

    Words without a weight have 0. The layout is that of most published cross-encoders.
    """
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys([*WORDS.split(), *weights])]
    tokenizer = BertTokenizer(vocab={token: number for number, token in enumerate(tokens)})
    options: dict[str, Any] = {**SMALL, "hidden_size": SIZE, "vocab_size": len(tokenizer), "num_labels": labels}
    model: Any = BertForSequenceClassification(BertConfig(**options))
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.LayerNorm):
            torch.nn.init.ones_(module.weight)
        if name.endswith(("self.value", "attention.output.dense", "pooler.dense")):
            torch.nn.init.eye_(module.weight)  # with queries and keys of 0, attention is the mean of all words
    embeddings = model.bert.embeddings.word_embeddings.weight.data
    embeddings[:, TEXT] = 1.0
    for word, weight in weights.items():
        embeddings[tokens.index(word), LIKED] = weight
    model.classifier.weight.data[0, LIKED] = 8.0
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder
