"""Parsing LangChain messages: all formats of texts, images and videos; nothing is dropped silently."""

import base64
import json
import os
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from textwrap import wrap
from typing import Any

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.tool import tool_call

from langchain_videochat.embed.content_blocks import read_block
from langchain_videochat.embed.conversation import Image, Part, Video
from langchain_videochat.embed.media_refs import MAX_DATA_BYTES, MediaRef
from langchain_videochat.embed.media_refs import opened as open_file
from langchain_videochat.embed.messages import file_states, read_messages, write_tool_call
from langchain_videochat.errors import InputError, MediaError, SourceError
from langchain_videochat.utils.interval import Interval
from tests.numbered_video import make_numbered, read_number
from tests.opened_media import open_media, read_conversation

TIMES = [0, *range(50, 4000, 100)]
"""Timestamps of the film's frames in milliseconds: every multiple of 100 is in the middle of a frame."""

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a video whose frames show their numbers, a red image, and a red and blue animation."""
    folder = tmp_path_factory.mktemp("media")
    make_numbered(folder / "film.mp4", times=TIMES)
    red, blue = (PIL.Image.new("RGB", (8, 6), color) for color in (RED, BLUE))
    red.save(folder / "red.png")
    red.save(folder / "both.gif", save_all=True, append_images=[blue], duration=500)
    return folder


@pytest.fixture(scope="module")
def film(folder: Path) -> str:
    return (folder / "film.mp4").as_uri()


def encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def ask(*content: Any) -> list[BaseMessage]:
    return [HumanMessage([*content, {"type": "text", "text": "What is it?"}])]


def opened(*content: Any, **options: Any) -> Video | Image:
    """Parse a message with one video or image and a question, and open it."""
    ((_, (media, question)),) = read_messages(ask(*content), **options)
    assert question == "What is it?"
    assert isinstance(media, MediaRef)
    return open_media(media)


def numbers(video: Video | Image) -> list[int]:
    """Read the numbers of the frames of a numbered video."""
    assert isinstance(video, Video)
    found = [read_number(frame) for frame in video.frames]
    assert video.times == pytest.approx([TIMES[number] / 1000 for number in found])
    return found


def color(image: Video | Image) -> list[int]:
    assert isinstance(image, Image)
    return [int(value) for value in image.pixels[0, 0]]


def parse(messages: Sequence[BaseMessage], **options: Any) -> list[tuple[Any, ...]]:
    return [(turn.role, *turn.content) for turn in read_messages(messages, **options)]


# Formats


@pytest.mark.parametrize(
    "block",
    [
        lambda url, data: {"type": "video", "url": url},
        lambda url, data: {"type": "video", "url": url, "id": "1", "mime_type": "video/mp4", "extras": None},
        lambda url, data: {"type": "video", "base64": data, "mime_type": "video/mp4"},
        lambda url, data: {"type": "video", "base64": data, "mime_type": "video/mp4; codecs=avc1.4d,mp4a"},
        lambda url, data: {"type": "video", "url": f"data:video/mp4;base64,{data}"},
        lambda url, data: {"type": "video", "source_type": "base64", "data": data, "mime_type": "video/mp4"},
        lambda url, data: {"type": "video_url", "video_url": {"url": url}},
        lambda url, data: {"type": "video_url", "video_url": url},
        lambda url, data: {"type": "video_url", "video_url": {"url": f"DATA:video/mp4;codecs=avc1;base64,{data}"}},
        lambda url, data: {"type": "video", "video": url},
        lambda url, data: {"type": "video", "video": url.removeprefix("file://")},
        lambda url, data: {"type": "video", "video": Path(url.removeprefix("file://"))},
        lambda url, data: {"type": "video", "video": f"data:video/mp4;base64,{data}"},
        lambda url, data: {"type": "file", "url": url, "mime_type": "video/mp4"},
        lambda url, data: {"type": "file", "base64": data, "mime_type": "Video/MP4"},
        lambda url, data: {"type": "file", "source_type": "base64", "data": data, "mime_type": "video/mp4"},
        lambda url, data: {"type": "file", "file": {"filename": "a", "file_data": f"data:video/mp4;base64,{data}"}},
        lambda url, data: {"type": "media", "data": data, "mime_type": "video/mp4"},
        lambda url, data: {"type": "media", "file_uri": url, "mime_type": "video/mp4"},
    ],
)
def test_all_video_formats(block: Any, folder: Path, film: str) -> None:
    assert numbers(opened(block(film, encoded(folder / "film.mp4")), num_frames=4)) == [5, 15, 25, 35]


@pytest.mark.parametrize(
    "block",
    [
        lambda url, data: {"type": "image", "url": url},
        lambda url, data: {"type": "image", "base64": data, "mime_type": "image/png"},
        lambda url, data: {"type": "image", "source_type": "url", "url": url},
        lambda url, data: {"type": "image", "source_type": "base64", "data": data, "mime_type": "image/png"},
        lambda url, data: {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
        lambda url, data: {"type": "image_url", "image_url": url},
        lambda url, data: {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
        lambda url, data: {"type": "image", "image": url},
        lambda url, data: {"type": "image", "image": f"data:image;base64,{data}"},
        lambda url, data: {"type": "file", "base64": data, "mime_type": "image/png"},
        lambda url, data: {"type": "file", "file": {"file_data": f"data:image/png;base64,{data}"}},
        lambda url, data: {"type": "media", "data": data, "mime_type": "image/png"},
    ],
)
def test_all_image_formats(block: Any, folder: Path) -> None:
    assert color(opened(block((folder / "red.png").as_uri(), encoded(folder / "red.png")))) == [*RED]


def test_an_animation_is_a_video_or_an_image_as_its_block_says(folder: Path) -> None:
    source = (folder / "both.gif").as_uri()
    assert color(opened({"type": "image", "url": source})) == [*RED]
    video = opened({"type": "video", "url": source}, num_frames=2)
    assert isinstance(video, Video)
    assert video.frames[:, 0, 0].tolist() == [[*RED], [*BLUE]]


def test_all_text_formats() -> None:
    document = {"type": "text-plain", "text": "Seven laps.", "title": "Rules", "context": "Of 1999"}
    file = {"type": "file", "source_type": "text", "mime_type": "text/plain", "text": "Nine laps."}
    blocks: list[Any] = ["First", {"type": "text", "text": "Second", "annotations": []}, document, file, " ", ""]
    assert parse([HumanMessage(blocks)]) == [
        ("human", "First", "Second", "Rules\nOf 1999\nSeven laps.", "Nine laps."),
    ]


# Extras


@pytest.mark.parametrize(
    ("extras", "expected"),
    [
        ({}, [10, 30]),
        ({"start": 2}, [25, 35]),
        ({"end": "00:02"}, [5, 15]),
        ({"start": "1", "end": 3.0, "num_frames": 5}, [12, 16, 20, 24, 28]),
        ({"start": 1, "end": 1.6, "num_frames": 1}, [13]),
        ({"fps": 1}, [5, 15, 25, 35]),
        ({"fps": 3, "start": 3}, [32, 35, 38]),
        ({"fps": 3, "start": 3, "end": 99}, [32, 35, 38]),
        ({"fps": 0.01}, [20]),
        ({"start": None, "fps": None, "num_frames": None}, [10, 30]),
    ],
)
@pytest.mark.parametrize("key", ["url", "video", "video_url"])
def test_extras_select_frames(key: str, extras: dict[str, Any], expected: list[int], film: str) -> None:
    kind = "video_url" if key == "video_url" else "video"
    assert numbers(opened({"type": kind, key: film, "extras": extras}, num_frames=2)) == expected


def test_extras_in_qwen_format(film: str) -> None:
    assert numbers(opened({"type": "video", "video": film, "video_start": 1, "video_end": 3.0, "fps": 1.0})) == [15, 25]
    assert numbers(opened({"type": "video", "video": film, "nframes": 2})) == [10, 30]


@pytest.mark.parametrize(
    ("extras", "problem"),
    [
        ({"begin": 3}, "unknown key begin. Use start, end, num_frames, fps"),
        ({"num_frames": 4, "fps": 1}, "mutually exclusive"),
        ({"num_frames": 0}, "number of frames"),
        ({"num_frames": 10**6}, "Give 1 to 512"),
        ({"num_frames": 2.0}, "number of frames"),
        ({"num_frames": True}, "number of frames"),
        ({"fps": 0}, "fps: must be positive"),
        ({"fps": float("nan")}, "fps: must be positive"),
        ({"fps": 10**400}, "fps: must be positive"),
        ({"fps": 1e308}, "more than the limit of 512"),
        ({"fps": "2"}, "fps: must be positive"),
        ({"start": "soon"}, "not a valid time"),
        ({"start": -1}, "not a valid time"),
        ({"end": float("inf")}, "not a valid time"),
        ({"end": [1]}, "not a valid time"),
        ({"start": 3, "end": 2}, "must be after start"),
        ({"start": 4.5}, "before the end of the video"),
        ({"start": 4.5, "fps": 2}, "before the end of the video"),
        ([3, 4], "must be a dictionary"),
    ],
)
def test_invalid_extras(extras: Any, problem: str, film: str) -> None:
    with pytest.raises(InputError, match=problem):
        opened({"type": "video", "url": film, "extras": extras})


def test_images_have_no_extras(folder: Path) -> None:
    url = (folder / "red.png").as_uri()
    for block in ({"type": "image", "url": url}, {"type": "image_url", "image_url": url}):
        with pytest.raises(InputError, match="images do not support start"):
            opened(block | {"extras": {"start": 3}})


def test_zero_frames(film: str) -> None:
    with pytest.raises(InputError, match="num_frames: must be 1 or more, got 0"):
        opened({"type": "video", "url": film}, num_frames=0)


# Unsupported content


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (
            {"type": "smell", "url": "file:///a.wav"},
            "unsupported block type 'smell'. Use one of text, text-plain, video",
        ),
        ({"type": "audio"}, "neither a URL nor data"),
        ({"type": "input_audio", "input_audio": {"data": ""}}, "must have data and format"),
        ({"type": "non_standard", "value": {"type": "video", "url": "file:///a.mp4"}}, "'non_standard'"),
        ({"type": "reasoning", "reasoning": "Hm."}, "'reasoning'"),
        ({"type": "tool_call", "name": "add", "args": {}, "id": "1"}, "'tool_call'"),
        ({"type": "server_tool_result"}, "'server_tool_result'"),
        ({"type": ["video"]}, "unsupported block type"),
        ({"text": "Hello"}, "'None'"),
        ({}, "'None'"),
        ({"type": "text"}, "text must be a string, got None"),
        ({"type": "text", "text": 3}, "text must be a string, got 3"),
        ({"type": "text-plain", "base64": "SGk=", "mime_type": "text/plain"}, "text must be a string"),
        ({"type": "video"}, "neither a URL nor data"),
        ({"type": "video", "file_id": "f1"}, "neither a URL nor data"),
        ({"type": "image", "source_type": "id", "id": "f1"}, "neither a URL nor data"),
        ({"type": "video", "url": "file:///a.mp4", "base64": "AA=="}, "both base64 and url"),
        ({"type": "video", "url": "a.mp4"}, "as_uri"),
        ({"type": "video", "url": "s3://bucket/a.mp4"}, "must be an http:.*got 's3://bucket/a.mp4'"),
        ({"type": "video", "url": "data:video/mp4,abc"}, "base64 data"),
        ({"type": "video", "url": 3}, "got '3'"),
        ({"type": "video", "url": "file:///a.mp4", "start": 5}, "unknown key start.*extras"),
        ({"type": "video", "video": ["1.png", "2.png"]}, "must be a path or a URL, got a list"),
        ({"type": "video", "video": "a.mp4", "max_pixels": 9}, "unknown key max_pixels"),
        ({"type": "video", "video": "a.mp4", "fps": 1, "nframes": 3}, "mutually exclusive"),
        ({"type": "video_url", "video_url": {"url": "file:///a.mp4", "fps": 1}}, "unknown key fps"),
        ({"type": "video_url"}, "must be an http:.*got 'None'"),
        ({"type": "video", "base64": "AA=="}, "no mime_type"),
        ({"type": "video", "base64": "AA==", "mime_type": 3}, "mime_type"),
        ({"type": "video", "base64": b"AA==", "mime_type": "video/mp4"}, "base64 must be a string"),
        ({"type": "video", "base64": "A", "mime_type": "video/mp4"}, "cannot be decoded"),
        ({"type": "video", "base64": "AA==é", "mime_type": "video/mp4"}, "cannot be decoded"),
        ({"type": "image_url", "image_url": "data:image/png;base64,"}, "the data is empty"),
        (
            {"type": "file", "url": "file:///a.pdf", "mime_type": "application/pdf"},
            "unsupported mime_type application/pdf",
        ),
        ({"type": "file", "url": "file:///a.mp4"}, "with its mime_type"),
        ({"type": "file", "file": {"file_id": "f1"}}, r"file_id.*Write .*files uploaded elsewhere .* not supported"),
        ({"type": "file", "file": {"file_data": "AA=="}}, "file_data must be a base64 data: URL, got 'AA=='"),
        ({"type": "file", "file": "a.mp4"}, "file must have file_data.*got 'a.mp4'"),
        ({"type": "file", "file": {"file_data": "data:application/pdf;base64,AA=="}}, "mime_type application/pdf"),
        ({"type": "media", "file_uri": "gs://bucket/a.mp4", "mime_type": "video/mp4"}, "must be an http:"),
        ({"type": "media", "data": "AA=="}, "media block.*with its mime_type"),
        ({"type": "media", "mime_type": "video/mp4"}, "neither a URL nor data"),
        ({"type": "media", "mime_type": "video/mp4", "data": "AA==", "fps": 1}, "unknown key fps"),
    ],
)
def test_invalid_blocks(block: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read_conversation(ask(block))


@given(st.text(max_size=12), st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
def test_unknown_block_types(kind: str, rest: dict[str, str]) -> None:
    for message in (HumanMessage, AIMessage, SystemMessage):
        with pytest.raises(InputError):
            read_messages([message([{**rest, "type": f"x-{kind}"}]), *ask()])


@given(st.binary(min_size=1, max_size=200), st.booleans(), st.sampled_from(["", "\n", "\r\n", " "]), st.booleans())
def test_base64_of_either_alphabet_with_and_without_padding_and_line_breaks(
    content: bytes, is_url_safe: bool, separator: str, is_padded: bool
) -> None:
    text = (base64.urlsafe_b64encode if is_url_safe else base64.b64encode)(content).decode()
    lines = wrap(text if is_padded else text.rstrip("="), 76)
    with open_file(MediaRef("video", f"data:video/mp4;base64,{separator.join([*lines, ''])}")) as path:
        assert path.read_bytes() == content


def test_too_large_data_is_not_decoded() -> None:
    data = "A" * (MAX_DATA_BYTES // 3 * 4 + 8)
    with pytest.raises(InputError, match="limit of 256 MiB"):
        opened({"type": "video", "base64": data, "mime_type": "video/mp4"})


def test_messages_are_validated_before_files_are_opened() -> None:
    with pytest.raises(InputError, match="'smell'"):
        read_conversation(ask({"type": "video", "url": "file:///missing.mp4"}, {"type": "smell"}))


def test_missing_and_damaged_files(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "noise.mp4").write_bytes(os.urandom(999))
    noise = {"base64": encoded(tmp_path / "noise.mp4"), "mime_type": "video/mp4"}
    for kind in ("video", "image"):
        with pytest.raises(SourceError, match="no such file"):
            opened({"type": kind, "url": "file:///missing.mp4"})
        with pytest.raises(MediaError):
            opened({"type": kind, "url": (tmp_path / "noise.mp4").as_uri()})
        with pytest.raises(MediaError):
            opened({"type": kind, **noise})
    with pytest.raises(MediaError):
        opened({"type": "image", "url": (folder / "film.mp4").as_uri()})


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/a.mp4", "http://localhost/a.mp4", "http://169.254.169.254/"])
def test_private_hosts_are_refused(url: str) -> None:
    for block in ({"type": "video", "url": url}, {"type": "image_url", "image_url": url}):
        with pytest.raises(SourceError, match="refused"):
            opened(block)


def test_temporary_files_are_deleted(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    opened({"type": "video", "base64": encoded(folder / "film.mp4"), "mime_type": "video/mp4"})
    with pytest.raises(MediaError):
        opened({"type": "image", "base64": encoded(folder / "film.mp4"), "mime_type": "image/png"})
    assert not list(tmp_path.iterdir())


# Turns


def test_system_messages_come_first_and_neighbors_are_joined() -> None:
    messages = [
        HumanMessage("One."),
        SystemMessage("Be brief."),
        HumanMessageChunk(content="Two."),
        AIMessage("Three."),
        AIMessageChunk(content="Four."),
        ChatMessage(content="Be kind.", role="developer"),
        ChatMessage(content="Five.", role="User"),
    ]
    assert parse(messages, system_prompt="You watch videos.") == [
        ("system", "You watch videos.", "Be brief.", "Be kind."),
        ("human", "One.", "Two."),
        ("assistant", "Three.", "Four."),
        ("human", "Five."),
    ]


def test_several_videos_keep_their_order(folder: Path, film: str) -> None:
    red = {"type": "image", "url": (folder / "red.png").as_uri()}
    early, late = ({"type": "video", "url": film, "extras": extras} for extras in ({"end": 1}, {"start": 3}))
    conversation = read_conversation(
        [HumanMessage(["Before", early, "between", red, late]), AIMessage("Yes."), HumanMessage([early, "Sure?"])],
        num_frames=1,
    )
    assert [[_outline(part) for part in turn.content] for turn in conversation] == [
        ["Before", [5], "between", [*RED], [35]],
        ["Yes."],
        [[5], "Sure?"],
    ]


def _outline(part: Part) -> str | list[int]:
    if isinstance(part, str):
        return part
    assert isinstance(part, Video | Image)
    return numbers(part) if isinstance(part, Video) else color(part)


def test_tool_calls_are_serialized_as_a_model_generates_them() -> None:
    calls = [tool_call(name="cut", args={"to": 9, "from": "ü"}, id="1"), tool_call(name="stop", args={}, id="2")]
    content: list[Any] = [
        {"type": "reasoning", "reasoning": "Which tool?"},
        "Let me cut.",
        {"type": "tool_use", "name": "cut", "input": {"to": 9, "from": "ü"}, "id": "1"},
    ]
    answers = [
        ToolMessage("done", tool_call_id="1"),
        ToolMessage("no such key", tool_call_id="2", status="error"),
        ToolMessage([], tool_call_id="2"),
        ToolMessage("12", tool_call_id="?", name="clock"),
        ToolMessage("13", tool_call_id="?"),
        FunctionMessage(content="14", name="old"),
    ]
    assert parse([HumanMessage("Cut it."), AIMessage(content, tool_calls=calls), *answers]) == [
        ("human", "Cut it."),
        (
            "assistant",
            "Let me cut.",
            '{"name":"cut","arguments":{"to":9,"from":"ü"}}',
            '{"name":"stop","arguments":{}}',
        ),
        (
            "human",
            "The tool cut answered:\ndone",
            "The tool stop failed:\nno such key",
            "The tool stop answered:",
            "The tool clock answered:\n12",
            "The tool answered:\n13",
            "The tool old answered:\n14",
        ),
    ]


def test_a_tool_result_may_contain_an_image(folder: Path) -> None:
    call = AIMessage("", tool_calls=[tool_call(name="look", args={}, id="1")])
    image = {"type": "image", "base64": encoded(folder / "red.png"), "mime_type": "image/png"}
    *_, turn = read_conversation([*ask(), call, ToolMessage([image, "at 3 s"], tool_call_id="1")])
    assert [_outline(part) for part in turn.content] == ["The tool look answered:", [*RED], "at 3 s"]


def test_a_tool_call_that_is_only_in_the_content_is_an_error() -> None:
    call = {"type": "tool_use", "name": "cut", "input": {}, "id": "1"}
    with pytest.raises(InputError, match="unsupported block type 'tool_use'"):
        read_messages([*ask(), AIMessage([call]), *ask()])


def test_an_invalid_tool_call_is_kept() -> None:
    damaged = {"type": "invalid_tool_call", "name": "cut", "args": '{"to":', "id": "1", "error": None}
    turns = parse([*ask(), AIMessage("", invalid_tool_calls=[damaged]), *ask()])
    assert turns[1] == ("assistant", '{"name":"cut","arguments":"{\\"to\\":"}')


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.lists(st.booleans(), max_size=2)))
def test_a_serialized_call_is_one_line_of_json(arguments: dict[str, Any]) -> None:
    line = write_tool_call("cut", arguments)
    assert "\n" not in line
    assert json.loads(line) == {"name": "cut", "arguments": arguments}


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([], "nothing to answer"),
        ([SystemMessage("Be brief.")], "nothing to answer"),
        ([HumanMessage("")], "a human message is empty"),
        ([HumanMessage(" \n")], "a human message is empty"),
        ([HumanMessage([])], "a human message is empty"),
        ([HumanMessage("Hello"), AIMessage("Hi"), HumanMessage([""])], "a human message is empty"),
        ([HumanMessage("Hello"), AIMessage("Hi")], "end with an answer"),
        ([HumanMessage("Hello"), AIMessage(""), SystemMessage("Go on.")], "end with an answer"),
        ([ChatMessage(content="Hello", role="narrator")], "unknown role 'narrator'"),
        ([RemoveMessage(id="1")], "unknown role 'remove'"),
    ],
)
def test_messages_without_a_question(messages: list[BaseMessage], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read_messages(messages, system_prompt="You watch videos.")


def test_an_empty_answer_is_skipped() -> None:
    assert parse([HumanMessage("One."), AIMessage(""), HumanMessage("Two.")]) == [("human", "One.", "Two.")]


NAMES = st.integers(100, 999).map(str)
TEXTS = st.text(min_size=1, max_size=8).filter(str.strip)
PARTS = st.tuples(st.sampled_from(["bare", "text"]), TEXTS) | st.tuples(
    st.sampled_from(["video", "image", "video_url", "image_url"]), NAMES
)
SPEECHES = st.lists(st.tuples(st.sampled_from(["system", "human", "ai"]), st.lists(PARTS, min_size=1, max_size=4)))


def _block(kind: str, value: str) -> Any:
    if kind == "bare":
        return value
    if kind == "text":
        return {"type": "text", "text": value}
    return {"type": kind, (kind if kind.endswith("_url") else "url"): f"file:///{value}"}


@given(SPEECHES)
def test_everything_appears_once_and_in_order(speeches: list[tuple[str, list[tuple[str, str]]]]) -> None:
    speeches = [*speeches, ("human", [("bare", "Go on.")])]
    kinds = {"system": SystemMessage, "human": HumanMessage, "ai": AIMessage}
    messages = [kinds[role]([_block(*part) for part in parts]) for role, parts in speeches]
    turns = read_messages(messages)
    in_order = sorted(speeches, key=lambda speech: speech[0] != "system")
    expected = [(role.replace("ai", "assistant"), part) for role, parts in in_order for part in parts]
    found = [(turn.role, part) for turn in turns for part in turn.content]
    assert [role for role, _ in found] == [role for role, _ in expected]
    for (_, part), (_, (kind, value)) in zip(found, expected, strict=True):
        if isinstance(part, str):
            assert (kind in {"bare", "text"}, part) == (True, value)
        else:
            assert (kind.removesuffix("_url"), f"file:///{value}") == (part.kind, part.source)
    assert all(one.role != other.role for one, other in pairwise(turns))


# References


def test_defaults_of_references(film: str) -> None:
    plain, fast, image = {"type": "video", "url": film}, {"fps": 2}, {"type": "image", "url": film}
    (turn,) = read_messages(ask(plain, plain | {"extras": fast}, plain, image), num_frames=3, allowed_hosts=["nas"])
    hosts = ("nas",)
    assert turn.content[:-1] == [
        MediaRef("video", film, num_frames=3, allowed_hosts=hosts),
        MediaRef("video", film, fps=2.0, allowed_hosts=hosts),
        MediaRef("video", film, num_frames=3, allowed_hosts=hosts),
        MediaRef("image", film, allowed_hosts=hosts),
    ]


def test_a_block_is_parsed_without_opening_it() -> None:
    block = {"type": "video", "url": "https://example.org/a.mp4", "extras": {"start": "01:00", "num_frames": 4}}
    assert read_block(block) == MediaRef("video", "https://example.org/a.mp4", Interval(60.0), num_frames=4)


def test_file_states_change_with_the_files(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "red.png"
    path.write_bytes((folder / "red.png").read_bytes())
    messages = [
        *ask({"type": "image", "image": "red.png"}, {"type": "video_url", "video_url": "https://example.org/a.mp4"}),
        AIMessage("Red."),
        *ask({"type": "image", "base64": "AA==", "mime_type": "image/png"}, {"type": "video", "url": path.as_uri()}),
        *ask({"type": "video", "url": "file:///missing.mp4"}),
    ]
    state = path.stat()
    one = (str(path), state.st_size, state.st_mtime_ns)
    assert file_states(messages) == [one, one, ("file:///missing.mp4", -1, -1)]
    os.utime(path, ns=(0, 7))
    assert file_states(messages)[0] == (str(path), state.st_size, 7)
    path.unlink()
    assert file_states(messages)[:2] == [("red.png", -1, -1), (path.as_uri(), -1, -1)]
