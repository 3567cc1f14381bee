"""What the model looks at: each video and image once, by content, whoever asks, and whatever fails in between."""

import base64
import os
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import torch
from langchain_core.exceptions import ModelError as CoreModelError
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from torch import Tensor

from langchain_videochat import VideoChatEmbed
from langchain_videochat.embed import NotEnoughMemoryError, VideoChatEmbedProcessor, read_video
from langchain_videochat.embed.conversation import Stretch, VisualTokens, find_stretch
from langchain_videochat.embed.media_refs import MediaRef
from langchain_videochat.embed.visual_cache import VideoFacts, VisualCache
from langchain_videochat.errors import MediaError, SourceError
from tests.numbered_video import make_numbered, regular
from tests.tiny_videochat import QUERIES, SIZE, byte_tokenizer, save_videochat, tiny_videochat

Plan = Callable[[VideoFacts], Sequence[Stretch]]

SECONDS = 60.0
"""After which a thread that waits for another is taken to wait for ever."""

MODEL = tiny_videochat()
PROCESSOR = VideoChatEmbedProcessor(byte_tokenizer(), image_size=SIZE, num_visual_tokens=QUERIES)


@pytest.fixture
def viewer() -> VisualCache:
    """One that has seen nothing yet."""
    return VisualCache(MODEL, PROCESSOR)


@pytest.fixture
def looks() -> Iterator[list[int]]:
    """How many frames were looked at, each time."""
    counted: list[int] = []
    with MODEL.vision_tower.register_forward_pre_hook(lambda _, given: counted.append(given[0].shape[1])):
        yield counted


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds."""
    return make_numbered(tmp_path_factory.mktemp("films") / "film.mp4", times=regular(50))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_videochat(tmp_path_factory.mktemp("videochat"))


@pytest.fixture
def llms(tmp_path: Path, folder: Path) -> list[VideoChatEmbed]:
    """Two chat models, neither of which has what the other has seen."""
    for name in ("one", "other"):
        (tmp_path / name).symlink_to(folder)
    return [VideoChatEmbed(model=str(tmp_path / name), max_tokens=20) for name in ("one", "other")]


def whole(facts: VideoFacts) -> list[Stretch]:
    return [find_stretch(facts.duration)]


def cut(*borders: float) -> Plan:
    return lambda _: [Stretch(start, end) for start, end in pairwise(borders)]


def data(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def paint(path: Path, colour: str) -> Path:
    PIL.Image.new("RGB", (8, 6), colour).save(path)
    return path


def encoded(path: Path, *stretch: float) -> Tensor:
    with torch.inference_mode():
        return MODEL.get_video_features(PROCESSOR.pixels(read_video(path, 8, *stretch), "cpu").unsqueeze(0))[0]


def ask(path: Path, question: str = "What is it?") -> list[BaseMessage]:
    return [HumanMessage([{"type": "video", "url": path.as_uri()}, question])]


def vision_tower(llm: VideoChatEmbed) -> torch.nn.Module:
    llm.load()
    assert llm._loaded is not None
    return llm._loaded.model.vision_tower


# Once


def test_a_video_is_looked_at_once_however_it_is_named(
    viewer: VisualCache, looks: list[int], film: Path, tmp_path: Path
) -> None:
    copy = str(shutil.copy(film, tmp_path / "another name.mp4"))
    sources = [str(film), film.as_uri(), os.path.relpath(film), copy, data(film, "video/mp4")]
    seen = [viewer.watch(MediaRef("video", source), whole)[0] for source in sources]
    assert looks == [8]
    assert all(one is seen[0] for one in seen)
    torch.testing.assert_close(seen[0].embeddings, encoded(film))


def test_an_image_is_looked_at_once_however_it_is_named(viewer: VisualCache, looks: list[int], tmp_path: Path) -> None:
    red, blue = paint(tmp_path / "red.png", "red"), paint(tmp_path / "blue.png", "blue")
    copy = str(shutil.copy(red, tmp_path / "copy.png"))
    first, *others = [viewer.look(MediaRef("image", one)) for one in (str(red), copy, data(red, "image/png"))]
    assert looks == [1]
    assert (first.kind, first.times) == ("image", ())
    assert all(one is first for one in others)
    assert not torch.equal(viewer.look(MediaRef("image", str(blue))).embeddings, first.embeddings)


def test_a_moving_picture_is_another_thing_as_an_image(viewer: VisualCache, looks: list[int], tmp_path: Path) -> None:
    path = str(tmp_path / "both.gif")
    red, blue = (PIL.Image.new("RGB", (8, 6), colour) for colour in ("red", "blue"))
    red.save(path, save_all=True, append_images=[blue], duration=500)
    image, video = viewer.look(MediaRef("image", path)), viewer.watch(MediaRef("video", path), whole)[0]
    assert looks == [1, 2]
    assert (image.kind, video.kind) == ("image", "video")
    assert image.key != video.key


def test_other_stretches_and_numbers_of_frames_are_looked_at_anew(
    viewer: VisualCache, looks: list[int], film: Path
) -> None:
    options: list[dict[str, Any]] = [{}, {"num_frames": 4}, {"fps": 8}]
    eight, four, fast = (MediaRef("video", str(film), **one) for one in options)
    plans = [(eight, whole), (four, whole), (four, cut(0, 1, 2)), (four, cut(0, 1.5)), (fast, cut(0, 2))]
    seen = [viewer.watch(*plan) for plan in plans]
    assert looks == [8, 4, 4, 4, 4, 16]
    assert len({one.key for some in seen for one in some}) == 6
    assert [viewer.watch(*plan) for plan in plans] == seen
    # 4 frames a second of one second are as many as 4 of it.
    assert viewer.watch(MediaRef("video", str(film), fps=4), cut(1, 2)) == seen[2][1:]
    assert len(looks) == 6


def test_what_was_seen_finds_its_place_between_what_was_not(viewer: VisualCache, looks: list[int], film: Path) -> None:
    viewer.watch(MediaRef("video", str(film)), cut(0.5, 1))
    seen = viewer.watch(MediaRef("video", str(film)), cut(0, 0.5, 1, 2))
    assert len(looks) == 3
    for one, stretch in zip(seen, [(0, 0.5), (0.5, 1), (1, 2)], strict=True):
        torch.testing.assert_close(one.embeddings, encoded(film, *stretch))
        assert one.times == read_video(film, 8, *stretch).times


def test_for_a_further_question_nothing_is_looked_at(llms: list[VideoChatEmbed], film: Path) -> None:
    llm, other = llms
    first = llm.invoke(ask(film))
    looks: list[int] = []
    vision_tower(llm).register_forward_pre_hook(lambda *_: looks.append(1))
    conversation = [*ask(film), AIMessage(first.text), HumanMessage("And then?")]
    assert llm.invoke(conversation).text == other.invoke(conversation).text
    assert VideoChatEmbed(model=llm.model, temperature=0.5, seed=1).invoke(ask(film, "Where?"), max_tokens=1)
    assert looks == []


# Files that change


def test_a_file_that_changes_is_looked_at_again(llms: list[VideoChatEmbed], film: Path, tmp_path: Path) -> None:
    llm, other = llms
    looks: list[int] = []
    vision_tower(llm).register_forward_pre_hook(lambda *_: looks.append(1))
    path = Path(shutil.copy(film, tmp_path / "film.mp4"))
    before = llm.invoke(ask(path))
    make_numbered(path, times=regular(25))
    os.utime(path, ns=(film.stat().st_atime_ns, film.stat().st_mtime_ns))
    after = llm.invoke(ask(path))
    assert after.response_metadata["sampled_times"] != before.response_metadata["sampled_times"]
    assert after.text == other.invoke(ask(path)).text
    shutil.copy(film, path)
    assert llm.invoke(ask(path)).text == before.text
    assert len(looks) == 2


@pytest.mark.parametrize("kind", ["video", "image"])
def test_a_file_that_is_gone_is_not_shown(viewer: VisualCache, film: Path, tmp_path: Path, kind: str) -> None:
    path = Path(shutil.copy(film, tmp_path)) if kind == "video" else paint(tmp_path / "red.png", "red")

    def show() -> VisualTokens:
        if kind == "image":
            return viewer.look(MediaRef("image", str(path)))
        return viewer.watch(MediaRef("video", str(path)), whole)[0]

    first = show()
    kept = path.rename(tmp_path / "elsewhere")
    with pytest.raises(SourceError, match="no such file"):
        show()
    kept.rename(path)
    assert show() is first


# Many at once, and what goes wrong


def at_once(task: Callable[[], Any], threads: int = 8) -> list[Any]:
    """Do something in several threads that begin together; where it fails, give the error."""
    barrier = threading.Barrier(threads)

    def begin() -> Any:
        barrier.wait(SECONDS)
        try:
            return task()
        except Exception as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        return [future.result(SECONDS) for future in [pool.submit(begin) for _ in range(threads)]]


def test_many_threads_look_once(viewer: VisualCache, looks: list[int], film: Path) -> None:
    # It takes a while, so that all of them are there before it is over.
    with MODEL.vision_tower.register_forward_hook(lambda *_: time.sleep(0.05)):
        seen = at_once(lambda: viewer.watch(MediaRef("video", str(film)), cut(0, 1, 2)))
    assert looks == [8, 8]
    assert all(one == seen[0] for one in seen)
    torch.testing.assert_close(seen[0][1].embeddings, encoded(film, 1, 2))


def test_a_damaged_file_fails_for_each_and_blocks_nobody(
    viewer: VisualCache, looks: list[int], film: Path, tmp_path: Path
) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(film.read_bytes()[:-3000])
    failed = at_once(lambda: viewer.watch(MediaRef("video", str(path)), whole))
    assert {type(one) for one in failed} == {MediaError}
    shutil.copy(film, path)
    one, other = at_once(lambda: viewer.watch(MediaRef("video", str(path)), whole), 2)
    assert one == other
    assert looks == [8]


def raising(error: BaseException, look: int) -> Callable[..., None]:
    """Raise an error at the n-th look."""
    left = iter([None] * (look - 1))

    def strike(*_: object) -> None:
        if next(left, error) is not None:
            raise error

    return strike


@pytest.mark.parametrize("error", [RuntimeError("a kernel failed"), KeyboardInterrupt()])
def test_what_stops_half_way_can_go_on(viewer: VisualCache, looks: list[int], film: Path, error: BaseException) -> None:
    video = MediaRef("video", str(film))
    with MODEL.vision_tower.register_forward_hook(raising(error, 2)), pytest.raises(type(error)):
        viewer.watch(video, cut(0, 0.5, 1, 2))
    (seen,) = at_once(lambda: viewer.watch(video, cut(0, 0.5, 1, 2)), 1)
    assert len(looks) == 4  # what was seen before is kept
    torch.testing.assert_close(seen[1].embeddings, encoded(film, 0.5, 1))
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_too_many_frames_for_the_memory(llms: list[VideoChatEmbed], film: Path, error: Exception) -> None:
    llm, _ = llms
    with (
        vision_tower(llm).register_forward_hook(raising(error, 1)),
        pytest.raises(NotEnoughMemoryError, match=r"num_frames: .* 12 frames") as refusal,
    ):
        llm.invoke(ask(film), num_frames=12)
    assert isinstance(refusal.value, CoreModelError)
    assert llm.invoke(ask(film), num_frames=12).text


def test_what_is_kept_has_bounds(looks: list[int], film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langchain_videochat.embed.visual_cache.KEPT_BYTES", 4 * encoded(film).nbytes)
    viewer = VisualCache(MODEL, PROCESSOR)
    del looks[:]

    def watch(number: int) -> VisualTokens:
        return viewer.watch(MediaRef("video", str(film)), cut(number / 4, (number + 1) / 4))[0]

    first = weakref.ref(watch(0).embeddings)
    assert all(watch(number) for number in (1, 2, 3, 0, 1, 2, 3))
    assert len(looks) == 4
    assert first() is not None
    assert all(watch(number) for number in (4, 3, 2, 1))
    assert first() is None
    assert len(looks) == 5
