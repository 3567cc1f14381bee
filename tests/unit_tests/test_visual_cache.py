"""The visual cache: each video and image is encoded once, by content, whichever thread asks and whatever fails."""

import base64
import os
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterator
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
from langchain_videochat.embed.conversation import VisualTokens
from langchain_videochat.embed.media_refs import MediaRef, count_frames
from langchain_videochat.embed.visual_cache import MediaFormat, VisualCache
from langchain_videochat.embed.visual_encoder import VisualEncoder
from langchain_videochat.errors import MediaError, SourceError
from langchain_videochat.utils.interval import Interval
from tests.numbered_video import make_numbered, regular
from tests.tiny_videochat import QUERIES, SIZE, byte_tokenizer, save_videochat, tiny_videochat

TIMEOUT = 60.0
"""Seconds after which a waiting thread is considered deadlocked."""

MODEL = tiny_videochat()
PROCESSOR = VideoChatEmbedProcessor(byte_tokenizer(), image_size=SIZE, num_visual_tokens=QUERIES)


@pytest.fixture
def cache() -> VisualCache[VisualTokens]:
    return VisualCache(VisualEncoder(MODEL, PROCESSOR))


@pytest.fixture
def encoded() -> Iterator[list[int]]:
    """The number of frames of each pass of the vision tower."""
    counted: list[int] = []
    with MODEL.vision_tower.register_forward_pre_hook(lambda _, given: counted.append(given[0].shape[1])):
        yield counted


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of two seconds."""
    return make_numbered(tmp_path_factory.mktemp("films") / "film.mp4", times=regular(50))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_videochat(tmp_path_factory.mktemp("videochat"))


@pytest.fixture
def llms(tmp_path: Path, folder: Path) -> list[VideoChatEmbed]:
    """Two chat models that share no cache."""
    for name in ("one", "other"):
        (tmp_path / name).symlink_to(folder)
    return [VideoChatEmbed(model=str(tmp_path / name), max_tokens=20) for name in ("one", "other")]


def encode(cache: VisualCache[VisualTokens], source: str | Path, *bounds: float, **options: Any) -> list[VisualTokens]:
    """Encode segments of a video between bounds in seconds, or the whole video."""
    with cache.open(MediaRef("video", str(source), **options)) as file:
        bounds = bounds or (0.0, cache.probe(file).duration)
        segments = [Interval(start, end) for start, end in pairwise(bounds)]
        return cache.encode_segments(file, segments, MediaFormat(count_frames(file.media, segments[0])))


def encode_image(cache: VisualCache[VisualTokens], source: str | Path) -> VisualTokens:
    with cache.open(MediaRef("image", str(source))) as file:
        encoded = cache.encode(file, MediaFormat())
    assert isinstance(encoded, VisualTokens)
    return encoded


def data_url(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def paint(path: Path, color: str) -> Path:
    PIL.Image.new("RGB", (8, 6), color).save(path)
    return path


def embeddings_of(path: Path, *bounds: float) -> Tensor:
    with torch.inference_mode():
        return MODEL.get_video_features(PROCESSOR.preprocess(read_video(path, 8, *bounds), "cpu").unsqueeze(0))[0]


def ask(path: Path, question: str = "What is it?") -> list[BaseMessage]:
    return [HumanMessage([{"type": "video", "url": path.as_uri()}, question])]


def vision_tower(llm: VideoChatEmbed) -> torch.nn.Module:
    llm.load()
    assert llm._loaded is not None
    tower: torch.nn.Module = llm._loaded.model.vision_tower
    return tower


# Hits and misses


def test_a_video_is_encoded_once_whatever_its_source(
    cache: VisualCache[VisualTokens], encoded: list[int], film: Path, tmp_path: Path
) -> None:
    copy = str(shutil.copy(film, tmp_path / "another name.mp4"))
    sources = [str(film), film.as_uri(), os.path.relpath(film), copy, data_url(film, "video/mp4")]
    tokens = [encode(cache, source)[0] for source in sources]
    assert encoded == [8]
    assert all(one is tokens[0] for one in tokens)
    torch.testing.assert_close(tokens[0].embeddings, embeddings_of(film))


def test_an_image_is_encoded_once_whatever_its_source(
    cache: VisualCache[VisualTokens], encoded: list[int], tmp_path: Path
) -> None:
    red, blue = paint(tmp_path / "red.png", "red"), paint(tmp_path / "blue.png", "blue")
    copy = str(shutil.copy(red, tmp_path / "copy.png"))
    first, *others = [encode_image(cache, one) for one in (red, copy, data_url(red, "image/png"))]
    assert encoded == [1]
    assert (first.kind, first.times) == ("image", ())
    assert all(one is first for one in others)
    assert not torch.equal(encode_image(cache, blue).embeddings, first.embeddings)


def test_an_animation_as_image_and_as_video_are_different_entries(
    cache: VisualCache[VisualTokens], encoded: list[int], tmp_path: Path
) -> None:
    path = tmp_path / "both.gif"
    red, blue = (PIL.Image.new("RGB", (8, 6), color) for color in ("red", "blue"))
    red.save(path, save_all=True, append_images=[blue], duration=500)
    image, video = encode_image(cache, path), encode(cache, path)[0]
    assert encoded == [1, 2]
    assert (image.kind, video.kind) == ("image", "video")
    assert image.key != video.key


def test_other_segments_and_frame_counts_are_different_entries(
    cache: VisualCache[VisualTokens], encoded: list[int], film: Path
) -> None:
    requests: list[tuple[tuple[float, ...], dict[str, Any]]] = [
        ((), {}),
        ((), {"num_frames": 4}),
        ((0, 1, 2), {"num_frames": 4}),
        ((0, 1.5), {"num_frames": 4}),
        ((0, 2), {"fps": 8}),
    ]
    tokens = [encode(cache, film, *bounds, **options) for bounds, options in requests]
    assert encoded == [8, 4, 4, 4, 4, 16]
    assert len({one.key for some in tokens for one in some}) == 6
    assert [encode(cache, film, *bounds, **options) for bounds, options in requests] == tokens
    # 4 frames per second of one second are 4 frames.
    assert encode(cache, film, 1, 2, fps=4) == tokens[2][1:]
    assert len(encoded) == 6


def test_cached_segments_keep_their_place_among_new_ones(
    cache: VisualCache[VisualTokens], encoded: list[int], film: Path
) -> None:
    encode(cache, film, 0.5, 1)
    tokens = encode(cache, film, 0, 0.5, 1, 2)
    assert len(encoded) == 3
    for one, bounds in zip(tokens, [(0, 0.5), (0.5, 1), (1, 2)], strict=True):
        torch.testing.assert_close(one.embeddings, embeddings_of(film, *bounds))
        assert one.times == read_video(film, 8, *bounds).times


def test_a_follow_up_question_encodes_nothing(llms: list[VideoChatEmbed], film: Path) -> None:
    llm, other = llms
    first = llm.invoke(ask(film))
    encoded: list[int] = []
    vision_tower(llm).register_forward_pre_hook(lambda *_: encoded.append(1))
    conversation = [*ask(film), AIMessage(first.text), HumanMessage("And then?")]
    assert llm.invoke(conversation).text == other.invoke(conversation).text
    assert VideoChatEmbed(model=llm.model, temperature=0.5, seed=1).invoke(ask(film, "Where?"), max_tokens=1)
    assert encoded == []


# Files that change


def test_a_changed_file_is_encoded_again(llms: list[VideoChatEmbed], film: Path, tmp_path: Path) -> None:
    llm, other = llms
    encoded: list[int] = []
    vision_tower(llm).register_forward_pre_hook(lambda *_: encoded.append(1))
    path = Path(shutil.copy(film, tmp_path / "film.mp4"))
    before = llm.invoke(ask(path))
    make_numbered(path, times=regular(25))
    os.utime(path, ns=(film.stat().st_atime_ns, film.stat().st_mtime_ns))
    after = llm.invoke(ask(path))
    assert after.response_metadata["sampled_times"] != before.response_metadata["sampled_times"]
    assert after.text == other.invoke(ask(path)).text
    shutil.copy(film, path)
    assert llm.invoke(ask(path)).text == before.text
    assert len(encoded) == 2


@pytest.mark.parametrize("kind", ["video", "image"])
def test_a_deleted_file_is_an_error(cache: VisualCache[VisualTokens], film: Path, tmp_path: Path, kind: str) -> None:
    path = Path(shutil.copy(film, tmp_path)) if kind == "video" else paint(tmp_path / "red.png", "red")

    def encode_file() -> VisualTokens:
        return encode_image(cache, path) if kind == "image" else encode(cache, path)[0]

    first = encode_file()
    moved = path.rename(tmp_path / "elsewhere")
    with pytest.raises(SourceError, match="no such file"):
        encode_file()
    moved.rename(path)
    assert encode_file() is first


# Threads and errors


def run_in_threads(task: Callable[[], Any], threads: int = 8) -> list[Any]:
    """Run a task in several threads that start together, and return the results or errors."""
    barrier = threading.Barrier(threads)

    def run() -> Any:
        barrier.wait(TIMEOUT)
        try:
            return task()
        except Exception as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        return [future.result(TIMEOUT) for future in [pool.submit(run) for _ in range(threads)]]


def test_concurrent_threads_encode_a_video_once(
    cache: VisualCache[VisualTokens], encoded: list[int], film: Path
) -> None:
    # Slow enough for all threads to arrive before the first one is done.
    with MODEL.vision_tower.register_forward_hook(lambda *_: time.sleep(0.05)):
        tokens = run_in_threads(lambda: encode(cache, film, 0, 1, 2))
    assert encoded == [8, 8]
    assert all(one == tokens[0] for one in tokens)
    torch.testing.assert_close(tokens[0][1].embeddings, embeddings_of(film, 1, 2))


def test_a_damaged_file_fails_in_each_thread_and_blocks_none(
    cache: VisualCache[VisualTokens], encoded: list[int], film: Path, tmp_path: Path
) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(film.read_bytes()[:-3000])
    errors = run_in_threads(lambda: encode(cache, path))
    assert {type(error) for error in errors} == {MediaError}
    shutil.copy(film, path)
    one, other = run_in_threads(lambda: encode(cache, path), 2)
    assert one == other
    assert encoded == [8]


def raising(error: BaseException, call: int) -> Callable[..., None]:
    """Return a hook that raises an error on the n-th call."""
    left = iter([None] * (call - 1))

    def hook(*_: object) -> None:
        if next(left, error) is not None:
            raise error

    return hook


@pytest.mark.parametrize("error", [RuntimeError("a kernel failed"), KeyboardInterrupt()])
def test_interrupted_encoding_resumes(
    cache: VisualCache[VisualTokens], encoded: list[int], film: Path, error: BaseException
) -> None:
    with MODEL.vision_tower.register_forward_hook(raising(error, 2)), pytest.raises(type(error)):
        encode(cache, film, 0, 0.5, 1, 2)
    (tokens,) = run_in_threads(lambda: encode(cache, film, 0, 0.5, 1, 2), 1)
    assert len(encoded) == 4  # the first segment is cached
    torch.testing.assert_close(tokens[1].embeddings, embeddings_of(film, 0.5, 1))
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_out_of_memory_names_the_number_of_frames(llms: list[VideoChatEmbed], film: Path, error: Exception) -> None:
    llm, _ = llms
    with (
        vision_tower(llm).register_forward_hook(raising(error, 1)),
        pytest.raises(NotEnoughMemoryError, match=r"num_frames: .* 12 frames") as refusal,
    ):
        llm.invoke(ask(film), num_frames=12)
    assert isinstance(refusal.value, CoreModelError)
    assert llm.invoke(ask(film), num_frames=12).text


def test_the_cache_is_limited_in_size(encoded: list[int], film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langchain_videochat.embed.visual_cache.MAX_BYTES", 4 * embeddings_of(film).nbytes)
    cache = VisualCache(VisualEncoder(MODEL, PROCESSOR))
    del encoded[:]

    def encode_quarter(number: int) -> VisualTokens:
        return encode(cache, film, number / 4, (number + 1) / 4)[0]

    first = weakref.ref(encode_quarter(0).embeddings)
    assert all(encode_quarter(number) for number in (1, 2, 3, 0, 1, 2, 3))
    assert len(encoded) == 4
    assert first() is not None
    assert all(encode_quarter(number) for number in (4, 3, 2, 1))
    assert first() is None
    assert len(encoded) == 5
