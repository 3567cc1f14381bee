"""Captions and regions: what image-to-text models write, when it holds, and which models are refused."""

import gc
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from transformers import AutoConfig, AutoProcessor, BlipModel, Florence2ForConditionalGeneration

from langchain_videochat.errors import InputError, ModelError
from langchain_videochat.media import FrameBatch
from langchain_videochat.perception import Observation, Perceiver, perceive
from langchain_videochat.perception.captions import Captions
from langchain_videochat.perception.regions import Regions, parse_regions
from tests.slides import render_talk
from tests.tiny_models import tiny_bert, tiny_blip, tiny_blip2, tiny_florence2, tiny_t5

Folders = dict[str, Path]

KINDS = ["blip", "blip2", "florence2"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    folder = tmp_path_factory.mktemp("models")
    builders = [tiny_blip, tiny_blip2, tiny_florence2, tiny_bert, tiny_t5]
    return {build.__name__.removeprefix("tiny_"): build(folder / build.__name__) for build in builders}


def draw(count: int, height: int = 40, width: int = 60) -> NDArray[np.uint8]:
    """Draw pictures of four colours each, [count, height, width, 3]."""
    colours = np.random.default_rng(0).integers(0, 256, (count, 2, 2, 3), dtype=np.uint8)
    large = colours.repeat(-(-height // 2), axis=1).repeat(-(-width // 2), axis=2)
    return large[:, :height, :width]


def watch(perceiver: Perceiver[FrameBatch], frames: NDArray[np.uint8], every: float = 1.0) -> list[Observation]:
    """Hand over the frames in two batches."""
    times = np.arange(len(frames), dtype=np.float64) * np.float64(every)
    half = len(frames) // 2
    told = [*perceiver.perceive(FrameBatch(frames[:half], times[:half]))] if half else []
    told += perceiver.perceive(FrameBatch(frames[half:], times[half:]))
    return [*told, *perceiver.finish(len(frames) * every)]


@pytest.mark.parametrize("kind", KINDS)
def test_each_frame_has_a_caption_until_the_next(models: Folders, kind: str) -> None:
    told = watch(Captions(models[kind], every=2.0), draw(5), every=2.0)
    assert [(one.start, one.end) for one in told] == [(0.0, 2.0), (2.0, 4.0), (4.0, 6.0), (6.0, 8.0), (8.0, 10.0)]
    assert {(one.modality, one.source) for one in told} == {("caption", str(models[kind]))}
    assert len({one.text for one in told}) > 1, "what is written depends on the picture"


@pytest.mark.parametrize("kind", KINDS)
def test_captions_are_the_same_in_batches_of_any_size(models: Folders, kind: str) -> None:
    frames = draw(5)
    alone = watch(Captions(models[kind], batch_size=1), frames)
    assert alone == watch(Captions(models[kind], batch_size=3), frames) == watch(Captions(models[kind]), frames)


@pytest.mark.parametrize("kind", KINDS)
def test_captions_are_plain_words(models: Folders, kind: str) -> None:
    for one in watch(Captions(models[kind]), draw(4)):
        assert not any(token in one.text for token in ["<s>", "</s>", "<pad>", "<loc_", "<image>", "[PAD]", "[SEP]"])
        assert one.text == " ".join(one.text.split())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("kind", KINDS)
def test_models_run_in_half_precision(models: Folders, kind: str, dtype: str) -> None:
    assert len(watch(Captions(models[kind], dtype=dtype), draw(2))) == 2


@pytest.mark.parametrize("size", [(1, 1), (1, 60), (40, 1), (3, 40), (40, 3)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_narrow_picture_has_a_caption(models: Folders, kind: str, size: tuple[int, int]) -> None:
    assert len(watch(Captions(models[kind]), draw(2, *size))) == 2


def test_captions_have_the_times_of_the_video(models: Folders, tmp_path: Path) -> None:
    video = render_talk(tmp_path / "talk.mp4", [["One"], ["Two"]], seconds=2.5)
    told = list(perceive(video, [Captions(models["blip"], every=2.0)]))
    assert [(one.start, one.end) for one in told] == [(0.0, 2.0), (2.0, 4.0), (4.0, 5.0)]


def test_a_random_florence_tells_regions(models: Folders) -> None:
    told = watch(Regions(models["florence2"]), draw(6), every=5.0)
    assert told
    for one in told:
        assert (one.modality, one.source) == ("region", str(models["florence2"]))
        assert one.start in (0.0, 5.0, 10.0, 15.0, 20.0, 25.0)
        assert one.end == one.start + 5.0
        assert one.box is not None


def test_regions_are_the_same_in_batches_of_any_size(models: Folders) -> None:
    frames = draw(4, 40, 1)
    assert watch(Regions(models["florence2"], batch_size=1), frames) == watch(Regions(models["florence2"]), frames)


@pytest.fixture(scope="module")
def processor(models: Folders) -> Any:
    return AutoProcessor.from_pretrained(models["florence2"], backend="pil")  # type: ignore[no-untyped-call]


def place(*corners: int) -> str:
    return "".join(f"<loc_{corner}>" for corner in corners)


@pytest.mark.parametrize(
    ("text", "captions"),
    [
        (f"</s><s>a dog{place(100, 200, 500, 999)}</s><pad><pad>", ["a dog"]),
        (f"a dog{place(1, 2, 3, 4)}a  cat{place(5, 6, 7, 8)}", ["a dog", "a cat"]),
        (f"two dogs{place(1, 2, 3, 4)}{place(5, 6, 7, 8)}", ["two dogs", "two dogs"]),
        (f"a dog{place(1, 2, 3, 4)}a dog{place(1, 2, 3, 4)}", ["a dog"]),
        (f"{place(1, 2, 3, 4)}", []),
        (f"{place(9, 1, 2, 3, 4)}a dog{place(1, 2, 3, 4)}", ["a dog"]),
        (f"{place(9)}a dog{place(1, 2, 3, 4)}", ["a dog"]),
        (f" \n {place(1, 2, 3, 4)}", []),
        (f"a line{place(5, 2, 5, 4)}", []),
        (f"turned round{place(7, 8, 5, 6)}", []),
        ("a dog", []),
        (f"a dog{place(1, 2, 3)}", []),
        ("", []),
    ],
)
def test_regions_have_a_caption_and_an_area_once_each(processor: Any, text: str, captions: list[str]) -> None:
    assert [caption for caption, _ in parse_regions(text, processor)] == captions


def test_boxes_are_parts_of_the_picture(processor: Any) -> None:
    (_, box), (_, beyond) = parse_regions(
        f"a dog{place(100, 250, 500, 999)}a cat{place(0, 500, 2000, 9999)}", processor
    )
    assert box == pytest.approx((0.1, 0.25, 0.5, 1.0), abs=0.001)
    assert beyond == pytest.approx((0.0, 0.5, 1.0, 1.0), abs=0.001)
    assert max(beyond) == 1.0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["dog", "<", ">", "loc_", "</s>", "<s>", " ", "é", place(4), place(3, 900, 999)])))
def test_whatever_florence_writes_makes_regions(processor: Any, pieces: list[str]) -> None:
    regions = parse_regions("".join(pieces), processor)
    assert len(set(regions)) == len(regions)
    for caption, box in regions:
        Observation(0.0, 5.0, "region", caption, box=box)
        assert caption.strip()
        assert box[0] < box[2]
        assert box[1] < box[3]


def count_models() -> int:
    gc.collect()
    return sum(type(one) is Florence2ForConditionalGeneration for one in gc.get_objects())


def test_captions_and_regions_share_one_model(models: Folders) -> None:
    before = count_models()
    perceivers: list[Captions | Regions] = [
        Captions(models["florence2"]),
        Regions(models["florence2"]),
        Captions(str(models["florence2"])),
    ]
    for perceiver in perceivers:
        perceiver.load()
    assert count_models() == before + 1
    perceivers[0].close()
    perceivers[2].close()
    assert watch(perceivers[1], draw(1)) == watch(Regions(models["florence2"]), draw(1))
    perceivers[1].close()
    assert count_models() == before


def test_captions_and_regions_work_at_the_same_time(models: Folders) -> None:
    frames = draw(3)

    def captions() -> list[Observation]:
        return watch(Captions(models["florence2"], batch_size=1), frames)

    def regions() -> list[Observation]:
        return watch(Regions(models["florence2"], batch_size=1), frames)

    expected = [captions(), regions()] * 2
    with ThreadPoolExecutor(4) as threads:
        assert [job.result() for job in [threads.submit(work) for work in [captions, regions] * 2]] == expected


@pytest.mark.parametrize("perceiver", [Captions, Regions])
@pytest.mark.parametrize("kind", ["bert", "t5"])
def test_another_kind_of_model_is_refused(models: Folders, perceiver: Callable[..., Any], kind: str) -> None:
    with pytest.raises(ModelError, match=str(models[kind])):
        perceiver(models[kind]).load()


def test_regions_need_a_florence(models: Folders) -> None:
    with pytest.raises(ModelError, match="kind blip"):
        Regions(models["blip"]).load()
    with pytest.raises(ModelError, match="Florence-2"):
        watch(Regions(models["blip"]), draw(1))


def damage_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def leave_out_decoder(folder: Path) -> None:
    BlipModel(AutoConfig.from_pretrained(folder)).save_pretrained(folder)


def leave_out_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def leave_out_config(folder: Path) -> None:
    (folder / "config.json").unlink()


@pytest.mark.parametrize("damage", [damage_weights, leave_out_decoder, leave_out_tokenizer, leave_out_config])
def test_a_damaged_model_is_refused(models: Folders, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(models["blip"], folder)
    damage(folder)
    with pytest.raises(ModelError, match=str(folder)):
        Captions(folder).load()


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_has_at_least_one_frame(batch_size: int) -> None:
    with pytest.raises(InputError, match="batch_size"):
        Captions(batch_size=batch_size)
