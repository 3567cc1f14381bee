"""Token merging without training: bipartite soft matching, as in Token Merging (arXiv 2210.09461)."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from langchain_videochat.embed.conversation import VisualTokens
from langchain_videochat.embed.long_videos import divide, thin_out
from langchain_videochat.errors import InputError

BLOCK_SIZE = 2048
"""Tokens that are compared with one another: all pairs of the tokens of a day of video would not fit into memory."""


def merge_segments(segments: Sequence[VisualTokens], count: int) -> Iterator[VisualTokens]:
    """Merge neighboring segments into `count` segments, each with as many tokens as one had before.

    The language model then gets only what it was trained on: the visual tokens of one video and its frames' timestamps.
    """
    for members in divide(segments, count):
        embeddings = torch.cat([member.embeddings for member in members])
        times = tuple(time for member in members for time in member.times)
        yield VisualTokens(
            "video",
            merge_tokens(embeddings, len(members[0].embeddings)),
            key=("merged", *(member.key for member in members)),
            times=thin_out(times, len(members)),
        )


def merge_tokens(tokens: Tensor, count: int) -> Tensor:
    """Merge the most similar tokens into their means until `count` are left.

    Args:
        tokens: Tokens in order, [L, width].
        count: Number of tokens to keep.

    Returns:
        Tokens in order, [count, width]; `tokens` if L is at most `count`.

    Raises:
        InputError: `count` is below 1.

    Example:
        >>> merge_tokens(torch.tensor([[1.0, 0.0], [0.0, 4.0], [0.0, 2.0]]), 2)
        tensor([[1., 0.],
                [0., 3.]])
    """
    if count < 1:
        raise InputError("count", f"must be 1 or more, got {count}", "Give the number of tokens to keep")
    sizes = torch.ones(len(tokens), device=tokens.device)
    merged = tokens.float()
    while len(merged) > count:
        merged, sizes = _merge_blocks(merged, sizes, count)
    return merged.to(tokens.dtype)


def _merge_blocks(tokens: Tensor, sizes: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Merge each block of neighbors towards its share of `count`."""
    bounds = torch.tensor([*range(0, len(tokens), BLOCK_SIZE), len(tokens)])
    shares = (bounds * count / len(tokens)).round().long().diff().tolist()
    blocks = zip(tokens.split(BLOCK_SIZE), sizes.split(BLOCK_SIZE), shares, strict=True)
    merged, merged_sizes = zip(*(_merge(*block) for block in blocks), strict=True)
    return torch.cat(merged), torch.cat(merged_sizes)


def _merge(tokens: Tensor, sizes: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Merge odd tokens, the most similar first and all if need be, into the even token that is most similar to each."""
    directions = normalize(tokens, dim=-1)
    similarity, partners = (directions[1::2] @ directions[::2].T).max(dim=1)
    chosen = similarity.topk(min(len(tokens) - count, len(similarity))).indices
    sources, targets = 2 * chosen + 1, 2 * partners[chosen]
    sums = (tokens * sizes.unsqueeze(1)).index_add(0, targets, tokens[sources] * sizes[sources].unsqueeze(1))
    merged_sizes = sizes.index_add(0, targets, sizes[sources])
    is_kept = torch.ones(len(tokens), dtype=torch.bool, device=tokens.device).index_fill(0, sources, value=False)
    return (sums / merged_sizes.unsqueeze(1))[is_kept], merged_sizes[is_kept]
