"""The page: time until lanes are drawn, and smoothness of scrolling, in a real browser."""

import tempfile
import time
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser

from langchain_videochat import VideoTimelineStore
from langchain_videochat.media import probe, video_id
from langchain_videochat.perception import Observation
from langchain_videochat.perception.modalities import list_modalities
from langchain_videochat.timeline import Timeline
from tests.benchmarks.media import repeated, talk
from tests.benchmarks.report import Table, progress
from tests.benchmarks.search import RandomEmbeddings
from tests.browser import Site, chromium

PART = 300
"""Seconds of the talk that is repeated to fill an hour."""

PARTS = 12
OBSERVATIONS = 10_000
SCENE_SECONDS = 9.0

REPEATS = 5

MAX_LOAD_SECONDS = 2.0
"""Seconds within which lanes should be drawn."""

MAX_FRAME_GAP = 0.1
"""Seconds between two frames that are noticeable as a jerk."""

SCROLL = """
async () => {
  const gaps = [];
  const next = () => new Promise(requestAnimationFrame);
  for (const zoom of [0, 3, 6]) {
    lanes.zoomBy(1 / 1e6);
    lanes.zoomBy(2 ** zoom);
    let before = await next();
    for (let step = 0; step < 120; step++) {
      lanes.scroller.scrollLeft = step * 40;
      lanes.requestDraw();
      const now = await next();
      gaps.push((now - before) / 1000);
      before = now;
    }
  }
  return gaps.sort((one, other) => one - other);
}
"""


def measure(scale: float) -> Table:
    """Open a long video several times, then scroll through it at three zoom levels."""
    parts, count = max(1, round(PARTS * scale)), max(100, round(OBSERVATIONS * scale))
    video = repeated(talk(PART), parts)
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        folder = Path(name)
        store = VideoTimelineStore(folder / "store", embedding=RandomEmbeddings())
        store.add(_timeline(video, count))
        site = Site(store, video.parent, {}, profile="lite")
        site.start()
        progress("  loading and scrolling")
        first, *later = [_open(browser, site) for _ in range(REPEATS)]
        gaps = _scroll(browser, site)
        site.stop()
    table = Table(f"The page: a video of {parts * PART // 60} minutes with {count:,} observations", "s")
    table.cost("loading the page until lanes are drawn", first, "2 seconds", MAX_LOAD_SECONDS, at_most=1)
    table.cost("the same, reloaded", median(later), "2 seconds", MAX_LOAD_SECONDS, at_most=1)
    table.cost("scrolling: longest gap between frames", gaps[-1], "0.1 seconds", MAX_FRAME_GAP, at_most=1)
    middle, p95 = 1000 * median(gaps), 1000 * gaps[int(len(gaps) * 0.95)]
    table.notes = [f"Gaps between frames while scrolling: median {middle:.0f} ms, 95th percentile {p95:.0f} ms."]
    return table


def _timeline(video: Path, count: int) -> Timeline:
    """Make a timeline with scenes, and overlapping observations of all other modalities."""
    facts = probe(video)
    scenes = int(facts.duration / SCENE_SECONDS)
    observations = [
        Observation(SCENE_SECONDS * number, SCENE_SECONDS * (number + 1), "scene", f"Scene {number}")
        for number in range(scenes)
    ]
    others = [one.name for one in list_modalities() if one.name != "scene"]
    step = (facts.duration - SCENE_SECONDS) / (count - scenes)
    for number in range(count - scenes):
        start, modality = number * step, others[number % len(others)]
        observations.append(Observation(start, start + 1 + number % 7, modality, f"observation number {number}"))
    return Timeline.of(facts, video_id(video), observations)


def _open(browser: Browser, site: Site) -> float:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    begin = time.perf_counter()
    page.goto(site.address, wait_until="commit")
    page.wait_for_selector(".lane-labels div")
    page.evaluate("() => new Promise(requestAnimationFrame)")  # after this frame they are drawn
    taken = time.perf_counter() - begin
    page.close()
    return taken


def _scroll(browser: Browser, site: Site) -> list[float]:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(site.address)
    page.wait_for_selector(".lane-labels div")
    gaps: list[float] = page.evaluate(SCROLL)
    page.close()
    return gaps
