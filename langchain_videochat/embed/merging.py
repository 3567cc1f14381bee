"""Fewer tokens out of many without training: bipartite soft matching, as of Token Merging (arXiv 2210.09461)."""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def merge_tokens(tokens: Tensor, count: int) -> Tensor:
    """Merge the most alike tokens, each into their mean, until `count` are left.

    Args:
        tokens: In their order, [L, width].
        count: How many there shall be.

    Returns:
        [count, width], each in the place of the token that others were merged into; `tokens` if L is no larger.

    Example:
        >>> merge_tokens(torch.tensor([[1.0, 0.0], [0.0, 4.0], [0.0, 2.0]]), 2)
        tensor([[1., 0.],
                [0., 3.]])
    """
    sizes = torch.ones(len(tokens), device=tokens.device)
    merged = tokens.float()
    while len(merged) > count:
        merged, sizes = _merge(merged, sizes, len(merged) - count)
    return merged.to(tokens.dtype)


def _merge(tokens: Tensor, sizes: Tensor, surplus: int) -> tuple[Tensor, Tensor]:
    """Merge up to `surplus` of every second token, at most all of them, into the one most like it of the others."""
    directions = normalize(tokens, dim=-1)
    likeness, partners = (directions[1::2] @ directions[::2].T).max(dim=1)
    chosen = likeness.topk(min(surplus, len(likeness))).indices
    places, targets = 2 * chosen + 1, 2 * partners[chosen]
    sums = (tokens * sizes.unsqueeze(1)).index_add(0, targets, tokens[places] * sizes[places].unsqueeze(1))
    counts = sizes.index_add(0, targets, sizes[places])
    stays = torch.ones(len(tokens), dtype=torch.bool, device=tokens.device).index_fill(0, places, value=False)
    return (sums / counts.unsqueeze(1))[stays], counts[stays]
