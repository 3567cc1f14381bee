"""Token counts of conversations with videos, images and tools, which LangChain's middleware relies on."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain.agents.middleware import ClearToolUsesEdit, ContextEditingMiddleware, SummarizationMiddleware
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    trim_messages,
)
from langchain_core.tools import tool
from PIL import Image

from langchain_videochat import VideoChatEmbed
from langchain_videochat.embed import VideoChatEmbedProcessor
from langchain_videochat.embed.errors import PromptTooLongError
from langchain_videochat.errors import InputError
from tests.slides import render_talk
from tests.tiny_videochat import QUERIES, SIZE, byte_tokenizer, save_videochat

CONTEXT = 2048

STRICT_TEMPLATE = (
    "{% if messages[0].role != 'user' %}{{ raise_exception('the user must begin') }}{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message.role }} {{ message.content }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant {% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_videochat(tmp_path_factory.mktemp("videochat"), max_positions=CONTEXT)


@pytest.fixture(scope="module")
def llm(folder: Path) -> Iterator[VideoChatEmbed]:
    llm = VideoChatEmbed(model=str(folder), device="cpu", max_tokens=1)
    yield llm
    llm.unload()


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A video, a part of it, and an image."""
    directory = tmp_path_factory.mktemp("media")
    video = render_talk(directory / "talk.mp4", [["one"], ["two"], ["three"]], seconds=4.0, size=(64, 64))
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(directory / "black.png")
    whole = {"type": "video", "url": video.as_uri(), "mime_type": "video/mp4"}
    return {
        "whole": whole,
        "part": whole | {"extras": {"start": 2, "end": 7.5, "num_frames": 3}},
        "fps": whole | {"extras": {"fps": 0.5}},
        "image": {"type": "image", "url": (directory / "black.png").as_uri(), "mime_type": "image/png"},
    }


def ask(*content: Any) -> HumanMessage:
    return HumanMessage([*content, {"type": "text", "text": "What is it?"}])


@tool
def find(word: str, limit: int = 3) -> str:
    """Find a word in the video."""
    return word * limit


VIDEO_SETTINGS: Sequence[dict[str, Any]] = (
    {"num_frames": 5, "system_prompt": "Be brief."},
    {"long_video": "segments", "segment_seconds": 3.0},
    {"long_video": "segments", "segment_seconds": 1.0, "max_video_tokens": 2 * QUERIES, "num_frames": 2},
)


@pytest.mark.parametrize("options", VIDEO_SETTINGS)
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.lists(st.lists(st.sampled_from(["whole", "part", "fps", "image"]), max_size=2), min_size=1, max_size=2),
    st.booleans(),
)
def test_the_count_equals_the_usage_reported_with_the_answer(
    llm: VideoChatEmbed, blocks: dict[str, Any], options: dict[str, Any], media: list[list[str]], has_tools: bool
) -> None:
    model = llm.model_copy(update=options)
    messages: list[BaseMessage] = [SystemMessage("You watch videos.")]
    for kinds in media:
        messages += [ask(*(blocks[kind] for kind in kinds)), AIMessage("A talk.")]
    messages[-1:] = [
        AIMessage("", tool_calls=[{"name": "find", "args": {"word": "two"}, "id": "1"}]),
        ToolMessage("At 4 seconds.", tool_call_id="1"),
    ]
    tools = [find] if has_tools else []
    counted = model.get_num_tokens_from_messages(messages, tools=tools)
    assume(counted < CONTEXT)
    answer = model.bind_tools(tools).invoke(messages)
    assert answer.usage_metadata is not None
    assert counted == answer.usage_metadata["input_tokens"]


def test_a_video_with_few_frames_is_counted_exactly_once_it_is_encoded(
    llm: VideoChatEmbed, blocks: dict[str, Any]
) -> None:
    messages: list[BaseMessage] = [ask(blocks["whole"] | {"extras": {"end": 1, "num_frames": 64}})]
    before = llm.get_num_tokens_from_messages(messages)
    usage = llm.invoke(messages).usage_metadata
    assert usage is not None
    assert before > usage["input_tokens"] == llm.get_num_tokens_from_messages(messages)


def test_answers_about_parts_are_counted_with_their_maximum_length(llm: VideoChatEmbed, blocks: dict[str, Any]) -> None:
    options = {"long_video": "segments", "segment_seconds": 3.0, "max_video_tokens": 2 * QUERIES, "num_frames": 1}
    model = llm.model_copy(update=options | {"overflow": "map_reduce"})
    # Four segments of three seconds, in parts of two; the only frame of a segment is in its middle.
    lines = [f"00:01.500 to 00:04.500: {64 * 'x'}", f"00:07.500 to 00:10.500: {64 * 'x'}"]
    text = "\n".join(["Answers for each part of the video:", *lines])
    counts = [model.get_num_tokens_from_messages([ask(block)]) for block in (blocks["whole"], text)]
    assert abs(counts[0] - counts[1]) <= 16, "but for the format of the times"


@pytest.mark.parametrize("url", ["https://example.com/talk.mp4", "file:///missing.mp4"])
def test_a_video_of_unknown_duration_is_counted_as_an_hour(llm: VideoChatEmbed, url: str) -> None:
    video = {"type": "video", "url": url, "mime_type": "video/mp4"}
    text = llm.get_num_tokens_from_messages([ask()])
    assert llm.get_num_tokens_from_messages([ask(video)]) > text + QUERIES + 8 * len("3600.0, ")
    by_minute = llm.model_copy(update={"long_video": "segments", "max_video_tokens": 1000 * QUERIES})
    assert by_minute.get_num_tokens_from_messages([ask(video)]) > text + 60 * QUERIES
    assert by_minute.get_num_tokens_from_messages([ask(video | {"extras": {"fps": 30}})]) > text + QUERIES


def test_any_part_of_a_conversation_is_counted(llm: VideoChatEmbed, blocks: dict[str, Any]) -> None:
    parts: list[list[BaseMessage]] = [
        [],
        [HumanMessage("")],
        [AIMessage("A talk.")],
        [SystemMessage("You watch videos.")],
        [ToolMessage("At 4 seconds.", tool_call_id="1")],
        [AIMessage("A talk."), ask(blocks["whole"]), AIMessage("A talk.")],
    ]
    counts = [llm.get_num_tokens_from_messages(part) for part in parts]
    assert counts[:2] == [0, 0]
    assert counts[2] > len("A talk.")
    assert counts == sorted(counts)
    with pytest.raises(InputError, match="takes no audio"):
        llm.get_num_tokens_from_messages([HumanMessage([{"type": "audio", "url": "https://example.com/a.mp3"}])])


def test_parts_that_a_chat_template_rejects_are_counted(tmp_path: Path, blocks: dict[str, Any]) -> None:
    save_videochat(tmp_path)
    tokenizer = byte_tokenizer(chat_template=STRICT_TEMPLATE)
    processor = VideoChatEmbedProcessor(tokenizer, SIZE, num_visual_tokens=QUERIES, prompt_style="chat")
    processor.save_pretrained(tmp_path)
    llm = VideoChatEmbed(model=str(tmp_path), device="cpu", max_tokens=1)
    answer = AIMessage("A talk about numbers.")
    question = ask(blocks["whole"])
    counted = llm.get_num_tokens_from_messages([answer, question])
    assert counted >= llm.get_num_tokens_from_messages([question]) + len("A talk about numbers.")


# LangChain's own parts


@pytest.mark.parametrize("max_tokens", [120, 400, 700])
def test_trimmed_messages_fit(llm: VideoChatEmbed, blocks: dict[str, Any], max_tokens: int) -> None:
    messages: list[BaseMessage] = [SystemMessage("You watch videos.")]
    messages += [message for _ in range(4) for message in (ask(blocks["whole"]), AIMessage("A talk."))]
    messages += [HumanMessage("What is the last word?")]
    trimmed = trim_messages(
        messages, max_tokens=max_tokens, token_counter=llm, strategy="last", start_on="human", include_system=True
    )
    usage = llm.invoke(trimmed).usage_metadata
    assert usage is not None
    assert usage["input_tokens"] <= max_tokens
    has_videos = any(not isinstance(message.content, str) for message in trimmed)
    assert has_videos == (max_tokens > 200)


def test_an_agent_summarizes_videos_before_they_fill_the_context(llm: VideoChatEmbed, blocks: dict[str, Any]) -> None:
    def summarize(messages: Sequence[BaseMessage]) -> str:
        return f"{len(messages)} earlier messages"

    token_counter: Any = llm.get_num_tokens_from_messages
    summarization = SummarizationMiddleware(
        llm,
        trigger=("fraction", 0.5),
        keep=("fraction", 0.2),
        token_counter=token_counter,
        summarizer=summarize,
    )
    conversation = [message for _ in range(15) for message in (ask(blocks["whole"]), AIMessage("A talk."))]
    conversation.append(ask(blocks["whole"]))
    agents: list[Any] = [create_agent(llm), create_agent(llm, middleware=[summarization])]
    with pytest.raises(PromptTooLongError):
        agents[0].invoke({"messages": conversation})
    state = agents[1].invoke({"messages": conversation})
    assert "earlier messages" in state["messages"][0].text
    assert state["messages"][-1].usage_metadata["input_tokens"] < 0.3 * CONTEXT


def test_context_editing_clears_tool_results_with_videos(llm: VideoChatEmbed, blocks: dict[str, Any]) -> None:
    conversation: list[BaseMessage] = [HumanMessage("What is it?")]
    for number in range(8):
        call = {"name": "find", "args": {"word": "two"}, "id": str(number)}
        conversation += [AIMessage("", tool_calls=[call]), ToolMessage([blocks["whole"]], tool_call_id=str(number))]
    editing = ContextEditingMiddleware(
        edits=[ClearToolUsesEdit(trigger=1500, keep=1)],
        token_count_method="model",
    )
    agents: list[Any] = [create_agent(llm, tools=[find], middleware=each) for each in ([], [editing])]
    used = [agent.invoke({"messages": conversation})["messages"][-1].usage_metadata["input_tokens"] for agent in agents]
    assert used[0] > 1500
    assert used[0] - used[1] > 7 * QUERIES


def test_the_profile_states_the_longest_prompt(folder: Path, llm: VideoChatEmbed) -> None:
    profile = VideoChatEmbed(model=str(folder)).profile
    assert profile is not None
    longest = profile["max_input_tokens"]
    assert (longest, profile["max_output_tokens"]) == (CONTEXT - 1, CONTEXT - 1)
    text = "x" * (longest - llm.get_num_tokens_from_messages([HumanMessage("x")]) + 1)
    usage = llm.invoke(text).usage_metadata
    assert usage is not None
    assert usage["input_tokens"] == longest
    with pytest.raises(PromptTooLongError):
        llm.invoke(text + "x")


def test_the_profile_of_an_unknown_model_states_no_limits(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[")
    for model in ("nobody/has-this-model", str(tmp_path)):
        profile = VideoChatEmbed(model=model).profile
        assert profile is not None
        assert profile["video_inputs"]
        assert "max_input_tokens" not in profile
