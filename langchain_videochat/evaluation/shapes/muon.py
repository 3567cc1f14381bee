"""The Muon optimizer, with which the small model learns from half as many scenes as with AdamW alone."""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

ITERATIONS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Coefficients of the polynomial that is iterated to bring singular values near 1."""

SCALE = 0.2
"""Matches the step size to that of AdamW with the same learning rate (Liu et al., arXiv 2502.16982)."""


class Muon(Optimizer):
    """Muon (Jordan et al., 2024): updates matrices by an orthogonalized gradient.

    `torch.optim.Muon` is not used: it computes in bf16, which is fifty times slower than fp32 on many CPUs.

    Args:
        matrices: Weights of hidden linear layers, without embeddings and heads.
        learning_rate: Learning rate, comparable to that of AdamW.
        momentum: Momentum of the gradient.
        weight_decay: Decoupled weight decay.

    Example:
        >>> layer = torch.nn.Linear(4, 4, bias=False)
        >>> layer(torch.ones(1, 4)).sum().backward()
        >>> Muon([layer.weight], learning_rate=1e-3).step()
    """

    def __init__(
        self, matrices: Iterable[Tensor], learning_rate: float, *, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(matrices, {"lr": learning_rate, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the matrices, those of the same shape in one batch."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                by_shape[matrix.shape].append(matrix)
            for shape, matrices in by_shape.items():
                gradients = torch.stack([self._nesterov(matrix, group["momentum"]) for matrix in matrices])
                step_size = group["lr"] * SCALE * max(shape) ** 0.5
                for matrix, update in zip(matrices, orthogonalize(gradients), strict=True):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update, alpha=step_size)

    def _nesterov(self, matrix: Tensor, momentum: float) -> Tensor:
        """Return a gradient with Nesterov momentum."""
        assert matrix.grad is not None  # noqa: S101
        mean = self.state[matrix].setdefault("mean", torch.zeros_like(matrix))
        mean.lerp_(matrix.grad, 1 - momentum)
        return matrix.grad.lerp(mean, momentum)


def orthogonalize(matrices: Tensor) -> Tensor:
    """Bring the singular values of matrices, [N, rows, columns], to about 0.7 to 1.2 by Newton-Schulz iterations.

    Example:
        >>> torch.linalg.svdvals(orthogonalize(torch.tensor([[[3.0, 0.0], [0.0, 0.5]]]))).round(decimals=1)
        tensor([[1.0000, 0.7000]])
    """
    first, second, third = COEFFICIENTS
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    wide = matrices.mT if is_tall else matrices
    wide = wide / (torch.linalg.matrix_norm(wide, keepdim=True) + 1e-7)
    for _ in range(ITERATIONS):
        gram = wide @ wide.mT
        wide = first * wide + (second * gram + third * gram @ gram) @ wide
    return wide.mT if is_tall else wide
