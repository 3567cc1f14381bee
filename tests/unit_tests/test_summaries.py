"""Summaries: one for each scene and one for the video, for captions of any length and content."""

import gc
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, T5EncoderModel, T5ForConditionalGeneration

from langchain_videochat.errors import InputError, ModelError
from langchain_videochat.perception import Observation
from langchain_videochat.perception.summaries import Summaries
from tests.tiny_models import WORDS, tiny_blip, tiny_t5

Span = tuple[float, float]

END_OF_PROMPT = 1
"""Id of "</s>" in the tiny T5."""

WIDTH = 16
"""Dimension of its token embeddings."""


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_t5(tmp_path_factory.mktemp("models") / "t5")


def captions_of(*texts: str, start: float = 0.0) -> list[Observation]:
    """Return captions, one per second."""
    return [Observation(start + second, start + second + 1, "caption", text) for second, text in enumerate(texts)]


def varied_captions(count: int) -> list[Observation]:
    """Return captions, one per second, without successive duplicates."""
    words = WORDS.split()
    return captions_of(*(" ".join(words[(second + step) % len(words)] for step in range(6)) for second in range(count)))


def scenes_at(*times: float) -> list[Observation]:
    """Return scenes that start and end at these times."""
    return [Observation(start, end, "scene", f"Scene from {start}") for start, end in pairwise(times)]


def summarize(model: Path, observations: Sequence[Observation], **options: Any) -> list[Observation]:
    return list(Summaries(model, **options).perceive(sorted(observations, key=lambda one: one.order)))


def spans(summaries: Sequence[Observation]) -> list[Span]:
    return [(one.start, one.end) for one in summaries]


@contextmanager
def record_prompts() -> Iterator[list[torch.Tensor]]:
    """Record the token ids that models receive, [prompts, tokens] per call."""
    prompts: list[torch.Tensor] = []

    def record(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        # Generated tokens pass through the embedding too, one at a time.
        if isinstance(module, torch.nn.Embedding) and module.embedding_dim == WIDTH and inputs[0].shape[1] > 1:
            prompts.append(inputs[0])

    hook = torch.nn.modules.module.register_module_forward_pre_hook(record)
    try:
        yield prompts
    finally:
        hook.remove()


def test_each_scene_and_the_video_have_a_summary(t5: Path) -> None:
    observations = summarize(t5, varied_captions(9) + scenes_at(0.0, 3.0, 7.0, 9.0))
    assert spans(observations) == [(0.0, 3.0), (3.0, 7.0), (7.0, 9.0), (0.0, 9.0)]
    assert {(one.modality, one.source) for one in observations} == {("summary", str(t5))}
    assert len({one.text for one in observations}) > 1, "summaries depend on the captions"


def test_a_scene_with_one_caption_has_no_summary(t5: Path) -> None:
    captions = captions_of("a man walks", "a man walks", "a man  walks.", "a red car", "a dog runs", "a cat", "")
    assert spans(summarize(t5, captions + scenes_at(0.0, 3.0, 5.0, 7.0))) == [(3.0, 5.0), (0.0, 7.0)]


@pytest.mark.parametrize(
    "observations",
    [
        [],
        scenes_at(0.0, 3.0),
        captions_of(""),
        captions_of("a man walks"),
        captions_of(*["a man walks"] * 9),
        captions_of(*["a cat"] * 9) + scenes_at(0.0, 4.0, 9.0),
    ],
)
def test_identical_captions_have_no_summary(t5: Path, observations: list[Observation]) -> None:
    assert summarize(t5, observations) == []


def test_a_video_of_one_scene_has_one_summary(t5: Path) -> None:
    assert spans(summarize(t5, varied_captions(9) + scenes_at(0.0, 9.0))) == [(0.0, 9.0)]


def test_a_long_scene_in_parts_has_one_summary(t5: Path) -> None:
    parts = [Observation(start, start + 30.0, "scene", "Scene from 00:00") for start in (0.0, 30.0)]
    observations = summarize(t5, [*varied_captions(80), *parts, Observation(60.0, 80.0, "scene", "Scene from 01:00")])
    assert spans(observations) == [(0.0, 60.0), (60.0, 80.0), (0.0, 80.0)]


def test_minutes_replace_scenes(t5: Path) -> None:
    assert spans(summarize(t5, varied_captions(130))) == [(0.0, 60.0), (60.0, 120.0), (120.0, 130.0), (0.0, 130.0)]


def test_scenes_without_captions_are_part_of_the_video(t5: Path) -> None:
    captions = captions_of("a man walks", "a red car", start=4.0)
    assert spans(summarize(t5, captions + scenes_at(0.0, 4.0, 6.0, 8.0))) == [(4.0, 6.0), (0.0, 8.0)]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_summaries_do_not_depend_on_the_batch_size(t5: Path, batch_size: int) -> None:
    observations = varied_captions(200) + scenes_at(0.0, 20.0, 90.0, 95.0, 200.0)
    with record_prompts() as prompts:
        assert summarize(t5, observations, batch_size=batch_size) == summarize(t5, observations)
    assert max(len(batch) for batch in prompts) == 8


def test_a_model_runs_in_half_precision(t5: Path) -> None:
    assert len(summarize(t5, varied_captions(9) + scenes_at(0.0, 3.0, 9.0), dtype="bfloat16")) == 3


@pytest.mark.parametrize("context", [8, 20, 48, 512])
def test_prompts_fit_the_context(tmp_path: Path, context: int) -> None:
    model = tiny_t5(tmp_path / "t5", context)
    with record_prompts() as prompts:
        observations = summarize(model, varied_captions(150))
    assert spans(observations)[-1] == (0.0, 150.0)
    assert max(batch.shape[1] for batch in prompts) <= context


def test_captions_are_prompted_as_sentences(t5: Path) -> None:
    with record_prompts() as prompts:
        summarize(t5, captions_of("a man walks.", " a dog\n runs", "a cat..."))
    read = AutoTokenizer.from_pretrained(t5).batch_decode(prompts[0])
    assert read == ["summarize: a man walks. a dog runs. a cat.</s>"]


def test_all_captions_of_a_long_scene_are_prompted(t5: Path) -> None:
    marks = [f"{number}{number}" for number in range(10, 40)]
    with record_prompts() as prompts:
        summarize(t5, captions_of(*marks) + scenes_at(0.0, 30.0))
    tokenizer = AutoTokenizer.from_pretrained(t5)
    read = " ".join(tokenizer.batch_decode([prompt for batch in prompts for prompt in batch]))
    assert [mark for mark in marks if mark not in read] == []


def test_successive_duplicates_are_prompted_once(t5: Path) -> None:
    captions = captions_of("a dog", "a dog", "a cat", "a dog")
    repeated = captions_of(*["a dog"] * 20, *["a cat."] * 20, "a  dog")
    assert summarize(t5, captions)[-1].text == summarize(t5, repeated)[-1].text


@pytest.mark.parametrize("text", ["a </s> dog", "</s></s>", "<pad> cat", "{caption} {0} %s", "</<pad>s>"])
def test_special_tokens_in_captions_do_not_end_the_prompt(t5: Path, text: str) -> None:
    with record_prompts() as prompts:
        assert summarize(t5, captions_of("a man walks", text, "a red car"))
    assert [prompt.tolist().index(END_OF_PROMPT) for prompt in prompts[0]] == [prompts[0].shape[1] - 1]
    assert 0 not in prompts[0]


@settings(max_examples=25, deadline=None)
@given(
    texts=st.lists(st.text() | st.sampled_from(["a dog", "x" * 3000, "a cat. " * 200, "</s>"]), max_size=40),
    cuts=st.lists(st.integers(1, 40), unique=True).map(sorted),
)
def test_any_captions_are_summarized(t5: Path, texts: list[str], cuts: list[int]) -> None:
    captions = captions_of(*texts)
    observations = summarize(t5, captions + scenes_at(0.0, *map(float, cuts)))
    assert len(observations) <= max(len(cuts), 1) + 1
    assert len(set(spans(observations))) == len(observations)
    assert all(one.text == " ".join(one.text.split()) != "" for one in observations)


def test_perceivers_share_one_model(t5: Path) -> None:
    def count_models() -> int:
        gc.collect()
        return sum(type(one) is T5ForConditionalGeneration for one in gc.get_objects())

    before = count_models()
    first, second = Summaries(t5), Summaries(t5)
    first.load()
    second.load()
    assert count_models() == before + 1
    first.close()
    second.close()
    assert count_models() == before


def test_other_models_are_refused(tmp_path: Path) -> None:
    folder = tiny_blip(tmp_path / "blip")
    with pytest.raises(ModelError, match=str(folder)):
        Summaries(folder).load()


def test_an_encoder_is_refused(t5: Path, tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    shutil.copytree(t5, folder)
    T5EncoderModel.from_pretrained(t5).save_pretrained(folder)
    with pytest.raises(ModelError, match="decoder"):
        Summaries(folder).load()


def test_damaged_weights_are_refused(t5: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(t5, folder)
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match=str(folder)):
        Summaries(folder).load()


def test_the_batch_size_must_be_positive() -> None:
    with pytest.raises(InputError, match="batch_size"):
        Summaries(batch_size=0)
