"""The page and the report in a real browser."""

import base64
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, expect

from langchain_videochat import VideoTimelineStore
from langchain_videochat.app import Chat, Collection, EmbedChat, TimelineChat, write_report
from langchain_videochat.media import Damage, sample_frames
from langchain_videochat.perception import Observation
from tests.browser import SCREENSHOTS, Site, chromium, find_chromium
from tests.scripted_model import ScriptedModel
from tests.slides import render_talk
from tests.tiny_vision import tiny_siglip
from tests.unit_tests.embeddings import BagOfWords, make_timeline

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="Chromium is not installed: apt install chromium")

HOSTILE = "<img src=x onerror=\"document.title='taken over'\"><script>document.title='taken over'</script>"
TENT = "a" * 16
TIMEOUT = 20_000
"""Milliseconds that a browser may take on two busy cores."""

TIME = "document.getElementById('player').currentTime"
PAUSED = "document.getElementById('player').paused"

OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    render_talk(folder / "tent.mp4", [["Pegs"], ["Poles"], ["Ropes"]])
    return folder


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_siglip(tmp_path_factory.mktemp("siglip"))


@pytest.fixture
def store(tmp_path: Path, folder: Path, siglip: Path) -> VideoTimelineStore:
    """A video with hostile text and title, and an hour with 10,000 observations whose file is missing."""
    store = VideoTimelineStore(tmp_path / "store", embedding=BagOfWords(), visual_embedding=siglip)
    many = [Observation(n * 0.36, n * 0.36 + 0.3, "object", f"thing {n}") for n in range(10_000)]
    store.add(make_timeline("hour", *many), damage=[Damage("sound", "no <b>sound</b>")])
    tent = make_timeline(
        HOSTILE,
        *(Observation(4 * n, 4 * n + 4, "scene", f"Scene from 00:0{4 * n}") for n in range(3)),
        Observation(1, 3, "speech", HOSTILE),
        Observation(4, 8, "screen_text", "You need eight pegs"),
        Observation(8, 12, "screen_text", "Tie the ropes"),
        source=str(folder / "tent.mp4"),
    )
    store.add(replace(tent, video_id=TENT))
    return store


def answer(prompt: str) -> str:
    if "a dog?" in prompt:
        return "A dog [9]."
    return "The video does not show this." if "a cat?" in prompt else "Eight pegs [1].\nThen **ropes**."


@pytest.fixture
def site(tmp_path: Path, folder: Path, store: VideoTimelineStore) -> Iterator[Site]:
    profile = tmp_path / "quick.yaml"
    profile.write_text("- subtitles\n- scenes\n")
    chats: dict[str, Chat] = {
        "text": TimelineChat(ScriptedModel(script=answer), store),
        "embed": EmbedChat("no/such/model", Collection(store, folder)),
    }
    site = Site(store, folder, chats, profile=str(profile))
    site.start()
    yield site
    site.stop()


@pytest.fixture
def open_page(browser: Browser, site: Site) -> Iterator[OpenPage]:
    """Open the page in a tab; console errors fail the test."""
    problems: list[str] = []
    contexts = []

    def record_error(message: ConsoleMessage) -> None:
        # Some tests stop the server or have it reject a file.
        if message.type == "error" and "Failed to load resource" not in message.text:
            problems.append(message.text)

    def open_page(theme: str = "light", width: int = 1400) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT)
        page.on("console", record_error)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(site.address)
        expect(page.locator(".lane-labels div").first).to_be_visible(timeout=TIMEOUT)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def wait_for(page: Page, condition: str) -> None:
    page.wait_for_function(f"() => {condition}", timeout=TIMEOUT)


def upload(page: Page, *files: Path) -> None:
    page.set_input_files("#files", files)


def ask(page: Page, question: str) -> None:
    page.fill("#question", question)
    page.keyboard.press("Enter")


def test_upload_search_and_chat_survive_a_reload(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page()
    upload(page, render_talk(tmp_path / "kitchen.mp4", [["Whisk"], ["Fold"]]))
    expect(page.locator("#title")).to_have_text("kitchen", timeout=TIMEOUT)
    page.locator("[data-id]", has_text=HOSTILE).click()

    page.fill("#query", "tie the ropes")
    page.keyboard.press("Enter")
    page.locator(".hit").first.click()
    wait_for(page, f"Math.abs({TIME} - 8) < 0.05")

    ask(page, "How many pegs?")
    page.locator(".citations button").first.click()
    wait_for(page, f"!{PAUSED}")
    wait_for(page, PAUSED)
    start, end = page.evaluate("[chat.turns[0].citations[0].start, chat.turns[0].citations[0].end]")
    assert start < end <= page.evaluate(TIME) < end + 0.3

    page.reload()
    expect(page.locator(".message").last).to_contain_text("Eight pegs [1].\nThen **ropes**.")
    expect(page.locator(".hit").first).to_contain_text("Tie the ropes")
    expect(page.locator("#title")).to_have_text(HOSTILE)
    wait_for(page, f"Math.abs({TIME} - {end}) < 0.3")
    page.locator(".message button").first.click()
    wait_for(page, f"!{PAUSED}")


@pytest.mark.parametrize(("animal", "is_marked"), [("dog", True), ("cat", False)])
def test_an_answer_without_support_shows_it_and_the_closest_moments(
    open_page: OpenPage, animal: str, is_marked: bool
) -> None:
    page = open_page()
    ask(page, f"Who can tie the ropes: a {animal}?")
    shown = page.locator(".message").last
    expect(shown).to_contain_text("The closest moments:", timeout=TIMEOUT)
    assert ("Not supported by the videos" in (shown.text_content() or "")) is is_marked
    page.reload()
    shown.locator(".citations button", has_text="00:08-00:12").click()
    wait_for(page, f"Math.abs({TIME} - 8) < 4")


def test_lanes_show_a_tooltip_and_seek_on_click(open_page: OpenPage) -> None:
    page = open_page()
    box = page.locator(".lane-scroller").bounding_box()
    top = page.evaluate("lanes.lanes.find((lane) => lane.modality === 'screen_text').barTop + 5")
    assert box is not None

    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + top)
    expect(page.locator(".tip")).to_have_text("00:04–00:08  You need eight pegs")  # noqa: RUF001 - as it is typeset
    page.mouse.click(box["x"] + box["width"] * 0.9, box["y"] + top)

    wait_for(page, f"Math.abs({TIME} - 8) < 0.05")


def test_sliders_are_positioned_over_their_lanes(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_role("button", name="Zoom in").click()
    page.evaluate("lanes.scroller.scrollLeft = 200")

    canvas = page.locator(".lanes canvas").bounding_box()
    sliders = [slider.bounding_box() for slider in page.locator(".lanes [role=slider]").all()]

    tops = page.evaluate("lanes.lanes.map((lane) => lane.top)")
    assert canvas is not None
    assert [box and box["y"] - canvas["y"] for box in sliders] == pytest.approx(tops, abs=1)
    assert {box and (box["x"], box["width"]) for box in sliders} == {(canvas["x"], canvas["width"])}


def test_everything_is_reachable_by_keyboard(open_page: OpenPage) -> None:
    page = open_page()
    reached = set()
    page.focus("#query")
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.getAttribute('aria-label')"))
    page.get_by_role("slider", name="On screen").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")

    assert {"upload", "player", "model", "log", "question", "send", "only"} <= reached
    wait_for(page, f"Math.abs({TIME} - 8) < 0.05")
    slider = page.get_by_role("slider", name="On screen")
    assert slider.get_attribute("aria-valuetext") == "00:08 to 00:12: Tie the ropes"


def test_text_and_names_are_never_executed(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page()
    upload(page, render_talk(tmp_path / "a.mp4", [["Hello"]]).rename(tmp_path / "<img src=x onerror=alert(1)>.mp4"))
    expect(page.locator("[data-id]")).to_have_count(3, timeout=TIMEOUT)
    page.locator("[data-id]", has_text=HOSTILE).click()
    page.fill("#query", "onerror")
    page.keyboard.press("Enter")
    expect(page.locator(".hit").first).to_contain_text("<script>")
    page.click("summary")
    expect(page.locator("#transcript")).to_contain_text(HOSTILE)
    ask(page, HOSTILE)
    expect(page.locator(".citations").first).to_be_visible()

    assert page.title() == f"{HOSTILE} – VideoChat"  # noqa: RUF001 - as it is typeset
    assert page.locator("#hits img, #transcript img, #chat img, #hits script").count() == 0


@pytest.fixture
def pictures(tmp_path: Path, folder: Path, store: VideoTimelineStore, siglip: Path) -> dict[str, Path]:
    """Frames of videos in the store, which has their embeddings, by what they show."""
    profile = tmp_path / "visual.yaml"
    profile.write_text(f"- scenes\n- visual: {{model: {siglip}}}\n")
    videos = [render_talk(folder / f"{name}.mp4", [[name.title()]] * 2) for name in ("dinner", "garden")]
    store.index(videos, profile=profile, show_progress=False)
    frames = {}
    for video in videos:
        (batch,) = sample_frames(video, times=[2.0])
        frames[video.stem] = tmp_path / f"{video.stem}.png"
        Image.fromarray(batch.frames[0]).save(frames[video.stem])
    return frames


def drop(page: Page, file: Path) -> None:
    """Drop a file on the page, as a file manager does."""
    script = """([name, content]) => {
        const transfer = new DataTransfer();
        const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
        transfer.items.add(new File([bytes], name, { type: "image/png" }));
        return transfer;
    }"""
    content = base64.b64encode(file.read_bytes()).decode()
    page.dispatch_event("body", "drop", {"dataTransfer": page.evaluate_handle(script, [file.name, content])})


@pytest.mark.parametrize("show", [drop, lambda page, file: page.set_input_files("#picture-file", file)])
def test_a_picture_finds_its_moment(
    show: Callable[[Page, Path], None], pictures: dict[str, Path], open_page: OpenPage
) -> None:
    page = open_page()
    show(page, pictures["garden"])

    expect(page.locator("#hits")).to_contain_text("Similar to garden.png", timeout=TIMEOUT)
    expect(page.locator(".hit").first).to_contain_text("garden")
    wait_for(page, "document.querySelector('.hit img').naturalWidth > 0")
    page.screenshot(path=SCREENSHOTS / "picture.png")
    page.locator(".hit").first.click()
    expect(page.locator("#title")).to_have_text("garden")


def test_frames_find_moments_that_look_like_them(pictures: dict[str, Path], open_page: OpenPage) -> None:
    page = open_page()
    page.locator("[data-id]", has_text=HOSTILE).click()
    expect(page.locator("#similar")).to_be_hidden()  # its frames were not embedded
    page.locator("[data-id]", has_text="dinner").click()
    page.click("#similar")

    expect(page.locator("#hits")).to_contain_text("Similar to dinner at 00:00", timeout=TIMEOUT)
    expect(page.locator(".hit")).to_contain_text("garden")  # not its own moment
    page.click(".similar")
    expect(page.locator("#hits")).to_contain_text("Similar to garden at 00:00", timeout=TIMEOUT)
    expect(page.locator(".hit")).to_contain_text("dinner")


def test_a_file_that_is_not_a_picture_shows_an_error(
    pictures: dict[str, Path], open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page()
    letter = tmp_path / "letter.png"
    letter.write_text("Dear customer")
    drop(page, letter)

    expect(page.locator("#hits .bad")).to_contain_text("is not a picture", timeout=TIMEOUT)


def test_rejected_uploads_show_an_error(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page()
    not_a_video, large = tmp_path / "letter.mp4", tmp_path / "large.mp4"
    not_a_video.write_text("Dear Sir")
    large.write_bytes(bytes(10**7 + 1))

    upload(page, not_a_video, large)

    expect(page.locator(".job .bad")).to_have_count(2, timeout=TIMEOUT)
    messages = page.locator(".job .bad").all_inner_texts()
    assert "letter.mp4" in messages[0]
    assert messages[1] == "The file is larger than the limit of 10 MB."
    page.locator(".job button").first.click()
    expect(page.locator(".job .bad")).to_have_count(1)


def test_aborted_upload_leaves_nothing_behind(open_page: OpenPage, site: Site, folder: Path) -> None:
    page = open_page()
    host, port = site.address.removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"PUT /api/uploads/half.mp4 HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n\r\n"
        connection.sendall(head.encode() + bytes(500))
        uploads = folder / "uploads"
        while not any(uploads.rglob("half.mp4")):
            time.sleep(0.01)

    while any(uploads.iterdir()):
        time.sleep(0.01)
    page.reload()
    expect(page.locator("[data-id]")).to_have_count(2)


def test_unavailable_model_shows_an_error_and_another_can_be_used(open_page: OpenPage) -> None:
    page = open_page()
    page.select_option("#model", "embed")
    ask(page, "What happens?")
    expect(page.locator(".message .bad")).to_contain_text("no/such/model", timeout=TIMEOUT)

    page.select_option("#model", "text")
    ask(page, "How many pegs?")

    expect(page.locator(".message").last).to_contain_text("Eight pegs")


def test_without_a_chat_model_the_page_shows_how_to_add_one(
    browser: Browser, store: VideoTimelineStore, folder: Path
) -> None:
    site = Site(store, folder, {}, profile="lite")
    site.start()
    page = browser.new_page()
    page.goto(site.address)
    expect(page.locator("#no-model")).to_contain_text("--model ollama:qwen3")
    ask(page, "How many pegs?")
    expect(page.locator("#send")).to_be_disabled()
    expect(page.locator(".message")).to_have_count(0)
    page.close()
    site.stop()


def test_tabs_see_each_others_changes(open_page: OpenPage, tmp_path: Path) -> None:
    one, two = open_page(), open_page()
    upload(one, render_talk(tmp_path / "kitchen.mp4", [["Whisk"]]))
    expect(one.locator("#title")).to_have_text("kitchen", timeout=TIMEOUT)

    two.evaluate("dispatchEvent(new Event('focus'))")
    expect(two.locator("[data-id]")).to_have_count(3, timeout=TIMEOUT)
    expect(two.locator("#title")).to_have_text(HOSTILE)
    two.on("dialog", lambda dialog: dialog.accept())
    two.get_by_role("button", name="Remove kitchen").click()
    one.evaluate("dispatchEvent(new Event('focus'))")

    expect(one.locator("[data-id]")).to_have_count(2, timeout=TIMEOUT)
    expect(one.locator("#title")).to_have_text(HOSTILE)


def test_page_survives_a_restart_of_the_server(open_page: OpenPage, site: Site) -> None:
    page = open_page()
    ask(page, "How many pegs?")
    expect(page.locator(".citations")).to_be_visible()

    site.stop()
    page.evaluate("dispatchEvent(new Event('focus'))")
    expect(page.locator("#banner")).to_contain_text("does not respond", timeout=TIMEOUT)
    ask(page, "And how many ropes?")
    expect(page.locator(".message .bad")).to_contain_text("does not respond", timeout=TIMEOUT)
    site.start()

    expect(page.locator("#banner")).to_be_hidden(timeout=TIMEOUT)
    ask(page, "And how many ropes?")
    expect(page.locator(".citations")).to_have_count(2, timeout=TIMEOUT)


def test_hour_with_many_observations_can_be_zoomed_and_scrolled(open_page: OpenPage) -> None:
    page = open_page()
    page.locator("[data-id]", has_text="hour").click()
    expect(page.locator("#notice")).to_contain_text("no such file")
    expect(page.locator("#notice")).to_contain_text("The file is damaged: no <b>sound</b>.")
    expect(page.locator(".lane-labels div")).to_have_text(["Objects"])
    zoom_in = page.get_by_role("button", name="Zoom in")
    for _ in range(8):
        zoom_in.click()
    page.evaluate("lanes.scroller.scrollLeft = lanes.scroller.scrollWidth")
    box = page.locator(".lane-scroller").bounding_box()
    assert box is not None

    page.mouse.move(box["x"] + box["width"] - 8, box["y"] + 30)

    expect(page.locator(".tip")).to_contain_text("thing 9999")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_page_is_accessible(open_page: OpenPage, theme: str) -> None:
    page = open_page(theme)
    page.fill("#query", "ropes")
    page.keyboard.press("Enter")
    expect(page.locator(".hit").first).to_be_visible()
    ask(page, "How many pegs?")
    expect(page.locator(".citations")).to_be_visible()
    page.click("summary")

    found = Axe().run(page).response["violations"]

    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"page-{theme}.png", full_page=True)
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []


@pytest.mark.parametrize("width", [400, 900])
def test_page_fits_small_screens(open_page: OpenPage, width: int) -> None:
    page = open_page(width=width)

    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_report_works_without_a_server(browser: Browser, store: VideoTimelineStore, tmp_path: Path) -> None:
    written = write_report(store.timeline(TENT), tmp_path / "report.html")
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    requests: list[str] = []

    def block(route: Route) -> None:
        requests.append(route.request.url)
        route.abort()

    page.route("http*://**", block)
    page.goto(written.as_uri())
    page.fill("#query", "ROPE\u0301S tie")
    expect(page.locator("#notice")).to_have_text("1 found")
    page.locator("#transcript li:visible button").click()
    wait_for(page, f"Math.abs({TIME} - 8) < 0.05")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "report.png", full_page=True)
    found = Axe().run(page).response["violations"]
    title = page.title()
    context.close()

    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
    assert title == HOSTILE
    assert requests == []
