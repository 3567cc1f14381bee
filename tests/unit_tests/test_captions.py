"""Captions and regions: their texts, times and boxes, and which models are refused."""

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
from PIL import Image
from transformers import AutoConfig, AutoProcessor, BlipModel, Florence2ForConditionalGeneration

from langchain_videochat.errors import InputError, ModelError, ModelUnavailableError
from langchain_videochat.media import FrameBatch
from langchain_videochat.models.weights import Weights
from langchain_videochat.perception import FrameInputs, Observation, Perceiver, perceive
from langchain_videochat.perception.captions import Captions
from langchain_videochat.perception.image_to_text import load_image_to_text
from langchain_videochat.perception.regions import Regions, parse_regions
from langchain_videochat.perception.vision_language import VisionLanguageModel, whole_sentences
from tests.slides import render_talk
from tests.tiny_models import tiny_bert, tiny_blip, tiny_blip2, tiny_florence2, tiny_smolvlm, tiny_t5

Folders = dict[str, Path]

KINDS = ["blip", "blip2", "florence2", "smolvlm"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    folder = tmp_path_factory.mktemp("models")
    builders = [tiny_blip, tiny_blip2, tiny_florence2, tiny_smolvlm, tiny_bert, tiny_t5]
    return {build.__name__.removeprefix("tiny_"): build(folder / build.__name__) for build in builders}


def draw(count: int, height: int = 40, width: int = 60) -> NDArray[np.uint8]:
    """Return images of four colors each, [count, height, width, 3]."""
    colors = np.random.default_rng(0).integers(0, 256, (count, 2, 2, 3), dtype=np.uint8)
    large = colors.repeat(-(-height // 2), axis=1).repeat(-(-width // 2), axis=2)
    return large[:, :height, :width]


def process(
    perceiver: Perceiver[FrameInputs, FrameBatch], frames: NDArray[np.uint8], every: float = 1.0
) -> list[Observation]:
    """Process the frames in two batches."""
    times = np.arange(len(frames), dtype=np.float64) * np.float64(every)
    half = len(frames) // 2
    observations = [*perceiver.perceive(FrameBatch(frames[:half], times[:half]))] if half else []
    observations += perceiver.perceive(FrameBatch(frames[half:], times[half:]))
    return [*observations, *perceiver.finish(len(frames) * every)]


@pytest.mark.parametrize("kind", KINDS)
def test_each_frame_has_a_caption_until_the_next(models: Folders, kind: str) -> None:
    observations = process(Captions(models[kind], every=2.0), draw(5), every=2.0)
    assert [(one.start, one.end) for one in observations] == [
        (0.0, 2.0),
        (2.0, 4.0),
        (4.0, 6.0),
        (6.0, 8.0),
        (8.0, 10.0),
    ]
    assert {(one.modality, one.source) for one in observations} == {("caption", str(models[kind]))}
    assert len({one.text for one in observations}) > 1, "captions depend on the image"


@pytest.mark.parametrize("kind", KINDS)
def test_captions_do_not_depend_on_the_batch_size(models: Folders, kind: str) -> None:
    frames = draw(5)
    alone = process(Captions(models[kind], batch_size=1), frames)
    assert alone == process(Captions(models[kind], batch_size=3), frames) == process(Captions(models[kind]), frames)


@pytest.mark.parametrize("kind", KINDS)
def test_captions_contain_no_special_tokens(models: Folders, kind: str) -> None:
    for one in process(Captions(models[kind]), draw(4)):
        assert not any(token in one.text for token in ["<s>", "</s>", "<pad>", "<loc_", "<image>", "[PAD]", "[SEP]"])
        assert one.text == " ".join(one.text.split())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("kind", KINDS)
def test_models_run_in_half_precision(models: Folders, kind: str, dtype: str) -> None:
    assert len(process(Captions(models[kind], dtype=dtype), draw(2))) == 2


@pytest.mark.parametrize("size", [(1, 1), (1, 60), (40, 1), (3, 40), (40, 3)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_narrow_image_has_a_caption(models: Folders, kind: str, size: tuple[int, int]) -> None:
    assert len(process(Captions(models[kind]), draw(2, *size))) == 2


def test_captions_have_the_times_of_the_video(models: Folders, tmp_path: Path) -> None:
    slides = [["Whisk two eggs", "with a pinch of salt"], ["Heat the butter", "in a small pan"]]
    video = render_talk(tmp_path / "talk.mp4", slides, seconds=13.0)
    observations = list(perceive(video, [Captions(models["blip"])]))
    assert [(one.start, one.end) for one in observations] == [(0.0, 10.0), (10.0, 15.0), (15.0, 25.0), (25.0, 26.0)]


def test_florence_returns_regions(models: Folders) -> None:
    observations = process(Regions(models["florence2"]), draw(6), every=5.0)
    assert observations
    for one in observations:
        assert (one.modality, one.source) == ("region", str(models["florence2"]))
        assert one.start in (0.0, 5.0, 10.0, 15.0, 20.0, 25.0)
        assert one.end == one.start + 5.0
        assert one.box is not None


def test_regions_do_not_depend_on_the_batch_size(models: Folders) -> None:
    frames = draw(4, 40, 1)
    assert process(Regions(models["florence2"], batch_size=1), frames) == process(Regions(models["florence2"]), frames)


@pytest.fixture(scope="module")
def processor(models: Folders) -> Any:
    return AutoProcessor.from_pretrained(models["florence2"], backend="pil")  # type: ignore[no-untyped-call]


def locations(*corners: int) -> str:
    return "".join(f"<loc_{corner}>" for corner in corners)


@pytest.mark.parametrize(
    ("text", "captions"),
    [
        (f"</s><s>a dog{locations(100, 200, 500, 999)}</s><pad><pad>", ["a dog"]),
        (f"a dog{locations(1, 2, 3, 4)}a  cat{locations(5, 6, 7, 8)}", ["a dog", "a cat"]),
        (f"two dogs{locations(1, 2, 3, 4)}{locations(5, 6, 7, 8)}", ["two dogs", "two dogs"]),
        (f"a dog{locations(1, 2, 3, 4)}a dog{locations(1, 2, 3, 4)}", ["a dog"]),
        (f"{locations(1, 2, 3, 4)}", []),
        (f"{locations(9, 1, 2, 3, 4)}a dog{locations(1, 2, 3, 4)}", ["a dog"]),
        (f"{locations(9)}a dog{locations(1, 2, 3, 4)}", ["a dog"]),
        (f" \n {locations(1, 2, 3, 4)}", []),
        (f"a line{locations(5, 2, 5, 4)}", []),
        (f"turned round{locations(7, 8, 5, 6)}", []),
        ("a dog", []),
        (f"a dog{locations(1, 2, 3)}", []),
        ("", []),
    ],
)
def test_regions_have_a_caption_and_an_area_and_are_unique(processor: Any, text: str, captions: list[str]) -> None:
    assert [caption for caption, _ in parse_regions(text, processor)] == captions


def test_boxes_are_inside_the_image(processor: Any) -> None:
    (_, box), (_, beyond) = parse_regions(
        f"a dog{locations(100, 250, 500, 999)}a cat{locations(0, 500, 2000, 9999)}", processor
    )
    assert box == pytest.approx((0.1, 0.25, 0.5, 1.0), abs=0.001)
    assert beyond == pytest.approx((0.0, 0.5, 1.0, 1.0), abs=0.001)
    assert max(beyond) == 1.0


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from(["dog", "<", ">", "loc_", "</s>", "<s>", " ", "é", locations(4), locations(3, 900, 999)]))
)
def test_any_output_of_florence_can_be_parsed(processor: Any, parts: list[str]) -> None:
    regions = parse_regions("".join(parts), processor)
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
    assert process(perceivers[1], draw(1)) == process(Regions(models["florence2"]), draw(1))
    perceivers[1].close()
    assert count_models() == before


def test_captions_and_regions_run_concurrently(models: Folders) -> None:
    frames = draw(3)

    def captions() -> list[Observation]:
        return process(Captions(models["florence2"], batch_size=1), frames)

    def regions() -> list[Observation]:
        return process(Regions(models["florence2"], batch_size=1), frames)

    expected = [captions(), regions()] * 2
    with ThreadPoolExecutor(4) as threads:
        assert [job.result() for job in [threads.submit(work) for work in [captions, regions] * 2]] == expected


@pytest.mark.parametrize("perceiver", [Captions, Regions])
@pytest.mark.parametrize("kind", ["bert", "t5"])
def test_other_models_are_refused(models: Folders, perceiver: Callable[..., Any], kind: str) -> None:
    with pytest.raises(ModelError, match=str(models[kind])):
        perceiver(models[kind]).load()


def test_regions_require_florence(models: Folders) -> None:
    with pytest.raises(ModelError, match="type blip"):
        Regions(models["blip"]).load()
    with pytest.raises(ModelError, match="Florence-2"):
        process(Regions(models["blip"]), draw(1))


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


@pytest.mark.parametrize("options", [{"frames": 0}, {"every": 0.0}, {"every": -1.0}])
def test_options_must_be_positive(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        Captions(**options)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_the_batch_size_must_be_positive(batch_size: int) -> None:
    with pytest.raises(InputError, match="batch_size"):
        Captions(batch_size=batch_size)


# Vision-language models


def test_a_picture_is_prompted_and_prepared_as_smolvlm_was_trained(models: Folders) -> None:
    loaded = load_image_to_text(Weights(str(models["smolvlm"])))
    assert isinstance(loaded, VisionLanguageModel)
    text = loaded.processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Describe this."}]}],
        add_generation_prompt=True,
    )
    assert text == "<|im_start|>User:<image>Describe this.<end_of_utterance>\nAssistant:"
    white = Image.fromarray(np.full((360, 640, 3), 255, np.uint8))
    inputs = loaded.processor(text=[text], images=[[white]], return_tensors="pt")
    assert inputs["pixel_values"].shape == (1, 1, 3, 512, 512)
    assert inputs["pixel_values"].unique().tolist() == [1.0]
    decoded = loaded.processor.decode(inputs["input_ids"][0])
    assert f"<fake_token_around_image><global-img>{'<image>' * 64}<fake_token_around_image>" in decoded


def test_a_window_has_one_caption_that_depends_on_all_its_frames(models: Folders) -> None:
    model = load_image_to_text(Weights(str(models["smolvlm"])))
    one, two, three = draw(3)
    captions = model.caption([[one, two], [one, three], [one, two]], 12)
    assert captions[0] == captions[2] != captions[1]


def test_captions_describe_windows_from_one_view_to_the_next(models: Folders) -> None:
    kitchen, garden = np.random.default_rng(0).integers(0, 256, (2, 45, 80, 3), np.uint8).repeat(4, 1).repeat(4, 2)
    moving = [kitchen.copy() for _ in range(7)]
    for number, frame in enumerate(moving):
        frame[100:140, 40 + 20 * number : 80 + 20 * number] = 0
    frames = np.stack([*moving, garden, garden])
    windows: list[list[NDArray[np.uint8]]] = []

    class Recorder(Captions):
        def infer(self, items: Any) -> list[str]:
            windows.extend(items)
            return super().infer(items)

    captions = process(Recorder(models["smolvlm"], frames=3), frames)
    assert [(one.start, one.end) for one in captions] == [(0.0, 7.0), (7.0, 9.0)]
    assert [len(window) for window in windows] == [3, 2]
    assert all((one == moving[number]).all() for one, number in zip(windows[0], (0, 3, 6), strict=True))


def test_a_sentence_that_was_cut_off_is_removed() -> None:
    assert whole_sentences(" A man cooks. The pan is") == "A man cooks."
    assert whole_sentences("A man cooks. It is hot.") == "A man cooks. It is hot."
    assert whole_sentences("A man who cooks in a pan that") == "A man who cooks in a pan that"


def test_a_model_without_its_chat_template_is_refused(models: Folders, tmp_path: Path) -> None:
    shutil.copytree(models["smolvlm"], tmp_path / "smolvlm")
    (tmp_path / "smolvlm" / "chat_template.json").unlink()
    with pytest.raises((ModelError, ModelUnavailableError), match="smolvlm"):
        Captions(tmp_path / "smolvlm").load()
