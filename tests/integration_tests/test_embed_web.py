"""Videos and images on the web."""

import gc
import shutil
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import PIL.Image
import pytest
from langchain_core.messages import HumanMessage

from langchain_videochat import VideoChatEmbed
from langchain_videochat.embed.conversation import NUM_FRAMES, Image, Video
from langchain_videochat.embed.media_refs import MediaRef
from langchain_videochat.embed.messages import file_states
from langchain_videochat.embed.visual_cache import MediaFormat
from langchain_videochat.errors import MediaError, SourceError
from langchain_videochat.utils.interval import Interval
from tests.numbered_video import make_numbered, read_number
from tests.opened_media import read_conversation
from tests.slides import render_talk
from tests.tiny_videochat import save_videochat


class QuietHandler(SimpleHTTPRequestHandler):
    requested: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.requested.append(self.path)
        super().do_GET()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    make_numbered(folder / "film.mp4")
    PIL.Image.new("RGB", (8, 6), "red").save(folder / "red.png")
    (folder / "noise.mp4").write_bytes(bytes(999))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder))) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()


def test_videos_and_images_are_downloaded_and_deleted(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    blocks: list[str | dict[str, object]] = [
        {"type": "video", "url": f"{server}/film.mp4?a=1", "extras": {"start": 1, "end": 2, "num_frames": 1}},
        {"type": "image_url", "image_url": {"url": f"{server}/red.png"}},
        "What is it?",
    ]
    messages = [HumanMessage(blocks)]
    ((video, image, _),) = [turn.content for turn in read_conversation(messages, allowed_hosts=["127.0.0.1"])]
    assert isinstance(video, Video)
    assert [read_number(frame) for frame in video.frames] == [37]
    assert isinstance(image, Image)
    assert image.pixels[0, 0].tolist() == [255, 0, 0]
    assert not list(tmp_path.iterdir())
    assert file_states(messages) == []


def test_failed_downloads(server: str) -> None:
    for name, error in (("missing.mp4", SourceError), ("noise.mp4", MediaError), ("", SourceError)):
        with pytest.raises(error):
            read_conversation(
                [HumanMessage([{"type": "video", "url": f"{server}/{name}"}])], allowed_hosts=["127.0.0.1"]
            )
    with pytest.raises(SourceError, match="refused"):
        read_conversation([HumanMessage([{"type": "video", "url": f"{server}/film.mp4"}])])


def test_a_url_that_serves_another_file_later(server: str, folder: Path, tmp_path: Path) -> None:
    llm = VideoChatEmbed(model=str(save_videochat(tmp_path / "videochat")))

    def encode(url: str, start: int) -> list[float]:
        """Encode a second of a video, and return the mean of each visual token."""
        llm.load()
        assert llm._loaded is not None
        cache = llm._loaded.visual_cache
        with cache.open(MediaRef("video", url, allowed_hosts=("127.0.0.1",))) as file:
            (tokens,) = cache.encode_segments(file, [Interval(start, start + 1)], MediaFormat(NUM_FRAMES))
        means: list[float] = tokens.embeddings.mean(dim=1).tolist()
        return means

    other = render_talk(tmp_path / "other.mp4", [["Whisk"]], seconds=4.0)
    expected, unexpected = (encode(path.as_uri(), 2) for path in (folder / "film.mp4", other))
    assert expected != unexpected
    copy = Path(shutil.copy(folder / "film.mp4", tmp_path / "copy.mp4"))
    llm.unload()
    gc.collect()
    served = Path(shutil.copy(copy, folder / "served.mp4"))
    encode(f"{server}/served.mp4", 0)
    shutil.copy(other, served)
    encode(f"{server}/served.mp4", 2)
    assert encode(copy.as_uri(), 2) == expected


def test_a_video_is_downloaded_once_for_several_questions(server: str, tmp_path: Path) -> None:
    folder = str(save_videochat(tmp_path / "videochat"))
    llm = VideoChatEmbed(model=folder, allowed_hosts=["127.0.0.1"], max_tokens=5)
    video: dict[str, object] = {"type": "video", "url": f"{server}/film.mp4?several"}
    message = HumanMessage([video, "What is it?"])
    first = llm.invoke([message])
    assert llm.invoke([message, first, HumanMessage("And then?")]).text
    assert VideoChatEmbed(model=folder, allowed_hosts=["127.0.0.1"], max_tokens=5).invoke([message]).text == first.text
    assert QuietHandler.requested.count("/film.mp4?several") == 1
    with pytest.raises(SourceError, match="refused"):
        VideoChatEmbed(model=folder, max_tokens=5).invoke([message])
    assert QuietHandler.requested.count("/film.mp4?several") == 1
