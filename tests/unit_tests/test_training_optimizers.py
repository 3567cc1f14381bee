"""The learning rate, and what decays."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from langchain_videochat.training.optimizers import learning_rate_share, make_optimizer, make_schedule
from tests.tiny_training import make_config
from tests.tiny_videochat import tiny_videochat

shares = st.floats(0, 1)


@given(st.integers(1, 200), shares, shares)
def test_the_learning_rate_rises_then_falls_to_its_floor(steps: int, warmup: float, floor: float) -> None:
    rates = [learning_rate_share(step, steps=steps, warmup=warmup, floor=floor) for step in range(1, steps + 1)]
    highest = rates.index(max(rates))
    assert rates[: highest + 1] == sorted(rates[: highest + 1])
    assert rates[highest:] == sorted(rates[highest:], reverse=True)
    assert all(0 < rate <= 1 or rate == floor for rate in rates)
    assert min(rates[highest:]) >= floor or highest == steps - 1


def test_the_cosine_ends_at_the_paper_s_floor() -> None:
    def share(step: int) -> float:
        return learning_rate_share(step, steps=1000, warmup=0.2, floor=0.25)

    assert [share(step) for step in (100, 200, 600, 1000)] == pytest.approx([0.5, 1.0, 0.5, 0.25])


def test_a_schedule_goes_on_where_it_was(tmp_path: Path) -> None:
    config = make_config(tmp_path, tmp_path / "run")

    def rates(done: int, count: int) -> list[float]:
        optimizer = make_optimizer(tiny_videochat(), config)
        schedule = make_schedule(optimizer, steps=10, warmup=config.warmup, floor=config.floor, done=done)
        found = []
        for _ in range(count):
            found.append(float(schedule.get_last_lr()[0]))
            optimizer.step()
            schedule.step()
        return found

    assert rates(0, 10)[6:] == rates(6, 4)


def test_biases_and_norms_do_not_decay(tmp_path: Path) -> None:
    model = tiny_videochat()
    model.freeze_pretrained()
    optimizer = make_optimizer(model, make_config(tmp_path, tmp_path / "run", weight_decay=0.3))
    decay = {id(each): group["weight_decay"] for group in optimizer.param_groups for each in group["params"]}
    named = {name: decay[id(each)] for name, each in model.named_parameters() if each.requires_grad}
    assert len(named) == len(decay)
    for name, share in named.items():
        is_kept = name.endswith("bias") or ".ln_" in name or "layernorm" in name
        assert share == (0.0 if is_kept else 0.3), name
    assert isinstance(optimizer, torch.optim.AdamW)
