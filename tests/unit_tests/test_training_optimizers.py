"""The learning rate schedule and weight decay."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from langchain_videochat.training.optimizers import build_lr_scheduler, build_optimizer, lr_factor
from tests.tiny_training import make_config
from tests.tiny_videochat import tiny_videochat

ratios = st.floats(0, 1)


@given(st.integers(1, 200), ratios, ratios)
def test_learning_rate_rises_then_falls_to_its_minimum(steps: int, warmup_ratio: float, min_lr_ratio: float) -> None:
    settings = {"warmup_ratio": warmup_ratio, "min_lr_ratio": min_lr_ratio}
    rates = [lr_factor(step, steps=steps, **settings) for step in range(1, steps + 1)]
    highest = rates.index(max(rates))
    assert rates[: highest + 1] == sorted(rates[: highest + 1])
    assert rates[highest:] == sorted(rates[highest:], reverse=True)
    assert all(0 < rate <= 1 or rate == min_lr_ratio for rate in rates)
    assert min(rates[highest:]) >= min_lr_ratio or highest == steps - 1


def test_cosine_ends_at_the_minimum_of_the_paper() -> None:
    def factor(step: int) -> float:
        return lr_factor(step, steps=1000, warmup_ratio=0.2, min_lr_ratio=0.25)

    assert [factor(step) for step in (100, 200, 600, 1000)] == pytest.approx([0.5, 1.0, 0.5, 0.25])


def test_scheduler_resumes(tmp_path: Path) -> None:
    config = make_config(tmp_path, tmp_path / "run")

    def rates(completed_steps: int, count: int) -> list[float]:
        optimizer = build_optimizer(tiny_videochat(), config)
        scheduler = build_lr_scheduler(
            optimizer,
            steps=10,
            warmup_ratio=config.warmup_ratio,
            min_lr_ratio=config.min_lr_ratio,
            completed_steps=completed_steps,
        )
        found = []
        for _ in range(count):
            found.append(float(scheduler.get_last_lr()[0]))
            optimizer.step()
            scheduler.step()
        return found

    assert rates(0, 10)[6:] == rates(6, 4)


def test_biases_and_norms_have_no_weight_decay(tmp_path: Path) -> None:
    model = tiny_videochat()
    model.freeze_pretrained()
    optimizer = build_optimizer(model, make_config(tmp_path, tmp_path / "run", weight_decay=0.3))
    decay = {id(each): group["weight_decay"] for group in optimizer.param_groups for each in group["params"]}
    named = {name: decay[id(each)] for name, each in model.named_parameters() if each.requires_grad}
    assert len(named) == len(decay)
    for name, weight_decay in named.items():
        is_exempt = name.endswith("bias") or ".ln_" in name or "layernorm" in name
        assert weight_decay == (0.0 if is_exempt else 0.3), name
    assert isinstance(optimizer, torch.optim.AdamW)
