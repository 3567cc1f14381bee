"""The page: how soon lanes are there, and whether they can be scrolled, in a real browser."""

import tempfile
import time
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser

from langchain_videochat import VideoTimelineStore
from langchain_videochat.media import probe, video_id
from langchain_videochat.perception import MODALITIES, Observation
from langchain_videochat.timeline import Timeline
from tests.benchmarks.media import repeated, talk
from tests.benchmarks.report import Table, progress
from tests.benchmarks.search import RandomEmbeddings
from tests.browser import Site, chromium

PART = 300
"""Seconds of the talk that is repeated until the hour is full."""

PARTS = 12
OBSERVATIONS = 10_000
SCENE = 9.0
"""Seconds."""

OPENINGS = 5

SOON = 2.0
"""Seconds after which lanes should be there."""

SMOOTH = 0.1
"""Seconds between two pictures of the page that people see as a jerk."""

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
    """Open a long video some times, then scroll through it at three sizes."""
    parts, count = max(1, round(PARTS * scale)), max(100, round(OBSERVATIONS * scale))
    video = repeated(talk(PART), parts)
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        folder = Path(name)
        store = VideoTimelineStore(folder / "store", embedding=RandomEmbeddings())
        store.add(_timeline(video, count))
        site = Site(store, video.parent, {}, profile="lite")
        site.start()
        progress("  opening and scrolling it")
        first, *later = [_open(browser, site) for _ in range(OPENINGS)]
        gaps = _scroll(browser, site)
        site.stop()
    table = Table(f"The page: a video of {parts * PART // 60} minutes with {count:,} observations", "s")
    table.cost("from opening the page to its lanes", first, "2 seconds", SOON, at_most=1)
    table.cost("the same, the next times", median(later), "2 seconds", SOON, at_most=1)
    table.cost("scrolling: the longest time without a new picture", gaps[-1], "a tenth of a second", SMOOTH, at_most=1)
    share = gaps[int(len(gaps) * 0.95)]
    table.notes = [f"Half of the pictures came within {1000 * median(gaps):.0f} ms, 95 % in {1000 * share:.0f}."]
    return table


def _timeline(video: Path, count: int) -> Timeline:
    """Make observations of all kinds: scenes one after the other, and others of some seconds, several at once."""
    facts = probe(video)
    scenes = int(facts.duration / SCENE)
    seen = [Observation(SCENE * number, SCENE * (number + 1), "scene", f"Scene {number}") for number in range(scenes)]
    others = [modality for modality in MODALITIES if modality != "scene"]
    step = (facts.duration - SCENE) / (count - scenes)
    for number in range(count - scenes):
        start, modality = number * step, others[number % len(others)]
        seen.append(Observation(start, start + 1 + number % 7, modality, f"what is noticed as number {number}"))
    return Timeline.of(facts, video_id(video), seen)


def _open(browser: Browser, site: Site) -> float:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    begin = time.perf_counter()
    page.goto(site.address, wait_until="commit")
    page.wait_for_selector(".lane-labels div")
    page.evaluate("() => new Promise(requestAnimationFrame)")  # by then they are drawn
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
