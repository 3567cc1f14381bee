"""Converting checkpoints: the original's files, deltas, BLIP-2 folders, and invalid files of each kind."""

import argparse
import json
import math
import os
import pickle
import shutil
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlamaForCausalLM
from typer.testing import CliRunner

from langchain_videochat.cli.main import app
from langchain_videochat.embed import (
    ConversionReport,
    VideoChatEmbedForConditionalGeneration,
    convert_checkpoint,
    load_model,
)
from langchain_videochat.embed.conversion.checkpoint_files import read_checkpoint
from langchain_videochat.embed.conversion.dimensions import resolve_dimensions
from langchain_videochat.embed.conversion.language_checks import TEXT
from langchain_videochat.errors import InputError, ModelError, ModelUnavailableError
from tests.tiny_videochat import byte_tokenizer

hf: Any = transformers
"""Untyped: its configs take arguments that are not in their signatures."""

GOLDEN = Path(__file__).parents[1] / "data" / "embed"
"""A tiny instance of the original's files with random weights, and the outputs of the original code."""

HEADS = {"vision_heads": 4, "qformer_heads": 4}
"""Numbers of heads, which cannot be derived from such a small width."""

ORIGINALS = {"eva": "eva_vit_g", "blip2": "blip2_pretrained", "videochat": "videochat"}

WIDTH = 24
ROWS = 260
"""Vocabulary of the language models: bytes and four special tokens."""

Weights = dict[str, Tensor]
Convert = Callable[..., ConversionReport]


@pytest.fixture(scope="module")
def originals() -> dict[str, Weights]:
    return {argument: load_file(GOLDEN / f"{name}.safetensors") for argument, name in ORIGINALS.items()}


def tiny_llama(rows: int = ROWS, **settings: Any) -> LlamaForCausalLM:
    torch.manual_seed(0)
    shape = {"hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": 0, "eos_token_id": 1}
    return LlamaForCausalLM(hf.LlamaConfig(vocab_size=rows, max_position_embeddings=256, **(shape | ends | settings)))


def save_language_model(folder: Path, model: Any, tokenizer: Any = None, **options: Any) -> Path:
    model.save_pretrained(folder, **options)
    (tokenizer or byte_tokenizer(template="<s> $A")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model trained on one English sentence."""
    model = tiny_llama()
    ids = byte_tokenizer(template="<s> $A")(TEXT, return_tensors="pt").input_ids
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    return save_language_model(tmp_path_factory.mktemp("language"), model)


@pytest.fixture
def convert(language_model: Path, tmp_path: Path) -> Convert:
    """Convert the golden files, or others in their place."""
    files = {argument: GOLDEN / f"{name}.safetensors" for argument, name in ORIGINALS.items()}

    def run(**arguments: Any) -> ConversionReport:
        defaults: dict[str, Any] = {**files, **HEADS, "language_model": language_model, "output": tmp_path / "out"}
        return convert_checkpoint(**(defaults | {"show_progress": False} | arguments))

    return run


def saved(path: Path, weights: Any, **options: Any) -> Path:
    if path.suffix == ".safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path, **options)
    return path


def written(folder: Path) -> Weights:
    """All weights of a converted folder."""
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


def assert_rejected(run: Callable[[], object], *messages: str, folder: Path) -> None:
    """Check that a typed error with the messages is raised, and that no file is left behind."""
    before = sorted(folder.rglob("*"))
    with pytest.raises((ModelError, InputError, ModelUnavailableError)) as caught:
        run()
    for text in messages:
        assert text in str(caught.value)
    assert sorted(folder.rglob("*")) == before


# The original's files


def test_every_weight_equals_the_original(
    convert: Convert, originals: dict[str, Weights], language_model: Path
) -> None:
    report = convert()
    model, _ = load_model(report.output)
    weights = model.state_dict()
    eva, blip2, videochat = (originals[argument] for argument in ORIGINALS)
    attention = "blocks.2.attn."
    zeros = torch.zeros(32)
    pairs = {
        "vision_tower.embeddings.class_embedding": eva["cls_token"],
        "vision_tower.embeddings.position_embedding": eva["pos_embed"],
        "vision_tower.embeddings.patch_embedding.weight": eva["patch_embed.proj.weight"],
        "vision_tower.layers.2.self_attn.qkv.weight": eva[attention + "qkv.weight"],
        "vision_tower.layers.2.self_attn.qkv.bias": torch.cat(
            [eva[attention + "q_bias"], zeros, eva[attention + "v_bias"]]
        ),
        "vision_tower.layers.2.self_attn.projection.bias": eva[attention + "proj.bias"],
        "vision_tower.layers.1.layer_norm2.weight": eva["blocks.1.norm2.weight"],
        "vision_tower.layers.3.mlp.fc2.bias": eva["blocks.3.mlp.fc2.bias"],
        "vision_tower.gmhra_cls_token": videochat["visual_encoder.gmhra_cls_token"],
        "vision_tower.gmhra.1.attn.in_proj_weight": videochat["visual_encoder.gmhra.1.attn.in_proj_weight"],
        "vision_layernorm.weight": videochat["ln_vision.weight"],
        "extra_query_tokens": videochat["extra_query_tokens"],
        "language_projection.bias": videochat["llama_proj.bias"],
        "query_tokens": blip2["query_tokens"],
        "qformer.layernorm.weight": blip2["Qformer.bert.embeddings.LayerNorm.weight"],
        "qformer.encoder.layer.2.attention.attention.key.weight": blip2[
            "Qformer.bert.encoder.layer.2.attention.self.key.weight"
        ],
        "qformer.encoder.layer.2.crossattention.output.dense.bias": blip2[
            "Qformer.bert.encoder.layer.2.crossattention.output.dense.bias"
        ],
        "qformer.encoder.layer.3.output_query.LayerNorm.bias": blip2[
            "Qformer.bert.encoder.layer.3.output_query.LayerNorm.bias"
        ],
    }
    for name, original in pairs.items():
        assert torch.equal(weights[name], original), name
    language = load_file(language_model / "model.safetensors")
    known = {tensor.numpy().tobytes() for file in (eva, blip2, videochat, language) for tensor in file.values()}
    unknown = [name for name, tensor in weights.items() if tensor.numpy().tobytes() not in known]
    assert unknown == [f"vision_tower.layers.{layer}.self_attn.qkv.bias" for layer in range(4)]


@pytest.mark.parametrize("kind", ["video", "image"])
def test_outputs_equal_the_original(convert: Convert, kind: str) -> None:
    model, _ = load_model(convert().output)
    expected = load_file(GOLDEN / "expected.safetensors")
    with torch.no_grad():
        found = model.encode_videos(expected[f"{kind}.pixel_values"])
    for name in ("vision_tokens", "qformer_output", "language_inputs"):
        torch.testing.assert_close(getattr(found, name), expected[f"{kind}.{name}"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["video", "image"])
def test_bf16_outputs_are_close_to_the_original(convert: Convert, kind: str) -> None:
    model, _ = load_model(convert().output, dtype="bfloat16")
    expected = load_file(GOLDEN / "expected.safetensors")
    with torch.no_grad():
        found = model.get_video_features(expected[f"{kind}.pixel_values"])
    wanted = expected[f"{kind}.language_inputs"]
    assert found.dtype == torch.bfloat16
    assert (found.float() - wanted).norm() / wanted.norm() < 0.03


def test_config_has_the_given_settings(convert: Convert) -> None:
    dims = json.loads((GOLDEN / "dims.json").read_text())
    given = ["vision_heads", "qformer_heads", "vision_layer_norm_eps", "gmhra_layer_norm_eps", "ln_vision_eps"]
    overrides = {name: dims[name] for name in [*given, "extra_num_query_tokens", "qformer_layer_norm_eps"]}
    config = load_model(convert(**overrides | {"ln_vision_eps": 2e-5}).output)[0].config
    assert (config.vision_config.num_attention_heads, config.vision_config.layer_norm_eps) == (4, 1e-6)
    assert (config.qformer_config.num_attention_heads, config.qformer_config.layer_norm_eps) == (4, 1e-12)
    assert (config.gmhra_layer_norm_eps, config.vision_layer_norm_eps) == (1e-5, 2e-5)
    assert (config.num_query_tokens, config.num_extra_query_tokens) == (4, 6)
    assert config.vision_config.image_size == 42


def test_report_lists_weights_by_file(convert: Convert, language_model: Path) -> None:
    report = convert()
    eva, blip2, videochat = (str(GOLDEN / f"{name}.safetensors") for name in ORIGINALS.values())
    assert report.used == {
        eva: {"vision_tower": 52},
        blip2: {"qformer": 86, "query_tokens": 1},
        videochat: {"extra_query_tokens": 1, "language_projection": 2, "vision_layernorm": 2, "gmhra": 49},
        str(language_model): {"language_model": 21},
    }
    assert report.unused == {blip2: {"the Q-Former's text branch": 34, "replaced by a later file": 2}}
    assert report.created == {}
    assert report.parameters == sum(tensor.numel() for tensor in written(report.output).values())
    assert report.warnings == ()
    assert all(text in str(report) for text in [eva, "qformer (86)", "the Q-Former's text branch (34)"])


def bare(weights: Weights) -> Any:
    return weights


def nested(weights: Weights) -> Any:
    return {"model": weights}


def training(weights: Weights) -> Any:
    """A checkpoint of a training program."""
    config = argparse.Namespace(lr=1e-4, folder=Path("runs"), dtype=torch.float16, milestones={1, 2})
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))])
    optimizer.param_groups[0]["params"][0].grad = torch.ones(2)
    optimizer.step()
    parameters = {name: torch.nn.Parameter(tensor, tensor.is_floating_point()) for name, tensor in weights.items()}
    return {"model": parameters, "optimizer": optimizer.state_dict(), "config": config, "scaler": {}, "epoch": 3}


@pytest.mark.parametrize(
    ("suffix", "nest", "options"),
    [
        (".pth", bare, {}),
        (".pt", nested, {}),
        (".bin", training, {}),
        (".pth", training, {"pickle_protocol": 4}),
        (".pth", nested, {"_use_new_zipfile_serialization": False}),
        (".pth", training, {"_use_new_zipfile_serialization": False, "pickle_protocol": 4}),
    ],
)
def test_all_file_formats_are_read(
    convert: Convert, originals: dict[str, Weights], tmp_path: Path, suffix: str, nest: Any, options: Any
) -> None:
    files = {
        argument: saved(tmp_path / f"{argument}{suffix}", nest(weights), **options)
        for argument, weights in originals.items()
    }
    report, same = convert(**files), convert(output=tmp_path / "same")
    found, expected = written(report.output), written(same.output)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_other_weights_of_the_original_are_ignored(
    convert: Convert, originals: dict[str, Weights], tmp_path: Path
) -> None:
    eva, blip2, videochat = ({**originals[argument]} for argument in ORIGINALS)
    eva |= {name.replace("blocks.3.", "blocks.4."): tensor for name, tensor in eva.items() if "blocks.3." in name}
    eva |= {"norm.weight": torch.ones(32), "head.weight": torch.ones(5, 32)}
    eva["patch_embed.proj.weight"] = eva["patch_embed.proj.weight"].unsqueeze(2)
    blip2 |= {"t5_proj.weight": torch.ones(7, 32)}
    videochat |= {
        "Qformer.bert.embeddings.position_ids": torch.arange(32),
        "llama_model.model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4),
    }
    files = {
        argument: saved(tmp_path / f"{argument}.pth", weights)
        for argument, weights in zip(ORIGINALS, (eva, blip2, videochat), strict=True)
    }
    report = convert(**files, vision_layers=4)
    assert report.unused[str(files["eva"])] == {"EVA's own head": 2, "spare layers": 12}
    assert report.unused[str(files["blip2"])]["BLIP-2's own heads"] == 1
    assert report.unused[str(files["videochat"])] == {
        "the Q-Former's text branch": 1,
        "computed buffers": 1,
    }
    found, expected = written(report.output), written(convert(output=tmp_path / "same").output)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_dtypes_are_kept(convert: Convert, originals: dict[str, Weights], tmp_path: Path) -> None:
    half = {name: tensor.half() for name, tensor in originals["eva"].items()}
    llama = save_language_model(tmp_path / "llama", tiny_llama().bfloat16())
    report = convert(eva=saved(tmp_path / "eva.pth", half), language_model=llama)
    weights = written(report.output)
    assert weights["vision_tower.layers.0.mlp.fc1.weight"].dtype == torch.float16
    assert weights["query_tokens"].dtype == torch.float32
    assert weights["language_model.lm_head.weight"].dtype == torch.bfloat16
    assert json.loads((report.output / "config.json").read_text())["dtype"] == "bfloat16"


def test_any_causal_language_model_is_supported(convert: Convert, tmp_path: Path) -> None:
    settings = {"bos_token_id": 0, "eos_token_id": 1, "vocab_size": ROWS}
    gpt2 = hf.GPT2LMHeadModel(hf.GPT2Config(n_embd=WIDTH, n_layer=1, n_head=2, **settings))
    output = convert(language_model=save_language_model(tmp_path / "gpt2", gpt2)).output
    model, _ = load_model(output)
    assert "language_model.lm_head.weight" not in written(output)
    assert torch.equal(model.language_model.lm_head.weight, gpt2.transformer.wte.weight)


# Pickles


class PickledCall:
    """An object that is pickled as a function call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def test_code_in_a_pickle_is_not_executed(convert: Convert, originals: dict[str, Weights], tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    bad = PickledCall(os.system, f"touch {trace}")
    evil = PickledCall(exec, f"open({str(trace)!r}, 'w')")
    checkpoint = {"config": bad, "model": originals["videochat"], "hooks": [evil, {"deep": (bad,)}]}
    output = convert(videochat=saved(tmp_path / "videochat.pth", checkpoint)).output
    assert torch.equal(written(output)["extra_query_tokens"], originals["videochat"]["extra_query_tokens"])
    assert not trace.exists()


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_place_of_a_weight_is_rejected(
    convert: Convert, originals: dict[str, Weights], tmp_path: Path, legacy: bool
) -> None:
    trace = tmp_path / "trace"
    weights = originals["videochat"] | {"extra_query_tokens": PickledCall(os.system, f"touch {trace}")}
    path = saved(tmp_path / "videochat.pth", {"model": weights}, _use_new_zipfile_serialization=not legacy)
    assert_rejected(lambda: convert(videochat=path), folder=tmp_path)
    assert not trace.exists()


def test_code_in_a_language_model_is_not_executed(convert: Convert, language_model: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    folder = shutil.copytree(language_model, tmp_path / "llama")
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    saved(folder / "pytorch_model.bin", weights | {"config": PickledCall(os.system, f"touch {trace}")})
    assert_rejected(lambda: convert(language_model=folder), str(folder), folder=tmp_path)


def test_tensor_cannot_exceed_its_storage(tmp_path: Path) -> None:
    storage = torch.TypedStorage([1.0, 2.0], dtype=torch.float32, _internal=True)
    rebuild = torch._utils._rebuild_tensor_v2
    beyond = PickledCall(rebuild, storage, 0, (1_000_000,), (1,), False, {})
    path = saved(tmp_path / "weights.pth", {"model": {"weight": beyond}})
    with pytest.raises(ModelError, match="damaged"):
        read_checkpoint(path)


def test_tensor_cannot_exceed_the_file(tmp_path: Path) -> None:
    weights = {"mask": torch.ones(1).expand(2**40)}  # repeats one element
    path = saved(tmp_path / "weights.pth", weights)
    with pytest.raises(ModelError, match="damaged"):
        read_checkpoint(path)


def pickled(path: Path, content: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    """Write a checkpoint with this pickle."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("weights/data.pkl", content)
    return path


def legacy(path: Path, content: bytes) -> Path:
    """Write a checkpoint with this pickle in the format of PyTorch before 1.6."""
    start = pickle.dumps(0x1950A86A20F9469CFC6C) + pickle.dumps(1001) + pickle.dumps({})
    path.write_bytes(start + content + pickle.dumps([]))
    return path


@pytest.mark.parametrize("write", [pickled, legacy])
@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02}r\xff\xff\xff\x0f.",
        b"}p268435455\n.",
        b"\x80\x02})" + b"\x85" * 1_000_000 + b"K\x01s.",
        b"\x80\x02})" + b"K\x02\x86" * 100_000 + b"K\x01s.",
        b"\x80\x02})" + b"q\x000h\x00\x85" * 100_000 + b"K\x01s.",
        b"\x80\x02})" + b"(0\x85" * 100_000 + b"K\x01s.",
    ],
    ids=["memo", "text memo", "tuples", "pairs", "tuples by reference", "tuples beside marks"],
)
def test_small_pickles_that_exhaust_memory_or_the_stack_are_rejected(
    write: Callable[[Path, bytes], Path], content: bytes, tmp_path: Path
) -> None:
    path = write(tmp_path / "weights.pth", content)
    with pytest.raises(ModelError, match="exhaust memory"):
        read_checkpoint(path)


@contextmanager
def limited_memory() -> Iterator[None]:
    """Check that a block allocates little memory."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()


def test_compressed_pickle_is_rejected(tmp_path: Path) -> None:
    path = pickled(tmp_path / "weights.pth", pickle.dumps(bytes(2**28)), zipfile.ZIP_DEFLATED)
    with limited_memory(), pytest.raises(ModelError, match="damaged"):
        read_checkpoint(path)


@pytest.mark.parametrize("zipped", [False, True])
def test_calls_in_a_pickle_allocate_nothing(zipped: bool, tmp_path: Path) -> None:
    weights = {"weight": torch.ones(3), "buffer": PickledCall(bytearray, 2**30)}
    path = saved(tmp_path / "weights.pth", weights, _use_new_zipfile_serialization=zipped)
    with limited_memory():
        assert read_checkpoint(path)["weight"].tolist() == [1, 1, 1]


def test_mapped_tensors_do_not_change_the_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "weights.pth", {"weight": torch.ones(1000)})
    before = path.read_bytes()
    read_checkpoint(path)["weight"].zero_()
    assert path.read_bytes() == before


# Weights that do not fit


def test_incomplete_checkpoint_is_rejected_with_a_list(
    convert: Convert, originals: dict[str, Weights], tmp_path: Path
) -> None:
    names = sorted(originals["blip2"])
    kept = [name for name in names if "layer.3" not in name or "attention" not in name]
    kept = [name for name in kept if "layer.1.attention" not in name]
    path = saved(tmp_path / "blip2.pth", {"model": {name: originals["blip2"][name] for name in kept}})
    missing = "qformer.encoder.layer.1.attention.attention.query.weight, missing"
    assert_rejected(lambda: convert(blip2=path), "20 weights do not fit", missing, folder=tmp_path)


def test_long_list_is_truncated(convert: Convert, originals: dict[str, Weights], tmp_path: Path) -> None:
    strange = {f"strange.{number}": torch.ones(1) for number in range(30)}
    path = saved(tmp_path / "eva.pth", originals["eva"] | strange)
    message = ["30 weights do not fit", f"strange.19, unexpected ({path}); and 10 more"]
    assert_rejected(lambda: convert(eva=path), *message, folder=tmp_path)


def test_wrong_shape_is_named(convert: Convert, originals: dict[str, Weights], tmp_path: Path) -> None:
    weights = originals["videochat"] | {"llama_proj.bias": torch.ones(25)}
    path = saved(tmp_path / "videochat.pth", weights)
    message = f"language_projection.bias, [25] instead of [24] ({path})"
    assert_rejected(lambda: convert(videochat=path), "1 weights do not fit", message, folder=tmp_path)


def test_language_model_of_another_width_is_rejected(convert: Convert, tmp_path: Path) -> None:
    other = save_language_model(tmp_path / "wide", tiny_llama(hidden_size=32))
    message = "language_projection.weight, [24, 32] instead of [32, 32]"
    assert_rejected(lambda: convert(language_model=other), message, folder=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"eva": "blip2"}, "vision_tower.embeddings.position_embedding"),
        ({"blip2": "eva"}, "query_tokens"),
        ({"videochat": "eva"}, "extra_query_tokens"),
    ],
)
def test_swapped_files_are_rejected(convert: Convert, tmp_path: Path, arguments: dict[str, str], message: str) -> None:
    files = {argument: GOLDEN / f"{ORIGINALS[other]}.safetensors" for argument, other in arguments.items()}
    assert_rejected(lambda: convert(**files), message, "each argument names the right, complete file", folder=tmp_path)


def test_full_size_eva_that_lacks_layers_is_rejected() -> None:
    inferred = {"vision_width": 1408, "vision_layers": 20, "qformer_width": 768}
    with pytest.raises(ModelError, match="has 20 layers, but the original has 39"):
        resolve_dimensions(inferred, {}, {})
    assert resolve_dimensions(inferred, {}, {"vision_layers": 20})["vision_heads"] == 16


def test_eva_with_fewer_layers_than_gmhra_is_rejected(
    convert: Convert, originals: dict[str, Weights], tmp_path: Path
) -> None:
    first = {name: tensor for name, tensor in originals["eva"].items() if "blocks" not in name or "blocks.0" in name}
    path = saved(tmp_path / "eva.pth", first)
    assert_rejected(lambda: convert(eva=path), "3 GMHRA modules", folder=tmp_path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_truncated_file_is_rejected(
    convert: Convert, originals: dict[str, Weights], tmp_path: Path, suffix: str
) -> None:
    path = saved(tmp_path / f"eva{suffix}", originals["eva"])
    path.write_bytes(path.read_bytes()[:-1000])
    assert_rejected(lambda: convert(eva=path), str(path), "damaged", folder=tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no weights", b"\x80\x02]q\x00."])
def test_other_files_are_rejected(convert: Convert, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "eva.pth"
    path.write_bytes(content)
    assert_rejected(lambda: convert(eva=path), str(path), folder=tmp_path)


@pytest.mark.parametrize("checkpoint", [{}, {"model": {}}, [torch.ones(1)], {"model": {"epoch": 1}}])
def test_checkpoint_without_weights_is_rejected(convert: Convert, tmp_path: Path, checkpoint: Any) -> None:
    path = saved(tmp_path / "eva.pth", checkpoint)
    assert_rejected(lambda: convert(eva=path), "no weights", folder=tmp_path)


def test_path_must_name_a_file(convert: Convert, tmp_path: Path) -> None:
    assert_rejected(lambda: convert(eva=tmp_path / "none.pth"), "no such file", folder=tmp_path)
    assert_rejected(lambda: convert(eva=tmp_path), "this is a folder", folder=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vision_heds": 4}, "vision_heads"),
        ({"vision_heads": 5}, "a width of 32 is not divisible by 5 heads"),
        ({"vision_heads": None}, "must be a non-negative int, got None"),
        ({"qformer_heads": "4"}, "must be a non-negative int, got '4'"),
        ({"ln_vision_eps": -1e-5}, "must be a non-negative float"),
        ({"gmhra_layers": 2}, "the weights' shapes require 3, got 2"),
        ({"eva": None}, "Give both"),
        ({"videochat": None}, "Give both"),
    ],
)
def test_invalid_arguments_are_rejected(
    convert: Convert, tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    assert_rejected(lambda: convert(**arguments), message, folder=tmp_path)


def test_heads_must_be_given_if_not_derivable(language_model: Path, tmp_path: Path) -> None:
    files: dict[str, Any] = {argument: GOLDEN / f"{name}.safetensors" for argument, name in ORIGINALS.items()}
    with pytest.raises(InputError, match="vision_heads"):
        convert_checkpoint(**files, language_model=language_model, output=tmp_path / "out", show_progress=False)


def test_existing_output_is_rejected(convert: Convert, tmp_path: Path) -> None:
    assert_rejected(lambda: convert(output=tmp_path), "already exists", folder=tmp_path)


def test_unwritable_output_is_rejected(convert: Convert, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert_rejected(lambda: convert(output=tmp_path / "file" / "out"), "cannot be written", folder=tmp_path)


# Language models


def test_folder_without_a_language_model_is_rejected(convert: Convert, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    shape = {"hidden_size": WIDTH, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    encoder = save_language_model(tmp_path / "bert", hf.BertModel(hf.BertConfig(vocab_size=ROWS, **shape)))
    for folder in (empty, encoder, GOLDEN / "dims.json", tmp_path / "nowhere"):
        assert_rejected(partial(convert, language_model=folder), str(folder), folder=tmp_path)


def test_incomplete_language_model_is_rejected(convert: Convert, language_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(language_model, tmp_path / "llama")
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights | {"strange": torch.ones(1)}, folder / "model.safetensors", metadata={"format": "pt"})
    message = ["model.layers.1.mlp.up_proj.weight, missing", "strange, unexpected"]
    assert_rejected(lambda: convert(language_model=folder), *message, folder=tmp_path)


def test_error_is_not_accompanied_by_log_output(
    convert: Convert, language_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(language_model, tmp_path / "llama")
    weights = load_file(folder / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert_rejected(lambda: convert(language_model=folder), "lm_head.weight, missing", folder=tmp_path)
    assert capfd.readouterr() == ("", "")


def test_missing_shard_is_rejected(convert: Convert, tmp_path: Path) -> None:
    folder = save_language_model(tmp_path / "llama", tiny_llama(), max_shard_size="20KB")
    next(folder.glob("model-00002*")).unlink()
    assert_rejected(lambda: convert(language_model=folder), "model-00002", folder=tmp_path)


def test_garbled_language_model_is_reported(convert: Convert, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    report = convert(language_model=save_language_model(tmp_path / "llama", tiny_llama()))
    (warning,) = report.warnings
    assert "loss on plain English" in warning
    assert warning in str(report)
    assert warning in caplog.text


def test_sound_language_model_is_not_reported(convert: Convert) -> None:
    report = convert()
    assert report.warnings == ()
    assert report.sample


@pytest.mark.parametrize("rows", [200, 400])
def test_vocabulary_of_another_model_is_reported(convert: Convert, tmp_path: Path, rows: int) -> None:
    report = convert(language_model=save_language_model(tmp_path / "llama", tiny_llama(rows)))
    assert f"the tokenizer has {ROWS} tokens and the language model {rows}" in report.warnings[0]


def test_missing_tokenizer_is_reported(convert: Convert, language_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(language_model, tmp_path / "llama", ignore=shutil.ignore_patterns("tokenizer*"))
    report = convert(language_model=folder)
    (warning,) = report.warnings
    assert f"no tokenizer can be loaded from {folder}" in warning
    model = VideoChatEmbedForConditionalGeneration.from_pretrained(report.output)
    assert model.config.video_token_id == ROWS


# Deltas


def save_delta(folder: Path, of: Path, rows: int = ROWS, **options: Any) -> Path:
    """Save a delta to a language model, with absolute weights for tokens that the base does not have."""
    base, delta = LlamaForCausalLM.from_pretrained(of), tiny_llama(rows)
    with torch.no_grad():
        for name, parameter in delta.named_parameters():
            parameter.copy_(0.01 * torch.randn_like(parameter))
            assert parameter.shape[1:] == base.get_parameter(name).shape[1:]
    return save_language_model(folder, delta, **options)


@pytest.mark.parametrize("rows", [ROWS, ROWS + 1])
@pytest.mark.parametrize("options", [{}, {"max_shard_size": "20KB"}])
def test_delta_is_added(
    convert: Convert, language_model: Path, tmp_path: Path, rows: int, options: dict[str, Any]
) -> None:
    delta = save_delta(tmp_path / "delta", language_model, rows, **options)
    report = convert(language_model_delta=delta)
    found = written(report.output)
    base, added = LlamaForCausalLM.from_pretrained(language_model), LlamaForCausalLM.from_pretrained(delta)
    for name, difference in added.state_dict().items():
        expected = difference.clone()
        own = base.state_dict()[name]
        expected[: len(own)] += own
        assert torch.equal(found[f"language_model.{name}"], expected), name
    assert report.warnings == ()
    assert report.used[f"{language_model} + {delta}"] == {"language_model": 21}
    assert load_model(report.output)[0].config.text_config.vocab_size == rows


def test_delta_in_pickled_shards_is_added(convert: Convert, language_model: Path, tmp_path: Path) -> None:
    delta = save_delta(tmp_path / "delta", language_model)
    expected = written(convert(language_model_delta=delta, output=tmp_path / "expected").output)
    names = sorted(weights := load_file(delta / "model.safetensors"))
    index: dict[str, str] = {}
    for number, part in enumerate((names[:9], names[9:]), start=1):
        file = f"pytorch_model-0000{number}-of-00002.bin"
        torch.save({name: weights[name] for name in part}, delta / file)
        index |= dict.fromkeys(part, file)
    (delta / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    (delta / "model.safetensors").unlink()
    found = written(convert(language_model_delta=delta).output)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_fp16_delta_is_added_in_fp16(convert: Convert, language_model: Path, tmp_path: Path) -> None:
    base = save_language_model(tmp_path / "base", LlamaForCausalLM.from_pretrained(language_model).half())
    delta = save_language_model(tmp_path / "delta", tiny_llama().half())
    found = written(convert(language_model=base, language_model_delta=delta).output)
    name = "model.layers.0.mlp.up_proj.weight"
    expected = load_file(base / "model.safetensors")[name] + load_file(delta / "model.safetensors")[name]
    assert torch.equal(found[f"language_model.{name}"], expected)


def test_delta_of_another_size_is_rejected(convert: Convert, language_model: Path, tmp_path: Path) -> None:
    wide = save_language_model(tmp_path / "wide", tiny_llama(intermediate_size=40))
    deep = save_language_model(tmp_path / "deep", tiny_llama(num_hidden_layers=3))
    small = save_language_model(tmp_path / "small", tiny_llama(ROWS - 1))
    for delta, message in [
        (wide, f"language_model.model.layers.0.mlp.up_proj.weight, [32, 24] instead of [40, 24] ({language_model})"),
        (deep, f"language_model.model.layers.2.mlp.up_proj.weight, missing ({language_model})"),
        (small, f"language_model.lm_head.weight, [260, 24] instead of [259, 24] ({language_model})"),
    ]:
        assert_rejected(partial(convert, language_model_delta=delta), message, folder=tmp_path)


def test_wrong_base_is_reported(convert: Convert, language_model: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    weights = LlamaForCausalLM.from_pretrained(language_model)
    with torch.no_grad():
        for parameter in weights.parameters():
            parameter.sub_(torch.randn_like(parameter))  # the delta to a base that is not available
    delta = save_language_model(tmp_path / "delta", weights)
    report = convert(language_model=save_language_model(tmp_path / "base", tiny_llama()), language_model_delta=delta)
    assert any("base of the delta" in warning for warning in report.warnings)


# A BLIP-2 of transformers


def tiny_blip2(folder: Path, kind: str) -> Path:
    torch.manual_seed(0)
    shape: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    config, model = {
        "blip-2": (hf.Blip2Config, hf.Blip2ForConditionalGeneration),
        "instructblip": (hf.InstructBlipConfig, hf.InstructBlipForConditionalGeneration),
    }[kind]
    vision = {**shape, "num_hidden_layers": 3, "image_size": 28, "patch_size": 7}
    qformer = {**shape, "num_hidden_layers": 2, "vocab_size": 30, "encoder_hidden_size": 16}
    text = {"model_type": "opt", "vocab_size": 30, "hidden_size": 16, "ffn_dim": 16, "num_attention_heads": 2}
    text |= {"num_hidden_layers": 1, "word_embed_proj_dim": 16}
    arguments: dict[str, Any] = {"vision_config": vision, "qformer_config": qformer, "text_config": text}
    model(config(**arguments, num_query_tokens=3)).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["blip-2", "instructblip"])
def test_blip2_folder_is_a_starting_point_for_training(language_model: Path, tmp_path: Path, kind: str) -> None:
    blip2 = tiny_blip2(tmp_path / "blip2", kind)
    report = convert_checkpoint(
        blip2=blip2,
        language_model=language_model,
        output=tmp_path / "new" / "model",
        gmhra_layers=2,
        local_mhra=1,
        show_progress=False,
    )
    given, model = load_file(blip2 / "model.safetensors"), load_model(report.output)[0]
    weights = model.state_dict()
    for ours, theirs in {
        "vision_tower.layers.1.self_attn.qkv.bias": "vision_model.encoder.layers.1.self_attn.qkv.bias",
        "vision_tower.embeddings.patch_embedding.weight": "vision_model.embeddings.patch_embedding.weight",
        "vision_layernorm.weight": "vision_model.post_layernorm.weight",
        "query_tokens": "query_tokens",
        "qformer.encoder.layer.0.crossattention.attention.key.weight": (
            "qformer.encoder.layer.0.crossattention.attention.key.weight"
        ),
    }.items():
        assert torch.equal(weights[ours], given[theirs])
    assert report.created == {"gmhra": 33, "local_mhra": 33, "extra_query_tokens": 1, "language_projection": 2}
    assert report.used.keys() == {str(blip2), str(language_model)}
    assert model.config.num_extra_query_tokens == 64
    assert not weights["extra_query_tokens"].any()
    assert not weights["vision_tower.gmhra.1.attn.out_proj.weight"].any()
    assert weights["vision_tower.gmhra.1.attn.in_proj_weight"].std() == pytest.approx(math.sqrt(2 / (16 + 48)), rel=0.2)
    assert weights["language_projection.weight"].std() == pytest.approx(0.02, rel=0.2)
    assert model.get_image_features(torch.ones(1, 3, 28, 28)).isfinite().all()


def test_other_kind_of_model_is_not_a_blip2(language_model: Path, tmp_path: Path) -> None:
    for blip2 in (language_model, tmp_path / "nowhere", GOLDEN / "blip2_pretrained.safetensors"):
        arguments: dict[str, Any] = {"blip2": blip2, "language_model": language_model, "output": tmp_path / "out"}
        assert_rejected(partial(convert_checkpoint, **arguments), str(blip2), folder=tmp_path)


# The command


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["convert", *map(str, arguments)], env={"COLUMNS": "200", "NO_COLOR": "1"})


def test_command_converts(language_model: Path, tmp_path: Path) -> None:
    files = [text for name, file in ORIGINALS.items() for text in (f"--{name}", GOLDEN / f"{file}.safetensors")]
    heads = [text for name, number in HEADS.items() for text in ("--set", f"{name}={number}")]
    result = run(*files, "--language-model", language_model, "--output", tmp_path / "out", *heads, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["used"][str(language_model)] == {"language_model": 21}
    load_model(tmp_path / "out")
    again = run(*files, "--language-model", language_model, "--output", tmp_path / "out", *heads)
    assert again.exit_code == 1
    assert "already exists" in again.stderr
    result = run(*files, "--language-model", language_model, "--output", tmp_path / "other", *heads)
    assert result.exit_code == 0
    assert "qformer (86)" in result.stdout


def test_help_has_an_example() -> None:
    assert "videochat convert --eva eva_vit_g.pth" in run("--help").stdout


@pytest.mark.parametrize(
    ("setting", "message"),
    [("vision_heads", "expected NAME=NUMBER, got 'vision_heads'"), ("output=4", "unknown setting")],
)
def test_invalid_setting_is_rejected(language_model: Path, tmp_path: Path, setting: str, message: str) -> None:
    arguments = ["--blip2", "b", "--language-model", language_model, "--output", tmp_path / "out"]
    result = run(*arguments, "--set", setting)
    assert result.exit_code == 1
    assert message in result.stderr
