"""Objects: detections with their labels, boxes and times."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from langchain_videochat.errors import InputError, ModelError
from langchain_videochat.media import FrameBatch
from langchain_videochat.models.weights import keep_models
from langchain_videochat.perception import Observation, perceive
from langchain_videochat.perception.objects import Objects
from tests.slides import render_talk
from tests.tiny_vision import (
    NAMES,
    hf,
    tiny_constant_detr,
    tiny_detr,
    tiny_dfine,
    tiny_grounding_dino,
    tiny_owlv2,
    tiny_rt_detr,
    tiny_siglip,
)

TRAINED = {"dfine": tiny_dfine, "rt_detr": tiny_rt_detr, "detr": tiny_detr}
PROMPTED = {"owlv2": tiny_owlv2, "grounding_dino": tiny_grounding_dino}
BUILDERS = TRAINED | PROMPTED
KINDS = list(BUILDERS)

PROMPT = ["cat", "red ball", "Dog"]
ANY_SCORE = 0.0
"""A minimum score that random weights reach."""

DOG = (0.1, 0.4, 0.3, 0.8)

Model = Callable[[str], Path]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    folder = tmp_path_factory.mktemp("models")
    paths = {kind: build(folder / kind) for kind, build in BUILDERS.items()}
    with keep_models():
        yield paths.__getitem__


@pytest.fixture(scope="module")
def dog_detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_constant_detr(tmp_path_factory.mktemp("dog"), "dog", DOG)


def make_objects(model: Model, kind: str, **settings: Any) -> Objects:
    """Create a perceiver that returns all detections, with a prompt if the model takes one."""
    return Objects(model(kind), min_score=ANY_SCORE, prompt=PROMPT if kind in PROMPTED else None, **settings)


def noise(count: int, size: tuple[int, int] = (48, 64)) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, *size, 3), dtype=np.uint8)


def process(perceiver: Objects, frames: NDArray[np.uint8], every: float = 1.0) -> list[Observation]:
    """Process frames one by one, and return the observations in time order."""
    observations: list[Observation] = []
    for number, frame in enumerate(frames):
        observations += perceiver.perceive(FrameBatch(frame[None], np.array([number * every])))
    observations += perceiver.finish(len(frames) * every)
    return sorted(observations, key=lambda one: (one.order, one.text))


def boxes(observations: Sequence[Observation]) -> NDArray[np.float64]:
    return np.array([one.box for one in observations])


def are_similar(some: Sequence[Observation], others: Sequence[Observation]) -> bool:
    """Return whether two lists have the same observations, up to rounding."""
    rest = list(others)
    for one in some:
        same = next((other for other in rest if _same(one, other)), None)
        if same is None:
            return False
        rest.remove(same)
    return not rest


def _same(one: Observation, other: Observation) -> bool:
    return (one.start, one.end, one.text) == (other.start, other.end, other.text) and np.allclose(
        [one.score or 0.0, *(one.box or ())], [other.score or 0.0, *(other.box or ())], atol=2e-3
    )


def test_an_object_that_stays_is_one_observation(dog_detector: Path) -> None:
    (observation,) = process(Objects(dog_detector, batch_size=4), noise(9))

    assert (observation.start, observation.end, observation.modality, observation.text) == (
        0.0,
        9.0,
        "object",
        "dog, left",
    )
    assert observation.box == pytest.approx(DOG, abs=1e-3)
    assert observation.score == pytest.approx(0.999, abs=2e-3)
    assert observation.source == str(dog_detector)


def test_times_are_those_of_the_frames(dog_detector: Path) -> None:
    perceiver = Objects(dog_detector, every=0.5)

    observations = list(perceiver.perceive(FrameBatch(noise(3), np.array([10.04, 10.48, 11.0]))))
    observations += perceiver.finish(11.4)

    assert [(one.start, one.end) for one in observations] == [(10.04, 11.4)]


def test_long_tracks_are_emitted_in_parts_and_in_order(dog_detector: Path) -> None:
    perceiver = Objects(dog_detector, every=5.0, batch_size=2)
    observations: list[Observation] = []
    for number, frame in enumerate(noise(15)):
        pending = perceiver.pending_since or 0.0
        new = list(perceiver.perceive(FrameBatch(frame[None], np.array([number * 5.0]))))
        assert all(one.start >= pending for one in new)
        observations += new
    observations += perceiver.finish(75.0)

    assert [(one.start, one.end) for one in observations] == [(0.0, 30.0), (30.0, 60.0), (60.0, 75.0)]
    assert perceiver.pending_since is None


def test_objects_of_a_video_file(dog_detector: Path, tmp_path: Path) -> None:
    video = render_talk(tmp_path / "talk.mp4", [["One"], ["Two"]], size=(160, 90))

    observations = list(perceive(video, [Objects(dog_detector)]))

    assert [(one.start, one.end, one.text) for one in observations] == [(0.0, 8.0, "dog, left")]


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_are_inside_the_frame_and_labels_are_those_of_the_model(model: Model, kind: str) -> None:
    observations = process(make_objects(model, kind), noise(3))

    assert observations
    corners = boxes(observations)
    assert ((corners >= 0) & (corners <= 1)).all()
    assert (corners[:, :2] < corners[:, 2:]).all()
    assert {one.text.split(", ")[0] for one in observations} <= set(PROMPT if kind in PROMPTED else NAMES.values())
    assert {one.start for one in observations} <= {0.0, 1.0, 2.0}


@pytest.mark.parametrize("kind", list(TRAINED))
@pytest.mark.parametrize("size", [(48, 64), (90, 30)])
def test_detections_are_those_of_transformers(model: Model, kind: str, size: tuple[int, int]) -> None:
    frame = noise(1, size)[0]
    detector = hf.AutoModelForObjectDetection.from_pretrained(model(kind))
    processor = hf.AutoImageProcessor.from_pretrained(model(kind), backend="pil")
    with torch.inference_mode():
        outputs = detector(**processor([frame], return_tensors="pt"))
    (found,) = processor.post_process_object_detection(outputs, threshold=ANY_SCORE, target_sizes=[(1, 1)])
    labels = [NAMES[number] for number in found["labels"].tolist()]
    expected = sorted(zip(labels, found["boxes"].clamp(0, 1).numpy().round(4).tolist(), strict=True))

    observations = process(make_objects(model, kind), frame[None])

    assert expected
    assert sorted(one.text.split(", ")[0] for one in observations) == [label for label, _ in expected]
    assert np.allclose(sorted(boxes(observations).tolist()), sorted(box for _, box in expected), atol=2e-3)


@pytest.mark.parametrize("kind", list(PROMPTED))
@pytest.mark.parametrize("size", [(48, 64), (16, 64), (90, 30)])
def test_prompted_detections_are_those_of_transformers(model: Model, kind: str, size: tuple[int, int]) -> None:
    frame = noise(1, size)[0]
    detector = hf.AutoModelForZeroShotObjectDetection.from_pretrained(model(kind))
    processor = hf.AutoProcessor.from_pretrained(model(kind))
    with torch.inference_mode():
        outputs = detector(**processor(images=[Image.fromarray(frame)], text=[PROMPT], return_tensors="pt"))
    (found,) = processor.post_process_grounded_object_detection(outputs, threshold=0.4, target_sizes=[size])
    height, width = size
    corners = (found["boxes"] / torch.tensor([width, height] * 2)).clamp(0, 1).numpy().round(4)
    expected = corners[(corners[:, :2] < corners[:, 2:]).all(axis=1)]

    observations = process(Objects(model(kind), prompt=PROMPT, min_score=0.4), frame[None])

    assert len(expected)
    assert np.allclose(sorted(boxes(observations).tolist()), sorted(expected.tolist()), atol=2e-3)


def test_detections_in_the_padding_are_removed(model: Model) -> None:
    """OWLv2 pads wide frames to squares with grey, and detects objects there too."""
    wide, square = (boxes(process(make_objects(model, "owlv2"), noise(1, size))) for size in ((16, 64), (64, 64)))

    assert len(wide) < len(square)
    assert wide[:, 1].max() < 1.0 == wide[:, 3].max()


@pytest.mark.parametrize("kind", KINDS)
def test_detections_below_the_minimum_score_are_removed(model: Model, kind: str) -> None:
    perceiver = make_objects(model, kind)
    scores = sorted({one.score or 0.0 for one in process(perceiver, noise(1))})
    between = (scores[0] + scores[-1]) / 2

    observations = process(Objects(model(kind), min_score=between, prompt=perceiver.prompt or None), noise(1))

    assert observations
    assert len(observations) == sum(
        one.score > between for one in process(make_objects(model, kind), noise(1)) if one.score
    )


@pytest.mark.parametrize("kind", KINDS)
def test_detections_do_not_depend_on_the_batch_size(model: Model, kind: str) -> None:
    one, many = (process(make_objects(model, kind, batch_size=size), noise(5)) for size in (1, 4))

    assert one
    assert are_similar(one, many)


@pytest.mark.parametrize("kind", KINDS)
def test_detections_are_deterministic(model: Model, kind: str) -> None:
    first, again = (process(make_objects(model, kind), noise(3)) for _ in range(2))

    assert first == again


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_all_models_run_in_half_precision(model: Model, kind: str, dtype: str) -> None:
    observations = process(make_objects(model, kind, dtype=dtype), noise(2))

    assert observations
    assert all(0 < (one.score or 0.0) <= 1 for one in observations)


def test_half_precision_detects_the_same_object(dog_detector: Path) -> None:
    (observation,) = process(Objects(dog_detector, dtype="bfloat16"), noise(2))

    assert observation.text == "dog, left"
    assert observation.box == pytest.approx(DOG, abs=5e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1), (3, 1), (1, 3)])
def test_frames_one_pixel_wide_are_accepted(model: Model, kind: str, size: tuple[int, int]) -> None:
    for one in process(make_objects(model, kind), noise(2, size)):
        assert one.box is not None
        assert 0 <= one.box[0] < one.box[2] <= 1


@pytest.mark.parametrize("kind", list(PROMPTED))
def test_labels_are_those_of_the_prompt(model: Model, kind: str) -> None:
    observations = process(Objects(model(kind), prompt=["tree"], min_score=ANY_SCORE), noise(1))

    assert {one.text.split(", ")[0] for one in observations} == {"tree"}


def test_a_prompt_can_be_a_single_name() -> None:
    assert Objects(prompt="St. Bernard").prompt == Objects(prompt=["St  Bernard", "St. Bernard"]).prompt


@pytest.mark.parametrize("prompt", [[], [""], ["dog", " . "], ""])
def test_a_prompt_without_names_is_refused(prompt: Sequence[str]) -> None:
    with pytest.raises(InputError, match="prompt"):
        Objects(prompt=prompt)


@pytest.mark.parametrize("kind", list(TRAINED))
def test_a_closed_set_detector_takes_no_prompt(model: Model, kind: str) -> None:
    with pytest.raises(InputError, match="trained on"):
        Objects(model(kind), prompt=["dog"]).load()


@pytest.mark.parametrize("kind", list(PROMPTED))
def test_a_zero_shot_detector_needs_a_prompt(model: Model, kind: str) -> None:
    with pytest.raises(InputError, match="needs a prompt"):
        process(Objects(model(kind)), noise(1))


def test_an_rt_detr_saved_by_older_versions_loads(model: Model, tmp_path: Path) -> None:
    for file in model("rt_detr").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    older = {"backbone": None, "backbone_kwargs": None, "use_pretrained_backbone": False, "use_timm_backbone": False}
    (tmp_path / "config.json").write_text(json.dumps(config | older))

    observations = process(Objects(tmp_path, min_score=ANY_SCORE), noise(1))

    assert are_similar(observations, process(make_objects(model, "rt_detr"), noise(1)))


def test_other_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=tmp_path.name):
        Objects(tiny_siglip(tmp_path)).load()


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=tmp_path.name):
        Objects(tmp_path).load()


def test_a_detector_without_its_heads_is_refused(model: Model, tmp_path: Path) -> None:
    hf.AutoModel.from_pretrained(model("detr")).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_bytes((model("detr") / "preprocessor_config.json").read_bytes())

    with pytest.raises(ModelError, match="missing"):
        Objects(tmp_path).load()


@pytest.mark.parametrize("kind", list(PROMPTED))
def test_a_model_without_its_tokenizer_is_refused(kind: str, tmp_path: Path) -> None:
    folder = PROMPTED[kind](tmp_path)
    for file in folder.glob("tokenizer*"):
        file.unlink()

    with pytest.raises(ModelError, match=tmp_path.name):
        Objects(folder, prompt=PROMPT).load()
