"""VideoChatEmbed as LangChain users meet it: videos in messages, streams, structured output, and what goes wrong."""

import gc
import shutil
import subprocess
import sys
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from langchain_core.caches import InMemoryCache
from langchain_core.exceptions import ContextOverflowError, ModelInvalidRequestError, ModelNotFoundError
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from pydantic import BaseModel, Field, ValidationError

from langchain_videochat import VideoChatEmbed
from langchain_videochat.errors import InputError, MediaError, ModelUnavailableError, SourceError
from tests.slides import render_talk
from tests.tiny_videochat import QUERIES, save_videochat
from tests.trained_videochat import Lesson, teach


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_videochat(tmp_path_factory.mktemp("videochat"))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render_talk(tmp_path_factory.mktemp("films") / "a film.mp4", [["Whisk"], ["Fold"]], seconds=2.0)


@pytest.fixture(scope="module")
def llm(folder: Path) -> VideoChatEmbed:
    return VideoChatEmbed(model=str(folder), max_tokens=40)


def about(film: Path, question: str = "What is it?", **extras: Any) -> list[BaseMessage]:
    """Ask about a video."""
    video: dict[str, Any] = {"type": "video", "url": film.as_uri(), "mime_type": "video/mp4", "extras": extras}
    return [HumanMessage([video, {"type": "text", "text": question}])]


def joined(chunks: Iterator[AIMessageChunk]) -> AIMessageChunk:
    first = next(chunks)
    for chunk in chunks:
        first += chunk
    return first


# Answers


def test_a_video_is_watched(llm: VideoChatEmbed, film: Path) -> None:
    answer = llm.invoke(about(film))
    assert isinstance(answer, AIMessage)
    assert answer.text
    assert answer.text != llm.invoke("What is it?").text
    assert answer.response_metadata["sampled_times"] == [pytest.approx([0.25 + 0.5 * n for n in range(8)], abs=0.2)]
    assert answer.response_metadata["model_provider"] == "langchain-videochat"


def test_a_stretch_is_watched(llm: VideoChatEmbed, film: Path) -> None:
    answer = llm.invoke(about(film, start=2, end=4, num_frames=2))
    assert answer.response_metadata["sampled_times"] == [pytest.approx([2.5, 3.5], abs=0.2)]
    assert answer.text != llm.invoke(about(film, start=0, end=2, num_frames=2)).text


def test_tokens_are_counted(llm: VideoChatEmbed, film: Path) -> None:
    answer = llm.invoke([*about(film), HumanMessage(about(film)[0].content)], max_tokens=5)
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] == 5
    assert answer.usage_metadata["input_token_details"] == {"video": 2 * QUERIES}
    assert answer.response_metadata["finish_reason"] == "length"
    assert llm.get_num_tokens("egg") == 3


def test_it_stands_in_a_chain(llm: VideoChatEmbed, film: Path) -> None:
    block = {"type": "video", "url": "{film}", "mime_type": "video/mp4"}
    prompt = ChatPromptTemplate([("human", [block, {"type": "text", "text": "{question}"}])])
    chain = prompt | llm | StrOutputParser()
    assert chain.invoke({"film": film.as_uri(), "question": "What is it?"}) == llm.invoke(about(film)).text


async def test_a_stream_says_the_same(llm: VideoChatEmbed, film: Path) -> None:
    whole = llm.invoke(about(film))
    chunks = list(llm.stream(about(film)))
    assert len(chunks) > 3
    streamed = joined(iter(chunks))
    assert streamed.text == whole.text
    assert streamed.usage_metadata == whole.usage_metadata
    assert streamed.response_metadata == whole.response_metadata
    assert "".join([chunk.text async for chunk in llm.astream(about(film))]) == whole.text
    assert (await llm.ainvoke(about(film))).text == whole.text


@pytest.mark.parametrize("length", [1, 2, 5])
def test_an_answer_ends_before_a_stop(llm: VideoChatEmbed, film: Path, length: int) -> None:
    whole = llm.invoke(about(film)).text
    stop = whole[4 : 4 + length]
    expected = whole[: whole.index(stop)]
    answer = llm.invoke(about(film), stop=["never said", stop])
    assert (answer.text, answer.response_metadata["finish_reason"]) == (expected, "stop")
    assert "".join(chunk.text for chunk in llm.stream(about(film), stop=[stop])) == expected


def test_a_seed_repeats_what_was_sampled(folder: Path) -> None:
    llm = VideoChatEmbed(model=str(folder), temperature=1.5, top_p=0.9, repetition_penalty=1.1, max_tokens=20)
    one, again, other = (llm.invoke("Say something", seed=seed).text for seed in (1, 1, 2))
    assert one == again != other
    assert llm.invoke("Say something", seed=1, temperature=2, top_p=1, repetition_penalty=2).text


def test_the_system_prompt_is_told(folder: Path) -> None:
    plain, told = (VideoChatEmbed(model=str(folder), system_prompt=one, max_tokens=5) for one in (None, "Be brief."))
    usages = [one.invoke("Hello").usage_metadata for one in (plain, told)]
    assert all(usages)
    assert usages[1]["input_tokens"] > usages[0]["input_tokens"]  # type: ignore[index]


# Forms and tools


class Step(BaseModel):
    """A step of a recipe."""

    verb: str = Field(max_length=20)
    minutes: float | None = Field(ge=0, le=90)


class Recipe(BaseModel):
    """A recipe."""

    title: str
    steps: list[Step] = Field(max_length=3)


def test_a_form_is_filled_in_whatever_the_weights(folder: Path, film: Path) -> None:
    llm = VideoChatEmbed(model=str(folder), temperature=2.0, max_tokens=400)
    for seed in range(5):
        recipe = llm.with_structured_output(Recipe).invoke(about(film), seed=seed)
        assert isinstance(recipe, Recipe)


def test_a_form_may_come_with_the_message(folder: Path, film: Path) -> None:
    llm = VideoChatEmbed(model=str(folder), max_tokens=400)
    result = llm.with_structured_output(Step.model_json_schema(), include_raw=True).invoke(about(film))
    assert isinstance(result, dict)
    assert result["parsing_error"] is None
    Step.model_validate(result["parsed"])
    assert result["raw"].response_metadata["finish_reason"] == "tool_calls"


def test_a_stop_does_not_cut_a_form_off(folder: Path) -> None:
    class Heading(BaseModel):
        """A heading."""

        text: Literal["### Step ###"]

    llm = VideoChatEmbed(model=str(folder), max_tokens=200, stop=["Step"])
    assert llm.with_structured_output(Heading).invoke("Go") == Heading(text="### Step ###")


def test_a_tool_is_called_when_it_must_be(llm: VideoChatEmbed) -> None:
    def add(a: int, b: int) -> int:
        """Add numbers."""
        return a + b

    def greet(name: str) -> str:
        """Greet somebody."""
        return name

    for choice, names in (("any", {"add", "greet"}), ("greet", {"greet"})):
        answer = llm.bind_tools([add, greet], tool_choice=choice).invoke("Go", max_tokens=200)
        assert len(answer.tool_calls) == 1
        assert answer.tool_calls[0]["name"] in names
        assert answer.text == ""
    with pytest.raises(InputError, match="'multiply' is none of the tools"):
        llm.bind_tools([add], tool_choice="multiply")
    assert llm.bind_tools([add]).invoke("Go", max_tokens=5).tool_calls == []
    untold = llm.bind_tools([add], tool_choice="none")
    assert untold.invoke("Go", max_tokens=5).usage_metadata == llm.invoke("Go", max_tokens=5).usage_metadata


# A model on this machine


def test_importing_and_making_it_loads_nothing_heavy() -> None:
    program = """
import sys
from langchain_videochat import VideoChatEmbed
VideoChatEmbed(model="nobody/has-this")
assert not {"torch", "transformers", "llguidance"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_blank_after_the_role_is_not_part_of_the_answer(tmp_path: Path) -> None:
    folder = save_videochat(tmp_path / "videochat")
    teach(folder, [Lesson([HumanMessage("Hello")], "  Hi there!")])
    llm = VideoChatEmbed(model=str(folder), max_tokens=20)

    assert llm.invoke("Hello").text == "Hi there!"
    assert "".join(chunk.text for chunk in llm.stream("Hello")) == "Hi there!"


def test_where_no_model_is_named_the_bundled_one_answers_and_tells_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIDEOCHAT_EMBED_MODEL", raising=False)
    with pytest.warns(UserWarning, match="understands Shapes in Motion alone") as warned:
        llm = VideoChatEmbed(max_tokens=3)
    assert len(warned) == 1
    assert llm.model == "videochat-embed-tiny"
    assert llm.invoke("Hello").response_metadata["model_name"] == "videochat-embed-tiny"


def test_a_model_that_cannot_be_had_is_named() -> None:
    with pytest.raises(ModelUnavailableError, match="nobody/has-this") as refusal:
        VideoChatEmbed(model="nobody/has-this", revision="v2").invoke("Hello")
    assert isinstance(refusal.value, ModelNotFoundError)


def test_weights_are_shared_and_given_back(folder: Path) -> None:
    one, other = (VideoChatEmbed(model=str(folder), seed=seed, dtype="bfloat16") for seed in (1, 2))
    one.load()
    other.load()
    assert one._loaded is not None
    assert one._loaded is other._loaded
    alive = weakref.ref(one._loaded.model)
    one.unload()
    gc.collect()
    assert alive() is not None
    other.unload()
    gc.collect()
    assert alive() is None


def test_threads_may_ask_at_once(llm: VideoChatEmbed, film: Path) -> None:
    messages = [about(film, f"What is {number}?") for number in range(4)]
    alone = [llm.invoke(one, max_tokens=10).text for one in messages]
    with ThreadPoolExecutor(20) as pool:
        together = list(pool.map(lambda number: llm.invoke(messages[number % 4], max_tokens=10).text, range(20)))
    assert together == alone * 5


def test_a_stream_that_is_left_keeps_nothing(llm: VideoChatEmbed, film: Path) -> None:
    expected = llm.invoke(about(film)).text
    for _ in range(20):
        stream = llm.stream(about(film))
        next(stream)
        stream.close()  # type: ignore[attr-defined]
    assert llm.invoke(about(film)).text == expected
    assert not torch.is_inference_mode_enabled()


def test_what_is_unloaded_in_mid_stream_stays_unloaded(folder: Path) -> None:
    llm = VideoChatEmbed(model=str(folder), max_tokens=10)
    stream = llm.stream("Hello")
    first = next(stream)
    llm.unload()
    rest = joined(stream)
    assert (first + rest).usage_metadata is not None
    assert llm._loaded is None


def test_whoever_reads_a_stream_may_do_other_things(llm: VideoChatEmbed, film: Path) -> None:
    expected = llm.invoke(about(film)).text
    read = ""
    for chunk in llm.stream(about(film)):
        read += chunk.text
        assert not torch.is_inference_mode_enabled()
        assert llm.invoke("Hello", max_tokens=1) is not None
    assert read == expected


def test_the_cache_forgets_when_a_file_changes(folder: Path, film: Path, tmp_path: Path) -> None:
    llm = VideoChatEmbed(model=str(folder), max_tokens=10, cache=InMemoryCache())
    copy = Path(shutil.copy(film, tmp_path / "film.mp4"))
    first = llm.invoke(about(copy))
    assert llm.invoke(about(copy)).id == first.id or llm.invoke(about(copy)).text == first.text
    render_talk(copy, [["Something else"]], seconds=2.0)
    assert llm.invoke(about(copy)).response_metadata["sampled_times"] != first.response_metadata["sampled_times"]


# Bad input


def test_what_does_not_fit_the_context_is_told(llm: VideoChatEmbed) -> None:
    with pytest.raises(ContextOverflowError, match="language model reads 1024") as refusal:
        llm.invoke("egg " * 500)
    assert isinstance(refusal.value, InputError)


def test_the_answer_is_no_longer_than_the_context(llm: VideoChatEmbed) -> None:
    usage = llm.invoke("egg " * 240, max_tokens=10_000, temperature=1.0, seed=3).usage_metadata
    assert usage is not None
    assert usage["total_tokens"] <= 1024


@pytest.mark.parametrize("field", [{"max_tokens": -1}, {"num_frames": 0}, {"temperature": -0.5}, {"top_p": 0.0}])
def test_settings_out_of_range(llm: VideoChatEmbed, folder: Path, field: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        VideoChatEmbed(model=str(folder), **field)
    if "num_frames" not in field:
        with pytest.raises(InputError, match=next(iter(field))) as refusal:
            llm.invoke("Hello", **field)
        assert isinstance(refusal.value, ModelInvalidRequestError)


def test_the_environment_names_the_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEOCHAT_EMBED_MODEL", str(folder))
    assert VideoChatEmbed(model=None, max_tokens=1).invoke("Hello").response_metadata["model_name"] == str(folder)


def test_an_option_that_is_not_there(llm: VideoChatEmbed) -> None:
    with pytest.raises(InputError, match="max_length: there is no such option"):
        llm.invoke("Hello", max_length=3)
    with pytest.warns(UserWarning, match="no max_length"):
        VideoChatEmbed(max_length=3)  # type: ignore[call-arg]


def test_files_that_cannot_be_watched(llm: VideoChatEmbed, tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        llm.invoke(about(tmp_path / "missing.mp4"))
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(MediaError):
        llm.invoke(about(tmp_path / "broken.mp4"))


def test_a_file_that_is_deleted_between_turns(llm: VideoChatEmbed, film: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(film, tmp_path / "film.mp4"))
    history = [*about(copy), llm.invoke(about(copy)), HumanMessage("And then?")]
    assert llm.invoke(history).text
    copy.unlink()
    with pytest.raises(SourceError):
        llm.invoke(history)
