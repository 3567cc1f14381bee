"""Downloads of recognition models for text on screen, from a local server."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rapidocr.inference_engine.base import InferSession

from langchain_videochat.errors import ModelUnavailableError
from langchain_videochat.perception import perceive
from langchain_videochat.perception.ocr_models import RecognitionModel, model_for_language
from langchain_videochat.perception.screen_text import ScreenText
from tests.slides import render_talk


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecognitionModel:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = model_for_language("el")
    assert model is not None
    return model


@pytest.fixture
def published(tmp_path: Path, model: RecognitionModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of the model on a local server."""
    folder = tmp_path / "server"
    folder.mkdir()
    file = folder / "greek.onnx"
    file.write_bytes(bytes(range(256)) * 100)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder))
    threading.Thread(target=server.serve_forever).start()
    entry = InferSession.model_info.onnxruntime[model.version].rec[model.name]
    monkeypatch.setitem(entry, "model_dir", f"http://127.0.0.1:{server.server_port}/{file.name}")
    monkeypatch.setitem(entry, "SHA256", hashlib.sha256(file.read_bytes()).hexdigest())
    yield file
    server.shutdown()
    server.server_close()


def test_a_download_is_kept(model: RecognitionModel, published: Path) -> None:
    assert model.find() is None
    assert model.fetch().read_bytes() == published.read_bytes()
    published.unlink()
    assert model.fetch() == model.find() == model.path


def test_a_download_that_is_not_the_published_file_is_refused(model: RecognitionModel, published: Path) -> None:
    published.write_bytes(published.read_bytes()[:-1])
    with pytest.raises(ModelUnavailableError, match="SHA-256 differs"):
        model.fetch()
    assert model.find() is None


def test_a_missing_model_stops_the_run_before_it_starts(
    model: RecognitionModel, published: Path, tmp_path: Path
) -> None:
    published.unlink()
    video = render_talk(tmp_path / "town.mp4", [["Athens"]], seconds=1)
    advice = r"8 MB.*Connect to the network.*or save http.*greek\.onnx as"
    with pytest.raises(ModelUnavailableError, match=advice) as error:
        list(perceive(video, [ScreenText(language="el")]))
    assert str(model.path) in str(error.value)
