"""ChatVideoServer with servers: our own, ones that break off, and `transformers serve`."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import pytest
from langchain_core import exceptions as core
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import BaseModel, Field

from langchain_videochat import ChatVideoServer, VideoChatEmbed
from langchain_videochat.errors import SourceError
from langchain_videochat.evaluation.shapes import find_scene, write_scene
from langchain_videochat.server import ServerConnectionError, ServerFailedError, ServerTimeoutError
from tests.chat_server import ChatServer, serve
from tests.media_files import make_beeps
from tests.numbered_video import make_numbered
from tests.scripted_model import model_answering
from tests.tiny_vlms import llava_onevision, qwen3_vl

TINY = "videochat-embed-tiny"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Count(BaseModel):
    """Count the figures."""

    figures: int = Field(ge=0, le=9)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    write_scene(path, find_scene("test", 0), seed=0)
    return path


@pytest.fixture(scope="module")
def tiny_server() -> Iterator[tuple[ChatServer, str]]:
    server = ChatServer({TINY: VideoChatEmbed(model=TINY)})
    with serve(server) as url:
        yield server, url


def about(clip: str, question: str = "Describe the video.", **extras: Any) -> list[BaseMessage]:
    video: dict[str, Any] = {"type": "video", "url": clip, "extras": extras}
    return [HumanMessage([video, {"type": "text", "text": question}])]


def test_answers_are_those_of_the_model_on_the_server(tiny_server: tuple[ChatServer, str], clip: Path) -> None:
    direct = VideoChatEmbed(model=TINY)
    remote = ChatVideoServer(base_url=tiny_server[1], model=TINY)
    messages = about(clip.as_uri())

    expected, answer = direct.invoke(messages), remote.invoke(messages)
    chunks = list(remote.stream(messages))

    assert answer.text == "".join(chunk.text for chunk in chunks) == expected.text != ""
    assert expected.usage_metadata
    assert answer.usage_metadata
    assert answer.usage_metadata["total_tokens"] == expected.usage_metadata["total_tokens"]
    usage = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    assert [each["total_tokens"] for each in usage] == [expected.usage_metadata["total_tokens"]]


def test_structured_output_and_tools(tiny_server: tuple[ChatServer, str], clip: Path) -> None:
    server, url = tiny_server
    llm = ChatVideoServer(base_url=url, model=TINY, num_frames=4)

    count = llm.with_structured_output(Count).invoke(about(clip.as_uri()))
    assert server.bodies[-1]["media_io_kwargs"] == {"video": {"num_frames": 4}}
    *_, streamed = llm.with_structured_output(Count).stream(about(clip.as_uri()))
    called = llm.bind_tools([Count], tool_choice="any").invoke(about(clip.as_uri()))

    assert isinstance(count, Count)
    assert streamed == count
    (call,) = called.tool_calls
    assert call["name"] == "Count"
    assert Count(**call["args"])


async def test_concurrent_calls(tiny_server: tuple[ChatServer, str], clip: Path) -> None:
    llm = ChatVideoServer(base_url=tiny_server[1], model=TINY)

    answers = await llm.abatch([about(clip.as_uri(), end=end) for end in (1, 2, 3, 4)])

    assert all(answer.text for answer in answers)


def test_event_loops_may_be_closed_between_calls(tiny_server: tuple[ChatServer, str]) -> None:
    # ChatOpenAI would use a connection of the first loop in the second one.
    llm = ChatVideoServer(base_url=tiny_server[1], model=TINY)

    assert [asyncio.run(llm.ainvoke("Hello")).response_metadata["finish_reason"] for _ in range(3)] == ["stop"] * 3


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


def test_videos_on_the_web_are_downloaded_here(tmp_path: Path) -> None:
    film = make_numbered(tmp_path / "film.mp4")
    server = ChatServer({"qwen": model_answering("A count.")})
    files = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(tmp_path)))
    threading.Thread(target=files.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{files.server_address[1]}"

    with files, serve(server) as url:
        llm = ChatVideoServer(base_url=url, model="qwen", allowed_hosts=["127.0.0.1"])
        llm.invoke(about(f"{address}/{film.name}"))
        sent = server.last_content[0]["video_url"]["url"]
        with pytest.raises(SourceError, match="refused"):
            ChatVideoServer(base_url=url, model="qwen").invoke(about(f"{address}/{film.name}"))
        files.shutdown()

    assert sent.startswith("data:video/mp4;base64,")
    assert len(server.bodies) == 1


# Servers that fail


@contextmanager
def answer_with(*parts: bytes) -> Iterator[str]:
    """Run a server that answers each request with parts of an answer, and closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    for part in parts:
                        connection.sendall(part)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def chunk(content: str) -> bytes:
    """Return a part of a streamed answer, as one chunk of HTTP."""
    choices = [{"index": 0, "delta": {"content": content}, "finish_reason": None}]
    event = f"data: {json.dumps({'id': '1', 'model': 'qwen', 'choices': choices})}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(event), event)


def test_a_server_that_is_down_may_be_started_later(clip: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    llm = ChatVideoServer(base_url=f"http://127.0.0.1:{port}/v1", model="qwen", max_retries=0)

    for messages in ([HumanMessage("Hello")], about(clip.as_uri())):
        with pytest.raises(ServerConnectionError, match=rf"127.0.0.1:{port}/v1: .*base_url") as raised:
            llm.invoke(messages)
        assert isinstance(raised.value, core.ModelConnectionError)
        assert raised.value.__cause__ is not None
    with pytest.raises(ServerConnectionError):
        list(llm.stream("Hello"))
    with pytest.raises(ServerConnectionError):
        asyncio.run(llm.ainvoke("Hello"))

    with serve(ChatServer({"qwen": model_answering("A count.")}), port=port):
        assert llm.invoke(about(clip.as_uri())).text == "A count."


def test_a_connection_that_is_closed_in_mid_stream() -> None:
    with answer_with(HEAD, chunk("It is")) as url:
        llm = ChatVideoServer(base_url=url, model="qwen", max_retries=0)
        received = []

        with pytest.raises(ServerConnectionError, match="closed the connection"):
            received += [each.text for each in llm.stream("Hello")]
        with pytest.raises(ServerConnectionError):
            llm.invoke("Hello")

        async def stream() -> None:
            async for each in llm.astream("Hello"):
                received.append(each.text)

        with pytest.raises(ServerConnectionError):
            asyncio.run(stream())
    assert received == ["It is"]


def test_a_server_that_does_not_answer(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langchain_videochat.server.capabilities.TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        with pytest.raises(ServerTimeoutError, match="Raise timeout") as raised:
            ChatVideoServer(base_url=url, model="qwen", max_retries=0, timeout=0.2).invoke("Hello")
        with pytest.raises(ServerTimeoutError, match='video_input="frames"'):
            ChatVideoServer(base_url=url, model="qwen").invoke(about(clip.as_uri()))
    assert isinstance(raised.value, core.ModelTimeoutError)


# transformers serve


def link_ffmpeg(folder: Path) -> str:
    """Link PyAV's FFmpeg libraries by the names that torchcodec loads, and return the path to search for libraries."""
    bundled = Path(av.__file__).parent.with_name("av.libs")
    for library in bundled.glob("lib*"):
        if name := re.fullmatch(r"(lib(?:av|sw)\w+)-\w+(\.so\.\d+)[.\d]*", library.name):
            (folder / f"{name[1]}{name[2]}").symlink_to(library)
    return os.pathsep.join([str(folder), str(bundled), os.environ.get("LD_LIBRARY_PATH", "")])


@pytest.fixture(scope="module")
def transformers_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("fastapi")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("serve") / "log"
    program = str(Path(sys.executable).with_name("transformers"))
    command = [program, "serve", "--host", "127.0.0.1", "--port", str(port)]
    settings = {"HF_HUB_OFFLINE": "1", "LD_LIBRARY_PATH": link_ffmpeg(tmp_path_factory.mktemp("ffmpeg"))}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **settings})
    try:
        deadline = time.monotonic() + 120
        while "Uvicorn running" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


@pytest.mark.slow
def test_transformers_serve(transformers_url: str, tmp_path: Path) -> None:
    film = make_numbered(tmp_path / "film.mp4")
    model = str(tmp_path / "llava")
    llava_onevision(tmp_path / "llava")
    llm = ChatVideoServer(base_url=transformers_url, model=model, video_input="frames", num_frames=3, max_tokens=4)

    answer = llm.invoke(about(film.as_uri()))
    chunks = list(llm.stream(about(film.as_uri())))

    assert answer.response_metadata["sampled_times"] == [[0.48, 1.48, 2.48]]
    assert answer.usage_metadata
    assert answer.usage_metadata["output_tokens"] == 4
    usage = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    assert [each["input_tokens"] for each in usage] == [answer.usage_metadata["input_tokens"]]

    # It is recognized, and gets the path of the video, which it cannot read without sound.
    with pytest.raises(ServerFailedError, match='video_input="frames"'):
        ChatVideoServer(base_url=transformers_url, model=model, video_input="video_url").invoke(about(film.as_uri()))
    assert llm.invoke("Hello").usage_metadata


@pytest.mark.slow
@pytest.mark.skipif(find_spec("torchcodec") is None, reason="transformers serve reads videos with torchcodec")
def test_transformers_serve_reads_videos(transformers_url: str, tmp_path: Path) -> None:
    film = make_beeps(tmp_path / "film.mp4", seconds=2)
    negative = make_beeps(tmp_path / "negative.mp4", "-vf", "negate", seconds=2)
    qwen3_vl(tmp_path / "qwen")

    def ask(film: Path, num_frames: int | None) -> AIMessage:
        model = str(tmp_path / "qwen")
        llm = ChatVideoServer(base_url=transformers_url, model=model, num_frames=num_frames, max_tokens=8)
        return llm.invoke(about(film.as_uri()))

    answers = [ask(film, num_frames) for num_frames in (2, 4, 8, None)]
    inputs = [answer.usage_metadata["input_tokens"] for answer in answers if answer.usage_metadata]

    assert all("sampled_times" not in answer.response_metadata for answer in answers)
    # The model encodes frames in pairs, each after its time; by default, the server samples 32.
    pair = inputs[1] - inputs[0]
    assert pair > 0
    assert [count - inputs[0] for count in inputs] == [0, pair, 3 * pair, 15 * pair]
    assert ask(film, 4).text == answers[1].text != ask(negative, 4).text


@pytest.mark.slow
def test_transformers_serve_gets_videos_without_sound_as_frames(transformers_url: str, tmp_path: Path) -> None:
    film = make_numbered(tmp_path / "film.mp4")
    qwen3_vl(tmp_path / "qwen")
    llm = ChatVideoServer(base_url=transformers_url, model=str(tmp_path / "qwen"), num_frames=3, max_tokens=4)

    assert llm.invoke(about(film.as_uri())).response_metadata["sampled_times"] == [[0.48, 1.48, 2.48]]
