"""The recipe of videochat-embed-tiny: labels, pre-training of its parts, and the whole training."""

from copy import deepcopy
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from safetensors.torch import load_file

from langchain_videochat.embed import (
    VideoChatEmbed,
    VideoChatEmbedForConditionalGeneration,
    VideoChatEmbedProcessor,
)
from langchain_videochat.evaluation.shapes import draw_scene
from langchain_videochat.evaluation.shapes.background_training import train_backgrounds
from langchain_videochat.evaluation.shapes.dataset_files import write_scene
from langchain_videochat.evaluation.shapes.language_pretraining import (
    FactEmbedding,
    pretrain_language,
    write_conversation,
)
from langchain_videochat.evaluation.shapes.muon import orthogonalize
from langchain_videochat.evaluation.shapes.recipe import Recipe, train_tiny
from langchain_videochat.evaluation.shapes.scene_samples import find_scene
from langchain_videochat.evaluation.shapes.targets import ACTIONS, POSITION_UNIT, ROLES, label_figures, label_patches
from langchain_videochat.evaluation.shapes.tiny_model import new_model
from langchain_videochat.evaluation.shapes.vision_pretraining import pretrain_queries, pretrain_tower
from langchain_videochat.evaluation.shapes.world import COLORS, MAX_FIGURES, SHAPES, SIZES, compute_trajectories
from langchain_videochat.training.samples import MEDIA, Media

SIDE = 8

SHORTEST = Recipe(pictures=1, clips=1, language=(1,), queries=(1,), stage1=1, stage2=1, backgrounds=(1,), varied=1)

ModelAndProcessor = tuple[VideoChatEmbedForConditionalGeneration, VideoChatEmbedProcessor]


@pytest.fixture(scope="module")
def untrained() -> ModelAndProcessor:
    """An untrained model. Tests copy it, because its tokenizer takes seconds to train."""
    return new_model()


@given(st.integers(0, 2**40))
def test_the_patch_at_a_figures_centre_shows_the_figure(seed: int) -> None:
    scene = draw_scene(seed)
    trajectories = compute_trajectories(scene)
    labels, positions = label_patches(scene, SIDE)
    patches = np.floor(trajectories.centers * SIDE).astype(int)
    # Two small figures that collide may have their centres in one patch, which shows either of them.
    shared = (patches[:, :, None] == patches[:, None]).all(axis=-1).sum(axis=-1) > 1
    for number, figure in enumerate(scene.figures):
        events = scene.events_of(number)
        for frame in np.flatnonzero((trajectories.presence[:, number] == 1) & ~shared[:, number]):
            center = trajectories.centers[frame, number]
            column, row = patches[frame, number]
            shape, color, size, first, second, role, new = labels[frame, row * SIDE + column]
            assert SHAPES[shape] == figure.shape
            assert COLORS[color] in {figure.color, *(event.color for event in events)}
            assert SIZES[size] == ("small" if trajectories.radii[frame, number] < 0.1 else "large") or len(events) > 0
            for half, action in enumerate((first, second)):
                assert [ACTIONS[action - 1]] * bool(action) == [event.action for event in events if event.half == half]
            hitter, hit = scene.collision or (None, None)
            assert ROLES[role] == {hitter: "hits another", hit: "is hit"}.get(number, "hits none")
            assert [COLORS[new - 1]] * bool(new) == [event.color for event in events if event.color]
            assert positions[frame, row * SIDE + column] * POSITION_UNIT + 0.5 == pytest.approx(center, abs=1e-6)


def test_a_patch_at_two_centres_shows_one_of_the_figures() -> None:
    scene = draw_scene(45750)
    assert scene.collision
    patches = np.floor(compute_trajectories(scene).centers * SIDE).astype(int)[:, scene.collision]
    labels, _ = label_patches(scene, SIDE)
    frames = np.flatnonzero((patches[:, 0] == patches[:, 1]).all(axis=-1))
    assert frames.size > 0
    for frame in frames:
        column, row = patches[frame, 0]
        shape, color, *_ = labels[frame, row * SIDE + column]
        assert f"{COLORS[color]} {SHAPES[shape]}" in {scene.figures[number].kind for number in scene.collision}


@given(st.integers(0, 2**40))
def test_patches_far_from_all_figures_show_none(seed: int) -> None:
    scene = draw_scene(seed)
    trajectories = compute_trajectories(scene)
    labels, _ = label_patches(scene, SIDE)
    centers = (np.stack(np.meshgrid(range(SIDE), range(SIDE)), axis=-1).reshape(-1, 2) + 0.5) / SIDE
    distances = np.linalg.norm(trajectories.centers[:, :, None] - centers, axis=-1) - trajectories.radii[..., None]
    far = (distances > 1 / SIDE) | (trajectories.presence[..., None] == 0)
    assert (labels[far.all(axis=1)] == -1).all()


@pytest.mark.parametrize("media", ["image", "video"])
def test_the_vision_tower_learns(untrained: ModelAndProcessor, media: Media) -> None:
    model, processor = deepcopy(untrained)
    before = {name: weights.clone() for name, weights in model.state_dict().items()}
    first = pretrain_tower(model, processor, media, steps=1, show_progress=False)
    later = pretrain_tower(model, processor, media, steps=8, show_progress=False)
    assert later < 0.9 * first
    changed = {name for name, weights in model.state_dict().items() if not torch.equal(weights, before[name])}
    assert all(name.startswith("vision_tower.") for name in changed)
    assert any("local_mhra" in name for name in changed) == (media == "video")


@given(st.integers(0, 2**40))
def test_figure_labels_are_in_alphabetical_order(seed: int) -> None:
    scene = draw_scene(seed)
    labels = label_figures(scene)
    figures = sorted(scene.figures, key=lambda figure: figure.name)
    assert (labels[len(figures) :] == -1).all()
    for figure, numbers in zip(figures, labels, strict=False):
        shape, color, size, first, second, role, new, across, down, left, above = numbers
        events = scene.events_of(scene.figures.index(figure))
        hitter, hit = scene.collision or (None, None)
        roles = {hitter: "hits another", hit: "is hit"}
        assert (SHAPES[shape], COLORS[color], SIZES[size]) == (figure.shape, figure.color, figure.size)
        for half, action in enumerate((first, second)):
            assert [ACTIONS[action - 1]] * bool(action) == [event.action for event in events if event.half == half]
        assert ROLES[role] == roles.get(scene.figures.index(figure), "hits none")
        assert [COLORS[new - 1]] * bool(new) == [event.color for event in events if event.color]
        assert [across * POSITION_UNIT, down * POSITION_UNIT] == pytest.approx(figure.center, abs=0.501 * POSITION_UNIT)
        coordinates = [[one.center[axis] for one in figures] for axis in (0, 1)]
        assert [left, above] == [sorted(values).index(figure.center[axis]) for axis, values in enumerate(coordinates)]


def test_the_q_former_learns(untrained: ModelAndProcessor) -> None:
    model, processor = deepcopy(untrained)
    before = {name: weights.clone() for name, weights in model.state_dict().items()}
    facts = FactEmbedding(model.config)
    first = pretrain_queries(model, processor, facts, rounds=[2], show_progress=False)
    later = pretrain_queries(model, processor, facts, rounds=[16, 4], show_progress=False)
    assert later < 0.9 * first
    changed = {name for name, weights in model.state_dict().items() if not torch.equal(weights, before[name])}
    assert changed
    assert not any(name.startswith(("vision_tower.", "language_model.")) for name in changed)


def test_backgrounds_change_neither_the_language_model_nor_statistics(untrained: ModelAndProcessor) -> None:
    model, processor = deepcopy(untrained)
    before = {name: weights.clone() for name, weights in model.state_dict().items()}
    assert 0 < train_backgrounds(model, processor, rounds=[1, 1], show_progress=False) < 2
    changed = {name for name, weights in model.state_dict().items() if not torch.equal(weights, before[name])}
    assert {name.partition(".")[0] for name in changed} >= {"vision_tower", "qformer", "language_projection"}
    assert not any("running" in name or name.startswith("language_model.") for name in changed)


def test_the_language_model_learns_from_fact_embeddings(untrained: ModelAndProcessor) -> None:
    model, processor = deepcopy(untrained)
    before = {name: weights.clone() for name, weights in model.state_dict().items()}
    facts = pretrain_language(model, processor, rounds=[2, 1], show_progress=False)
    changed = {name for name, weights in model.state_dict().items() if not torch.equal(weights, before[name])}
    assert changed
    assert all(name.startswith("language_model.") for name in changed)
    tokens = facts(torch.from_numpy(np.stack([label_figures(draw_scene(seed)) for seed in range(4)])))
    assert tokens.shape == (4, model.config.num_visual_tokens, model.config.text_config.hidden_size)
    assert torch.equal(tokens[:, :MAX_FIGURES], tokens[:, MAX_FIGURES : 2 * MAX_FIGURES])


@given(st.integers(0, 2**40), st.sampled_from(MEDIA))
def test_conversations_have_unique_questions_with_answers(seed: int, media: Media) -> None:
    scene = draw_scene(seed, still=media == "image")
    turns = write_conversation(scene, media, Random(seed))
    questions, answers = ([turn.content[-1] for turn in turns if turn.role == role] for role in ("human", "assistant"))
    assert len(questions) == len(answers) == len(set(questions))
    assert "".join(map(str, answers)).isascii()


@given(st.integers(2, 40), st.integers(2, 40))
def test_orthogonalized_matrices_have_similar_singular_values(rows: int, columns: int) -> None:
    torch.manual_seed(rows * columns)
    values = torch.linalg.svdvals(orthogonalize(torch.randn(2, rows, columns)))
    assert values.max() < 1.3
    assert values.median() > 0.5


def test_the_recipe_ends_in_a_model_that_answers(tmp_path: Path) -> None:
    write_scene(tmp_path / "clip.mp4", find_scene("test", 0), 0)
    video = {"type": "video", "url": (tmp_path / "clip.mp4").as_uri()}

    folder = train_tiny(tmp_path / "tiny", SHORTEST, show_progress=False)

    weights = load_file(folder / "model.safetensors")
    assert {each.dtype for each in weights.values() if each.is_floating_point()} == {torch.float16}
    assert sum(file.stat().st_size for file in folder.iterdir()) < 12_000_000
    llm = VideoChatEmbed(model=str(folder), max_tokens=5)
    answer = llm.invoke([HumanMessage([video, {"type": "text", "text": "What happens first?"}])])
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] > 0
    # A second run returns the existing model.
    assert train_tiny(tmp_path / "tiny", SHORTEST, show_progress=False) == folder


def test_relation_aggregators_are_optional(untrained: ModelAndProcessor) -> None:
    whole, _ = untrained
    neither, _ = new_model(local_mhra=False, gmhra=False)
    left_out = whole.state_dict().keys() - neither.state_dict().keys()
    assert left_out
    assert all(".local_mhra." in name or ".gmhra." in name for name in left_out)
