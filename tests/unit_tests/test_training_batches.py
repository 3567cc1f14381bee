"""From samples to what the model learns."""

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
from langchain_videochat.training.batches import IGNORED, MOST_BROKEN, Batch, Batches, encode, load_batches
from langchain_videochat.training.mixing import Draw
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
    shown: tuple[Video, ...] = (Video(np.stack([picture(0), picture(1)]), (0.5, 1.5)),)
    turns: list[Turn] = []
    for question, answer in pairs:
        turns += [Turn("human", (*shown, question)), Turn("assistant", (answer,))]
        shown = ()
    return Sample(tuple(turns), "video", source)


def learnt(processor: VideoChatEmbedProcessor, inputs: dict[str, Tensor]) -> list[str]:
    """Decode what has labels, a text for each stretch of it."""
    is_learnt = inputs["labels"] != IGNORED
    assert torch.equal(inputs["labels"][is_learnt], inputs["input_ids"][is_learnt])
    starts = (is_learnt[1:] & ~is_learnt[:-1]).nonzero().flatten() + 1
    texts = []
    for start in starts.tolist():
        length = int((~is_learnt[start:]).int().argmax()) if not is_learnt[start:].all() else len(is_learnt) - start
        texts.append(processor.tokenizer.decode(inputs["input_ids"][start : start + length]))
    return texts


def test_answers_and_their_end_are_learnt_and_nothing_else(processor: VideoChatEmbedProcessor) -> None:
    sample = conversation(("How many?", "Three cats."), ("Which colour?", "Grey."))
    assert learnt(processor, encode(sample, processor, 99)) == [" Three cats.###", " Grey.###"]


def test_a_chat_template_s_end_token_is_learnt(chat_processor: VideoChatEmbedProcessor) -> None:
    sample = conversation(("How many?", "Three cats."), ("Which colour?", "Grey."))
    assert learnt(chat_processor, encode(sample, chat_processor, 99)) == ["Three cats.<|im_end|>", "Grey.<|im_end|>"]


@pytest.mark.parametrize("style", ["videochat", "chat"])
def test_the_model_is_shown_what_it_sees_when_it_answers(
    style: str, processor: VideoChatEmbedProcessor, chat_processor: VideoChatEmbedProcessor
) -> None:
    chosen = processor if style == "videochat" else chat_processor
    sample = conversation(("How many?", "Three."), ("Which colour?", "Grey."))
    inputs = encode(sample, chosen, 99)
    prompt = chosen(sample.turns[:3])
    before = int((inputs["labels"] != IGNORED).nonzero()[-1])
    length = prompt["input_ids"].shape[1]
    assert torch.equal(inputs["input_ids"][:length], prompt["input_ids"][0])
    assert length <= before
    assert (inputs["labels"][length:] != IGNORED).any()
    # Pixels too: the same norm, and nothing mirrored.
    assert torch.equal(inputs["pixel_values"], prompt["pixel_values"])
    assert torch.equal(inputs["num_frames"], prompt["num_frames"])


def test_a_long_answer_is_cut_and_its_end_not_learnt(processor: VideoChatEmbedProcessor) -> None:
    inputs = encode(conversation(("How many?", "Three cats and a dog.")), processor, 6)
    assert learnt(processor, inputs) == [" Three"]


def test_texts_cannot_end_an_answer_early(processor: VideoChatEmbedProcessor) -> None:
    (answer,) = learnt(processor, encode(conversation(("What?", "It reads ###Human: no")), processor, 99))
    assert answer.count("###") == 1
    assert answer.endswith("no###")


@pytest.mark.parametrize(
    "turns",
    [
        (Turn("human", (Image(picture()), "What?")),),
        (Turn("human", ("What?",)), Turn("assistant", ("Nothing.",))),
    ],
)
def test_a_sample_without_an_answer_or_a_picture_is_refused(
    processor: VideoChatEmbedProcessor, turns: tuple[Turn, ...]
) -> None:
    with pytest.raises(InputError, match="odd"):
        encode(Sample(turns, "image", "odd"), processor, 99)


def test_a_picture_is_never_cut_off(processor: VideoChatEmbedProcessor) -> None:
    first = conversation(("What?", "A cat."))
    later = (Turn("human", (Image(picture()), "And here?")), Turn("assistant", ("A dog.",)))
    sample = Sample((*first.turns, *later), "video", "two")
    assert len(encode(sample, processor, 99)["num_frames"]) == 2
    with pytest.raises(InputError, match="max_text_tokens"):
        encode(sample, processor, 10)


def test_padding_is_neither_read_nor_learnt(processor: VideoChatEmbedProcessor) -> None:
    samples = [conversation(("What?", "A cat.")), conversation(("What?", "A cat that sleeps."))]
    batch = make(samples, processor, (0, 1))
    inputs, width = batch.inputs, batch.inputs["input_ids"].shape[1]
    short = len(encode(samples[0], processor, 99)["input_ids"])
    assert short < width
    assert inputs["attention_mask"].sum(dim=1).tolist() == [short, width]
    assert (inputs["labels"][0, short:] == IGNORED).all()
    assert batch.answer_tokens == len(" A cat.###") + len(" A cat that sleeps.###")
    assert inputs["num_frames"].tolist() == [2, 2]
    assert len(inputs["pixel_values"]) == 4


def test_a_broken_video_is_replaced_by_the_next_and_told(
    folder: Path, tmp_path: Path, processor: VideoChatEmbedProcessor
) -> None:
    names = ["0.mp4", BROKEN, "missing.mp4", "1.mp4"]
    file = write_json(tmp_path / "some.json", [{"video": name, "caption": f"caption of {name}"} for name in names])
    captions = CaptionFile(file, "video", root=folder, num_frames=2)
    (batch,) = load_batches(
        Batches({"video": captions}, processor, 99), [Draw("video", (0, 1))], workers=0, pin_memory=False
    )
    assert batch.sources == ("0.mp4", "1.mp4")
    assert [BROKEN in problem or "missing.mp4" in problem for problem in batch.broken] == [True, True]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_wrong_folder_is_an_error(tmp_path: Path, processor: VideoChatEmbedProcessor, workers: int) -> None:
    entries = [{"video": f"{number}.mp4", "caption": "a"} for number in range(MOST_BROKEN)]
    captions = CaptionFile(write_json(tmp_path / "some.json", entries), "video")
    batches = Batches({"video": captions}, processor, 99)
    with pytest.raises(InputError, match="in a row cannot be read"):
        list(load_batches(batches, [Draw("video", (0,))], workers=workers, pin_memory=False))


def test_workers_give_the_same_batches_in_the_same_order(folder: Path, processor: VideoChatEmbedProcessor) -> None:
    batches = Batches({"video": CaptionFile(folder / "captions.json", "video", num_frames=2)}, processor, 99)
    draws = [Draw("video", (number % 5, (number + 1) % 5)) for number in range(6)]
    alone, helped = (list(load_batches(batches, draws, workers=count, pin_memory=False)) for count in (0, 2))
    assert [batch.sources for batch in alone] == [batch.sources for batch in helped]
    for one, other in zip(alone, helped, strict=True):
        assert all(torch.equal(one.inputs[name], other.inputs[name]) for name in one.inputs)


def make(samples: Sequence[Sample], processor: VideoChatEmbedProcessor, indices: tuple[int, ...]) -> Batch:
    batch = Batches({"video": samples}, processor, 99)[Draw("video", indices)]
    assert not isinstance(batch, VideoChatError)
    return batch
