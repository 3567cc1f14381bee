"""Variety of Shapes in Motion: backgrounds, and several videos in a conversation."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_videochat.embed import Image, Video
from langchain_videochat.evaluation.shapes import Figure, Scene, draw_scene, render
from langchain_videochat.evaluation.shapes.rendering import IMAGE_SIZE, stands_out
from langchain_videochat.evaluation.shapes.varied_samples import VariedSamples
from langchain_videochat.evaluation.shapes.world import COLORS, Color, compute_trajectories
from langchain_videochat.training.samples import MEDIA, Sample

SAMPLES = 120


@settings(max_examples=50)
@given(st.integers(0, 2**40), st.integers(0, 2**32), st.floats(0, 1))
def test_only_the_background_depends_on_its_brightness(seed: int, rendering: int, brightness: float) -> None:
    scene = draw_scene(seed)
    frames, dark = render(scene, rendering, brightness), render(scene, rendering)
    assert np.median(frames) / 255 == pytest.approx(brightness, abs=0.1)
    trajectories = compute_trajectories(scene)
    for frame, figure in zip(*np.nonzero(trajectories.presence == 1), strict=True):
        column, row = (trajectories.centers[frame, figure] * IMAGE_SIZE).astype(int)
        assert frames[frame, row, column].tolist() == dark[frame, row, column].tolist()


@pytest.mark.parametrize("color", COLORS)
def test_all_colors_but_white_stand_out_from_a_bright_background(color: Color) -> None:
    scene = Scene((Figure("circle", color, "small", center=(0.5, 0.5), radius=0.07),))
    assert stands_out(scene, 0.1)
    assert stands_out(scene, 0.95) == (color != "white")


@pytest.fixture(scope="module", params=MEDIA)
def samples(request: pytest.FixtureRequest) -> list[Sample]:
    generated = VariedSamples("train", SAMPLES, media=request.param)
    return [generated[index] for index in range(SAMPLES)]


def content_types(sample: Sample) -> list[str]:
    """Return the types of the parts of each human turn: "t" for text, "v" for a video or image."""
    contents = [turn.content for turn in sample.turns if turn.role == "human"]
    return ["".join("t" if isinstance(part, str) else "v" for part in content) for content in contents]


def test_samples_have_one_or_two_videos_in_one_turn_or_two(samples: list[Sample]) -> None:
    types = [content_types(sample) for sample in samples]
    assert {first for first, *_ in types} == {"vt", "vvt", "tvtvt"}
    assert {each for _, *later in types for each in later} == {"t", "vt"}
    kinds = {type(part) for sample in samples for turn in sample.turns for part in turn.content}
    assert kinds == {str, Video if samples[0].media == "video" else Image}


def test_questions_about_two_videos_of_a_turn_name_one_of_them(samples: list[Sample]) -> None:
    named = Counter[str]()
    for sample in samples:
        contents = [turn.content for turn in sample.turns if turn.role == "human"]
        texts = [part for content in contents for part in content if isinstance(part, str)]
        questions = [text for text in texts if not text.endswith(f" {sample.media}:")]
        is_together = content_types(sample)[0].count("v") > 1
        for question in questions:
            ordinals = [ordinal for ordinal in ("first", "second") if f"the {ordinal} {sample.media}" in question]
            assert len(ordinals) == is_together
            named.update(ordinals)
    assert 0.8 < named["first"] / named["second"] < 1.25


def test_samples_are_reproducible_and_limited() -> None:
    one, again = (
        [part.frames.tobytes() if isinstance(part, Video) else part for turn in sample.turns for part in turn.content]
        for sample in (VariedSamples("train", 3)[2], VariedSamples("train", 3)[2])
    )
    assert one == again
    with pytest.raises(IndexError):
        VariedSamples("train", 3)[3]
