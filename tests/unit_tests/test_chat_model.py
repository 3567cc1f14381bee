"""VideoChatEmbed: videos in messages, streaming, structured output, tools, and errors."""

import gc
import shutil
import subprocess
import sys
import weakref
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import ContextOverflowError, ModelInvalidRequestError, ModelNotFoundError
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from pydantic import BaseModel, Field, ValidationError

from langchain_videochat import VideoChatEmbed, __version__
from langchain_videochat.embed.reasoning import THINK, ReasoningFilter
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
    """Return messages with a video and a question."""
    video: dict[str, Any] = {"type": "video", "url": film.as_uri(), "mime_type": "video/mp4", "extras": extras}
    return [HumanMessage([video, {"type": "text", "text": question}])]


def joined(chunks: Iterator[AIMessageChunk]) -> AIMessageChunk:
    first = next(chunks)
    for chunk in chunks:
        first += chunk
    return first


# Answers


def test_a_question_about_a_video(llm: VideoChatEmbed, film: Path) -> None:
    answer = llm.invoke(about(film))
    assert isinstance(answer, AIMessage)
    assert answer.text
    assert answer.text != llm.invoke("What is it?").text
    assert answer.response_metadata["sampled_times"] == [pytest.approx([0.25 + 0.5 * n for n in range(8)], abs=0.2)]
    assert answer.response_metadata["model_provider"] == "langchain-videochat"


def test_a_question_about_a_segment(llm: VideoChatEmbed, film: Path) -> None:
    answer = llm.invoke(about(film, start=2, end=4, num_frames=2))
    assert answer.response_metadata["sampled_times"] == [pytest.approx([2.5, 3.5], abs=0.2)]
    assert answer.text != llm.invoke(about(film, start=0, end=2, num_frames=2)).text


def test_usage_metadata(llm: VideoChatEmbed, film: Path) -> None:
    answer = llm.invoke([*about(film), HumanMessage(about(film)[0].content)], max_tokens=5)
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] == 5
    assert answer.usage_metadata["input_token_details"] == {"video": 2 * QUERIES}
    assert answer.response_metadata["finish_reason"] == "length"
    assert llm.get_num_tokens("egg") == 3


def test_a_chain(llm: VideoChatEmbed, film: Path) -> None:
    block = {"type": "video", "url": "{film}", "mime_type": "video/mp4"}
    prompt = ChatPromptTemplate([("human", [block, {"type": "text", "text": "{question}"}])])
    chain = prompt | llm | StrOutputParser()
    assert chain.invoke({"film": film.as_uri(), "question": "What is it?"}) == llm.invoke(about(film)).text


async def test_streams_give_the_same_answer(llm: VideoChatEmbed, film: Path) -> None:
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
def test_an_answer_ends_before_a_stop_string(llm: VideoChatEmbed, film: Path, length: int) -> None:
    whole = llm.invoke(about(film)).text
    stop = whole[4 : 4 + length]
    expected = whole[: whole.index(stop)]
    answer = llm.invoke(about(film), stop=["never said", stop])
    assert (answer.text, answer.response_metadata["finish_reason"]) == (expected, "stop")
    assert "".join(chunk.text for chunk in llm.stream(about(film), stop=[stop])) == expected


def test_a_seed_gives_the_same_sample(folder: Path) -> None:
    llm = VideoChatEmbed(model=str(folder), temperature=1.5, top_p=0.9, repetition_penalty=1.1, max_tokens=20)
    one, again, other = (llm.invoke("Say something", seed=seed).text for seed in (1, 1, 2))
    assert one == again != other
    assert llm.invoke("Say something", seed=1, temperature=2, top_p=1, repetition_penalty=2).text


def test_the_system_prompt_is_part_of_the_prompt(folder: Path) -> None:
    plain, prompted = (
        VideoChatEmbed(model=str(folder), system_prompt=one, max_tokens=5) for one in (None, "Be brief.")
    )
    usages = [one.invoke("Hello").usage_metadata for one in (plain, prompted)]
    assert all(usages)
    assert usages[1]["input_tokens"] > usages[0]["input_tokens"]  # type: ignore[index]


# Structured output and tools


class Step(BaseModel):
    """A step of a recipe."""

    verb: str = Field(max_length=20)
    minutes: float | None = Field(ge=0, le=90)


class Recipe(BaseModel):
    """A recipe."""

    title: str
    steps: list[Step] = Field(max_length=3)


def test_structured_output_is_valid_whatever_the_weights(folder: Path, film: Path) -> None:
    llm = VideoChatEmbed(model=str(folder), temperature=2.0, max_tokens=400)
    for seed in range(5):
        recipe = llm.with_structured_output(Recipe).invoke(about(film), seed=seed)
        assert isinstance(recipe, Recipe)


def test_structured_output_with_the_raw_message(folder: Path, film: Path) -> None:
    llm = VideoChatEmbed(model=str(folder), max_tokens=400)
    result = llm.with_structured_output(Step.model_json_schema(), include_raw=True).invoke(about(film))
    assert isinstance(result, dict)
    assert result["parsing_error"] is None
    Step.model_validate(result["parsed"])
    assert result["raw"].response_metadata["finish_reason"] == "tool_calls"


def test_stop_strings_do_not_cut_off_structured_output(folder: Path) -> None:
    class Heading(BaseModel):
        """A heading."""

        text: Literal["### Step ###"]

    llm = VideoChatEmbed(model=str(folder), max_tokens=200, stop=["Step"])
    assert llm.with_structured_output(Heading).invoke("Go") == Heading(text="### Step ###")


def test_tool_choice(llm: VideoChatEmbed) -> None:
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
    with pytest.raises(InputError, match=r"unknown tool 'multiply'\. Use one of add"):
        llm.bind_tools([add], tool_choice="multiply")
    assert llm.bind_tools([add]).invoke("Go", max_tokens=5).tool_calls == []
    hidden = llm.bind_tools([add], tool_choice="none")
    assert hidden.invoke("Go", max_tokens=5).usage_metadata == llm.invoke("Go", max_tokens=5).usage_metadata


# Local models


def test_import_and_instantiation_are_cheap() -> None:
    program = """
import sys
from langchain_videochat import VideoChatEmbed
VideoChatEmbed(model="nobody/has-this")
assert not {"torch", "transformers", "llguidance"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_whitespace_after_the_role_is_not_part_of_the_answer(tmp_path: Path) -> None:
    folder = save_videochat(tmp_path / "videochat")
    teach(folder, [Lesson([HumanMessage("Hello")], "  Hi there!")])
    llm = VideoChatEmbed(model=str(folder), max_tokens=20)

    assert llm.invoke("Hello").text == "Hi there!"
    assert "".join(chunk.text for chunk in llm.stream("Hello")) == "Hi there!"


def search(query: str) -> str:
    """Search."""
    return query


@pytest.mark.parametrize("tools", [[], [search]])
def test_reasoning_is_a_block_of_its_own(tmp_path: Path, tools: list[Any]) -> None:
    folder = save_videochat(tmp_path / "videochat")
    teach(folder, [Lesson([HumanMessage("Hello")], "<think>It is a greeting.</think>\n\nHi!", tools)])
    llm = VideoChatEmbed(model=str(folder), max_tokens=60)
    model = llm.bind_tools(tools) if tools else llm

    answer = model.invoke("Hello")
    assert answer.text == "Hi!"
    assert answer.content_blocks[0] == {"type": "reasoning", "reasoning": "It is a greeting."}
    assert "".join(chunk.text for chunk in model.stream("Hello")) == "Hi!"


def test_a_stop_string_in_the_reasoning_ends_nothing(tmp_path: Path) -> None:
    folder = save_videochat(tmp_path / "videochat")
    teach(folder, [Lesson([HumanMessage("Hello")], "<think>A, b or c?</think>\n\nb, I think.")])
    answer = VideoChatEmbed(model=str(folder), max_tokens=60, stop=[","]).invoke("Hello")
    assert answer.text == "b"
    assert answer.content_blocks[0] == {"type": "reasoning", "reasoning": "A, b or c?"}


@given(
    st.lists(st.sampled_from(["<", "<think>", "</think>", "</thi", "nk>", "a", " ", "\n"]), max_size=12), st.booleans()
)
def test_reasoning_is_separated_however_the_text_is_split(pieces: list[str], is_inside: bool) -> None:
    def separate(parts: Iterable[str]) -> tuple[str, str]:
        reasoning = ReasoningFilter(THINK, is_inside=is_inside)
        thoughts, answers = zip(*map(reasoning.feed, [*parts, ""]), strict=True)
        return "".join(thoughts), "".join(answers) + reasoning.finish()

    text = "".join(pieces)
    assert separate(pieces) == separate(text) == separate([text])


def test_the_default_model_has_to_be_downloaded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("VIDEOCHAT_EMBED_MODEL", raising=False)
    llm = VideoChatEmbed(max_tokens=3)
    with pytest.raises(ModelUnavailableError, match=r"4\.3 GB.*Connect.*path of a folder.*videochat-embed-tiny"):
        llm.invoke("Hello")
    assert caplog.messages == ["Downloading Qwen/Qwen3-VL-2B-Instruct (4.3 GB)"]


def test_the_bundled_model_answers_if_it_is_named() -> None:
    llm = VideoChatEmbed(model="videochat-embed-tiny", max_tokens=3)
    assert llm.invoke("Hello").response_metadata["model_name"] == "videochat-embed-tiny"


def test_an_unavailable_model() -> None:
    with pytest.raises(ModelUnavailableError, match="nobody/has-this") as refusal:
        VideoChatEmbed(model="nobody/has-this", revision="v2").invoke("Hello")
    assert isinstance(refusal.value, ModelNotFoundError)


def test_weights_are_shared_and_released(folder: Path) -> None:
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


def test_concurrent_threads(llm: VideoChatEmbed, film: Path) -> None:
    messages = [about(film, f"What is {number}?") for number in range(4)]
    alone = [llm.invoke(one, max_tokens=10).text for one in messages]
    with ThreadPoolExecutor(20) as pool:
        together = list(pool.map(lambda number: llm.invoke(messages[number % 4], max_tokens=10).text, range(20)))
    assert together == alone * 5


def test_closed_streams_do_not_affect_later_answers(llm: VideoChatEmbed, film: Path) -> None:
    expected = llm.invoke(about(film)).text
    for _ in range(20):
        stream = llm.stream(about(film))
        next(stream)
        stream.close()  # type: ignore[attr-defined]
    assert llm.invoke(about(film)).text == expected
    assert not torch.is_inference_mode_enabled()


def test_unloading_during_a_stream(folder: Path) -> None:
    llm = VideoChatEmbed(model=str(folder), max_tokens=10)
    stream = llm.stream("Hello")
    first = next(stream)
    llm.unload()
    rest = joined(stream)
    assert (first + rest).usage_metadata is not None
    assert llm._loaded is None


def test_other_calls_during_a_stream(llm: VideoChatEmbed, film: Path) -> None:
    expected = llm.invoke(about(film)).text
    read = ""
    for chunk in llm.stream(about(film)):
        read += chunk.text
        assert not torch.is_inference_mode_enabled()
        assert llm.invoke("Hello", max_tokens=1) is not None
    assert read == expected


def test_changed_files_invalidate_the_cache(folder: Path, film: Path, tmp_path: Path) -> None:
    llm = VideoChatEmbed(model=str(folder), max_tokens=10, cache=InMemoryCache())
    copy = Path(shutil.copy(film, tmp_path / "film.mp4"))
    first = llm.invoke(about(copy))
    assert llm.invoke(about(copy)).id == first.id or llm.invoke(about(copy)).text == first.text
    render_talk(copy, [["Something else"]], seconds=2.0)
    assert llm.invoke(about(copy)).response_metadata["sampled_times"] != first.response_metadata["sampled_times"]


# Invalid input


def test_a_conversation_that_exceeds_the_context_length(llm: VideoChatEmbed) -> None:
    with pytest.raises(ContextOverflowError, match="context length is 1024") as refusal:
        llm.invoke("egg " * 500)
    assert isinstance(refusal.value, InputError)


def test_an_answer_ends_at_the_context_length(llm: VideoChatEmbed) -> None:
    usage = llm.invoke("egg " * 240, max_tokens=10_000, temperature=1.0, seed=3).usage_metadata
    assert usage is not None
    assert usage["total_tokens"] <= 1024


@pytest.mark.parametrize("field", [{"max_tokens": -1}, {"num_frames": 0}, {"temperature": -0.5}, {"top_p": 0.0}])
def test_arguments_out_of_range(llm: VideoChatEmbed, folder: Path, field: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        VideoChatEmbed(model=str(folder), **field)
    if "num_frames" not in field:
        with pytest.raises(InputError, match=next(iter(field))) as refusal:
            llm.invoke("Hello", **field)
        assert isinstance(refusal.value, ModelInvalidRequestError)


def test_the_environment_variable_sets_the_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEOCHAT_EMBED_MODEL", str(folder))
    assert VideoChatEmbed(model=None, max_tokens=1).invoke("Hello").response_metadata["model_name"] == str(folder)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("temprature", "closest known name is temperature"),
        ("max_token", "closest known name is max_tokens"),
        ("x", "Use one of"),
    ],
)
def test_unknown_names(llm: VideoChatEmbed, name: str, advice: str) -> None:
    unknown: dict[str, Any] = {name: 3}
    with pytest.raises(InputError, match=f"^{name}: unknown option. .*{advice}"):
        llm.invoke("Hello", **unknown)
    with pytest.raises(ValidationError, match=f"{name}: unknown field. .*{advice}"):
        VideoChatEmbed(model="nobody/has-this", **unknown)


def test_parameters_of_hosted_models_are_ignored(folder: Path) -> None:
    ignored: dict[str, Any] = {"api_key": "secret", "timeout": 9, "max_retries": 2, "streaming": True}
    llm = VideoChatEmbed(model=str(folder), max_tokens=3, **ignored)
    assert llm.invoke("Hello").text == VideoChatEmbed(model=str(folder), max_tokens=3).invoke("Hello").text
    with pytest.raises(ValidationError, match="base_url"):
        VideoChatEmbed(model=str(folder), base_url="http://localhost")  # type: ignore[call-arg]


def test_traces_contain_the_version_of_the_package(llm: VideoChatEmbed) -> None:
    class Recorder(BaseCallbackHandler):
        versions: dict[str, str]

        def on_chat_model_start(self, *args: Any, metadata: dict[str, Any] | None = None, **kwargs: Any) -> None:
            self.versions = (metadata or {})["lc_versions"]

    recorder = Recorder()
    llm.invoke("Hello", {"callbacks": [recorder]}, max_tokens=1)
    assert recorder.versions["langchain-videochat"] == __version__
    assert "langchain-core" in recorder.versions


def test_missing_and_damaged_files(llm: VideoChatEmbed, tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        llm.invoke(about(tmp_path / "missing.mp4"))
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(MediaError):
        llm.invoke(about(tmp_path / "broken.mp4"))


def test_a_file_deleted_between_turns(llm: VideoChatEmbed, film: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(film, tmp_path / "film.mp4"))
    history = [*about(copy), llm.invoke(about(copy)), HumanMessage("And then?")]
    assert llm.invoke(history).text
    copy.unlink()
    with pytest.raises(SourceError):
        llm.invoke(history)
