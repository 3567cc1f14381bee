"""Responses of the page's server, and requests that it rejects."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from langchain_videochat import VideoTimelineStore
from langchain_videochat.app import Chat, Collection, EmbedChat, TimelineChat, create_app
from langchain_videochat.media import Damage
from langchain_videochat.perception import Observation
from tests.scripted_model import ScriptedModel, model_answering
from tests.slides import render_talk
from tests.tiny_videochat import save_videochat
from tests.unit_tests.embeddings import BagOfWords, make_timeline

HOSTILE = "<script>alert(1)</script>"
TENT = "a" * 16
PROFILE = "- subtitles\n- scenes\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    # Must not be served as HTML.
    render_talk(folder / "tent.mp4", [["Pegs"], ["Poles"]]).rename(folder / "tent.html")
    return folder


@pytest.fixture
def store(tmp_path: Path, folder: Path) -> VideoTimelineStore:
    """A store of three videos: "tent" in the folder, "eggs" whose file is missing, "secret" outside of the folder."""
    store = VideoTimelineStore(tmp_path / "store", embedding=BagOfWords())
    observations = [Observation(0, 4, "screen_text", "You need eight pegs"), Observation(0, 8, "speech", HOSTILE)]
    store.add(make_timeline(TENT, *observations, source=str(folder / "tent.html")))
    store.add(make_timeline("eggs", Observation(0, 10, "speech", "Whisk two eggs"), source=str(folder / "eggs.mp4")))
    secret = render_talk(tmp_path / "secret.mp4", [["Secret"]])
    (folder / "link.mp4").symlink_to(secret)
    store.add(make_timeline("secret", Observation(0, 4, "speech", "Hush"), source=str(folder / "link.mp4")))
    return store


@pytest.fixture
def open_page(tmp_path: Path, folder: Path, store: VideoTimelineStore) -> Callable[..., TestClient]:
    """Start the page's server with a scripted model."""
    profile = tmp_path / "quick.yaml"
    profile.write_text(PROFILE)

    def start(llm: ScriptedModel | None = None, **options: Any) -> TestClient:
        collection = Collection(store, folder)
        chats: dict[str, Chat] = {
            "text": TimelineChat(llm or model_answering("Eight pegs [1]."), store),
            "embed": EmbedChat("no/such/model", collection),
        }
        page = create_app(collection, chats, profile=str(profile), **options)
        return TestClient(page, base_url="http://localhost", raise_server_exceptions=False)

    return start


@pytest.fixture
def page(open_page: Callable[..., TestClient]) -> TestClient:
    return open_page()


def finished_jobs(page: TestClient) -> list[dict[str, Any]]:
    for _ in range(600):
        jobs: list[dict[str, Any]] = page.get("/api/state").json()["jobs"]
        if all(job["status"] in ("done", "failed") for job in jobs):
            return jobs
        time.sleep(0.1)
    raise TimeoutError


def ask(page: TestClient, question: str, **options: Any) -> list[dict[str, Any]]:
    answer = page.post("/api/chat", json={"question": question, "model": "text", **options})
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def test_page_runs_only_scripts_from_the_server(page: TestClient) -> None:
    answer = page.get("/")

    assert "default-src 'none'; script-src 'self'" in answer.headers["content-security-policy"]
    assert "<script>" not in answer.text
    assert page.get("/page/app.js").status_code == 200


def test_videos_are_listed_with_the_reason_if_unplayable(page: TestClient) -> None:
    unplayable = {video["title"]: video["unplayable"] for video in page.get("/api/state").json()["videos"]}

    assert unplayable[TENT] is None
    assert "no such file" in unplayable["eggs"]
    assert "outside of the folder" in unplayable["secret"]


def test_videos_are_listed_with_their_damage(page: TestClient, store: VideoTimelineStore) -> None:
    store.add(make_timeline("eggs"), damage=[Damage("sound", "no sound")], failures=["no caption"])
    listed = {video["title"]: video for video in page.get("/api/state").json()["videos"]}

    assert (listed["eggs"]["damage"], listed["eggs"]["failures"]) == ("no sound", "no caption")
    assert (listed[TENT]["damage"], listed[TENT]["failures"]) == ("", "")


def test_lanes_and_search_return_json(page: TestClient) -> None:
    lanes = page.get(f"/api/videos/{TENT}/lanes")
    hits = page.get("/api/search", params={"query": "pegs", "video_id": TENT}).json()

    assert lanes.headers["content-type"] == "application/json"
    assert lanes.json()["lanes"][0]["bars"] == [[0, 8, 0, HOSTILE]]
    assert [(hit["video_id"], hit["start"]) for hit in hits] == [(TENT, 0)]


def test_file_is_served_in_ranges_and_never_as_html(page: TestClient, folder: Path) -> None:
    answer = page.get(f"/api/videos/{TENT}/file", headers={"Range": "bytes=4-7"})

    assert answer.status_code == 206
    assert answer.content == (folder / "tent.html").read_bytes()[4:8]
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("resource", ["file", "thumbnail?time=1"])
@pytest.mark.parametrize(("video", "status"), [("secret", 404), ("eggs", 404), ("nothing", 400)])
def test_files_outside_of_the_folder_are_not_opened(page: TestClient, resource: str, video: str, status: int) -> None:
    answer = page.get(f"/api/videos/{video}/{resource}")

    assert answer.status_code == status
    assert answer.json()["error"]


@pytest.mark.parametrize("path", ["/page/../server.py", "/page/%2e%2e/server.py", "/page//etc/passwd"])
def test_path_traversal_is_not_possible(page: TestClient, path: str) -> None:
    assert page.get(path).status_code == 404


def test_thumbnail_after_the_end_is_the_last_frame(page: TestClient) -> None:
    for when in ("1", "1000", "1e999"):
        answer = page.get(f"/api/videos/{TENT}/thumbnail", params={"time": when})
        assert answer.content[:2] == b"\xff\xd8"


@pytest.mark.parametrize("when", ["-1", "soon", "nan", ""])
def test_invalid_thumbnail_time_is_a_bad_request(page: TestClient, when: str) -> None:
    assert page.get(f"/api/videos/{TENT}/thumbnail", params={"time": when}).status_code == 400


def test_upload_is_indexed_and_can_be_played(page: TestClient, folder: Path, tmp_path: Path) -> None:
    talk = render_talk(tmp_path / "talk.mp4", [["Hello"]])

    response = page.put("/api/uploads/a%20talk%3Cb%3E.mp4", content=talk.read_bytes())
    (job,) = finished_jobs(page)

    assert response.status_code == 201
    assert job["status"] == "done"
    assert [path.name for path in (folder / "uploads").iterdir()] == ["a talk_b_.mp4"]
    assert page.get(f"/api/videos/{job['video_id']}/file").content == talk.read_bytes()


def test_duplicate_upload_is_stored_once(page: TestClient, folder: Path, tmp_path: Path) -> None:
    talk = render_talk(tmp_path / "talk.mp4", [["Hello"]]).read_bytes()

    for _ in range(2):
        page.put("/api/uploads/talk.mp4", content=talk)
    one, two = finished_jobs(page)

    assert one["video_id"] == two["video_id"]
    assert [path.name for path in (folder / "uploads").iterdir()] == ["talk.mp4"]


@pytest.mark.parametrize("name", ["..%2F..%2Fevil.mp4", "....", "%00.mp4", "x" * 300 + ".mp4", ".hidden.mp4"])
def test_upload_stays_in_its_folder_whatever_its_name(
    page: TestClient, folder: Path, tmp_path: Path, name: str
) -> None:
    talk = render_talk(tmp_path / "talk.mp4", [["Hello"]]).read_bytes()
    before = {path for path in tmp_path.rglob("*") if path.suffix == ".mp4"}

    answer = page.put(f"/api/uploads/{name}", content=talk)
    finished_jobs(page)

    created = {path for path in tmp_path.rglob("*") if path.is_file() and path.suffix == ".mp4"} - before
    assert answer.status_code in (201, 404)
    assert all(path.parent == folder / "uploads" for path in created)


@pytest.mark.parametrize("content", [b"", b"not a video", HOSTILE.encode() * 100])
def test_upload_that_is_not_a_video_leaves_nothing_behind(page: TestClient, folder: Path, content: bytes) -> None:
    answer = page.put("/api/uploads/page.mp4", content=content)

    assert answer.status_code == 415
    assert "page.mp4" in answer.json()["error"]
    assert list((folder / "uploads").iterdir()) == []
    assert page.get("/api/state").json()["jobs"] == []


def test_too_large_upload_leaves_nothing_behind(open_page: Callable[..., TestClient], folder: Path) -> None:
    page = open_page(max_upload=1000)

    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            yield bytes(100)

    answer = page.put("/api/uploads/large.mp4", content=chunks())

    assert answer.status_code == 413
    assert list((folder / "uploads").iterdir()) == []


def test_unfinished_jobs_resume_at_the_next_start(open_page: Callable[..., TestClient], folder: Path) -> None:
    (folder / "uploads").mkdir()
    render_talk(folder / "uploads" / "left.mp4", [["Hello"]])
    (folder / "uploads" / "broken.mp4").write_bytes(b"not a video")

    jobs = {job["name"]: job for job in finished_jobs(open_page())}

    assert jobs["left.mp4"]["status"] == "done"
    assert jobs["broken.mp4"]["status"] == "failed"
    assert "broken.mp4" in jobs["broken.mp4"]["error"]


def test_upload_that_cannot_be_indexed_is_reported_once(open_page: Callable[..., TestClient], folder: Path) -> None:
    (folder / "uploads").mkdir()
    (folder / "uploads" / "broken.mp4").write_bytes(b"not a video")

    first, second = finished_jobs(open_page()), finished_jobs(open_page())

    assert [job["status"] for job in first] == ["failed"]
    assert second == []
    assert list((folder / "uploads").iterdir()) == []


def test_upload_is_kept_if_it_did_not_cause_the_error(
    open_page: Callable[..., TestClient], folder: Path, tmp_path: Path
) -> None:
    (folder / "uploads").mkdir()
    render_talk(folder / "uploads" / "talk.mp4", [["Hello"]])

    (tmp_path / "quick.yaml").write_text("- no such perceiver\n")
    failed = finished_jobs(open_page())
    (tmp_path / "quick.yaml").write_text(PROFILE)
    done = finished_jobs(open_page())

    assert [job["status"] for job in (*failed, *done)] == ["failed", "done"]


def test_upload_is_kept_if_the_folder_is_reached_by_another_path(
    page: TestClient, store: VideoTimelineStore, folder: Path, tmp_path: Path
) -> None:
    page.put("/api/uploads/talk.mp4", content=render_talk(tmp_path / "talk.mp4", [["Hello"]]).read_bytes())
    finished_jobs(page)
    (tmp_path / "link").symlink_to(folder)

    other = create_app(Collection(store, tmp_path / "link"), {}, profile=str(tmp_path / "quick.yaml"))
    finished_jobs(TestClient(other, base_url="http://localhost"))

    assert (folder / "uploads" / "talk.mp4").exists()


def test_copy_of_an_upload_is_deleted(page: TestClient, folder: Path, tmp_path: Path) -> None:
    talk = render_talk(tmp_path / "talk.mp4", [["Hello"]]).read_bytes()
    for name in ("talk.mp4", "copy.mp4"):
        page.put(f"/api/uploads/{name}", content=talk)

    first, second = finished_jobs(page)

    assert first["video_id"] == second["video_id"]
    assert [file.name for file in (folder / "uploads").iterdir()] == ["talk.mp4"]


def test_file_names_that_are_not_utf_8_do_not_break_the_list(
    open_page: Callable[..., TestClient], folder: Path
) -> None:
    (folder / "uploads").mkdir()
    (folder / "uploads" / "caf\udce9.mp4").write_bytes(b"not a video")

    (job,) = finished_jobs(open_page())

    assert (job["name"], job["status"]) == ("caf?.mp4", "failed")


def test_only_the_latest_jobs_are_listed(page: TestClient, tmp_path: Path) -> None:
    talk = render_talk(tmp_path / "talk.mp4", [["Hello"]]).read_bytes()

    for _ in range(103):
        page.put("/api/uploads/talk.mp4", content=talk)
    jobs = finished_jobs(page)

    assert [job["number"] for job in jobs] == list(range(4, 104))


def test_removing_a_video_deletes_its_file_only_if_uploaded(page: TestClient, folder: Path, tmp_path: Path) -> None:
    page.put("/api/uploads/talk.mp4", content=render_talk(tmp_path / "talk.mp4", [["Hello"]]).read_bytes())
    (job,) = finished_jobs(page)

    for video in (TENT, job["video_id"]):
        assert page.delete(f"/api/videos/{video}").status_code == 204

    assert (folder / "tent.html").exists()
    assert list((folder / "uploads").iterdir()) == []
    assert {video["title"] for video in page.get("/api/state").json()["videos"]} == {"eggs", "secret"}


def test_answer_streams_in_parts_and_ends_with_citations(page: TestClient) -> None:
    parts = ask(page, "How many pegs?", video_id=TENT)

    assert "".join(part.get("text", "") for part in parts) == "Eight pegs [1]."
    (cited,) = parts[-1]["citations"]
    assert (cited["number"], cited["video_id"], cited["start"], cited["end"]) == (1, TENT, 0, 4)


def test_line_breaks_of_an_answer_are_kept(open_page: Callable[..., TestClient]) -> None:
    page = open_page(model_answering("Pegs:\n\n- eight\n", delta_length=1))

    assert "".join(part.get("text", "") for part in ask(page, "How many pegs?")) == "Pegs:\n\n- eight"


def test_model_gets_the_previous_turns(open_page: Callable[..., TestClient]) -> None:
    llm = model_answering("Eight.")

    ask(open_page(llm), "And how many?", history=[("What does a tent need?", "Pegs.")])

    assert any("Pegs." in message.text for message in llm.prompts[0])


def test_model_failure_is_the_last_part(open_page: Callable[..., TestClient]) -> None:
    parts = ask(open_page(model_answering("Eight pegs.", fail_after=1)), "How many pegs?")

    assert "connection lost" in parts[-1]["error"]


def test_embed_chat_cites_sampled_frames(folder: Path, store: VideoTimelineStore, tmp_path: Path) -> None:
    save_videochat(tmp_path / "videochat", max_positions=4096)
    collection = Collection(store, folder)
    page = TestClient(
        create_app(collection, {"embed": EmbedChat(str(tmp_path / "videochat"), collection)}),
        base_url="http://localhost",
    )

    first = ask(page, "What happens?", model="embed", video_id=TENT)
    answer = "".join(part.get("text", "") for part in first)
    second = ask(page, "And then?", model="embed", video_id=TENT, history=[("What happens?", answer)])

    for parts in (first, second):
        times = [cited["start"] for part in parts for cited in part.get("citations", [])]
        assert len(times) == 8
        assert times == sorted(times)
        assert 0 <= times[0] <= times[-1] <= 8
        assert all(cited["end"] > cited["start"] for cited in parts[-1]["citations"])


def test_unavailable_model_is_an_error(page: TestClient) -> None:
    assert "no/such/model" in ask(page, "What happens?", model="embed", video_id=TENT)[-1]["error"]
    assert "Select a video" in ask(page, "What happens?", model="embed")[-1]["error"]
    assert page.post("/api/chat", json={"question": "Hello?", "model": "gone"}).status_code == 400


@pytest.mark.parametrize("body", ["", "[]", '{"question": "", "model": "text"}', '{"question": 3}', "\xff"])
def test_invalid_chat_request_is_rejected(page: TestClient, body: str) -> None:
    assert page.post("/api/chat", content=body).status_code == 400


def test_long_chat_request_is_rejected(page: TestClient) -> None:
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 10**6
            yield b" " * 10**6

    answer = page.post("/api/chat", content=chunks())

    assert answer.status_code == 413
    assert "Clear it" in answer.json()["error"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("question", "a" * 20_001),
        ("model", "a" * 501),
        ("video_id", "a" * 501),
        ("history", [("a", "b")] * 101),
        ("history", [("a" * 20_001, "b")]),
        ("history", [("a", "b" * 100_001)]),
        ("history", [{}] * 100),
        ("history", [1] * 300_000),
    ],
)
def test_error_of_an_invalid_chat_request_is_short_and_names_the_field(
    page: TestClient, field: str, value: object
) -> None:
    answer = page.post("/api/chat", json={"question": "Hello?", "model": "text", field: value})

    assert answer.status_code == 400
    assert field in answer.json()["error"]
    assert len(answer.text) < 500


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://evil.example"}]
)
def test_cross_site_requests_are_rejected(page: TestClient, headers: dict[str, str]) -> None:
    assert page.delete(f"/api/videos/{TENT}", headers=headers).status_code == 403
    assert page.put("/api/uploads/a.mp4", content=b"", headers=headers).status_code == 403
    assert len(page.get("/api/state").json()["videos"]) == 3


def test_unknown_host_is_rejected(page: TestClient) -> None:
    assert page.get("/api/state", headers={"Host": "rebound.example"}).status_code == 400


def test_password_is_required_for_everything(open_page: Callable[..., TestClient]) -> None:
    page = open_page(password="пароль")

    for path in ("/", "/page/app.js", "/api/state", f"/api/videos/{TENT}/file"):
        assert page.get(path).status_code == 401
        assert page.get(path, auth=("anyone", "wrong")).status_code == 401
        assert page.get(path, auth=("anyone", "пароль")).status_code == 200
    for header in ("Basic", "Basic !", "Bearer abc", "Basic Og==", "Basic é", "é"):
        assert page.get("/", headers={b"Authorization": header.encode()}).status_code == 401


def guess(page: TestClient, times: int, client: str = "192.0.2.1") -> list[int]:
    """Send wrong passwords from an address, without cookies, and return the status codes."""
    stranger = TestClient(page.app, base_url="http://localhost", client=(client, 40000))
    return [stranger.get("/", auth=("anyone", f"guess {n}")).status_code for n in range(times)]


def log_in(page: TestClient, client: str) -> tuple[int, str | None]:
    """Send the password from an address, without cookies, and return the status code and "Retry-After"."""
    user = TestClient(page.app, base_url="http://localhost", client=(client, 40000))
    answer = user.get("/", auth=("anyone", "secret"))
    return answer.status_code, answer.headers.get("retry-after")


def test_guessing_the_password_is_slowed_down(open_page: Callable[..., TestClient]) -> None:
    page = open_page(password="secret")

    codes = guess(page, 20)
    refused = log_in(page, "192.0.2.1")

    assert codes == [401] * 5 + [429] * 15
    # Not even the right password is compared: the answer would confirm a guess.
    assert refused == (429, "2")
    assert log_in(page, "192.0.2.2") == (200, None)
    time.sleep(2)
    assert log_in(page, "192.0.2.1") == (200, None)


def test_guesses_from_one_ipv6_network_are_counted_together(open_page: Callable[..., TestClient]) -> None:
    page = open_page(password="secret")

    codes = [code for n in range(20) for code in guess(page, 1, f"2001:db8::{n}:1")]

    assert codes == [401] * 5 + [429] * 15
    assert log_in(page, "2001:db8:0:1::1") == (200, None)


def test_many_addresses_get_one_guess_each(open_page: Callable[..., TestClient]) -> None:
    page = open_page(password="secret")

    codes = [guess(page, 5, f"192.0.2.{n}") for n in range(100)]

    assert codes[-1] == [401, 429, 429, 429, 429]
    assert log_in(page, "198.51.100.1") == (200, None)


def test_guesses_are_logged_without_the_password(
    open_page: Callable[..., TestClient], caplog: pytest.LogCaptureFixture
) -> None:
    page = open_page(password="secret")

    for n in range(100):
        guess(page, 5, f"192.0.2.{n}")

    assert "192.0.2.0" in caplog.text
    assert "guess" not in caplog.text
    assert 1 < len(caplog.records) < 50


def test_rejected_requests_without_a_password_are_not_guesses(open_page: Callable[..., TestClient]) -> None:
    page = open_page(password="secret")

    assert [page.get("/").status_code for _ in range(20)] == [401] * 20
    assert page.get("/", auth=("anyone", "secret")).status_code == 200
