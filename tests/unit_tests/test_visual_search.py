"""Search by picture: frames are found by texts and by pictures, and nothing else changes."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.load import dumps, loads
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from langchain_videochat import VideoChatToolkit
from langchain_videochat.cli import app
from langchain_videochat.errors import InputError, ModelUnavailableError, StoreError
from langchain_videochat.media import sample_frames
from langchain_videochat.models.weights import Weights, keep_models
from langchain_videochat.perception import Observation, perceive
from langchain_videochat.perception.frame_vectors import dump_vector
from langchain_videochat.perception.visual import Visual
from langchain_videochat.perception.visual_models import DEFAULT_VISUAL_MODEL, VisualModel, load_visual_model
from langchain_videochat.store import VideoTimelineRetriever, VideoTimelineStore
from langchain_videochat.timeline import Timeline
from tests.numbered_video import draw_number, make_numbered, regular
from tests.old_stores import convert_to_old_format
from tests.tiny_vision import tiny_clip, tiny_siglip
from tests.unit_tests.embeddings import BagOfWords, make_slides, make_timeline

PICTURES = 8
"""Number of scenes of the film, each with one frame."""

MANY = 1000
"""Number of moments among which each frame must be found."""

Vector = NDArray[np.float32]


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with keep_models():
        yield tiny_siglip(tmp_path_factory.mktemp("siglip"))


@pytest.fixture(scope="module")
def model(siglip: Path) -> VisualModel:
    return load_visual_model(Weights(str(siglip)))


@pytest.fixture(scope="module")
def vectors(model: VisualModel) -> list[Vector]:
    return list(model.embed_images([draw_number(37 * number) for number in range(PICTURES)]))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(PICTURES):
        Image.fromarray(draw_number(37 * number)).save(folder / f"{number}.png")
    return [folder / f"{number}.png" for number in range(PICTURES)]


@pytest.fixture(scope="module")
def film(vectors: list[Vector], siglip: Path) -> Timeline:
    return make_film("film", vectors, siglip)


@pytest.fixture(scope="module")
def store(film: Timeline, siglip: Path) -> VideoTimelineStore:
    store = VideoTimelineStore(embedding=BagOfWords(16), visual_embedding=siglip)
    store.add(film)
    return store


def make_film(video_id: str, vectors: list[Vector], model: Path | str, *others: Observation) -> Timeline:
    """Build a timeline of scenes of ten seconds, each with one frame, which is shown from its third second on."""
    frames = [
        Observation(10 * place + 3, 10 * place + 10, "visual", "", source=str(model), vector=dump_vector(vector))
        for place, vector in enumerate(vectors)
    ]
    scenes = [Observation(10 * place, 10 * place + 10, "scene", str(place)) for place in range(len(vectors))]
    return make_timeline(video_id, *frames, *scenes, *others)


def places(moments: list[Document]) -> list[int]:
    """Return the number of the scene of each moment."""
    return [round(one.metadata["start"] / 10) for one in moments]


def hits(moments: list[Document]) -> list[tuple[float, float]]:
    return [(one.metadata["hit_start"], one.metadata["hit_end"]) for one in moments]


# Pictures


def test_each_frame_of_a_video_is_found_by_its_own_picture(siglip: Path, tmp_path: Path) -> None:
    video = make_numbered(tmp_path / "numbers.mp4", times=regular(MANY, rate=1))
    frames = perceive(video, [Visual(siglip, batch_size=32)])
    scenes = [Observation(second, second + 1, "scene", str(second)) for second in range(MANY)]
    store = VideoTimelineStore(embedding=BagOfWords(16), visual_embedding=siglip)
    store.add(make_timeline("numbers", *frames, *scenes))
    assert store.videos()[0].moments == MANY

    found = []
    for batch in sample_frames(video, fps=1):
        for frame in batch.frames:
            Image.fromarray(frame).save(tmp_path / "query.png", compress_level=1)
            (best,) = store.search(image=tmp_path / "query.png", k=1)
            found.append(best.metadata["hit_start"])

    assert sum(second == place for place, second in enumerate(found)) >= 0.99 * MANY


def test_a_picture_finds_the_frame_and_scores_1(store: VideoTimelineStore, pictures: list[Path]) -> None:
    for place, picture in enumerate(pictures):
        best, *others = store.search(image=picture, k=PICTURES)
        assert (places([best]), hits([best])) == ([place], [(10 * place + 3, 10 * place + 10)])
        assert best.metadata["citation"] == f"file:///films/film.mp4#t={10 * place + 3},{10 * place + 10}"
        assert best.metadata["score"] == pytest.approx(1, abs=0.01)
        scores = [one.metadata["score"] for one in others]
        assert scores == sorted(scores, reverse=True)
        assert 0 <= scores[-1] < 0.5


def test_a_photo_is_found_at_another_size_and_turned(
    store: VideoTimelineStore, pictures: list[Path], tmp_path: Path
) -> None:
    with Image.open(pictures[3]) as picture:
        turned = picture.resize((1600, 1200)).rotate(90, expand=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    turned.save(tmp_path / "photo.jpg", exif=exif, quality=95)

    assert places(store.search(image=tmp_path / "photo.jpg", k=1)) == [3]


def test_a_gray_picture_of_16_bits_is_found(store: VideoTimelineStore, pictures: list[Path], tmp_path: Path) -> None:
    with Image.open(pictures[3]) as picture:
        gray = np.asarray(picture.convert("L"))
    Image.fromarray(gray).save(tmp_path / "8.png")
    Image.fromarray(gray.astype(np.uint16) * 257).save(tmp_path / "16.png")

    expected, found = (store.search(image=tmp_path / name, k=PICTURES) for name in ("8.png", "16.png"))
    assert found == expected


def test_filters_apply_to_pictures(store: VideoTimelineStore, pictures: list[Path]) -> None:
    assert 3 not in places(store.search(image=pictures[3], start=45))
    assert places(store.search(image=pictures[3], start=32, end=36)) == [3]
    assert store.search(image=pictures[3], modalities="speech") == []
    assert places(store.search(image=pictures[3], min_score=0.95)) == [3]
    assert len(store.search(image=pictures[3], k=20, video_id="film")) == PICTURES


def test_moments_are_found_that_look_like_another(
    store: VideoTimelineStore, film: Timeline, vectors: list[Vector]
) -> None:
    found = store.search(like=("film", 25.0), k=PICTURES)
    nearest = int(np.argsort([-float(vectors[2] @ vector) for vector in vectors])[1])

    assert places(found)[0] == nearest
    assert 2 not in places(found)
    assert len(found) == PICTURES - 1


def test_pictures_and_texts_together(siglip: Path, vectors: list[Vector], pictures: list[Path]) -> None:
    said = [Observation(10 * place, 10 * place + 2, "speech", "whisk two eggs") for place in (1, 4)]
    store = VideoTimelineStore(embedding=BagOfWords(16), visual_embedding=siglip)
    store.add(make_film("film", vectors, siglip, *said))

    assert places(store.search("eggs", image=pictures[4], k=1)) == [4]
    assert places(store.search("eggs", image=pictures[1], k=1)) == [1]


def test_pictures_have_an_order_in_time(siglip: Path, vectors: list[Vector], pictures: list[Path]) -> None:
    said = Observation(41, 43, "speech", "whisk two eggs")
    repeated = [*vectors[:4], *vectors[:4]]
    store = VideoTimelineStore(embedding=BagOfWords(16), visual_embedding=siglip)
    store.add(make_film("film", repeated, siglip, said))

    assert places(store.search(image=pictures[3], k=1, after="eggs")) == [7]
    assert places(store.search(image=pictures[3], k=1, before="eggs")) == [3]
    assert places(store.search(image=pictures[3], k=2, occurrence="first")) == [3, 7]
    assert places(store.search(image=pictures[3], k=2, occurrence="last")) == [7, 3]


def test_pictures_that_differ_are_preferred(siglip: Path, vectors: list[Vector], pictures: list[Path]) -> None:
    store = VideoTimelineStore(embedding=BagOfWords(16), visual_embedding=siglip)
    store.add(make_film("film", [vectors[0], vectors[0], *vectors[1:4]], siglip))

    assert set(places(store.search(image=pictures[0], k=2))) == {0, 1}
    assert len({0, 1} & set(places(store.search(image=pictures[0], k=2, lambda_mult=0.3)))) == 1


# Texts


def test_a_text_finds_a_frame_that_it_describes(siglip: Path, model: VisualModel, vectors: list[Vector]) -> None:
    described = [*vectors, *model.embed_texts(["red house", "blue boat"])]
    store = VideoTimelineStore(embedding=BagOfWords(16), visual_embedding=siglip)
    store.add(make_film("film", described, siglip))

    for query, place in {"red house": PICTURES, "blue boat": PICTURES + 1}.items():
        (best,) = store.search(query, k=1)
        assert (places([best]), hits([best])) == ([place], [(10 * place + 3, 10 * place + 10)])
        assert best.metadata["score"] > 0.5
        assert places(store.search(query, k=1, modalities="visual")) == [place]


def test_a_strong_match_of_words_comes_before_weak_ones_of_frames(siglip: Path, vectors: list[Vector]) -> None:
    said = Observation(52, 54, "speech", "whisk two eggs")
    store = VideoTimelineStore(embedding=BagOfWords(16), visual_embedding=siglip)
    store.add(make_film("film", vectors, siglip, said))

    (best,) = store.search("whisk two eggs", k=1)

    assert hits([best]) == [(52, 54)]


def test_frames_do_not_count_among_other_modalities(siglip: Path, model: VisualModel, vectors: list[Vector]) -> None:
    described = [*vectors[:4], *model.embed_texts(["blue boat"])]
    said = [
        Observation(10 * place, 10 * place + 2, "speech", text) for place, text in ((1, "a blue boat"), (4, "Hello"))
    ]
    store = VideoTimelineStore(embedding=BagOfWords(16), visual_embedding=siglip)
    store.add(make_film("film", described, siglip, *said))

    assert places(store.search("blue boat", k=1, modalities="speech")) == [1]
    assert places(store.search("blue boat", k=1, modalities="visual")) == [4]


def test_frames_at_random_change_no_results_of_texts(siglip: Path) -> None:
    slides = make_slides("slides", *[f"Replace part {number} of the pump" for number in range(40)])
    random = np.random.default_rng(0).standard_normal((40 * 30, 32)).astype(np.float32)
    frames = [
        Observation(second, second + 1, "visual", "", source=str(siglip), vector=dump_vector(vector))
        for second, vector in enumerate(random)
    ]
    plain, mixed = (
        VideoTimelineStore(embedding=BagOfWords(64)),
        VideoTimelineStore(embedding=BagOfWords(64), visual_embedding=siglip),
    )
    plain.add(slides)
    mixed.add(Timeline.of(slides.video, "slides", [*slides, *frames]))

    for number in range(40):
        query = f"part {number} of the pump"
        assert mixed.search(query, k=1)[0].metadata["start"] == plain.search(query, k=1)[0].metadata["start"]


# Storing


def test_vectors_are_part_of_the_stored_timeline(store: VideoTimelineStore, film: Timeline) -> None:
    assert store.timeline("film") == film
    assert store.timeline("film", 20, 40) == film.slice(20, 40)


def test_a_new_local_index_has_the_frames(film: Timeline, siglip: Path, pictures: list[Path], tmp_path: Path) -> None:
    VideoTimelineStore(tmp_path, embedding=BagOfWords(16)).add(film)
    before = VideoTimelineStore(tmp_path, embedding=BagOfWords(16), visual_embedding=siglip).search(image=pictures[5])
    for file in tmp_path.glob("*.index.sqlite3*"):
        file.unlink()
    store = VideoTimelineStore(tmp_path, embedding=BagOfWords(16), visual_embedding=siglip)

    assert store.search(image=pictures[5]) == before
    store.remove("film")
    assert store.search(image=pictures[5]) == []


def test_a_long_video_with_many_vectors(siglip: Path, vectors: list[Vector]) -> None:
    wide = [np.resize(vector, 8192) for vector in vectors]  # a minute is over 100 kB
    frames = [
        Observation(second, second + 1, "visual", "", vector=dump_vector(np.roll(wide[second % PICTURES], second)))
        for second in range(1200)
    ]
    timeline = make_timeline("long", *frames)
    store = VideoTimelineStore(embedding=BagOfWords(16))
    store.add(timeline)

    assert store.timeline("long") == timeline


class FailingOnce(BagOfWords):
    """Fails when the first title is embedded."""

    def __init__(self) -> None:
        super().__init__(16)
        self.fails = True

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if texts == ["numbers"] and self.fails:
            self.fails = False
            raise RuntimeError("out of order")
        return super().embed_documents(texts)


def test_an_interrupted_run_resumes_with_its_vectors(siglip: Path, tmp_path: Path) -> None:
    video = make_numbered(tmp_path / "numbers.mp4", times=regular(5, rate=1))
    profile = write_profile(tmp_path / "visual.yaml", siglip)
    store = VideoTimelineStore(embedding=FailingOnce(), visual_embedding=siglip)
    with pytest.raises(RuntimeError, match="out of order"):
        store.index(video, profile=profile, show_progress=False)

    store.index(video, profile=profile, show_progress=False)

    assert list(store.timeline(store.videos()[0].video_id)) == list(perceive(video, [Visual(siglip)]))


def write_profile(path: Path, model: Path) -> Path:
    path.write_text(f"- visual: {{model: {json.dumps(str(model))}}}\n")
    return path


@pytest.mark.parametrize(
    ("vector", "error", "message"),
    [
        (dump_vector(np.ones(16, np.float32)), StoreError, "vectors have 32 dimensions, those of these frames have 16"),
        ("?", InputError, "vector"),
        ("", InputError, "vector"),
    ],
)
def test_other_vectors_are_refused_before_anything_is_written(
    store: VideoTimelineStore, film: Timeline, vector: str, error: type[Exception], message: str
) -> None:
    other = make_timeline("other", Observation(0, 1, "visual", "", vector=vector))
    before = store.vectorstore.get()
    with pytest.raises(error, match=message):
        store.add(other)
    assert store.vectorstore.get() == before
    assert [video.video_id for video in store.videos()] == ["film"]


def test_vectors_of_several_widths_are_refused() -> None:
    frames = [Observation(0, 1, "visual", "", vector=dump_vector(np.ones(size, np.float32))) for size in (8, 16)]
    with pytest.raises(InputError, match="different widths: 8, 16"):
        VideoTimelineStore(embedding=BagOfWords(16)).add(make_timeline("film", *frames))


def test_frames_of_a_model_with_another_name_are_refused(film: Timeline, vectors: list[Vector]) -> None:
    store = VideoTimelineStore(embedding=BagOfWords(16))
    store.add(film)
    with pytest.raises(StoreError, match=r"another visual model .*not 'nobody/other'"):
        store.add(make_film("other", vectors, "nobody/other"))


def test_a_profile_with_another_model_is_refused_before_perception(
    siglip: Path, tmp_path: Path, pictures: list[Path]
) -> None:
    video = make_numbered(tmp_path / "numbers.mp4", times=regular(5, rate=1))
    store = VideoTimelineStore(embedding=BagOfWords(16), visual_embedding=siglip)
    store.index(video, profile=write_profile(tmp_path / "one.yaml", siglip), show_progress=False)
    other = write_profile(tmp_path / "other.yaml", tiny_clip(tmp_path / "clip"))
    phases: list[float] = []
    with pytest.raises(
        StoreError, match=r"another visual model \('.*siglip.*', not '.*clip'\): its embedding of a test"
    ):
        store.index(video, profile=other, show_progress=False, on_progress=lambda *progress: phases.append(progress[2]))
    assert phases == []
    assert len(store.search(image=pictures[0])) == 1


def test_a_video_that_fails_leaves_the_visual_model_open(siglip: Path, tmp_path: Path) -> None:
    video = make_numbered(tmp_path / "numbers.mp4", times=regular(5, rate=1))
    store = VideoTimelineStore(embedding=FailingOnce(), visual_embedding=siglip)
    with pytest.raises(RuntimeError, match="out of order"):
        store.index(video, profile=write_profile(tmp_path / "one.yaml", siglip), show_progress=False)

    other = write_profile(tmp_path / "other.yaml", tiny_clip(tmp_path / "clip"))
    assert store.index(video, profile=other, show_progress=False)


def test_the_same_model_under_another_path_is_accepted(siglip: Path, tmp_path: Path) -> None:
    first, second = (make_numbered(tmp_path / f"{n}.mp4", times=regular(n, rate=1)) for n in (4, 6))
    copy = shutil.copytree(siglip, tmp_path / "copy")
    store = VideoTimelineStore(tmp_path / "store", embedding=BagOfWords(16))
    store.index(first, profile=write_profile(tmp_path / "one.yaml", siglip), show_progress=False)
    store.index(second, profile=write_profile(tmp_path / "two.yaml", copy), show_progress=False)

    opened = VideoTimelineStore(tmp_path / "store", embedding=BagOfWords(16), visual_embedding=copy)
    Image.fromarray(draw_number(5)).save(tmp_path / "five.png")
    (best,) = opened.search(image=tmp_path / "five.png", k=1)
    assert (best.metadata["title"], best.metadata["hit_start"]) == ("6", 5.0)


def test_another_model_is_refused_when_searching(film: Timeline, siglip: Path, tmp_path: Path) -> None:
    video = make_numbered(tmp_path / "numbers.mp4", times=regular(5, rate=1))
    VideoTimelineStore(tmp_path / "store", embedding=BagOfWords(16)).index(
        video, profile=write_profile(tmp_path / "one.yaml", siglip), show_progress=False
    )
    clip = tiny_clip(tmp_path / "clip")
    store = VideoTimelineStore(tmp_path / "store", embedding=BagOfWords(16), visual_embedding=clip)
    with pytest.raises(StoreError, match="another visual model"):
        store.search("cat")


# Stores that somebody else made, and models that are missing


def test_a_recorded_model_is_not_opened_unless_it_is_the_default(
    film: Timeline, siglip: Path, pictures: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    VideoTimelineStore(tmp_path, embedding=BagOfWords(16)).add(film)
    store = VideoTimelineStore(tmp_path, embedding=BagOfWords(16))
    expected = f"embedded with '{siglip}', which is not opened automatically.*pass its name or path as visual_embedding"

    assert len(store.search("eggs", k=2)) == len(store.search("film", k=2)) == 2
    assert len(caplog.messages) == 1
    with pytest.raises(StoreError, match=expected):
        store.search(image=pictures[0])
    with pytest.raises(StoreError, match=expected):
        store.search("eggs", modalities="visual")
    assert places(store.search(like=("film", 25), k=1)) != [2]


def test_texts_are_searched_without_the_model(
    vectors: list[Vector], pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    store = VideoTimelineStore(embedding=BagOfWords(16))
    store.add(make_film("film", vectors, DEFAULT_VISUAL_MODEL, Observation(41, 43, "speech", "whisk two eggs")))

    assert places(store.search("eggs", k=1)) == places(store.search("whisk", k=1)) == [4]
    assert [DEFAULT_VISUAL_MODEL in one for one in caplog.messages] == [True]
    with pytest.raises(ModelUnavailableError, match=DEFAULT_VISUAL_MODEL):
        store.search(image=pictures[0])


def test_a_store_without_frames_needs_no_model(pictures: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    store = VideoTimelineStore(embedding=BagOfWords(16), visual_embedding="nobody/has-this-model")
    store.add(make_slides("eggs", "Whisk two eggs", "Heat the pan"))

    assert len(store.search("eggs")) == 2
    assert store.search("eggs", modalities="visual") == []
    with pytest.raises(InputError, match=r"^image: no frames of this store were embedded\."):
        store.search(image=pictures[0])
    assert caplog.messages == []


def test_damaged_vectors_are_left_out(
    film: Timeline, siglip: Path, pictures: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    VideoTimelineStore(tmp_path, embedding=BagOfWords(16)).add(film)
    convert_to_old_format(tmp_path)
    pages = chromadb.PersistentClient(str(tmp_path)).get_collection("videos-timelines", embedding_function=None)
    found = pages.get(include=["metadatas"])
    (first, *_), (data, *_) = found["ids"], found["metadatas"] or [{}]
    good = str(data["frame_vectors"]).split()
    narrow, infinite = dump_vector(np.ones(8, np.float32)), dump_vector(np.full(32, np.inf, np.float32))
    pages.update(ids=[first], metadatas=[{**data, "frame_vectors": " ".join(["?", narrow, infinite, good[3]])}])
    store = VideoTimelineStore(tmp_path, embedding=BagOfWords(16), visual_embedding=siglip)

    assert 3 in places(store.search(image=pictures[3], k=1))
    assert len(store.search("film", k=PICTURES)) == PICTURES
    assert ["left out of searches" in one for one in caplog.messages] == [True]


@pytest.mark.parametrize("record", [{"visual_dimensions": "x"}, {"visual_fingerprint": "?"}, {"visual_model": 7}])
def test_a_damaged_record_is_ignored(
    film: Timeline, siglip: Path, pictures: list[Path], tmp_path: Path, record: dict[str, Any]
) -> None:
    VideoTimelineStore(tmp_path, embedding=BagOfWords(16)).add(film)
    convert_to_old_format(tmp_path)
    moments = chromadb.PersistentClient(str(tmp_path)).get_collection("videos", embedding_function=None)
    moments.modify(metadata={**(moments.metadata or {}), **record})

    store = VideoTimelineStore(tmp_path, embedding=BagOfWords(16), visual_embedding=siglip)
    assert places(store.search(image=pictures[3], k=1)) == [3]
    assert len(VideoTimelineStore(tmp_path, embedding=BagOfWords(16)).search("film", k=2)) == 2


# Bad input


def make_text(path: Path) -> None:
    path.write_text("Dear diary, today I am a picture.")


def make_bomb(path: Path) -> None:
    Image.new("1", (16_000, 16_000)).save(path, "PNG")


def make_large(path: Path) -> None:
    Image.new("1", (10_000, 7_000)).save(path, "PNG")


def make_long(path: Path) -> None:
    Image.new("1", (20_000, 8)).save(path, "PNG")


def make_cut(path: Path) -> None:
    Image.fromarray(draw_number(5)).save(path, "PNG")
    path.write_bytes(path.read_bytes()[:-100])


def make_nothing(path: Path) -> None:
    pass


def make_icon(path: Path) -> None:
    Image.new("RGB", (32, 32)).save(path, "ICO")


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (make_text, "is not a picture"),
        (make_icon, "is not a picture"),
        (make_bomb, "too many pixels"),
        (make_large, "10000 x 7000 pixels are over the limit"),
        (make_long, "20000 x 8 pixels are over the limit"),
        (make_cut, "damaged"),
        (make_nothing, "no such file"),
        (Path.mkdir, "is not a regular file"),
        (Path.touch, "is empty"),
    ],
)
def test_other_files_are_refused(store: VideoTimelineStore, tmp_path: Path, make: Any, problem: str) -> None:
    make(tmp_path / "photo.png")
    with pytest.raises(InputError, match=rf"^image: photo\.png: .*{problem}"):
        store.search(image=tmp_path / "photo.png")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "^query: is missing"),
        ({"query": " "}, "^query: must not be empty"),
        ({"image": "0.png", "like": ("film", 1.0)}, "^like: cannot be combined with image"),
        ({"like": ("nothing", 1.0)}, "^like: no frame of video 'nothing' was embedded at 1 s"),
        ({"image": "0.png", "reranker": "cross-encoder/ms-marco-MiniLM-L6-v2"}, "^reranker: needs a search text"),
    ],
)
def test_invalid_arguments(store: VideoTimelineStore, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        store.search(**arguments)


@pytest.mark.parametrize("name", ["siglip", "", "/no/such/folder"])
def test_an_unknown_visual_model_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="visual_embedding: unknown visual model"):
        VideoTimelineStore(embedding=BagOfWords(16), visual_embedding=name)


# Retrievers, agents, commands


def test_retrievers_take_pictures(store: VideoTimelineStore, pictures: list[Path]) -> None:
    retriever = store.as_retriever(k=1)
    assert places(retriever.invoke("", image=str(pictures[6]))) == [6]
    assert places(store.as_retriever(k=1, image=str(pictures[2])).invoke("")) == [2]
    with pytest.raises(InputError, match="query: must not be empty"):
        retriever.invoke("")


def test_configurations_have_the_visual_model(
    film: Timeline, siglip: Path, pictures: list[Path], tmp_path: Path
) -> None:
    VideoTimelineStore(tmp_path).add(film)
    store = VideoTimelineStore(tmp_path, visual_embedding=siglip)
    config = json.loads(json.dumps(store.to_config()))
    retriever = store.as_retriever(k=1, image=str(pictures[6]))
    restored = loads(
        dumps(retriever), allowed_objects=[VideoTimelineRetriever], valid_namespaces=["langchain_videochat"]
    )

    assert config["visual_embedding"] == str(siglip)
    assert places(VideoTimelineStore.from_config(config).search(image=pictures[6], k=1)) == [6]
    assert places(restored.invoke("")) == [6]


def test_agents_search_by_pictures_in_their_folder(store: VideoTimelineStore, pictures: list[Path]) -> None:
    folder = pictures[0].parent
    (tool,) = (one for one in VideoChatToolkit(store=store, root_dir=folder).get_tools() if one.name == "search_videos")
    call = {"name": tool.name, "id": "1", "type": "tool_call"}
    found = tool.invoke({**call, "args": {"image": "6.png", "k": 1}})
    refused = tool.invoke({**call, "args": {"image": "/etc/hostname", "k": 1}})

    assert found.artifact[0]["start"] == 60
    assert "Its frames were compared with the query" in found.content
    assert "outside of the folder" in refused.content
    (text_only,) = (one for one in VideoChatToolkit(store=store).get_tools() if one.name == "search_videos")
    assert "image" not in text_only.args


def test_the_command_takes_a_picture(film: Timeline, siglip: Path, pictures: list[Path], tmp_path: Path) -> None:
    VideoTimelineStore(tmp_path).add(film)
    command = ["search", "--image", str(pictures[6]), "--store", str(tmp_path), "--json", "-k", "1"]
    result = CliRunner().invoke(app, [*command, "--visual-embedding", str(siglip)])

    assert json.loads(result.stdout)[0]["start"] == 60
    assert CliRunner().invoke(app, ["search", "--store", str(tmp_path)]).exit_code == 1
