"""Fewer tokens out of many without training: bipartite soft matching, as of Token Merging (arXiv 2210.09461)."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from langchain_videochat.errors import InputError

BLOCK = 2048
"""Of so many neighbours those are sought that are alike: all pairs of tokens of a day would not fit into memory."""


def merge_tokens(tokens: Tensor, count: int) -> Tensor:
    """Merge the most alike tokens, each into their mean, until `count` are left.

    Args:
        tokens: In their order, [L, width].
        count: How many there shall be.

    Returns:
        [count, width], each in the place of the token that others were merged into; `tokens` if L is no larger.

    Raises:
        InputError: `count` is below 1.

    Example:
        >>> merge_tokens(torch.tensor([[1.0, 0.0], [0.0, 4.0], [0.0, 2.0]]), 2)
        tensor([[1., 0.],
                [0., 3.]])
    """
    if count < 1:
        raise InputError("count", f"{count} is no number of tokens", "Give 1 or more")
    sizes = torch.ones(len(tokens), device=tokens.device)
    merged = tokens.float()
    while len(merged) > count:
        merged, sizes = _merge_blocks(merged, sizes, count)
    return merged.to(tokens.dtype)


def _merge_blocks(tokens: Tensor, sizes: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Bring each block of neighbours nearer to its share of `count`."""
    borders = torch.tensor([*range(0, len(tokens), BLOCK), len(tokens)])
    shares = (borders * count / len(tokens)).round().long().diff().tolist()
    blocks = zip(tokens.split(BLOCK), sizes.split(BLOCK), shares, strict=True)
    merged, counts = zip(*(_merge(block, its_sizes, share) for block, its_sizes, share in blocks), strict=True)
    return torch.cat(merged), torch.cat(counts)


def _merge(tokens: Tensor, sizes: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Merge every second token, or so many that `count` are left, into the one most like it of the others."""
    directions = normalize(tokens, dim=-1)
    likeness, partners = (directions[1::2] @ directions[::2].T).max(dim=1)
    chosen = likeness.topk(min(len(tokens) - count, len(likeness))).indices
    places, targets = 2 * chosen + 1, 2 * partners[chosen]
    sums = (tokens * sizes.unsqueeze(1)).index_add(0, targets, tokens[places] * sizes[places].unsqueeze(1))
    counts = sizes.index_add(0, targets, sizes[places])
    stays = torch.ones(len(tokens), dtype=torch.bool, device=tokens.device).index_fill(0, places, value=False)
    return (sums / counts.unsqueeze(1))[stays], counts[stays]
