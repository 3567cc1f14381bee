"""KV caches: stacking and selecting rows of a batch, and reusing the prefixes of earlier prompts."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache, PreTrainedConfig
from transformers.cache_utils import DummyLayer, DynamicLayer, DynamicSlidingWindowLayer

from langchain_videochat.embed.backend import TokenIds

MAX_CACHED_TOKENS = 2048
"""Tokens whose keys and values are kept after answers: 1 GiB with a 7B model in bfloat16. The last answer is always
kept, whatever its length."""

_GROWING = (DynamicLayer, DynamicSlidingWindowLayer, DummyLayer)
"""Types of layers that keep keys and values per token, or nothing of their own."""


def is_divisible(config: PreTrainedConfig) -> bool:
    """Return whether KV caches of a language model can be cut and stacked.

    They cannot if it has layers that summarize all tokens in one state, such as those of linear attention.

    Example:
        >>> from transformers import LlamaConfig, Qwen3NextConfig
        >>> is_divisible(LlamaConfig()), is_divisible(Qwen3NextConfig())
        (True, False)
    """
    return all(type(layer) in _GROWING for layer in DynamicCache(config=config).layers)


def stack_rows(caches: Sequence[DynamicCache]) -> DynamicCache:
    """Concatenate batches, padded on the left to the longest."""
    if len(caches) == 1:
        return caches[0]
    length = max(cache.get_seq_length() for cache in caches)
    layers = zip(*map(_layers, caches), strict=True)
    return DynamicCache([tuple(_stack(tensors, length) for tensors in zip(*layer, strict=True)) for layer in layers])


def select_rows(cache: DynamicCache, rows: Sequence[int], start: int = 0, end: int | None = None) -> DynamicCache:
    """Return some rows of a batch, from position `start` to `end`."""
    return DynamicCache(
        [(keys[list(rows), :, start:end], values[list(rows), :, start:end]) for keys, values in _layers(cache)]
    )


@dataclass(frozen=True, eq=False)
class _Prefix:
    token_ids: TokenIds
    cache: DynamicCache


class PrefixCache:
    """KV caches of the last prompts and answers, so that a prompt with the same prefix is processed from there on."""

    def __init__(self) -> None:
        self._prefixes: list[_Prefix] = []

    def get(self, token_ids: TokenIds) -> DynamicCache:
        """Return a KV cache of the longest known prefix, without the last token, whose logits are needed."""
        shared = [(_shared_length(prefix.token_ids, token_ids[:-1]), prefix.cache) for prefix in self._prefixes]
        length, cache = max(shared, key=lambda one: one[0], default=(0, None))
        return DynamicCache() if cache is None or not length else select_rows(cache, [0], end=length)

    def put(self, token_ids: TokenIds, cache: DynamicCache) -> None:
        """Store a KV cache with one row; it replaces those of its prefixes."""
        others = [
            prefix for prefix in self._prefixes if _shared_length(prefix.token_ids, token_ids) < len(prefix.token_ids)
        ]
        self._prefixes = [*others, _Prefix(token_ids, cache)]
        while len(self._prefixes) > 1 and sum(len(one.token_ids) for one in self._prefixes) > MAX_CACHED_TOKENS:
            self._prefixes.pop(0)

    def clear(self) -> bool:
        """Free the memory, and return whether there was any to free."""
        had_some, self._prefixes = bool(self._prefixes), []
        return had_some


def _layers(cache: DynamicCache) -> list[tuple[Tensor, Tensor]]:
    """Return keys and values of each layer, [B, heads, L, width]."""
    return [(keys, values) for keys, values, *_ in cache]


def _stack(tensors: Sequence[Tensor], length: int) -> Tensor:
    return torch.cat([pad(tensor, (0, 0, length - tensor.shape[2], 0)) for tensor in tensors])


def _shared_length(first: TokenIds, second: TokenIds) -> int:
    pairs = enumerate(zip(first, second, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(first), len(second)))
