"""Tags: which labels match, with their scores and times."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray

from langchain_videochat.errors import InputError, ModelError
from langchain_videochat.media import FrameBatch
from langchain_videochat.models.weights import keep_models
from langchain_videochat.perception import Observation
from langchain_videochat.perception.tags import MAX_TAGS, Tags, choose_labels
from tests.tiny_vision import WORDS, tiny_clip, tiny_detr, tiny_siglip

BUILDERS = {"siglip": tiny_siglip, "clip": tiny_clip}
KINDS = sorted(BUILDERS)

Model = Callable[[str], Path]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    folder = tmp_path_factory.mktemp("models")
    paths = {kind: build(folder / kind) for kind, build in BUILDERS.items()}
    with keep_models():
        yield paths.__getitem__


def noise(count: int, size: tuple[int, int] = (48, 64)) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, *size, 3), dtype=np.uint8)


def plain(*shades: int) -> NDArray[np.uint8]:
    """Return frames of one shade of grey each."""
    return np.stack([np.full((48, 64, 3), shade, np.uint8) for shade in shades])


def process(tags: Tags, frames: NDArray[np.uint8], every: float = 2.0) -> list[Observation]:
    """Process frames one by one, and return the observations in time order."""
    observations: list[Observation] = []
    for number, frame in enumerate(frames):
        observations += tags.perceive(FrameBatch(frame[None], np.array([number * every])))
    observations += tags.finish(len(frames) * every)
    return sorted(observations, key=lambda one: (one.start, one.text))


def all_tags(model: Path, labels: Sequence[str], **settings: Any) -> Tags:
    """Create a perceiver that returns all labels, whatever their score."""
    return Tags(model, labels=labels, min_score=0.0, **settings)


def scores(tags: Tags, frame: NDArray[np.uint8]) -> dict[str, float]:
    return {one.text: one.score or 0.0 for one in process(tags, frame[None])}


def are_similar(some: Sequence[Observation], others: Sequence[Observation], tolerance: float) -> bool:
    return [(one.start, one.end, one.text) for one in some] == [(one.start, one.end, one.text) for one in others] and [
        one.score for one in some
    ] == pytest.approx([one.score for one in others], abs=tolerance)


@pytest.mark.parametrize(("kind", "prompt"), [("siglip", "this is a photo of {}."), ("clip", "a photo of a {}")])
def test_scores_are_those_of_transformers(model: Model, kind: str, prompt: str) -> None:
    frame = noise(1)[0]
    labels = WORDS[:4]
    reference = transformers.AutoModel.from_pretrained(model(kind))
    processor = {"siglip": transformers.SiglipImageProcessorPil, "clip": transformers.CLIPImageProcessorPil}[kind]
    texts = transformers.AutoTokenizer.from_pretrained(model(kind))(
        [prompt.format(label) for label in labels], padding="max_length", max_length=16, return_tensors="pt"
    )
    images = processor.from_pretrained(model(kind))([frame], return_tensors="pt")
    with torch.inference_mode():
        logits = reference(**texts, **images).logits_per_image[0]
    expected = {"siglip": logits.sigmoid(), "clip": logits.softmax(dim=0)}[kind]

    found = scores(all_tags(model(kind), labels), frame)

    assert found == pytest.approx(dict(zip(labels, expected.tolist(), strict=True)), abs=1e-3)


def test_siglip_scores_labels_independently(model: Model) -> None:
    frame = noise(1)[0]

    alone = scores(all_tags(model("siglip"), ["dog"]), frame)
    among = scores(all_tags(model("siglip"), WORDS[:5]), frame)

    assert among["dog"] == pytest.approx(alone["dog"], abs=1e-3)


def test_clip_scores_labels_against_one_another(model: Model) -> None:
    found = scores(all_tags(model("clip"), WORDS[:5]), noise(1)[0])

    assert sum(found.values()) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_tag_spans_its_successive_samples(model: Model, kind: str) -> None:
    found = {shade: scores(all_tags(model(kind), WORDS[:6]), plain(shade)[0]) for shade in (0, 255)}
    label = max(WORDS[:6], key=lambda word: abs(found[0][word] - found[255][word]))
    absent, present = sorted(found, key=lambda shade: found[shade][label])
    between = (found[0][label] + found[255][label]) / 2

    tags = Tags(model(kind), labels=WORDS[:6], min_score=between)
    observations = process(tags, plain(absent, present, present, present, absent, present, absent))

    spans = [(one.start, one.end) for one in observations if one.text == label]
    assert spans == [(2.0, 8.0), (10.0, 12.0)]


def test_a_tag_has_its_highest_score(model: Model) -> None:
    shades = plain(0, 120, 255)
    each = [scores(all_tags(model("siglip"), WORDS[:3]), frame) for frame in shades]

    observations = process(all_tags(model("siglip"), WORDS[:3]), shades)

    assert {one.text: one.score for one in observations} == pytest.approx(
        {word: max(found[word] for found in each) for word in WORDS[:3]}, abs=1e-3
    )


def test_a_tag_has_its_text_and_source(model: Model) -> None:
    (observation,) = process(all_tags(model("siglip"), ["dog"], every=3.0), noise(2), every=3.0)

    assert (observation.start, observation.end, observation.modality, observation.text, observation.box) == (
        0.0,
        6.0,
        "tag",
        "dog",
        None,
    )
    assert observation.source == str(model("siglip"))


def test_only_the_best_tags_of_a_frame_are_returned(model: Model) -> None:
    frame = noise(1)[0]
    halves = WORDS[:7], WORDS[7:]
    each = {word: score for half in halves for word, score in scores(all_tags(model("siglip"), half), frame).items()}

    observations = scores(all_tags(model("siglip"), WORDS), frame)

    assert set(observations) == set(sorted(WORDS, key=lambda word: -each[word])[:MAX_TAGS])


def test_tags_below_the_minimum_score_are_removed(model: Model) -> None:
    assert process(Tags(model("siglip"), labels=WORDS, min_score=1.0), noise(2)) == []


def test_long_tags_are_emitted_in_parts(model: Model) -> None:
    tags = all_tags(model("siglip"), ["dog"], every=5.0)

    observations = process(tags, plain(*[90] * 16), every=5.0)

    assert [(one.start, one.end) for one in observations] == [(0.0, 30.0), (30.0, 60.0), (60.0, 80.0)]


def test_no_tag_starts_before_the_pending_time(model: Model) -> None:
    tags = all_tags(model("siglip"), WORDS[:3], batch_size=3, every=5.0)
    pending = [tags.pending_since]
    for number, frame in enumerate(plain(*[90] * 16)):
        observations = list(tags.perceive(FrameBatch(frame[None], np.array([number * 5.0]))))
        assert all(one.start >= (pending[-1] or 0.0) for one in observations)
        pending.append(tags.pending_since)
    list(tags.finish(80.0))
    pending.append(tags.pending_since)

    assert pending == [None, *[0.0] * 9, *[30.0] * 6, 60.0, None]


@pytest.mark.parametrize("kind", KINDS)
def test_tags_do_not_depend_on_the_batch_size(model: Model, kind: str) -> None:
    frames = noise(5)
    one, many = (process(all_tags(model(kind), WORDS[:8], batch_size=size), frames) for size in (1, 4))

    assert one
    assert are_similar(one, many, tolerance=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_tags_are_deterministic(model: Model, kind: str) -> None:
    first, again = (process(Tags(model(kind), labels=WORDS), noise(4)) for _ in range(2))

    assert first
    assert first == again


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_returns_nearly_the_same_tags(model: Model, kind: str, dtype: str) -> None:
    full, half = (
        process(all_tags(model(kind), WORDS[:8], dtype=precision), noise(3)) for precision in ("float32", dtype)
    )

    assert are_similar(full, half, tolerance=0.03)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (3, 1), (1, 3)])
def test_frames_one_pixel_wide_have_tags(model: Model, kind: str, size: tuple[int, int]) -> None:
    assert len(process(all_tags(model(kind), ["cat", "dog"]), noise(1, size))) == 2


def test_labels_can_contain_any_characters(model: Model) -> None:
    labels = ["{dog}", "dog " * 50, "犬", "%s"]

    assert len(process(all_tags(model("siglip"), labels), noise(1))) == 4


def test_scores_do_not_depend_on_the_number_of_labels(model: Model) -> None:
    frame = noise(1)[0]
    labels = [f"{one} {other}" for one in WORDS[:9] for other in WORDS[:9]]
    best = max(scores(all_tags(model("siglip"), labels), frame).items(), key=lambda tag: tag[1])

    alone = scores(all_tags(model("siglip"), [best[0]]), frame)

    assert alone == pytest.approx(dict([best]), abs=1e-3)


def test_built_in_labels_are_everyday_words() -> None:
    labels = choose_labels()

    assert 350 <= len(labels) <= 450
    assert list(labels) == sorted(set(labels))
    assert all(label == label.lower().strip() != "" for label in labels)
    assert {"kitchen", "whiteboard", "dog", "cooking", "snow", "screenshot"} <= set(labels)


def test_labels_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes("\ufeffwhisk\r\n\r\n  mixing  bowl \r\nwhisk\r\ncrêpe\n".encode())

    assert Tags(labels=path).labels == Tags(labels=str(path)).labels == ("whisk", "mixing bowl", "crêpe")


@pytest.mark.parametrize("content", [b"", b"\n \n", b"dog\ndog\n", b"caf\xe9\n\xff", None])
def test_a_file_without_labels_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "labels.txt"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InputError, match=r"labels\.txt"):
        Tags(labels=path)


def test_a_folder_instead_of_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=tmp_path.name):
        Tags(labels=tmp_path)


@pytest.mark.parametrize("labels", [[], [" "], ["dog", "dog"]])
def test_a_list_without_labels_is_refused(labels: list[str]) -> None:
    with pytest.raises(InputError, match="labels"):
        Tags(labels=labels)


def test_a_single_label_is_accepted() -> None:
    assert Tags(labels=["dog"]).labels == ("dog",)


def test_other_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="SigLIP or CLIP"):
        Tags(tiny_detr(tmp_path)).load()


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=tmp_path.name):
        Tags(tmp_path).load()


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    folder = tiny_siglip(tmp_path)
    os.truncate(folder / "model.safetensors", 1000)

    with pytest.raises(ModelError, match=tmp_path.name):
        Tags(folder).load()


def test_a_model_without_its_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = tiny_siglip(tmp_path)
    for file in folder.glob("tokenizer*"):
        file.unlink()

    with pytest.raises(ModelError, match=tmp_path.name):
        Tags(folder).load()
