"""Embedding models run by transformers alone have the vectors of sentence-transformers, which is then not imported."""

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense

from langchain_videochat.errors import ModelError
from langchain_videochat.store.embeddings import SentenceTransformerEmbeddings, find_model
from tests.media_files import make_beeps
from tests.tiny_sentence_transformer import save_cased_sentence_transformer, save_sentence_transformer
from tests.unit_tests.test_embeddings import needs_weights

TEXTS = [
    "",
    " \n",
    "pan",
    "A man cooks an egg in a small red pan.",
    "Two eggs; 250 g of flour?",
    "日本の東京",
    "한국",
    "مرحبا",
    "Ελληνικά, äß, İstanbul",
    "🎬👩‍👩‍👧 egg",
    "C A B T " * 9,
    "a man walks on the street. " * 200,
    *(f"the dog runs {number} times in the car" * (number % 7) for number in range(70)),
]
"""Three batches of texts of very different lengths; several exceed all limits."""

PROMPTS = {"query": "query: ", "passage": "passage: "}

HEAVY = {"bitsandbytes", "peft", "sentence_transformers", "sklearn"}


def assert_same_vectors(model: str, reference: SentenceTransformer, document_prompt: str = "document") -> None:
    embeddings = SentenceTransformerEmbeddings(model)
    expected = reference.encode_document(TEXTS, prompt_name=document_prompt)
    np.testing.assert_allclose(embeddings.embed_documents(TEXTS), expected, rtol=0, atol=1e-5)
    for text in TEXTS[:13]:
        np.testing.assert_allclose(embeddings.embed_query(text), reference.encode_query(text), rtol=0, atol=1e-5)


def change(file: Path, **settings: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))


def add_normalization(folder: Path) -> None:
    file = folder / "modules.json"
    module = {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}
    file.write_text(json.dumps([*json.loads(file.read_text()), module]))
    (folder / "2_Normalize").mkdir()


def imported_packages(program: str, *arguments: object) -> list[str]:
    """Run a program that calls `report`, and return which heavy packages it had imported by each call."""
    report = f"import sys\ndef report(): print(*sorted({HEAVY!r} & set(sys.modules)))\n"
    command = [sys.executable, "-c", report + program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


# Models that transformers runs


@needs_weights
def test_vectors_of_the_default_model() -> None:
    model = SentenceTransformerEmbeddings().model
    assert_same_vectors(model, SentenceTransformer(str(find_model(model))))


@pytest.mark.parametrize("save", [save_sentence_transformer, save_cased_sentence_transformer])
@pytest.mark.parametrize("normalize", [False, True])
def test_vectors_of_other_models(tmp_path: Path, save: Callable[..., Path], normalize: bool) -> None:
    folder = save(tmp_path / "model", prompts=PROMPTS)
    if normalize:
        add_normalization(folder)
    assert_same_vectors(str(folder), SentenceTransformer(str(folder)), "passage")


@pytest.mark.parametrize("max_seq_length", [None, 5])
def test_maximum_length(tmp_path: Path, max_seq_length: int | None) -> None:
    folder = save_sentence_transformer(tmp_path / "model")
    change(folder / "sentence_bert_config.json", max_seq_length=max_seq_length)
    assert_same_vectors(str(folder), SentenceTransformer(str(folder)))


def test_files_as_sentence_transformers_saves_them_today(tmp_path: Path) -> None:
    reference = SentenceTransformer(str(save_cased_sentence_transformer(tmp_path / "model", PROMPTS)))
    reference.save(str(tmp_path / "saved"))
    assert_same_vectors(str(tmp_path / "saved"), reference, "passage")


def test_weights_of_half_precision_stay_so(tmp_path: Path) -> None:
    folder = save_sentence_transformer(tmp_path / "model")
    reference = SentenceTransformer(str(folder), model_kwargs={"dtype": "bfloat16"})
    reference.save(str(tmp_path / "half"))
    assert_same_vectors(str(tmp_path / "half"), reference)


def test_no_text() -> None:
    assert SentenceTransformerEmbeddings().embed_documents([]) == []


def test_threads_share_a_model(tmp_path: Path) -> None:
    embeddings = SentenceTransformerEmbeddings(str(save_sentence_transformer(tmp_path / "model")))
    with ThreadPoolExecutor(8) as threads:
        vectors = list(threads.map(embeddings.embed_query, TEXTS))
    np.testing.assert_allclose(vectors, embeddings.embed_documents(TEXTS), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("layer", "complete"), [("pooler", True), ("embeddings", False)])
def test_missing_weights(tmp_path: Path, layer: str, complete: bool) -> None:
    folder = save_sentence_transformer(tmp_path / "model")
    vector = SentenceTransformerEmbeddings(str(folder)).embed_query("egg")
    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith(layer)}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    embeddings = SentenceTransformerEmbeddings(str(folder.rename(tmp_path / "incomplete")))
    if complete:
        assert embeddings.embed_query("egg") == vector
    else:
        with pytest.raises(ModelError, match=r"5 weights are missing, for example embeddings"):
            embeddings.embed_query("egg")


def test_missing_tokenizer_is_an_error(tmp_path: Path) -> None:
    folder = save_sentence_transformer(tmp_path / "model")
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ModelError, match=r"the tokenizer has .* tokens, so its files are missing"):
        SentenceTransformerEmbeddings(str(folder)).embed_query("egg")


# Models that sentence-transformers runs


@pytest.mark.parametrize(
    ("file", "settings"),
    [
        ("1_Pooling/config.json", {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}),
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}),
        ("1_Pooling/config.json", {"pooling_mode": ["mean", "lasttoken"]}),
        ("1_Pooling/config.json", {"include_prompt": False}),
        ("sentence_bert_config.json", {"do_lower_case": True}),
        ("sentence_bert_config.json", {"query_length": 4}),
        ("config_sentence_transformers.json", {"truncate_dim": 8}),
    ],
)
def test_vectors_of_other_settings(tmp_path: Path, file: str, settings: dict[str, Any]) -> None:
    plain = SentenceTransformerEmbeddings(str(save_cased_sentence_transformer(tmp_path / "plain", PROMPTS)))
    folder = save_cased_sentence_transformer(tmp_path / "model", PROMPTS)
    change(folder / file, **settings)
    assert_same_vectors(str(folder), SentenceTransformer(str(folder)), "passage")
    assert plain.embed_query(TEXTS[10]) != SentenceTransformerEmbeddings(str(folder)).embed_query(TEXTS[10])


def test_vectors_of_other_modules(tmp_path: Path) -> None:
    modules = SentenceTransformer(str(save_sentence_transformer(tmp_path / "model"))).children()
    reference = SentenceTransformer(modules=[*modules, Dense(16, 8)])
    reference.save(str(tmp_path / "dense"))
    assert_same_vectors(str(tmp_path / "dense"), reference)


# What is imported

EMBED = """
from langchain_videochat.store.embeddings import SentenceTransformerEmbeddings
for model in sys.argv[1:]:
    SentenceTransformerEmbeddings(model).embed_documents(["a man", "a dog runs"])
    report()
"""

INDEX_AND_SEARCH = """
from langchain_videochat.cli import app
_, video, store = sys.argv
app(["index", video, "--profile", "lite", "--store", store], standalone_mode=False)
app(["search", "pan", "--store", store], standalone_mode=False)
report()
"""


@pytest.mark.slow
def test_only_other_pooling_imports_sentence_transformers(tmp_path: Path) -> None:
    normalized = save_sentence_transformer(tmp_path / "normalized")
    add_normalization(normalized)
    cased = save_cased_sentence_transformer(tmp_path / "cased")
    other = save_sentence_transformer(tmp_path / "other")
    change(other / "1_Pooling" / "config.json", pooling_mode_mean_tokens=False, pooling_mode_cls_token=True)
    *mean, cls = imported_packages(EMBED, normalized, cased, other)
    assert mean == ["", ""]
    assert "sentence_transformers" in cls


@needs_weights
@pytest.mark.slow
def test_indexing_and_searching_do_not_import_sentence_transformers(tmp_path: Path) -> None:
    video = make_beeps(tmp_path / "beeps.mp4", seconds=2)
    (tmp_path / "beeps.srt").write_text("1\n00:00:00,000 --> 00:00:02,000\nHeat the pan.\n")
    assert imported_packages(INDEX_AND_SEARCH, video, tmp_path / "store")[-1] == ""
