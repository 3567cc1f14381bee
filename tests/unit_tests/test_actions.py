"""Actions: UniFormerV2 checkpoints, classifiers of transformers, and when actions start and end."""

import json
import pickle
import shutil
import weakref
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    BertConfig,
    BertModel,
    TimesformerConfig,
    TimesformerForVideoClassification,
    VideoMAEConfig,
    VideoMAEForVideoClassification,
    VideoMAEModel,
    VivitConfig,
    VivitForVideoClassification,
    VivitImageProcessor,
    VJEPA2Config,
    VJEPA2ForVideoClassification,
)
from transformers.models.videomae.image_processing_pil_videomae import VideoMAEImageProcessorPil

from langchain_videochat.errors import InputError, ModelError, ModelUnavailableError
from langchain_videochat.media import FrameBatch
from langchain_videochat.perception import Observation, perceive
from langchain_videochat.perception.actions import Actions
from langchain_videochat.perception.uniformerv2 import UniFormerV2, UniFormerV2Config, load_uniformerv2
from tests.slides import render_talk
from tests.tiny_vision import WORDS, XCLIP_SETTINGS, hf, tiny_xclip, write_settings

GOLDEN = Path(__file__).parents[1] / "data" / "uniformerv2"
"""A tiny UniFormerV2 with random weights, and outputs of the original code."""

BRIGHT, GREY, DARK = 255, 127, 0

TINY = UniFormerV2Config(
    width=64,
    layers=2,
    heads=1,
    patch=16,
    span=1,
    grid=2,
    classes=400,
    global_layers=(1,),
    local=0,
    local_width=0,
    num_frames=8,
)

SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "image_size": 32,
    "num_labels": 3,
}


# UniFormerV2: the network and its checkpoints


@pytest.fixture(scope="module")
def golden_weights() -> dict[str, Tensor]:
    return load_file(GOLDEN / "uniformerv2.safetensors")


@pytest.fixture(scope="module")
def golden_pixels() -> Tensor:
    return load_file(GOLDEN / "expected.safetensors")["pixel_values"].transpose(1, 2)


def _load_golden(path: Path = GOLDEN / "uniformerv2.safetensors") -> UniFormerV2:
    return load_uniformerv2(path, num_heads=4, num_frames=4)


def _random_uniformerv2(config: UniFormerV2Config = TINY) -> UniFormerV2:
    torch.manual_seed(0)
    model = UniFormerV2(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def test_the_golden_logits_are_reproduced(golden_pixels: Tensor) -> None:
    dims = json.loads((GOLDEN / "dims.json").read_text())
    model = load_uniformerv2(
        GOLDEN / "uniformerv2.safetensors",
        num_heads=dims["heads"],
        num_frames=dims["num_frames"],
        global_layers=dims["global_block_layers"],
    )
    expected = load_file(GOLDEN / "expected.safetensors")["logits"]
    torch.testing.assert_close(model(golden_pixels), expected, atol=1e-4, rtol=0)
    assert not model.training


def test_global_relations_default_to_the_last_blocks(golden_pixels: Tensor) -> None:
    path = GOLDEN / "uniformerv2.safetensors"
    first = load_uniformerv2(path, num_heads=4, global_layers=[0, 1])(golden_pixels)
    last = load_uniformerv2(path, num_heads=4, global_layers=[2, 3])(golden_pixels)
    assert torch.equal(_load_golden()(golden_pixels), last)
    assert not torch.allclose(first, last, atol=1e-3)


@pytest.mark.parametrize("key", [None, "model", "model_state", "state_dict"])
@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_checkpoints_are_loaded_as_training_programs_save_them(
    tmp_path: Path, golden_weights: dict[str, Tensor], golden_pixels: Tensor, key: str | None, prefix: str
) -> None:
    weights = {f"{prefix}{name.removeprefix('backbone.')}": tensor for name, tensor in golden_weights.items()}
    state = {"epoch": 55, "cfg": "MODEL: {}", "optimizer_state": {"state": {0: torch.zeros(3)}}, "scaler": None}
    path = tmp_path / "checkpoint.pyth"
    torch.save({key: weights, **state} if key else weights, path)
    assert torch.equal(_load_golden(path)(golden_pixels), _load_golden()(golden_pixels))


def test_half_precision_checkpoints_are_loaded_in_float32(
    tmp_path: Path, golden_weights: dict[str, Tensor], golden_pixels: Tensor
) -> None:
    save_file({name: tensor.half() for name, tensor in golden_weights.items()}, tmp_path / "half.safetensors")
    logits = _load_golden(tmp_path / "half.safetensors")(golden_pixels)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, _load_golden()(golden_pixels), atol=1e-2, rtol=0)


@pytest.mark.parametrize("config", [replace(TINY, local=1, local_width=40), replace(TINY, local=2, local_width=32)])
def test_local_relations_are_found_in_the_file(tmp_path: Path, config: UniFormerV2Config) -> None:
    model = _random_uniformerv2(config)
    torch.save(model.state_dict(), tmp_path / "local.pth")
    pixels = torch.randn(2, 4, 3, 32, 32)
    loaded = load_uniformerv2(tmp_path / "local.pth")
    assert loaded.config == config
    assert torch.equal(loaded(pixels), model(pixels))


def test_local_relations_with_zero_weights_have_no_effect() -> None:
    without, having = _random_uniformerv2(), _random_uniformerv2(replace(TINY, local=2, local_width=32))
    having.load_state_dict(without.state_dict(), strict=False)
    pixels = torch.randn(1, 4, 3, 32, 32)
    assert not torch.allclose(having(pixels), without(pixels), atol=1e-3)
    for name, parameter in having.named_parameters():
        if ".pos_embed.3." in name:
            torch.nn.init.zeros_(parameter)
    torch.testing.assert_close(having(pixels), without(pixels))


def test_patches_that_span_three_frames_halve_their_number(tmp_path: Path) -> None:
    model = _random_uniformerv2(replace(TINY, span=3))
    torch.save(model.state_dict(), tmp_path / "span.pth")
    pixels = torch.randn(1, 8, 3, 32, 32)
    loaded = load_uniformerv2(tmp_path / "span.pth")
    assert loaded.conv1(pixels.transpose(1, 2)).shape == (1, 64, 4, 2, 2)
    assert torch.equal(loaded(pixels), model(pixels))


def test_classification_does_not_depend_on_the_batch(golden_pixels: Tensor) -> None:
    model = _load_golden()
    alone = torch.cat([model(clip[None]) for clip in golden_pixels])
    torch.testing.assert_close(alone, model(golden_pixels), atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(1, 3, 4, 24, 24), (1, 4, 3, 32, 32), (4, 3, 24, 24)])
def test_pixel_values_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"pixel_values.*\[B, T, 3, 24, 24\]"):
        _load_golden()(torch.zeros(shape))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"num_heads": None}, "num_heads"),
        ({"num_heads": 5}, "num_heads"),
        ({"num_heads": 0}, "num_heads"),
        ({"num_frames": 0}, "num_frames"),
        ({"global_layers": [3]}, "global_layers"),
        ({"global_layers": [3, 2]}, "global_layers"),
        ({"global_layers": [3, 4]}, "global_layers"),
        ({"global_layers": [-2, -1]}, "global_layers"),
    ],
)
def test_arguments_that_do_not_match_the_file_are_refused(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        load_uniformerv2(GOLDEN / "uniformerv2.safetensors", **{"num_heads": 4, **arguments})


def _without(*fragments: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda weights: {name: one for name, one in weights.items() if not any(part in name for part in fragments)}


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (_without("conv1"), "conv1.weight is missing"),
        (_without("positional_embedding"), "positional_embedding is missing"),
        (_without("proj.2"), "transformer.proj.2.weight is missing"),
        (_without("balance"), "missing: transformer.balance"),
        (_without("resblocks.1."), "missing: .*resblocks.1.attn.in_proj_bias.* and 9 more"),
        (_without("resblocks."), "0 blocks and 2 global relations"),
        (_without("dec."), "4 blocks and 0 global relations"),
        (_without("dec.1"), "unknown: transformer.dpe.1"),
        (lambda weights: weights | {"backbone.head.weight": torch.zeros(3)}, "unknown: head.weight"),
        (lambda weights: weights | {"backbone.conv1.weight": torch.zeros(32, 3, 8, 8)}, "conv1.weight is .32, 3, 8, 8"),
        (lambda weights: weights | {"backbone.ln_pre.bias": torch.zeros(31)}, r"ln_pre.bias \[31\], not \[32\]"),
        (
            lambda weights: weights | {"backbone.positional_embedding": torch.zeros(12, 32)},
            r"\[12, 32\], not \[10, 32\]",
        ),
        (lambda _: {"fc.weight": torch.zeros(3)}, "conv1.weight is missing"),
        (lambda _: {}, "conv1.weight is missing"),
    ],
)
def test_an_error_names_the_file_and_the_mismatch(
    tmp_path: Path,
    golden_weights: dict[str, Tensor],
    damage: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    named: str,
) -> None:
    path = tmp_path / "damaged.pyth"
    torch.save({"model_state": damage(golden_weights)}, path)
    with pytest.raises(ModelError, match=f"damaged.pyth.*{named}") as caught:
        _load_golden(path)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("content", ["weights", [1, 2], 3.0, {"model": None}, {"model": {"state_dict": "none"}}])
def test_files_without_weights_are_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "strange.pth")
    with pytest.raises(ModelError, match=r"strange.pth.*not a UniFormerV2"):
        _load_golden(tmp_path / "strange.pth")


class _Bomb:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self._path, "it ran")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("save", [_Bomb, lambda _: Namespace(width=32)])
def test_pickled_objects_are_refused_and_not_executed(
    tmp_path: Path, golden_weights: dict[str, Tensor], zipped: bool, save: Callable[[Path], object]
) -> None:
    trace, path = tmp_path / "trace", tmp_path / "bomb.pyth"
    checkpoint = {"model": golden_weights, "args": save(trace)}
    torch.save(checkpoint, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=r"bomb.pyth.*pickled objects"):
        _load_golden(path)
    assert not trace.exists()
    path.write_bytes(pickle.dumps(checkpoint, protocol=2))
    with pytest.raises(ModelError, match=r"bomb.pyth.*pickled objects"):
        _load_golden(path)
    assert not trace.exists()


@pytest.mark.parametrize("name", ["file.pyth", "file.safetensors"])
@given(content=st.binary(max_size=200), cut=st.integers(0, 2000))
@settings(max_examples=20)
def test_files_that_are_not_checkpoints_are_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes, cut: int
) -> None:
    path = tmp_path_factory.mktemp("files") / name
    torch.save({"a": torch.zeros(3)}, path)
    for damaged in (content, path.read_bytes()[:cut], path.read_bytes()[:cut] + content):
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match=name):
            _load_golden(path)


def test_folders_and_missing_files_have_different_errors(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="folder"):
        _load_golden(tmp_path)
    with pytest.raises(ModelUnavailableError, match=r"none.pyth: no such file"):
        _load_golden(tmp_path / "none.pyth")


# The perceiver: all types of classifiers


@pytest.fixture(scope="module")
def brightness_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VideoMAE that classifies the mean brightness of a clip, and is uncertain about grey clips."""
    folder = tmp_path_factory.mktemp("light")
    labels = {0: "lighting a lamp", 1: "sleeping"}
    config = VideoMAEConfig(
        **SMALL | {"num_labels": 2, "num_hidden_layers": 0}, num_frames=16, id2label=labels, use_mean_pooling=True
    )
    model: Any = VideoMAEForVideoClassification(config)
    patches = model.videomae.embeddings.patch_embeddings.projection
    with torch.no_grad():
        patches.weight.zero_()[0] = 1.0
        patches.bias.zero_()[1] = 400.0  # which the LayerNorm relates the brightness to
        model.classifier.weight.zero_()
        model.classifier.weight[:, 0] = torch.tensor([2.0, -2.0])
        model.classifier.bias.zero_()
    model.save_pretrained(folder)
    VideoMAEImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def yoga_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A UniFormerV2 that always returns class 370 of Kinetics-400."""
    weights = _random_uniformerv2().state_dict()
    weights["transformer.proj.2.weight"].mul_(0.1)
    weights["transformer.proj.2.bias"].zero_()[370] = 20.0
    path = tmp_path_factory.mktemp("uniformerv2") / "k400_b16_8x32.pyth"
    torch.save({"model_state": {f"backbone.{name}": tensor for name, tensor in weights.items()}}, path)
    return path


Save = Callable[[Path], None]


def _videomae(folder: Path) -> None:
    VideoMAEForVideoClassification(VideoMAEConfig(**SMALL, num_frames=16)).save_pretrained(folder)
    VideoMAEImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)


def _timesformer(folder: Path) -> None:
    TimesformerForVideoClassification(TimesformerConfig(**SMALL, num_frames=8)).save_pretrained(folder)
    VideoMAEImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)


def _vivit(folder: Path) -> None:
    config = VivitConfig(**SMALL, num_frames=32, tubelet_size=[2, 16, 16])
    VivitForVideoClassification(config).save_pretrained(folder)
    processor = VivitImageProcessor(size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32})
    processor.save_pretrained(folder)


def _vjepa2(folder: Path) -> None:
    predictor = {"pred_hidden_size": 16, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1}
    sizes = {"crop_size": 32, "frames_per_clip": 16, "mlp_ratio": 2, "num_pooler_layers": 1}
    VJEPA2ForVideoClassification(VJEPA2Config(**SMALL | predictor | sizes)).save_pretrained(folder)
    settings_of_videos = {
        "size": {"shortest_edge": 36},
        "crop_size": {"height": 32, "width": 32},
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }
    (folder / "video_preprocessor_config.json").write_text(json.dumps(settings_of_videos))


def _uniformerv2(folder: Path) -> None:
    model = _random_uniformerv2()
    torch.save(model.state_dict(), folder / "model.pth")


def _xclip(folder: Path) -> None:
    tiny_xclip(folder)


KINDS = [_xclip, _videomae, _timesformer, _vivit, _vjepa2, _uniformerv2]


@pytest.fixture(scope="module", params=KINDS, ids=lambda save: save.__name__.strip("_"))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of each type, with random weights."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    request.param(folder)
    return folder / "model.pth" if request.param is _uniformerv2 else folder


def _make_frames(brightness: list[int], times: list[float], size: tuple[int, int] = (36, 48)) -> FrameBatch:
    frames = np.stack([np.full((*size, 3), level, dtype=np.uint8) for level in brightness])
    return FrameBatch(frames, np.asarray(times, dtype=np.float64))


def _noise(seconds: float, size: tuple[int, int] = (36, 48)) -> FrameBatch:
    times = np.arange(0, seconds, 0.5)
    frames = np.random.default_rng(0).integers(0, 255, (len(times), *size, 3), dtype=np.uint8)
    return FrameBatch(frames, times)


def _process(actions: Actions, batch: FrameBatch, end: float) -> list[Observation]:
    return [*actions.perceive(batch), *actions.finish(end)]


def _spans(observations: list[Observation]) -> list[tuple[float, float, str]]:
    return [(one.start, one.end, one.text) for one in observations]


def test_results_of_all_models_do_not_depend_on_the_batch_size(model: Path) -> None:
    whole = _process(Actions(model, min_score=0.0), _noise(8.0), 8.0)
    alone = _process(Actions(model, min_score=0.0, batch_size=1), _noise(8.0), 8.0)
    assert _spans(alone) == _spans(whole)
    assert [one.score for one in alone] == pytest.approx([one.score for one in whole], abs=2e-4)
    assert whole == _process(Actions(model, min_score=0.0), _noise(8.0), 8.0)
    assert {one.source for one in whole} == {str(model)}
    assert (whole[0].start, whole[-1].end) == (0.0, 8.0)


@pytest.mark.parametrize("size", [(1, 64), (64, 1), (1, 1), (3, 3), (2, 500)])
def test_all_models_accept_frames_of_odd_sizes(model: Path, size: tuple[int, int]) -> None:
    (action, *_) = _process(Actions(model, min_score=0.0), _noise(3.0, size), 3.0)
    assert (action.start, action.end) == (0.0, 3.0)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_all_models_run_in_half_precision(model: Path, dtype: str) -> None:
    exact = _process(Actions(model, min_score=0.0), _noise(4.0), 4.0)
    rough = _process(Actions(model, min_score=0.0, dtype=dtype), _noise(4.0), 4.0)
    assert rough[0].score == pytest.approx(exact[0].score, rel=0.1)


@pytest.fixture(scope="module")
def xclip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_xclip(tmp_path_factory.mktemp("xclip"))


def test_xclip_scores_labels_as_transformers_does(xclip: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("\n".join(WORDS))
    batch = _noise(1.5)
    (action,) = _process(Actions(xclip, labels=tmp_path / "labels.txt", min_score=0.0), batch, 1.5)

    processor = hf.AutoImageProcessor.from_pretrained(xclip, backend="pil")
    pixels = processor([list(batch.frames[[0, 2]])], return_tensors="pt").pixel_values
    texts = hf.AutoTokenizer.from_pretrained(xclip)(list(WORDS), padding=True, return_tensors="pt")
    model = hf.XCLIPModel.from_pretrained(xclip)
    with torch.inference_mode():
        outputs = model(texts["input_ids"], pixels, texts["attention_mask"])
    best = outputs.logits_per_video.softmax(dim=1)[0].max(dim=0)
    assert action.text == WORDS[best.indices]
    assert action.score == pytest.approx(float(best.values), abs=1e-3)


def test_xclip_has_the_labels_of_kinetics_and_takes_any_number(xclip: Path, tmp_path: Path) -> None:
    actions = Actions(xclip)
    actions.load()
    assert len(actions.labels) == 400
    (tmp_path / "labels.txt").write_text("a dog\na cat\n")
    chosen = Actions(xclip, labels=tmp_path / "labels.txt", min_score=0.0)
    assert {one.text for one in _process(chosen, _noise(8.0), 8.0)} <= {"a dog", "a cat"}


def test_xclip_needs_two_labels_to_compare(xclip: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a dog\n")
    with pytest.raises(InputError, match=r"labels\.txt has only one label"):
        Actions(xclip, labels=tmp_path / "labels.txt").load()


def test_the_published_settings_of_xclip_are_read(tmp_path: Path) -> None:
    write_settings(tmp_path, XCLIP_SETTINGS)
    processor = hf.AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    white = np.full((2, 240, 320, 3), 255, np.uint8)
    pixels = processor([list(white)], return_tensors="pt").pixel_values
    assert pixels.shape == (1, 2, 3, 224, 224)
    assert pixels[0, 0, :, 0, 0].tolist() == pytest.approx([0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225], rel=1e-3)


def test_only_the_central_square_is_classified(model: Path) -> None:
    plain = _noise(4.0, (36, 80))
    framed = FrameBatch(plain.frames.copy(), plain.times)
    framed.frames[:, :, :20] = framed.frames[:, :, -20:] = 0
    assert _process(Actions(model, min_score=0.0), plain, 4.0) == _process(Actions(model, min_score=0.0), framed, 4.0)


def test_uniformerv2_has_the_labels_of_kinetics(yoga_file: Path) -> None:
    (action,) = _process(Actions(yoga_file), _noise(8.0), 8.0)
    assert (action.start, action.end, action.modality, action.text) == (0.0, 8.0, "action", "yoga")
    assert action.score == pytest.approx(1.0, abs=0.01)
    assert action.source == str(yoga_file)


def test_a_checkpoint_in_a_repository_can_be_named(
    yoga_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "models--somebody--actions"
    for folder in ("refs", "snapshots/c0ffee"):
        (repository / folder).mkdir(parents=True)
    (repository / "refs" / "main").write_text("c0ffee")
    shutil.copy(yoga_file, repository / "snapshots" / "c0ffee" / "k400+k710_b16.pyth")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    (action,) = _process(Actions("somebody/actions/k400+k710_b16.pyth"), _noise(4.0), 4.0)
    assert action.text == "yoga"


def test_a_model_can_be_loaded_closed_and_loaded_again(brightness_model: Path) -> None:
    actions = Actions(brightness_model)
    actions.load()
    assert actions.labels == ["lighting a lamp", "sleeping"]
    actions.close()
    assert _spans(_process(actions, _brightness_frames((DARK, 2)), 2.0)) == [(0.0, 2.0, "sleeping")]


# The perceiver: labels and errors


def test_labels_of_a_file_replace_those_of_the_model(brightness_model: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("\ufeffLampe anzünden\n schlafen \n\n", encoding="utf-8")
    actions = Actions(brightness_model, labels=tmp_path / "labels.txt")
    assert _spans(_process(actions, _brightness_frames((DARK, 2)), 2.0)) == [(0.0, 2.0, "schlafen")]


def test_too_few_or_too_many_labels_are_refused(brightness_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("one\ntwo\nthree\n")
    with pytest.raises(InputError, match=r"labels.txt has 3 labels, .* has 2 classes"):
        Actions(brightness_model, labels=path).load()
    with pytest.raises(InputError, match=r"labels.txt has 3 labels"):
        _process(Actions(brightness_model, labels=path), _noise(2.0), 2.0)


def test_a_uniformerv2_with_other_classes_needs_their_labels(tmp_path: Path) -> None:
    path = tmp_path / "k710.pth"
    torch.save(_random_uniformerv2(replace(TINY, classes=2)).state_dict(), path)
    with pytest.raises(InputError, match=r"Kinetics-400 has 400 labels, .* has 2 classes"):
        Actions(path).load()
    (tmp_path / "labels.txt").write_text("one\ntwo")
    actions = Actions(path, labels=tmp_path / "labels.txt")
    actions.load()
    assert actions.labels == ["one", "two"]


def test_labels_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\xd8")
    for path in (tmp_path / "none.txt", tmp_path, tmp_path / "binary.txt"):
        with pytest.raises(InputError, match=f"labels.*{path.name} cannot be read"):
            Actions(labels=path)


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_a_minimum_score_out_of_range_is_refused(score: float) -> None:
    with pytest.raises(InputError, match="min_score"):
        Actions(min_score=score)


def _bert(folder: Path) -> None:
    BertModel(
        BertConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
    ).save_pretrained(folder)


def _headless(folder: Path) -> None:
    VideoMAEModel(VideoMAEConfig(**SMALL)).save_pretrained(folder)


def _unprepared(folder: Path) -> None:
    VideoMAEForVideoClassification(VideoMAEConfig(**SMALL)).save_pretrained(folder)


def _truncated(folder: Path) -> None:
    _videomae(folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("save", "problem"),
    [
        (lambda folder: None, "cannot be loaded"),
        (_bert, "BertConfig"),
        (_headless, "classifier"),
        (_unprepared, "image processor"),
        (_truncated, "cannot be loaded"),
    ],
    ids=["empty", "bert", "headless", "unprepared", "truncated"],
)
def test_folders_of_other_models_are_refused(tmp_path: Path, save: Save, problem: str) -> None:
    save(tmp_path)
    with pytest.raises(ModelError, match=problem) as caught:
        Actions(tmp_path).load()
    assert str(tmp_path) in str(caught.value)


def test_a_damaged_checkpoint_is_refused(yoga_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.pyth"
    path.write_bytes(yoga_file.read_bytes()[:10_000])
    with pytest.raises(ModelError, match=r"damaged.pyth.*damaged"):
        Actions(path).load()


def test_a_model_that_returns_nan_is_an_error(yoga_file: Path, tmp_path: Path) -> None:
    weights = torch.load(yoga_file, weights_only=True)["model_state"]
    weights["backbone.ln_pre.bias"][0] = float("nan")
    torch.save(weights, tmp_path / "nan.pth")
    with pytest.raises(ModelError, match=r"nan.pth.*NaN"):
        _process(Actions(tmp_path / "nan.pth"), _noise(2.0), 2.0)


def test_an_unavailable_model_is_named() -> None:
    with pytest.raises(ModelUnavailableError, match="microsoft/xclip-base-patch32"):
        Actions().load()
    with pytest.raises(ModelUnavailableError, match=r"none.pyth"):
        Actions("none.pyth").load()


# The perceiver: when actions start and end


def _brightness_frames(*segments: tuple[int, float]) -> FrameBatch:
    """Return frames of each brightness for some seconds, two per second."""
    brightness = [level for level, seconds in segments for _ in range(round(2 * seconds))]
    return _make_frames(brightness, [number / 2 for number in range(len(brightness))])


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ([(BRIGHT, 8)], [(0, 8, "lighting a lamp")]),
        ([(BRIGHT, 9)], [(0, 9, "lighting a lamp")]),
        ([(BRIGHT, 1.5)], [(0, 1.5, "lighting a lamp")]),
        ([(BRIGHT, 3)], [(0, 3, "lighting a lamp")]),
        ([(BRIGHT, 6), (DARK, 8)], [(0, 6, "lighting a lamp"), (6, 14, "sleeping")]),
        ([(BRIGHT, 7), (DARK, 7)], [(0, 6, "lighting a lamp"), (6, 14, "sleeping")]),
        ([(DARK, 4), (GREY, 8), (DARK, 4)], [(0, 6, "sleeping"), (10, 16, "sleeping")]),
        ([(DARK, 4), (GREY, 6), (BRIGHT, 4)], [(0, 6, "sleeping"), (8, 14, "lighting a lamp")]),
        ([(DARK, 5), (BRIGHT, 1), (DARK, 6)], [(0, 12, "sleeping")]),
        ([(GREY, 8)], []),
    ],
)
@pytest.mark.parametrize("batch_size", [1, 8])
def test_successive_clips_with_the_same_action_are_joined(
    brightness_model: Path, segments: list[tuple[int, float]], expected: list[tuple[float, float, str]], batch_size: int
) -> None:
    actions = Actions(brightness_model, min_score=0.999, batch_size=batch_size)
    assert _spans(_process(actions, _brightness_frames(*segments), sum(seconds for _, seconds in segments))) == expected


@pytest.mark.parametrize("segments", [[(140, 4), (BRIGHT, 4)], [(BRIGHT, 4), (140, 4)]])
def test_an_action_has_its_highest_score(brightness_model: Path, segments: list[tuple[int, float]]) -> None:
    (dim,) = _process(Actions(brightness_model), _brightness_frames((140, 4)), 4.0)
    (bright,) = _process(Actions(brightness_model), _brightness_frames((BRIGHT, 4)), 4.0)
    (both,) = _process(Actions(brightness_model), _brightness_frames(*segments), 8.0)
    assert (both.start, both.end) == (0.0, 8.0)
    assert dim.score is not None
    assert bright.score is not None
    assert dim.score < bright.score == both.score


def test_long_actions_are_emitted_in_parts(brightness_model: Path) -> None:
    actions = Actions(brightness_model, batch_size=2)
    batch = _brightness_frames((BRIGHT, 70))
    early = list(actions.perceive(FrameBatch(batch.frames[:80], batch.times[:80])))
    assert _spans(early) == [(0.0, 30.0, "lighting a lamp")]
    late = [*actions.perceive(FrameBatch(batch.frames[80:], batch.times[80:])), *actions.finish(70.0)]
    observations = early + late
    assert observations[-1].end == 70.0
    assert all(before.end == after.start for before, after in pairwise(observations))


def test_frames_are_weighted_by_their_duration(brightness_model: Path) -> None:
    # Half of the frames are dark, but only for 0.5 of 4 seconds.
    batch = _make_frames([BRIGHT, DARK, DARK, BRIGHT], [0.0, 3.0, 3.25, 3.5])
    assert _spans(_process(Actions(brightness_model), batch, 4.0)) == [(0.0, 4.0, "lighting a lamp")]


def test_still_pictures_and_cuts_between_them_show_no_action(brightness_model: Path) -> None:
    still_then_moving = _make_frames([BRIGHT, *[DARK] * 8], [0.0, *np.arange(26.0, 30.0, 0.5)])
    assert _spans(_process(Actions(brightness_model), still_then_moving, 30.0)) == [(24.0, 30.0, "sleeping")]
    slides = _make_frames([BRIGHT, DARK, BRIGHT, DARK], [0.0, 10.0, 15.0, 22.0])
    assert _process(Actions(brightness_model), slides, 600.0) == []


def test_clips_can_follow_one_another_without_overlap(brightness_model: Path) -> None:
    batch = _brightness_frames((DARK, 6), (BRIGHT, 6))
    assert _spans(_process(Actions(brightness_model, every=4.0, min_score=0.999), batch, 12.0)) == [
        (0.0, 4.0, "sleeping"),
        (8.0, 12.0, "lighting a lamp"),
    ]


@pytest.mark.parametrize("every", [0.0, -1.0, 4.5, float("nan")])
def test_clips_must_not_leave_gaps(every: float) -> None:
    with pytest.raises(InputError, match="every"):
        Actions(every=every)


def test_clips_start_at_the_first_frame(brightness_model: Path) -> None:
    batch = _brightness_frames((DARK, 6), (BRIGHT, 4))
    later = FrameBatch(batch.frames, batch.times + 601.25)
    assert _spans(_process(Actions(brightness_model), later, 611.25)) == [
        (601.25, 607.25, "sleeping"),
        (607.25, 611.25, "lighting a lamp"),
    ]


def test_no_frames_give_no_actions(brightness_model: Path) -> None:
    assert list(Actions(brightness_model).finish(10.0)) == []


def test_frames_are_released(brightness_model: Path) -> None:
    actions = Actions(brightness_model, batch_size=2)
    alive: list[weakref.ref[Any]] = []
    for number in range(40):
        batch = _make_frames([number] * 4, [number * 2 + step / 2 for step in range(4)])
        list(actions.perceive(batch))
        alive = [one for one in alive if one() is not None] + [weakref.ref(batch.frames)]
        del batch
        assert len(alive) <= 6


@st.composite
def _videos(draw: st.DrawFn) -> tuple[FrameBatch, float]:
    gaps = draw(st.lists(st.floats(0.05, 6.0), min_size=1, max_size=40))
    brightness = draw(st.lists(st.sampled_from([BRIGHT, GREY, DARK]), min_size=len(gaps), max_size=len(gaps)))
    times = np.cumsum([0.0, *gaps]).round(3)
    return _make_frames(brightness, times[:-1].tolist()), float(times[-1])


def _parts(batch: FrameBatch, size: int) -> Iterator[FrameBatch]:
    for first in range(0, len(batch.times), size):
        yield FrameBatch(batch.frames[first : first + size], batch.times[first : first + size])


@given(video=_videos(), size=st.integers(1, 8), batch_size=st.integers(1, 4))
@settings(max_examples=10)
def test_actions_are_in_order_for_any_video(
    brightness_model: Path, video: tuple[FrameBatch, float], size: int, batch_size: int
) -> None:
    batch, end = video
    actions = Actions(brightness_model, batch_size=batch_size)
    observations: list[Observation] = []
    for part in _parts(batch, size):
        pending = actions.pending_since or 0.0
        new = list(actions.perceive(part))
        assert all(one.start >= pending for one in new)
        observations += new
    observations += actions.finish(end)
    assert actions.pending_since is None
    assert all(before.end <= after.start for before, after in pairwise(observations))
    assert all(0.0 <= one.start < one.end <= end for one in observations)
    assert observations == _process(Actions(brightness_model), batch, end)


def test_actions_of_a_video_file(brightness_model: Path, tmp_path: Path) -> None:
    def paint(picture: Image.Image, time: float) -> None:
        picture.paste((255, 255, 255) if time < 6.0 else (0, 0, 0), (0, 0, *picture.size))
        picture.paste((128, 128, 128), (int(time * 8) % 56, 40, int(time * 8) % 56 + 8, 48))

    video = render_talk(tmp_path / "lamp.mp4", [[""], [""], [""]], decorate=paint, size=(64, 48))
    assert _spans(list(perceive(video, [Actions(brightness_model, min_score=0.999)]))) == [
        (0.0, 6.0, "lighting a lamp"),
        (6.0, 12.0, "sleeping"),
    ]
    assert _spans(list(perceive(video, [Actions(brightness_model)], start=8.0, end=10.5))) == [(8.0, 10.5, "sleeping")]
