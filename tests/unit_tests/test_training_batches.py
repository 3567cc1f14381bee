"""Encoding samples and loading batches."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from langchain_videochat.embed import Image, Turn, Video, VideoChatEmbedProcessor
from langchain_videochat.errors import InputError, VideoChatError
from langchain_videochat.training import CaptionFile, Sample
from langchain_videochat.training.batch_sampler import BatchIndices
from langchain_videochat.training.batches import (
    IGNORE_INDEX,
    MAX_CONSECUTIVE_FAILURES,
    BatchDataset,
    TrainingBatch,
    encode_sample,
    load_batches,
)
from tests.tiny_training import BROKEN, make_samples, write_json
from tests.tiny_videochat import QUERIES, SIZE, byte_tokenizer

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_samples(tmp_path_factory.mktemp("samples"))


@pytest.fixture(scope="module")
def processor() -> VideoChatEmbedProcessor:
    return VideoChatEmbedProcessor(byte_tokenizer(), image_size=SIZE, num_visual_tokens=QUERIES)


@pytest.fixture(scope="module")
def chat_processor() -> VideoChatEmbedProcessor:
    tokenizer = byte_tokenizer(chat_template=TEMPLATE, eos_token="<|im_end|>")
    return VideoChatEmbedProcessor(tokenizer, image_size=SIZE, num_visual_tokens=QUERIES, prompt_style="chat")


def picture(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8)


def conversation(*pairs: tuple[str, str], source: str = "a.mp4") -> Sample:
    visuals: tuple[Video, ...] = (Video(np.stack([picture(0), picture(1)]), (0.5, 1.5)),)
    turns: list[Turn] = []
    for question, answer in pairs:
        turns += [Turn("human", (*visuals, question)), Turn("assistant", (answer,))]
        visuals = ()
    return Sample(tuple(turns), "video", source)


def labelled(processor: VideoChatEmbedProcessor, inputs: dict[str, Tensor]) -> list[str]:
    """Decode the tokens that have labels, as one text per contiguous run."""
    has_label = inputs["labels"] != IGNORE_INDEX
    assert torch.equal(inputs["labels"][has_label], inputs["input_ids"][has_label])
    starts = (has_label[1:] & ~has_label[:-1]).nonzero().flatten() + 1
    texts = []
    for start in starts.tolist():
        length = int((~has_label[start:]).int().argmax()) if not has_label[start:].all() else len(has_label) - start
        texts.append(processor.tokenizer.decode(inputs["input_ids"][start : start + length]))
    return texts


def test_only_answers_and_their_ends_have_labels(processor: VideoChatEmbedProcessor) -> None:
    sample = conversation(("How many?", "Three cats."), ("Which color?", "Grey."))
    assert labelled(processor, encode_sample(sample, processor, 99)) == [" Three cats.###", " Grey.###"]


def test_chat_template_end_token_has_a_label(chat_processor: VideoChatEmbedProcessor) -> None:
    sample = conversation(("How many?", "Three cats."), ("Which color?", "Grey."))
    assert labelled(chat_processor, encode_sample(sample, chat_processor, 99)) == [
        "Three cats.<|im_end|>",
        "Grey.<|im_end|>",
    ]


@pytest.mark.parametrize("style", ["videochat", "chat"])
def test_training_prompts_equal_inference_prompts(
    style: str, processor: VideoChatEmbedProcessor, chat_processor: VideoChatEmbedProcessor
) -> None:
    chosen = processor if style == "videochat" else chat_processor
    sample = conversation(("How many?", "Three."), ("Which color?", "Grey."))
    inputs = encode_sample(sample, chosen, 99)
    prompt = chosen(sample.turns[:3])
    before = int((inputs["labels"] != IGNORE_INDEX).nonzero()[-1])
    length = prompt["input_ids"].shape[1]
    assert torch.equal(inputs["input_ids"][:length], prompt["input_ids"][0])
    assert length <= before
    assert (inputs["labels"][length:] != IGNORE_INDEX).any()
    # Pixels too: the same normalization, and no flips.
    assert torch.equal(inputs["pixel_values"], prompt["pixel_values"])
    assert torch.equal(inputs["num_frames"], prompt["num_frames"])


def test_truncated_answer_has_no_end(processor: VideoChatEmbedProcessor) -> None:
    inputs = encode_sample(conversation(("How many?", "Three cats and a dog.")), processor, 6)
    assert labelled(processor, inputs) == [" Three"]


def test_text_cannot_end_an_answer_early(processor: VideoChatEmbedProcessor) -> None:
    (answer,) = labelled(processor, encode_sample(conversation(("What?", "It reads ###Human: no")), processor, 99))
    assert answer.count("###") == 1
    assert answer.endswith("no###")


@pytest.mark.parametrize(
    "turns",
    [
        (Turn("human", (Image(picture()), "What?")),),
        (Turn("human", ("What?",)), Turn("assistant", ("Nothing.",))),
    ],
)
def test_sample_without_an_answer_or_visuals_is_rejected(
    processor: VideoChatEmbedProcessor, turns: tuple[Turn, ...]
) -> None:
    with pytest.raises(InputError, match="odd"):
        encode_sample(Sample(turns, "image", "odd"), processor, 99)


def test_image_is_never_cut_off(processor: VideoChatEmbedProcessor) -> None:
    first = conversation(("What?", "A cat."))
    later = (Turn("human", (Image(picture()), "And here?")), Turn("assistant", ("A dog.",)))
    sample = Sample((*first.turns, *later), "video", "two")
    assert len(encode_sample(sample, processor, 99)["num_frames"]) == 2
    with pytest.raises(InputError, match="max_text_tokens"):
        encode_sample(sample, processor, 10)


def test_padding_is_masked_and_has_no_labels(processor: VideoChatEmbedProcessor) -> None:
    samples = [conversation(("What?", "A cat.")), conversation(("What?", "A cat that sleeps."))]
    batch = make_batch(samples, processor, (0, 1))
    inputs, width = batch.inputs, batch.inputs["input_ids"].shape[1]
    short = len(encode_sample(samples[0], processor, 99)["input_ids"])
    assert short < width
    assert inputs["attention_mask"].sum(dim=1).tolist() == [short, width]
    assert (inputs["labels"][0, short:] == IGNORE_INDEX).all()
    assert batch.answer_tokens == len(" A cat.###") + len(" A cat that sleeps.###")
    assert inputs["num_frames"].tolist() == [2, 2]
    assert len(inputs["pixel_values"]) == 4


def test_broken_video_is_replaced_by_the_next_and_reported(
    folder: Path, tmp_path: Path, processor: VideoChatEmbedProcessor
) -> None:
    names = ["0.mp4", BROKEN, "missing.mp4", "1.mp4"]
    file = write_json(tmp_path / "some.json", [{"video": name, "caption": f"caption of {name}"} for name in names])
    captions = CaptionFile(file, "video", root=folder, num_frames=2)
    (batch,) = load_batches(
        BatchDataset({"video": captions}, processor, 99),
        [BatchIndices("video", (0, 1))],
        num_workers=0,
        pin_memory=False,
    )
    assert batch.sources == ("0.mp4", "1.mp4")
    assert [BROKEN in problem or "missing.mp4" in problem for problem in batch.skipped] == [True, True]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_wrong_folder_is_an_error(tmp_path: Path, processor: VideoChatEmbedProcessor, num_workers: int) -> None:
    entries = [{"video": f"{number}.mp4", "caption": "a"} for number in range(MAX_CONSECUTIVE_FAILURES)]
    captions = CaptionFile(write_json(tmp_path / "some.json", entries), "video")
    batches = BatchDataset({"video": captions}, processor, 99)
    with pytest.raises(InputError, match="in a row cannot be read"):
        list(load_batches(batches, [BatchIndices("video", (0,))], num_workers=num_workers, pin_memory=False))


def test_workers_give_the_same_batches_in_the_same_order(folder: Path, processor: VideoChatEmbedProcessor) -> None:
    dataset = BatchDataset({"video": CaptionFile(folder / "captions.json", "video", num_frames=2)}, processor, 99)
    indices = [BatchIndices("video", (number % 5, (number + 1) % 5)) for number in range(6)]
    sequential, parallel = (
        list(load_batches(dataset, indices, num_workers=count, pin_memory=False)) for count in (0, 2)
    )
    assert [batch.sources for batch in sequential] == [batch.sources for batch in parallel]
    for one, other in zip(sequential, parallel, strict=True):
        assert all(torch.equal(one.inputs[name], other.inputs[name]) for name in one.inputs)


def make_batch(
    samples: Sequence[Sample], processor: VideoChatEmbedProcessor, indices: tuple[int, ...]
) -> TrainingBatch:
    batch = BatchDataset({"video": samples}, processor, 99)[BatchIndices("video", indices)]
    assert not isinstance(batch, VideoChatError)
    return batch
