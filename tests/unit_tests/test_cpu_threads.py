"""The number of CPU threads that models run on."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from langchain_videochat import VideoChatEmbed
from langchain_videochat.embed.cpu_threads import cpu_threads
from tests.tiny_videochat import save_videochat


@pytest.fixture(autouse=True)
def _three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_answers_of_a_small_model_use_one_thread(tmp_path: Path) -> None:
    seen: list[int] = []

    def record(*_: Any) -> None:
        seen.append(torch.get_num_threads())

    llm = VideoChatEmbed(model=str(save_videochat(tmp_path)), device="cpu", max_tokens=3)
    llm.load()
    assert llm._loaded is not None
    with llm._loaded.model.language_model.register_forward_pre_hook(record):
        stream = llm.stream("What is it?")
        next(stream)
        assert torch.get_num_threads() == 3, "between two tokens"
        list(stream)
    assert seen == [1, 1, 1]
    assert torch.get_num_threads() == 3


def test_large_models_use_all_threads() -> None:
    with cpu_threads(nn.Linear(10_000, 10_000, device="meta"))():
        assert torch.get_num_threads() == 3


def test_other_threads_keep_their_number() -> None:
    seen: list[int] = []

    def use_torch() -> None:
        torch.ones(10).sum()
        seen.append(torch.get_num_threads())

    def use_small_model() -> None:
        with cpu_threads(nn.Linear(2, 2))():
            seen.append(torch.get_num_threads())
        use_torch()

    with cpu_threads(nn.Linear(2, 2))():
        for target in (use_torch, use_small_model):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
    assert seen == [3, 1, 3]
