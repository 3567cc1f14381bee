"""Messages that show what lies on the web."""

import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import PIL.Image
import pytest
from langchain_core.messages import HumanMessage

from langchain_videochat.embed.conversation import Image, Video
from langchain_videochat.embed.messages import file_states, read_messages
from langchain_videochat.errors import MediaError, SourceError
from tests.numbered_video import make_numbered, read_number


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    make_numbered(folder / "film.mp4")
    PIL.Image.new("RGB", (8, 6), "red").save(folder / "red.png")
    (folder / "noise.mp4").write_bytes(bytes(999))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder))) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()


def test_videos_and_images_are_fetched_and_not_kept(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    blocks: list[str | dict[str, object]] = [
        {"type": "video", "url": f"{server}/film.mp4?a=1", "extras": {"start": 1, "end": 2, "num_frames": 1}},
        {"type": "image_url", "image_url": {"url": f"{server}/red.png"}},
        "What is it?",
    ]
    messages = [HumanMessage(blocks)]
    ((video, image, _),) = [turn.content for turn in read_messages(messages, allowed_hosts=["127.0.0.1"])]
    assert isinstance(video, Video)
    assert [read_number(frame) for frame in video.frames] == [37]
    assert isinstance(image, Image)
    assert image.pixels[0, 0].tolist() == [255, 0, 0]
    assert not list(tmp_path.iterdir())
    assert file_states(messages) == []


def test_what_cannot_be_fetched_or_read(server: str) -> None:
    for name, error in (("missing.mp4", SourceError), ("noise.mp4", MediaError), ("", SourceError)):
        with pytest.raises(error):
            read_messages([HumanMessage([{"type": "video", "url": f"{server}/{name}"}])], allowed_hosts=["127.0.0.1"])
    with pytest.raises(SourceError, match="refused"):
        read_messages([HumanMessage([{"type": "video", "url": f"{server}/film.mp4"}])])
