"""Calls that name another model, and a hybrid language model with linear attention."""

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.exceptions import ModelNotFoundError
from transformers import Qwen3_5TextConfig

from langchain_videochat import VideoChatEmbed
from langchain_videochat.embed import load_model
from tests.tiny_videochat import save_videochat

HYBRID: dict[str, Any] = {
    "num_hidden_layers": 2,
    "layer_types": ["linear_attention", "full_attention"],
    "num_key_value_heads": 1,
    "linear_num_value_heads": 2,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
QUESTIONS: list[Any] = ["Hello", "What is it?", "Why?"]


@pytest.fixture(scope="module")
def hybrid(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("hybrid")
    return str(save_videochat(folder, text_config=Qwen3_5TextConfig, **HYBRID))


@pytest.fixture
def llm(tmp_path: Path) -> Iterator[VideoChatEmbed]:
    llm = VideoChatEmbed(model=str(save_videochat(tmp_path)), device="cpu", max_tokens=12)
    yield llm
    llm.unload()


def test_a_hybrid_model_gives_the_answers_of_transformers(hybrid: str) -> None:
    model, processor = load_model(hybrid, device="cpu", show_progress=False)
    llm = VideoChatEmbed(model=hybrid, device="cpu", max_tokens=12)
    answers = llm.batch(QUESTIONS)
    for question, answer in zip(QUESTIONS, answers, strict=True):
        tokens = model.generate(**processor(text=f"###Human: {question}\n###Assistant:"), max_new_tokens=12)
        expected: str = processor.tokenizer.decode(tokens[0], skip_special_tokens=True)
        assert answer.text == expected.partition("###")[0].lstrip()


async def test_a_call_may_name_another_model(llm: VideoChatEmbed, hybrid: str) -> None:
    other = VideoChatEmbed(model=hybrid, device="cpu", max_tokens=12)
    expected = [answer.text for answer in other.batch(QUESTIONS)]
    assert expected != [answer.text for answer in llm.batch(QUESTIONS)]
    answers = llm.batch(QUESTIONS, model=hybrid)
    answers += [await llm.ainvoke(question, model=hybrid) for question in QUESTIONS]
    assert [answer.text for answer in answers] == 2 * expected
    assert {answer.response_metadata["model_name"] for answer in answers} == {hybrid}
    assert "".join(chunk.text for chunk in llm.stream(QUESTIONS[0], model=hybrid)) == expected[0]
    assert llm.invoke(QUESTIONS[0], model=llm.model).text == llm.invoke(QUESTIONS[0]).text


def test_another_model_is_kept_until_unload(llm: VideoChatEmbed, hybrid: str) -> None:
    llm.invoke("Hello", model=hybrid)
    loaded = VideoChatEmbed(model=hybrid, device="cpu")
    loaded.load()
    assert loaded._loaded is not None
    alive = weakref.ref(loaded._loaded)
    del loaded
    gc.collect()
    assert alive() is not None
    llm.unload()
    gc.collect()
    assert alive() is None


def test_an_unknown_model_is_named(llm: VideoChatEmbed) -> None:
    with pytest.raises(ModelNotFoundError, match="nobody/has-this-model"):
        llm.invoke("Hello", model="nobody/has-this-model")
