"""The page's server under clients that hold connections, guess passwords, send too much, or leave."""

import base64
import gc
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from langchain_videochat import VideoTimelineStore
from langchain_videochat.app import ChatQuestion, TimelineChat, connections
from langchain_videochat.perception import Observation
from tests.browser import Site
from tests.scripted_model import model_answering
from tests.slides import render_talk
from tests.unit_tests.embeddings import BagOfWords, make_timeline

AUTH = ("anyone", "secret")
HEAD = b"GET /api/state HTTP/1.1\r\nHost: 127.0.0.1\r\n"
LOGIN = b"Authorization: Basic " + base64.b64encode(b"anyone:secret") + b"\r\n"
PLAY = b"GET /api/videos/large/file HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" + LOGIN + b"\r\n"
UPLOAD = b"PUT /api/uploads/a.mp4 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n"
GUARD = 60.0
"""Seconds after which a test that hangs fails."""


class EndlessChat:
    """Answers until it is stopped."""

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def answer(self, question: ChatQuestion) -> Iterator[dict[str, Any]]:
        """Yield the same word forever."""
        try:
            while True:
                time.sleep(0.01)
                yield {"text": "and "}
        finally:
            self.stopped.set()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    # Much more than the buffers of a connection hold.
    (folder / "large.mp4").write_bytes(bytes(50_000_000))
    return folder


@pytest.fixture
def endless() -> EndlessChat:
    return EndlessChat()


@pytest.fixture
def site(tmp_path: Path, folder: Path, endless: EndlessChat) -> Iterator[Site]:
    store = VideoTimelineStore(tmp_path / "store", embedding=BagOfWords())
    pegs = Observation(0, 8, "speech", "You need eight pegs")
    store.add(make_timeline("large", pegs, source=str(folder / "large.mp4")))
    profile = tmp_path / "quick.yaml"
    profile.write_text("- subtitles\n- scenes\n")
    long_answer = TimelineChat(model_answering("Eight pegs. " * 20_000), store)
    site = Site(store, folder, {"endless": endless, "long": long_answer}, profile=str(profile), password="secret")
    site.start()
    yield site
    site.stop()


@pytest.fixture
def connect(site: Site) -> Iterator[Callable[..., socket.socket]]:
    """Open a connection and send something."""
    address = httpx.URL(site.address)
    with ExitStack() as opened:

        def connect(sent: bytes = b"", source: str = "127.0.0.1") -> socket.socket:
            connection = socket.create_connection((address.host, address.port or 0), GUARD, (source, 0))
            connection.sendall(sent)
            return opened.enter_context(connection)

        yield connect


@pytest.fixture
def fast_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regard clients as slow after less time."""
    monkeypatch.setattr(connections, "SLOW_SECONDS", 0.5)


def is_served(site: Site, **options: Any) -> bool:
    return httpx.get(f"{site.address}api/state", auth=AUTH, timeout=GUARD, **options).status_code == 200


def read_until_closed(connection: socket.socket) -> bytes:
    received = bytearray()
    with suppress(ConnectionResetError):
        while part := connection.recv(2**16):
            received += part
    return bytes(received)


@pytest.mark.parametrize("sent", [b"", b"G", HEAD])
def test_silent_connections_do_not_shut_others_out(
    site: Site, connect: Callable[..., socket.socket], sent: bytes
) -> None:
    for number in range(1100):
        connect(sent, f"127.0.0.{number % 5 + 2}")

    assert is_served(site)


def test_connections_of_others_do_not_replace_requests(site: Site, connect: Callable[..., socket.socket]) -> None:
    player = connect(PLAY)
    player.recv(100)

    for number in range(500):
        connect(source=f"127.0.0.{number % 5 + 1}")

    assert len(read_until_closed(player)) > 50_000_000
    assert is_served(site)


@pytest.mark.usefixtures("fast_clock")
@pytest.mark.parametrize(
    "sent",
    [
        b"",
        HEAD,
        UPLOAD + b"\r\n",
        UPLOAD + LOGIN + b"\r\n",
        b"POST /api/chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n" + LOGIN + b"\r\n",
    ],
    ids=["nothing", "headers", "upload of a stranger", "upload", "question"],
)
def test_slow_requests_are_closed(site: Site, connect: Callable[..., socket.socket], folder: Path, sent: bytes) -> None:
    connection = connect(sent)
    deadline = time.monotonic() + GUARD
    with suppress(OSError):
        while time.monotonic() < deadline:
            connection.sendall(b"x")
            time.sleep(0.05)

    assert time.monotonic() < deadline
    assert is_served(site)
    assert list((folder / "uploads").iterdir()) == []


@pytest.mark.usefixtures("fast_clock")
def test_paused_player_is_not_disconnected(connect: Callable[..., socket.socket]) -> None:
    player = connect(PLAY)
    received = len(player.recv(100))

    time.sleep(2)

    assert received + len(read_until_closed(player)) > 50_000_000


@pytest.mark.usefixtures("fast_clock")
def test_steady_upload_is_not_disconnected(site: Site, tmp_path: Path) -> None:
    talk = render_talk(tmp_path / "talk.mp4", [["Hello"]]).read_bytes()

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(talk), len(talk) // 20):
            time.sleep(0.1)
            yield talk[start : start + len(talk) // 20]

    answer = httpx.put(f"{site.address}api/uploads/talk.mp4", content=chunks(), auth=AUTH, timeout=GUARD)

    assert answer.status_code == 201


def test_large_headers_are_rejected(connect: Callable[..., socket.socket]) -> None:
    assert b"400 Bad Request" in read_until_closed(connect(HEAD + b"X-Long: " + bytes(b"a" * 100_000)))


def test_strangers_get_one_response_per_connection(connect: Callable[..., socket.socket]) -> None:
    assert read_until_closed(connect((HEAD + b"\r\n") * 100)).count(b"401 Unauthorized") == 1


def test_client_that_logged_in_is_not_delayed_by_others_at_its_address(site: Site) -> None:
    with httpx.Client(auth=AUTH) as owner, httpx.Client(auth=("anyone", "wrong")) as stranger:
        assert owner.get(site.address).status_code == 200
        codes = [stranger.get(site.address).status_code for _ in range(20)]

        assert codes == [401] * 5 + [429] * 15
        assert owner.get(site.address).status_code == 200


@pytest.mark.parametrize("model", ["endless", "long"])
def test_abandoned_chat_stops_without_an_error(
    site: Site, endless: EndlessChat, model: str, caplog: pytest.LogCaptureFixture
) -> None:
    question = {"question": "How many pegs?", "model": model}

    for _ in range(3):
        endless.stopped.clear()
        with httpx.stream("POST", f"{site.address}api/chat", json=question, auth=AUTH, timeout=GUARD) as answer:
            next(answer.iter_bytes())
        if model == "endless":
            assert endless.stopped.wait(GUARD)
    gc.collect()

    assert is_served(site)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_chats_leave_threads_for_other_requests(site: Site, connect: Callable[..., socket.socket]) -> None:
    question = b'{"question": "How many pegs?", "model": "endless"}'
    head = b"POST /api/chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n" % len(question)

    for _ in range(60):
        assert connect(head + LOGIN + b"\r\n" + question).recv(100).startswith(b"HTTP/1.1 200")

    assert is_served(site)


def test_too_many_uploads_at_once_are_refused(site: Site, connect: Callable[..., socket.socket], folder: Path) -> None:
    uploads = [connect(UPLOAD + LOGIN + b"\r\n" + bytes(1000)) for _ in range(4)]
    while len(list(folder.glob("uploads/*/a.mp4"))) < 4:
        time.sleep(0.01)

    refused = httpx.put(f"{site.address}api/uploads/b.mp4", content=b"b", auth=AUTH)
    for upload in uploads:
        upload.close()
    while any((folder / "uploads").iterdir()):
        time.sleep(0.01)
    accepted = httpx.put(f"{site.address}api/uploads/b.mp4", content=b"b", auth=AUTH)

    assert refused.status_code == 503
    assert "too many uploads" in refused.json()["error"]
    assert accepted.status_code == 415


def test_incomplete_upload_of_a_killed_server_is_removed_at_the_next_start(
    site: Site, connect: Callable[..., socket.socket], folder: Path, tmp_path: Path
) -> None:
    program = f"""
import asyncio, sys
from pathlib import Path
from langchain_videochat.app.uploads import save_upload

async def chunks():
    yield bytes(1000)
    print("received", flush=True)
    await asyncio.sleep(1000)

asyncio.run(save_upload(chunks(), "half.mp4", Path({str(folder / "uploads")!r}), 10**6))
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "received\n"
        site.stop()
        site.start()
        while_running = list(folder.rglob("half.mp4"))
        killed.send_signal(signal.SIGKILL)
    site.stop()
    site.start()

    assert len(while_running) == 1
    assert list((folder / "uploads").iterdir()) == []
