"""Loading a VideoChat-Embed folder, and errors for incomplete or damaged ones."""

import gc
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM, MambaConfig
from transformers.utils import logging as transformers_logging

from langchain_videochat import VideoChatEmbed
from langchain_videochat.embed import Image, Turn, Video, VideoChatEmbedProcessor, load_model
from langchain_videochat.errors import InputError, ModelError, ModelUnavailableError
from tests.tiny_videochat import byte_tokenizer, save_videochat

QUESTION = Turn("human", (Video(np.zeros((3, 40, 60, 3), np.uint8), (0.5, 1.5, 2.5)), "What is she doing?"))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_videochat(tmp_path_factory.mktemp("videochat"))


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(saved, tmp_path / "model")


def test_loaded_model_generates(saved: Path) -> None:
    model, processor = load_model(saved)
    tokens = model.generate(**processor([QUESTION]), max_new_tokens=5)
    assert tokens.shape[0] == 1
    assert isinstance(processor.batch_decode(tokens, skip_special_tokens=True)[0], str)
    assert not model.training


def test_batch_equals_single_conversations(saved: Path) -> None:
    model, processor = load_model(saved)
    other = Turn("human", ("And", Image(np.full((30, 50, 3), 200, np.uint8)), "this?"))
    both = model.generate(**processor([[QUESTION], [other]]), max_new_tokens=8, min_new_tokens=8)
    for index, turn in enumerate([QUESTION, other]):
        alone = model.generate(**processor([turn]), max_new_tokens=8, min_new_tokens=8)
        assert torch.equal(alone[0], both[index])


def test_dtype_and_attention_are_as_requested(saved: Path) -> None:
    model, processor = load_model(saved, dtype="bfloat16", attn_implementation="eager")
    assert {one.dtype for one in model.parameters()} == {torch.bfloat16}
    assert model.vision_tower.config._attn_implementation == "eager"
    model.generate(**processor([QUESTION]), max_new_tokens=2)


def test_only_the_language_model_is_quantized(saved: Path) -> None:
    model, processor = load_model(saved, bits=8)
    assert type(model.language_model.model.layers[0].mlp.up_proj).__name__ == "Linear8bitLt"
    assert type(model.language_projection) is torch.nn.Linear
    model.generate(**processor([QUESTION]), max_new_tokens=2)


@pytest.mark.parametrize("show_progress", [True, False])
def test_progress_is_shown_on_request(saved: Path, show_progress: bool, capfd: pytest.CaptureFixture[str]) -> None:
    enabled_before = transformers_logging.is_progress_bar_enabled()
    llm = VideoChatEmbed(model=str(saved), device="cpu", dtype="float32", show_progress=show_progress)
    gc.collect()  # or the model of another test would be shared
    llm.load()
    assert ("Loading weights" in capfd.readouterr().err) == show_progress
    assert transformers_logging.is_progress_bar_enabled() == enabled_before


def test_a_language_model_without_a_kv_cache_is_rejected(tmp_path: Path) -> None:
    folder = save_videochat(tmp_path, text_config=MambaConfig, state_size=4)
    with pytest.raises(ModelError, match="of type mamba, takes no KV cache"):
        VideoChatEmbed(model=str(folder), device="cpu").load()


def test_missing_device_is_rejected(saved: Path) -> None:
    with pytest.raises(InputError, match="device"):
        load_model(saved, device="cuda:7")


def test_missing_model_is_rejected() -> None:
    with pytest.raises(ModelUnavailableError, match="nobody/has-this"):
        load_model("nobody/has-this")


def test_other_kind_of_model_is_rejected(tmp_path: Path) -> None:
    text = LlamaConfig(vocab_size=300, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    LlamaForCausalLM(text).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"not a VideoChat-Embed but a model of type llama.*videochat convert"):
        load_model(tmp_path)


def test_empty_folder_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(tmp_path)


def test_incomplete_model_is_rejected(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "gmhra" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"33 weights are missing, for example vision_tower\.gmhra"):
        load_model(folder)


def test_truncated_file_is_rejected(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(folder)


def test_folder_without_weights_is_rejected(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(folder)


def test_weights_of_another_shape_are_rejected(folder: Path) -> None:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    config["vision_config"]["intermediate_size"] = 48
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(folder)


def test_processor_of_another_model_is_rejected(folder: Path) -> None:
    VideoChatEmbedProcessor(byte_tokenizer(), num_visual_tokens=5).save_pretrained(folder)
    with pytest.raises(ModelError, match="the processor belongs to another model"):
        load_model(folder)
