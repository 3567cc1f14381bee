"""One CPU thread for small models.

PyTorch shares each operation among threads, which spin while they wait for one another. If other programs use the CPUs,
all of them wait for the one that is not running, for milliseconds, and many times per token. A small model has too
little work per operation to make up for that.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache

import torch
from threadpoolctl import ThreadpoolController
from torch import nn

SMALL_MODEL = 25_000_000
"""Parameters of the largest model that runs on one CPU thread: a token takes it about 10 ms."""


def cpu_threads(model: nn.Module) -> Callable[[], AbstractContextManager[None]]:
    """Return a context manager in which to run a model: with one CPU thread if the model is small.

    It affects only the operations of the calling thread, and only until the context ends.

    Example:
        >>> with cpu_threads(torch.nn.Linear(8, 8))():
        ...     torch.get_num_threads()
        1
    """
    is_small = sum(parameter.numel() for parameter in model.parameters()) <= SMALL_MODEL
    return _one_thread if is_small else nullcontext


@contextmanager
def _one_thread() -> Iterator[None]:
    # PyTorch sets the number of a thread at its first use, which must not be inside the context.
    torch.get_num_threads()
    # torch.set_num_threads would also apply to threads that the program starts in the meantime.
    with _openmp().limit(limits=1):
        yield


@cache
def _openmp() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="openmp")
