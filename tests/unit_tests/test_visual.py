"""Vectors of frames: what embeds them, which computations are shared, and what they are left out of."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from langchain_videochat.errors import InputError, ModelError
from langchain_videochat.media import VideoInfo
from langchain_videochat.models.weights import Weights, keep_models
from langchain_videochat.perception import Observation, perceive
from langchain_videochat.perception.frame_vectors import dump_vector, load_vector
from langchain_videochat.perception.tags import Tags
from langchain_videochat.perception.visual import Visual
from langchain_videochat.perception.visual_models import load_visual_model
from langchain_videochat.timeline import Timeline
from tests.numbered_video import make_numbered, regular
from tests.tiny_sentence_transformer import save_sentence_transformer
from tests.tiny_vision import WORDS, tiny_clip, tiny_detr, tiny_multimodal_transformer, tiny_siglip

VIDEO = VideoInfo(source="/films/eggs.mp4", title="eggs", duration=10.0, width=640, height=360)


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with keep_models():
        yield tiny_siglip(tmp_path_factory.mktemp("siglip"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip(tmp_path_factory.mktemp("clip"))


def noise(count: int) -> list[NDArray[np.uint8]]:
    return list(np.random.default_rng(0).integers(0, 256, (count, 48, 64, 3), dtype=np.uint8))


def test_vectors_are_those_of_transformers(siglip: Path) -> None:
    pictures, model = noise(3), load_visual_model(Weights(str(siglip)))
    reference = transformers.AutoModel.from_pretrained(siglip)
    processor = transformers.SiglipImageProcessorPil.from_pretrained(siglip)
    tokens = transformers.AutoTokenizer.from_pretrained(siglip)(
        list(WORDS), padding="max_length", max_length=16, return_tensors="pt"
    )
    with torch.inference_mode():
        images = reference.get_image_features(**processor(pictures, return_tensors="pt")).pooler_output
        texts = reference.get_text_features(**tokens).pooler_output
    normalize = torch.nn.functional.normalize

    assert model.embed_images(pictures) == pytest.approx(normalize(images, dim=-1).numpy(), abs=1e-5)
    assert model.embed_texts(WORDS) == pytest.approx(normalize(texts, dim=-1).numpy(), abs=1e-5)


def test_a_model_of_sentence_transformers_returns_the_same_vectors(clip: Path, tmp_path: Path) -> None:
    pictures = noise(3)
    model = load_visual_model(Weights(str(tiny_multimodal_transformer(tmp_path, clip))))
    reference = load_visual_model(Weights(str(clip)))

    assert model.embed_images(pictures) == pytest.approx(reference.embed_images(pictures), abs=1e-5)
    assert model.embed_texts(WORDS) == pytest.approx(reference.embed_texts(WORDS), abs=1e-5)


def test_frames_of_a_video_have_vectors_that_hold_until_the_next_frame(siglip: Path, tmp_path: Path) -> None:
    video = make_numbered(tmp_path / "numbers.mp4", times=regular(5, rate=1))

    found = list(perceive(video, [Visual(siglip, every=2.0)]))

    assert [(one.start, one.end, one.modality, one.text) for one in found] == [
        (0.0, 2.0, "visual", ""),
        (2.0, 4.0, "visual", ""),
        (4.0, 4.04, "visual", ""),
    ]
    assert {one.source for one in found} == {str(siglip)}
    assert all(np.linalg.norm(load_vector(one.vector or "")) == pytest.approx(1, abs=1e-3) for one in found)


def test_tags_and_vectors_take_one_forward_pass(tmp_path: Path) -> None:
    siglip = tiny_siglip(tmp_path / "siglip")
    video = make_numbered(tmp_path / "numbers.mp4", times=regular(6, rate=1))
    passes = []

    def count(module: torch.nn.Module, _inputs: Any, _output: Any) -> None:
        if type(module).__name__ == "SiglipVisionModel":
            passes.append(module)

    handle = torch.nn.modules.module.register_module_forward_hook(count)
    try:
        perceived = list(perceive(video, [Visual(siglip, batch_size=1), Tags(siglip, min_score=0.0, batch_size=1)]))
    finally:
        handle.remove()

    assert {one.modality for one in perceived} == {"visual", "tag"}
    assert len(passes) == 6


def test_other_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="SigLIP or CLIP"):
        Visual(tiny_detr(tmp_path)).load()


def test_a_model_of_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not pictures and texts"):
        Visual(save_sentence_transformer(tmp_path)).load()


def test_tags_need_a_model_that_scores_labels(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="SigLIP or CLIP"):
        Tags(tiny_multimodal_transformer(tmp_path, clip)).load()


@given(st.lists(st.floats(-1, 1, width=16), min_size=1, max_size=20))
def test_vectors_survive_as_text(numbers: list[float]) -> None:
    assert load_vector(dump_vector(np.array(numbers, dtype=np.float32))).tolist() == numbers


@pytest.mark.parametrize("dumped", ["", "?", "AA==", "AHw="])
def test_text_that_is_no_vector_is_refused(dumped: str) -> None:
    with pytest.raises(InputError, match="vector"):
        load_vector(dumped)


def test_vectors_are_left_out_of_texts() -> None:
    vectors = [dump_vector(np.array([number, 1.0], dtype=np.float32)) for number in range(2)]
    frames = [Observation(time, time + 1, "visual", "", vector=vectors[time]) for time in range(2)]
    said = Observation(0, 2, "speech", "Hello")
    alone, together = (Timeline.of(VIDEO, "c0ffee", observations) for observations in ([said], [said, *frames]))

    assert together.to_prompt() == alone.to_prompt()
    assert together.to_webvtt() == alone.to_webvtt()
    assert list(together.to_documents()) == list(alone.to_documents())
    assert [one.page_content for one in together.to_documents("moment")] == ["eggs\nSpeech: Hello"]
    assert Timeline.from_json(together.to_json()) == together


def test_different_vectors_are_not_merged() -> None:
    one, other = (dump_vector(np.array([number, 1.0], dtype=np.float32)) for number in range(2))
    frames = [Observation(time, time + 1, "visual", "", vector=vector) for time, vector in enumerate([one, one, other])]

    assert [(each.start, each.end) for each in Timeline.of(VIDEO, "c0ffee", frames)] == [(0, 2), (2, 3)]
