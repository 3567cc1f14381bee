"""Chromium shows the frames that this package reads at the same times, so citations play the intended moment."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from playwright.sync_api import Browser, Page
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from langchain_videochat import VideoTimelineStore
from langchain_videochat.media import probe, sample_frames
from tests.browser import Site, chromium, find_chromium
from tests.edit_lists import write_edit_list
from tests.numbered_video import make_numbered, read_number
from tests.talks import CONTAINERS, WEBM, make_talk

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="Chromium is not installed")

SHOWN = """async (time) => {
  const video = document.querySelector("video");
  const seeked = new Promise((done) => video.addEventListener("seeked", done, { once: true }));
  typeof player === "undefined" ? (video.currentTime = time) : player.seek(time);
  await seeked;
  await new Promise((done) => setTimeout(done, 50));
  const canvas = Object.assign(document.createElement("canvas"), { width: 160, height: 120 });
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0, 160, 120);
  return [...context.getImageData(0, 0, 160, 120).data];
}"""
"""Returns the pixels that a video shows at a time, in RGBA; on our page, its player seeks."""

PLAYABLE = [(name, arguments, options) for name, arguments, options in CONTAINERS
            if Path(name).suffix in (".mp4", ".mov", ".webm", ".mkv") and "both late" not in name]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    server = uvicorn.Server(
        uvicorn.Config(Starlette(routes=[Mount("/", StaticFiles(directory=tmp_path))]), port=0, log_level="error")
    )
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/nothing")
    yield page
    page.close()
    server.should_exit = True


def shown(page: Page, time: float) -> int:
    pixels = np.array(page.evaluate(SHOWN, time), dtype=np.uint8).reshape(120, 160, 4)
    return read_number(pixels[..., :3])


def play(page: Page, path: Path) -> float:
    """Load a video, and return its duration in seconds."""
    page.evaluate(
        """async (name) => {
          document.body.innerHTML = "<video muted></video>";
          const video = document.querySelector("video");
          const loaded = new Promise((done) => video.addEventListener("loadeddata", done, { once: true }));
          video.src = name;
          await loaded;
        }""",
        path.name,
    )
    return float(page.evaluate("document.querySelector('video').duration"))


def assert_same(page: Page, path: Path) -> None:
    duration = play(page, path)
    info = probe(path)
    assert info.duration == pytest.approx(duration, abs=0.05)
    # In the middle of a frame, as times are rounded in different ways.
    batches = list(sample_frames(path, fps=0.45, mode="exact"))
    frames = [frame for batch in batches for frame in batch.frames]
    times = [time + 0.02 for batch in batches for time in batch.times.tolist()]
    assert [read_number(frame) for frame in frames] == [shown(page, time) for time in times]


@pytest.mark.parametrize(("name", "arguments", "options"), PLAYABLE, ids=[name for name, *_ in PLAYABLE])
def test_chromium_shows_the_same_frames(
    name: str, arguments: dict[str, Any], options: list[str], page: Page, tmp_path: Path
) -> None:
    assert_same(page, make_talk(tmp_path / name, *options, **arguments))


def test_chromium_applies_edit_lists_in_the_same_way(page: Page, tmp_path: Path) -> None:
    path = make_numbered(tmp_path / "edited.mp4", times=[40 * number for number in range(150)], gop=24,
                         container_options={"movie_timescale": "1000"})  # fmt: skip
    write_edit_list(path, [(1600, 75 * 640), (1000, 25 * 640)])
    assert_same(page, path)


@pytest.mark.parametrize("ending", [".webm", ".mp4"])
def test_the_page_counts_from_the_first_picture_or_sound(ending: str, browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    codecs = WEBM if ending == ".webm" else {}
    video = make_talk(folder / f"late{ending}", video_delay=5, audio_delay=5, **codecs)
    for file in folder.glob("numbers*"):
        file.unlink()
    store = VideoTimelineStore(tmp_path / "store")
    store.index(video, profile="lite", show_progress=False)
    site = Site(store, folder, {}, profile="lite")
    site.start()
    page = browser.new_page()
    page.goto(site.address)
    page.wait_for_function("() => document.querySelector('video').readyState > 1")
    assert page.evaluate("player.time") == pytest.approx(0, abs=0.05)
    assert shown(page, 0.53) == pytest.approx(13, abs=1)
    page.close()
    site.stop()
