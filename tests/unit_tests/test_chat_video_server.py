"""ChatVideoServer: what it sends to which server, and the errors of servers."""

import base64
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from langchain_core import exceptions as core
from langchain_core.caches import InMemoryCache
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from pydantic import SecretStr
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse

from langchain_videochat import ChatVideoServer
from langchain_videochat.errors import InputError, MediaError, ModelUnavailableError, SourceError, VideoChatError
from langchain_videochat.media import probe
from langchain_videochat.server import (
    ServerAuthenticationError,
    ServerBusyError,
    ServerConnectionError,
    ServerFailedError,
)
from tests.chat_server import ChatServer, connect
from tests.media_files import make_beeps
from tests.numbered_video import make_numbered, read_number
from tests.scripted_model import ScriptedModel, model_answering

URL = "http://localhost:8000/v1"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of three seconds, with 25 frames a second that show their numbers."""
    return make_numbered(tmp_path_factory.mktemp("films") / "film.mp4")


@pytest.fixture(scope="module")
def sound_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of three seconds with sound."""
    return make_beeps(tmp_path_factory.mktemp("films") / "sound.mp4", seconds=3)


@pytest.fixture
def server() -> ChatServer:
    return ChatServer({"qwen": model_answering("A count.")})


def other_server() -> ChatServer:
    """Return a server that takes no video."""
    return ChatServer({"qwen": model_answering("A count.")}, owner="library")


def transformers_server() -> ChatServer:
    server = other_server()
    server.paths = ("/v1/chat/completions", "/load_model")
    return server


def about(film: Path, **extras: Any) -> list[BaseMessage]:
    video: dict[str, Any] = {"type": "video", "url": film.as_uri(), "mime_type": "video/mp4", "extras": extras}
    return [HumanMessage([video, {"type": "text", "text": "What is shown?"}])]


def joined(chunks: Iterator[AIMessageChunk]) -> AIMessageChunk:
    first = next(chunks)
    for chunk in chunks:
        first += chunk
    return first


def decode(url: str) -> bytes:
    return base64.b64decode(url.partition(";base64,")[2])


def pictures(content: list[dict[str, Any]]) -> list[np.ndarray[Any, Any]]:
    urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    return [np.asarray(PIL.Image.open(io.BytesIO(decode(url)))) for url in urls]


def texts(content: list[dict[str, Any]]) -> list[str]:
    return [part["text"] for part in content if part["type"] == "text"]


# Videos as files


def test_vllm_gets_a_video_as_its_documentation_shows(server: ChatServer, film: Path) -> None:
    answer = connect(server).invoke(about(film, num_frames=4))

    assert answer.text == "A count."
    assert "sampled_times" not in answer.response_metadata
    video, question = server.last_content
    assert video["type"] == "video_url"
    assert video["video_url"].keys() == {"url"}
    assert video["video_url"]["url"].startswith("data:video/mp4;base64,")
    assert decode(video["video_url"]["url"]) == film.read_bytes()
    assert question == {"type": "text", "text": "What is shown?"}
    assert server.bodies[-1]["media_io_kwargs"] == {"video": {"num_frames": 4}}


def test_sglang_gets_a_video_as_its_documentation_shows(film: Path) -> None:
    server = ChatServer({"qwen": model_answering("A count.")}, owner="sglang")

    connect(server).invoke(about(film, num_frames=6))

    options = server.last_content[0]["video_url"]
    assert decode(options.pop("url")) == film.read_bytes()
    assert options == {"fps": 2.0, "max_frames": 6}
    assert "media_io_kwargs" not in server.bodies[-1]


def test_mistral_rs_gets_a_video_as_its_documentation_shows(film: Path) -> None:
    server = ChatServer({"default": model_answering("A count.")}, owner="local")

    connect(server).invoke(about(film, num_frames=6))

    (video, _) = server.last_content
    assert decode(video["video_url"].pop("url")) == film.read_bytes()
    assert video == {"type": "video_url", "video_url": {}}
    assert server.bodies[-1].keys() == {"messages", "model", "stream"}


def test_transformers_serve_gets_the_path_of_a_video(sound_film: Path) -> None:
    server = transformers_server()

    connect(server, extra_body={"chat_template_kwargs": {"enable_thinking": False}}).invoke(about(sound_film, fps=2))

    assert server.last_content[0] == {"type": "video_url", "video_url": {"url": str(sound_film)}}
    assert server.bodies[-1]["chat_template_kwargs"] == {"enable_thinking": False, "fps": None, "num_frames": 6}

    connect(server).invoke(about(sound_film))

    assert server.bodies[-1]["chat_template_kwargs"] == {"fps": None}


def test_transformers_serve_gets_a_video_without_sound_as_frames(film: Path) -> None:
    server = transformers_server()

    connect(server).invoke(about(film))

    assert len(pictures(server.last_content)) == 8
    assert "chat_template_kwargs" not in server.bodies[-1]

    connect(server, video_input="video_url").invoke(about(film))

    assert server.last_content[0] == {"type": "video_url", "video_url": {"url": str(film)}}


def test_temporary_files_exist_until_the_server_has_answered(sound_film: Path) -> None:
    server = transformers_server()

    def describe(_: str) -> str:
        path = Path(server.last_content[1]["video_url"]["url"])
        return f"{path.exists()}, {probe(path).duration:.1f} s"

    server.models = {"qwen": ScriptedModel(script=describe)}
    llm = connect(server)

    assert llm.invoke(about(sound_film, start=1, end=2)).text == "True, 1.0 s"
    path = server.last_content[1]["video_url"]["url"]
    assert not os.path.exists(path)
    assert joined(llm.stream(about(sound_film, start=1, end=2))).text == "True, 1.0 s"
    assert not os.path.exists(server.last_content[1]["video_url"]["url"])


def test_transformers_serve_on_another_machine_gets_frames(film: Path) -> None:
    server = transformers_server()

    connect(server, "http://192.0.2.1:8000/v1").invoke(about(film))

    assert len(pictures(server.last_content)) == 8


def test_a_part_of_a_video_is_cut_out(server: ChatServer, film: Path, tmp_path: Path) -> None:
    connect(server).invoke(about(film, start="00:01", end=2.0))

    heading, video, _ = server.last_content
    assert heading == {"type": "text", "text": "Part of a video, from 00:01 to 00:02:"}
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(decode(video["video_url"]["url"]))
    assert probe(clip).duration == pytest.approx(1.0, abs=0.05)
    assert clip.stat().st_size < film.stat().st_size


def test_the_server_decides_the_number_of_frames_unless_it_is_set(server: ChatServer, film: Path) -> None:
    connect(server).invoke(about(film))
    assert "media_io_kwargs" not in server.bodies[-1]

    connect(server, num_frames=3).invoke(about(film))
    assert server.bodies[-1]["media_io_kwargs"] == {"video": {"num_frames": 3}}

    # There is one setting for all videos.
    connect(server, num_frames=3).invoke([*about(film, fps=4), *about(film)])
    assert server.bodies[-1]["media_io_kwargs"] == {"video": {"num_frames": 12}}


def test_a_video_in_base64(server: ChatServer, film: Path) -> None:
    data = base64.encodebytes(film.read_bytes()).decode()

    connect(server).invoke([HumanMessage([{"type": "video", "base64": data, "mime_type": "video/mp4"}])])

    assert decode(server.last_content[0]["video_url"]["url"]) == film.read_bytes()


@pytest.mark.parametrize(
    "block",
    [
        {"type": "video_url", "video_url": {"url": "FILM"}},
        {"type": "file", "url": "FILM", "mime_type": "video/mp4"},
        {"type": "media", "file_uri": "FILM", "mime_type": "video/mp4"},
        {"type": "video", "video": "FILM"},
    ],
)
def test_blocks_of_other_formats(server: ChatServer, film: Path, block: dict[str, Any]) -> None:
    block = json.loads(json.dumps(block).replace("FILM", film.as_uri()))

    connect(server).invoke([HumanMessage([block, "What is shown?"])])

    assert decode(server.last_content[0]["video_url"]["url"]) == film.read_bytes()
    assert server.last_content[1:] == [{"type": "text", "text": "What is shown?"}]


def test_a_large_video_is_refused(server: ChatServer, film: Path) -> None:
    llm = connect(server, max_video_bytes=film.stat().st_size - 1)

    with pytest.raises(InputError, match=r"max_video_bytes: .*start and end.*frames") as raised:
        llm.invoke(about(film))
    assert isinstance(raised.value, core.ModelInvalidRequestError)
    assert server.bodies == []
    assert llm.invoke(about(film, start=0, end=0.2)).text == "A count."


# Frames


def test_other_servers_get_frames_after_their_times(film: Path) -> None:
    server = other_server()

    answer = connect(server).invoke(about(film, start=1, end=2, num_frames=2))

    assert [read_number(picture) for picture in pictures(server.last_content)] == [31, 43]
    assert texts(server.last_content) == ["At 00:01 (1.24 s):", "At 00:01 (1.72 s):", "What is shown?"]
    assert [part["type"] for part in server.last_content] == ["text", "image_url", "text", "image_url", "text"]
    assert server.last_content[1]["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert answer.response_metadata["sampled_times"] == [[1.24, 1.72]]


def test_streamed_answers_have_the_times_of_frames(film: Path) -> None:
    llm = connect(other_server(), num_frames=1)

    answer = joined(llm.stream([*about(film), *about(film, end=1)]))

    assert answer.text == "A count."
    assert answer.response_metadata["sampled_times"] == [[1.48], [0.48]]
    assert answer.response_metadata["model_name"] == "qwen"
    assert answer.usage_metadata == {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2} | {
        "input_token_details": {},
        "output_token_details": {},
    }


async def test_async_answers_are_those_of_other_calls(film: Path) -> None:
    server = other_server()
    llm = connect(server, num_frames=1)

    answer = await llm.ainvoke(about(film))
    chunks = [chunk async for chunk in llm.astream(about(film))]

    assert answer.text == "".join(chunk.text for chunk in chunks) == "A count."
    assert answer.response_metadata["sampled_times"] == [[1.48]]
    assert joined(iter(chunks)).response_metadata["sampled_times"] == [[1.48]]
    with pytest.raises(ModelUnavailableError, match="qwen"):
        await llm.ainvoke("Hello", model="llava")
    with pytest.raises(ModelUnavailableError, match="qwen"):
        async for _ in llm.astream("Hello", model="llava"):
            pass


def test_frames_are_scaled_down(film: Path) -> None:
    server = other_server()

    connect(server, frame_size=60, num_frames=1).invoke(about(film))

    assert pictures(server.last_content)[0].shape == (60, 80, 3)


def test_frames_per_second(film: Path) -> None:
    server = other_server()
    llm = connect(server)

    llm.invoke(about(film, fps=5, end=1))

    assert len(pictures(server.last_content)) == 5
    with pytest.raises(InputError, match=r"fps: .*512"):
        llm.invoke(about(film, fps=1000))


def test_video_input_can_be_set(server: ChatServer, film: Path) -> None:
    connect(server, video_input="frames").invoke(about(film))
    assert len(pictures(server.last_content)) == 8
    assert server.questions == []

    other = other_server()
    connect(other, video_input="video_url").invoke(about(film, num_frames=2))
    assert decode(other.last_content[0]["video_url"]["url"]) == film.read_bytes()


def test_a_server_is_asked_once_and_only_for_videos(server: ChatServer, film: Path) -> None:
    llm = connect(server)

    llm.invoke("Hello")
    assert server.questions == []
    llm.invoke(about(film))
    llm.invoke(about(film))
    assert server.questions == ["/v1/models"]


def test_a_server_may_be_replaced_by_another_kind(server: ChatServer, film: Path) -> None:
    llm = connect(server)
    llm.invoke(about(film))

    server.owner = "library"
    server.failure = JSONResponse({"error": {"message": "invalid message format"}}, 400)
    with pytest.raises(InputError):
        llm.invoke(about(film))
    server.failure = None
    llm.invoke(about(film))

    assert len(pictures(server.last_content)) == 8


# Images and other content


def test_images_on_this_machine_are_sent_as_data(server: ChatServer, tmp_path: Path) -> None:
    image = tmp_path / "red.bmp"
    PIL.Image.new("RGB", (40, 30), "red").save(image)

    connect(server).invoke([HumanMessage([{"type": "image", "url": image.as_uri()}, "What color is it?"])])

    (picture,) = pictures(server.last_content)
    assert picture.shape == (30, 40, 3)
    assert np.abs(picture - [254, 0, 0]).max() < 3


def test_images_in_base64_are_not_changed(server: ChatServer) -> None:
    connect(server).invoke([HumanMessage([{"type": "image", "base64": "UE5H", "mime_type": "image/png"}])])

    assert server.last_content == [{"type": "image_url", "image_url": {"url": "data:image/png;base64,UE5H"}}]


def test_images_and_videos_of_tools(film: Path) -> None:
    server = other_server()
    video: Any = {"type": "video", "url": film.as_uri(), "extras": {"num_frames": 1}}

    connect(server).invoke([HumanMessage("Open it."), ToolMessage([video], tool_call_id="1")])

    assert [read_number(picture) for picture in pictures(server.last_content)] == [37]


@pytest.mark.parametrize("kind", ["image", "video"])
def test_other_files_are_never_sent(server: ChatServer, tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "id_rsa"
    secret.write_text("PRIVATE KEY")

    with pytest.raises(MediaError):
        connect(server).invoke([HumanMessage([{"type": kind, "url": secret.as_uri()}])])
    assert server.bodies == []


def test_missing_files_and_invalid_blocks(server: ChatServer, film: Path, tmp_path: Path) -> None:
    llm = connect(server)

    with pytest.raises(SourceError, match="no such file"):
        llm.invoke(about(tmp_path / "missing.mp4"))
    with pytest.raises(InputError, match="nframes") as raised:
        llm.invoke(about(film, nframes=3))
    assert isinstance(raised.value, core.ModelInvalidRequestError)


def test_other_blocks_are_those_of_chat_openai(server: ChatServer) -> None:
    blocks: list[str | dict[str, Any]] = [
        {"type": "file", "base64": "UERG", "mime_type": "application/pdf", "filename": "a.pdf"},
        {"type": "input_audio", "input_audio": {"data": "V0FW", "format": "wav"}},
    ]

    connect(server, model="qwen").invoke([HumanMessage(blocks)])

    data = {"file_data": "data:application/pdf;base64,UERG", "filename": "a.pdf"}
    assert server.last_content == [{"type": "file", "file": data}, blocks[1]]


# Settings


def test_names_of_options(server: ChatServer) -> None:
    connect(server, max_tokens=5).invoke("Hello", temperature=0.5)

    body = server.bodies[-1]
    assert {name: body[name] for name in ("max_tokens", "temperature")} == {"max_tokens": 5, "temperature": 0.5}
    assert "max_completion_tokens" not in body


def test_the_key_for_openai_is_not_sent(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    connect(server).invoke("Hello")
    assert server.headers[-1]["authorization"] == "Bearer none"

    monkeypatch.setenv("VIDEOCHAT_SERVER_API_KEY", "local")
    connect(server).invoke("Hello")
    assert server.headers[-1]["authorization"] == "Bearer local"


def test_keys_are_not_serialized(monkeypatch: pytest.MonkeyPatch) -> None:
    path = tuple(ChatVideoServer.lc_id())
    serialized = dumps(ChatVideoServer(base_url=URL, model="qwen", api_key=SecretStr("secret"), num_frames=3))
    monkeypatch.setenv("VIDEOCHAT_SERVER_API_KEY", "local")

    loaded = loads(serialized, valid_namespaces=["langchain_videochat"], additional_import_mappings={path: path})

    assert "secret" not in serialized
    assert isinstance(loaded, ChatVideoServer)
    assert (loaded.openai_api_base, loaded.model_name, loaded.num_frames) == (URL, "qwen", 3)
    assert loaded.openai_api_key.get_secret_value() == "local"


def test_invalid_settings() -> None:
    with pytest.raises(ValueError, match="allowed_hosts"):
        ChatVideoServer(base_url=URL, model="qwen", allowed_hosts=["http://nas.local"])
    with pytest.raises(ValueError, match="base_url"):
        ChatVideoServer(model="qwen")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="model"):
        ChatVideoServer(base_url=URL)  # type: ignore[call-arg]


def test_a_cached_answer_is_not_used_when_a_file_has_changed(server: ChatServer, film: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(film, tmp_path / "copy.mp4"))
    llm = connect(server, cache=InMemoryCache())

    llm.invoke(about(copy))
    llm.invoke(about(copy))
    assert len(server.bodies) == 1
    os.utime(copy, ns=(1, 1))
    llm.invoke(about(copy))
    assert len(server.bodies) == 2


# Errors of servers


def failure(status: int, message: str) -> Response:
    return JSONResponse({"error": {"message": message}}, status)


@pytest.mark.parametrize(
    ("response", "error", "standard", "advice"),
    [
        (
            failure(400, "At most 0 video(s) may be provided in one prompt."),
            InputError,
            core.ModelInvalidRequestError,
            "frames",
        ),
        (
            failure(400, "unsupported content[].type"),
            InputError,
            core.ModelInvalidRequestError,
            'video_input.*"frames"',
        ),
        (
            failure(422, "Input should be 'text' or 'image_url': part 0"),
            InputError,
            core.ModelInvalidRequestError,
            "frames",
        ),
        (Response("Internal Server Error", 500), ServerFailedError, core.ModelAPIError, 'video_input="frames"'),
        (failure(401, "Unauthorized"), ServerAuthenticationError, core.ModelAuthenticationError, "api_key"),
        (failure(404, "The model `qwen` does not exist."), ModelUnavailableError, core.ModelNotFoundError, "qwen"),
        (
            failure(400, "This model's maximum context length is 4096 tokens."),
            InputError,
            core.ContextOverflowError,
            "num_frames",
        ),
        (HTMLResponse("<html>Open WebUI</html>"), ServerFailedError, core.ModelAPIError, "base_url"),
        (Response("{", media_type="application/json"), ServerFailedError, core.ModelAPIError, "See its log"),
    ],
)
def test_refusals_name_the_setting_to_change(
    server: ChatServer,
    film: Path,
    response: Response,
    error: type[VideoChatError],
    standard: type[core.ModelError],
    advice: str,
) -> None:
    llm = connect(server)
    server.failure = response

    with pytest.raises(error, match=f"(?s){advice}") as raised:
        llm.invoke(about(film))

    assert isinstance(raised.value, standard)
    server.failure = None
    assert llm.invoke(about(film)).text == "A count."


def test_refused_images_name_the_model(film: Path) -> None:
    server = other_server()
    server.failure = failure(500, "image input is not supported - hint: you may need to provide the mmproj")

    with pytest.raises(InputError, match="model: the server refuses the images"):
        connect(server).invoke(about(film))


def test_other_errors(server: ChatServer) -> None:
    server.failure = failure(400, "temperature must be non-negative")
    with pytest.raises(InputError, match=r"request: .*temperature must be non-negative") as raised:
        connect(server).invoke("Hello")
    assert isinstance(raised.value, core.ModelInvalidRequestError)
    assert raised.value.__cause__ is not None

    server.failure = failure(429, "queue full")
    with pytest.raises(ServerBusyError, match="queue full") as busy:
        connect(server).invoke("Hello")
    assert isinstance(busy.value, core.ModelRateLimitError)


def test_a_long_message_of_a_server_is_cut_off(server: ChatServer) -> None:
    server.failure = failure(400, "no " * 10_000)

    with pytest.raises(InputError) as raised:
        connect(server).invoke("Hello")
    assert len(str(raised.value)) < 500


def test_an_unknown_model_lists_those_of_the_server(server: ChatServer) -> None:
    server.models = {f"model-{number}": model_answering("") for number in range(99)}

    with pytest.raises(ModelUnavailableError, match=r"model qwen: .* Set model to one of model-0, .*model-9\.$"):
        connect(server, model="qwen").invoke("Hello")


def test_a_server_that_answers_with_another_model(server: ChatServer) -> None:
    server.only_model = "qwen"

    for call in (lambda llm: llm.invoke("Hello"), lambda llm: list(llm.stream("Hello"))):
        with pytest.raises(ModelUnavailableError, match=r"model llava: .*another one, qwen. Set model to one of qwen"):
            call(connect(server, model="llava"))
    assert connect(server, model="qwen").invoke("Hello").text == "A count."


def test_names_that_stand_for_others(server: ChatServer) -> None:
    server.models = {"default": model_answering("A count."), "qwen@main": model_answering("A count.")}
    server.only_model = "qwen@main"

    for name in ("default", "qwen"):
        assert connect(server, model=name).invoke("Hello").text == "A count."


@pytest.mark.parametrize(
    ("events", "error"),
    [
        ([{"choices": [{"index": 0, "delta": {"content": "A"}, "finish_reason": None}]}], ServerConnectionError),
        ([], ServerConnectionError),
        ([{"error": "out of memory"}], ServerFailedError),
    ],
)
async def test_an_answer_that_breaks_off(
    server: ChatServer, events: list[dict[str, Any]], error: type[VideoChatError]
) -> None:
    llm = connect(server)
    texts = [f"data: {json.dumps({'id': '1', 'model': 'qwen', **event})}\n\n" for event in events]

    server.failure = StreamingResponse(iter(texts), media_type="text/event-stream")
    with pytest.raises(error):
        list(llm.stream("Hello"))
    server.failure = StreamingResponse(iter(texts), media_type="text/event-stream")
    with pytest.raises(error):
        async for _ in llm.astream("Hello"):
            pass
    server.failure = None
    assert joined(llm.stream("Hello")).text == "A count."
