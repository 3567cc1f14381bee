"""Search without a local index: the same results as with one, unless frames are needed."""

from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest

from langchain_videochat.errors import InputError
from langchain_videochat.perception import Observation
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.store.filters import Filter
from langchain_videochat.store.quotas import MAX_PREDICATES
from langchain_videochat.store.server_filters import to_wheres
from tests.unit_tests.embeddings import BagOfWords, make_slides, make_speech, make_timeline

RECIPE = make_slides("recipe", "Whisk two eggs", "Heat the pan", "Fold the omelette", "Whisk the cream", "Serve it")
TALK = make_speech("talk", *[f"The server AX-{number} costs {number} euros" for number in range(4470, 4500)], seconds=6)
MIXED = make_timeline(
    "mixed",
    Observation(0, 70, "screen_text", "A slide about eggs that stays"),
    Observation(2, 4, "speech", "Good morning"),
    Observation(40, 44, "speech", "Now we whisk the eggs"),
    Observation(65, 69, "action", "applause"),
)

Stores = tuple[VideoTimelineStore, VideoTimelineStore]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """The same videos with a local index and without one."""
    folder = tmp_path_factory.mktemp("store")
    local = VideoTimelineStore(folder, embedding=BagOfWords())
    for timeline in (MIXED, RECIPE, TALK):
        local.add(timeline)
    return local, VideoTimelineStore(folder, embedding=BagOfWords(), local_index=False)


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("whisk eggs", {}),
        ("whisk eggs", {"k": 20}),
        ("What does AX-4489 cost?", {"k": 2}),
        ("whisk", {"video_id": ["recipe", "mixed"], "start": 31, "end": 100}),
        ("whisk", {"filter": {"$and": [{"start": {"$gte": 20}}, {"end": {"$lte": 90}}, {"video_id": "recipe"}]}}),
        ("eggs", {"modalities": ["speech", "action"]}),
        ("eggs", {"modalities": "action"}),
        ("eggs", {"video_id": [f"film{number}" for number in range(150)]}),
        ("eggs", {"video_id": []}),
        ("whisk", {"after": "heat the pan", "k": 3}),
        ("whisk", {"before": "fold the omelette", "after": "whisk two eggs"}),
        ("whisk", {"occurrence": "last"}),
        ("eggs", {"lambda_mult": 0.3, "k": 3}),
        ("eggs", {"min_score": 0.5}),
    ],
)
def test_results_are_those_of_a_local_index(stores: Stores, query: str, options: dict[str, Any]) -> None:
    expected, found = (store.search(query, **options) for store in stores)
    # Words are as rare as they are among the candidates, which a filter changes.
    scores = [one.metadata.pop("score") for one in expected]
    assert [one.metadata.pop("score") for one in found] == pytest.approx(scores, abs=0.15)
    assert found == expected


def test_neighbors_and_words_are_those_of_a_local_index(stores: Stores) -> None:
    local, remote = stores
    for moments in (RECIPE.to_documents("moment"), MIXED.to_documents("moment"), local.search("whisk", k=3)):
        given = list(moments)
        assert remote.neighbors(given[:2]) == local.neighbors(given[:2])
        assert remote.timed_words(given) == local.timed_words(given)
    assert (remote.neighbors([]), remote.timed_words([])) == ([], [])
    (unknown,) = make_slides("unknown", "Nothing").to_documents("moment")
    assert (remote.neighbors([unknown]), remote.timed_words([unknown])) == ([], [[]])


def test_a_retriever_searches_without_a_local_index(stores: Stores) -> None:
    _, remote = stores
    assert remote.as_retriever(k=1).invoke("omelette")[0].metadata["start"] == 60


def test_nothing_is_copied(tmp_path: Path) -> None:
    store = VideoTimelineStore(tmp_path, embedding=BagOfWords(), local_index=False)
    store.add(RECIPE)
    assert len(store.search("eggs")) == 4
    assert store._index.versions() == {}
    restored = VideoTimelineStore.from_config(store.to_config())
    assert len(restored.search("eggs")) == 4
    assert restored.to_config() == store.to_config()
    assert restored._index.versions() == {}


def test_an_empty_store_finds_nothing() -> None:
    assert VideoTimelineStore(embedding=BagOfWords(), local_index=False).search("eggs") == []


@pytest.mark.parametrize(
    ("options", "argument"),
    [({"like": ("mixed", 2.0)}, "like"), ({"query": "eggs", "modalities": "visual"}, "modalities")],
)
def test_frames_need_a_local_index(stores: Stores, options: dict[str, Any], argument: str) -> None:
    with pytest.raises(InputError, match=rf"^{argument}: frames cannot be compared without a local index"):
        stores[1].search(**options)


def test_an_unknown_modality_is_refused(stores: Stores) -> None:
    with pytest.raises(InputError, match=r"^modalities: unknown modality 'speach'"):
        stores[1].search("eggs", modalities="speach")


@pytest.fixture
def with_leftovers(tmp_path: Path) -> VideoTimelineStore:
    """A store with moments of a save that was killed."""
    store = VideoTimelineStore(tmp_path, embedding=BagOfWords(), local_index=False)
    store.add(RECIPE)
    moments = chromadb.PersistentClient(tmp_path).get_collection("videos", embedding_function=None)
    found = moments.get(include=["embeddings", "documents", "metadatas"])
    ids = [f"recipe:{'0' * 32}:{number:06d}" for number in range(len(found["ids"]))]
    moments.add(ids, np.asarray(found["embeddings"]), found["metadatas"], found["documents"])
    return store


def test_moments_that_no_record_names_are_not_found(with_leftovers: VideoTimelineStore) -> None:
    assert sorted(one.metadata["start"] for one in with_leftovers.search("eggs", k=20)) == [0, 30, 60, 90, 120]


def test_filters_have_few_predicates() -> None:
    condition = Filter.of(["one"], 3, 4, [f"modality{number}" for number in range(5)])
    (where,) = to_wheres(condition)
    assert where is not None
    assert str(where).count("'modality:") == 5
    (where,) = to_wheres(Filter.of(modalities=[f"modality{number}" for number in range(MAX_PREDICATES + 1)]))
    assert where is None
