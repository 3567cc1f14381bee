"""Keys and values that a language model holds of what it has read: of several texts at once, and for the next time."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache

KEPT_TOKENS = 2048
"""Tokens whose keys and values are kept after answers: a GiB with a 7B model in bfloat16. Those of the last answer are
kept however many they are."""

Keys = tuple[Hashable, ...]
"""What stands at each place of a text: a token's number, or what tells a visual token from all others."""


def stack_rows(caches: Sequence[DynamicCache]) -> DynamicCache:
    """Put batches together, padded on the left to the longest."""
    if len(caches) == 1:
        return caches[0]
    length = max(cache.get_seq_length() for cache in caches)
    layers = zip(*map(_layers, caches), strict=True)
    return DynamicCache([tuple(_stack(tensors, length) for tensors in zip(*layer, strict=True)) for layer in layers])


def select_rows(cache: DynamicCache, rows: Sequence[int], start: int = 0, end: int | None = None) -> DynamicCache:
    """Take some rows of a batch, from one place to another."""
    return DynamicCache(
        [(keys[list(rows), :, start:end], values[list(rows), :, start:end]) for keys, values in _layers(cache)]
    )


@dataclass(frozen=True, eq=False)
class _Prefix:
    keys: Keys
    cache: DynamicCache


class PrefixCache:
    """What the last texts have left, so that a text that begins like one of them is read from there on."""

    def __init__(self) -> None:
        self._kept: list[_Prefix] = []

    def begin(self, keys: Keys) -> DynamicCache:
        """Give keys and values of as much of a text's beginning as is known, but not of its last token."""
        shared = [(_shared_length(prefix.keys, keys[:-1]), prefix.cache) for prefix in self._kept]
        length, cache = max(shared, key=lambda one: one[0], default=(0, None))
        return DynamicCache() if cache is None or not length else select_rows(cache, [0], end=length)

    def keep(self, keys: Keys, cache: DynamicCache) -> None:
        """Keep those of a text [1, heads, L, width], in place of what it goes on from."""
        others = [prefix for prefix in self._kept if _shared_length(prefix.keys, keys) < len(prefix.keys)]
        self._kept = [*others, _Prefix(keys, cache)]
        while len(self._kept) > 1 and sum(len(prefix.keys) for prefix in self._kept) > KEPT_TOKENS:
            self._kept.pop(0)

    def clear(self) -> bool:
        """Give the memory back; tells whether there was any."""
        had_some, self._kept = bool(self._kept), []
        return had_some


def _layers(cache: DynamicCache) -> list[tuple[Tensor, Tensor]]:
    """List keys and values of each layer, [B, heads, L, width]."""
    return [(keys, values) for keys, values, *_ in cache]


def _stack(tensors: Sequence[Tensor], length: int) -> Tensor:
    return torch.cat([pad(tensor, (0, 0, length - tensor.shape[2], 0)) for tensor in tensors])


def _shared_length(one: Keys, other: Keys) -> int:
    """Count the places at which two texts begin alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))
