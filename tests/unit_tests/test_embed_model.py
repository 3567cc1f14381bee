"""The VideoChat-Embed model: its network, prompts with videos, transformers integration, and invalid input."""

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForImageTextToText, GPT2Config, LlamaConfig, Qwen2Config

from langchain_videochat.embed import (
    VideoChatEmbedConfig,
    VideoChatEmbedForConditionalGeneration,
    add_lora,
    quantization_config,
)
from langchain_videochat.embed.modeling_videochat import TRAINED_PARTS
from langchain_videochat.embed.vision_tower import SingleQueryAttention
from langchain_videochat.errors import InputError, VideoChatError
from tests.tiny_videochat import QUERIES, SIZE, VIDEO_TOKEN, VOCABULARY, tiny_videochat

Model = VideoChatEmbedForConditionalGeneration

SMALL: dict[str, Any] = {"vocab_size": VOCABULARY, "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_videochat()


def noise(frames: int, seed: int = 0) -> Tensor:
    """Frames of noise, [frames, 3, H, W]."""
    return torch.randn(frames, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def prompt(*parts: int | str) -> list[int]:
    """Token ids, with placeholder tokens for each "video"."""
    return [token for part in parts for token in ([VIDEO_TOKEN] * QUERIES if part == "video" else [int(part)])]


def inputs(rows: list[list[int]], *videos: Tensor) -> dict[str, Tensor]:
    """Model inputs: prompts, padded on the left, and their videos."""
    length = max(map(len, rows))
    padding = [[0] * (length - len(row)) for row in rows]
    return {
        "input_ids": torch.tensor([pad + row for pad, row in zip(padding, rows, strict=True)]),
        "attention_mask": torch.tensor([pad + [1] * len(row) for pad, row in zip(padding, rows, strict=True)]),
        "pixel_values": torch.cat(videos),
        "num_frames": torch.tensor([len(video) for video in videos]),
    }


def logits(model: Model, **given: Tensor) -> Tensor:
    with torch.no_grad():
        return model(**given).logits


# The network


def test_full_model_trains_the_parameters_of_the_paper() -> None:
    with torch.device("meta"):
        model = Model(VideoChatEmbedConfig(text_config={"model_type": "llama", "vocab_size": 32_001}))
    model.freeze_pretrained()
    trained = [parameter.numel() for parameter in model.parameters() if parameter.requires_grad]
    assert (len(trained), sum(trained)) == (134, 205_542_528)


def test_image_is_a_video_of_one_frame(model: Model) -> None:
    images = torch.stack([noise(1)[0], noise(1, seed=1)[0]])
    assert torch.equal(model.get_image_features(images), model.get_video_features(images.unsqueeze(1)))


def test_features_have_documented_shapes(model: Model) -> None:
    encoded = model.encode_videos(noise(6).unflatten(0, (2, 3)))
    assert encoded.vision_tokens.shape == (2, 3 * (1 + 16) + 1, 16)
    assert encoded.qformer_output.shape == encoded.language_inputs.shape == (2, QUERIES, 16)


def test_order_of_frames_matters(model: Model) -> None:
    frames = noise(4)
    forward, backward = model.vision_tower(torch.stack([frames, frames.flip(0)]))[:, -1]
    assert (forward - backward).abs().max() > 0.01


def test_new_aggregators_leave_the_vision_tower_unchanged() -> None:
    config = tiny_videochat(local_mhra=2).config
    config.vision_config.initializer_range = 0.5
    fresh = Model(config).eval()
    plain = Model(config.__class__(**config.to_dict() | {"gmhra_layers": 0, "local_mhra": 0})).eval()
    plain.load_state_dict(fresh.state_dict(), strict=False)
    frames = noise(3).unsqueeze(0)
    tokens = fresh.vision_tower(frames)
    assert torch.equal(tokens[:, -1], torch.zeros(1, 16))
    assert torch.allclose(tokens[:, :-1], plain.vision_tower(frames), atol=1e-6)


def test_all_new_parts_get_gradients() -> None:
    fresh = Model(tiny_videochat(local_mhra=2).config)
    given = inputs([prompt(1, "video", 5)], noise(3))
    optimizer = torch.optim.SGD(fresh.parameters(), lr=0.1)
    for _ in range(4):  # weights before a ZeroLinear get no gradient until it has changed
        optimizer.zero_grad()
        fresh(**given).logits.square().mean().backward()
        optimizer.step()
    idle = {name for name, one in fresh.named_parameters() if one.grad is None or not one.grad.any()}
    assert {name for name in idle if any(part in name for part in TRAINED_PARTS)} == set()


@pytest.mark.parametrize("local_mhra", [1, 2])
def test_local_aggregators_relate_adjacent_frames_only(local_mhra: int) -> None:
    model = tiny_videochat(local_mhra=local_mhra, gmhra_layers=0)
    del model.vision_tower.layers[1:]
    frames = noise(5).unsqueeze(0)
    changed = frames.clone()
    changed[:, 4] = 0
    before, after = (model.vision_tower(one).unflatten(1, (5, -1)) for one in (frames, changed))
    reach = 3 if local_mhra == 1 else 2
    assert torch.equal(before[:, :reach], after[:, :reach])
    assert (before[:, reach] != after[:, reach]).any()


def test_single_query_attention_equals_multi_head_attention() -> None:
    torch.manual_seed(0)
    reference = nn.MultiheadAttention(32, 4, batch_first=True)
    nn.init.normal_(reference.in_proj_bias)
    ours = SingleQueryAttention(32, 4)
    ours.load_state_dict(reference.state_dict())
    query, tokens = torch.randn(2, 1, 32), torch.randn(2, 50, 32)
    assert torch.allclose(ours(query, tokens), reference(query, tokens, tokens)[0], atol=1e-6)


def test_only_one_layer_output_is_in_memory(model: Model) -> None:
    outputs: list[weakref.ref[Tensor]] = []
    alive: list[int] = []

    def record(_: nn.Module, __: Any, output: Tensor) -> None:
        alive.append(sum(one() is not None for one in outputs))
        outputs.append(weakref.ref(output))

    hooks = [layer.register_forward_hook(record) for layer in model.vision_tower.layers]
    with torch.no_grad():
        model.vision_tower(noise(2).unsqueeze(0))
    for hook in hooks:
        hook.remove()
    assert len(alive) == 3
    assert max(alive) <= 1


# Prompts with videos


def test_video_changes_the_logits(model: Model) -> None:
    one, other = (logits(model, **inputs([prompt(1, "video", 5)], noise(3, seed))) for seed in (0, 1))
    assert (one - other).abs().max() > 0.01


@settings(max_examples=15, deadline=None)
@given(rows=st.lists(st.lists(st.integers(0, 3), max_size=3), min_size=1, max_size=4), data=st.data())
def test_batch_equals_single_prompts(model: Model, rows: list[list[int]], data: st.DataObject) -> None:
    videos = [[noise(frames, seed=frames) for frames in row if frames] for row in rows]
    words = data.draw(st.lists(st.integers(3, 50), min_size=len(rows), max_size=len(rows)))
    prompts = [prompt(1, *["video"] * len(own), *range(3, 3 + len(row)), word)
               for row, own, word in zip(rows, videos, words, strict=True)]  # fmt: skip
    together = inputs(prompts, *[one for own in videos for one in own], noise(0))
    together["num_frames"] = together["num_frames"][:-1]
    batch = logits(model, **together)[:, -1]
    for index, (row, own) in enumerate(zip(prompts, videos, strict=True)):
        alone = inputs([row], *own, noise(0))
        alone["num_frames"] = alone["num_frames"][:-1]
        assert torch.allclose(logits(model, **alone)[0, -1], batch[index], atol=1e-4)


def test_order_of_videos_in_a_prompt_matters(model: Model) -> None:
    row = prompt(1, "video", 5, "video", 6)
    forward = logits(model, **inputs([row], noise(2), noise(3, seed=1)))
    backward = logits(model, **inputs([row], noise(3, seed=1), noise(2)))
    assert (forward - backward).abs().max() > 0.01


def test_generated_tokens_are_the_same_alone_and_in_a_batch(model: Model) -> None:
    rows = [prompt(1, "video", 5, 6, 7), prompt(1, "video", 8)]
    videos = [noise(3), noise(2, seed=1)]
    batch = model.generate(**inputs(rows, *videos), max_new_tokens=10, min_new_tokens=10)
    for index, (row, video) in enumerate(zip(rows, videos, strict=True)):
        alone = model.generate(**inputs([row], video), max_new_tokens=10, min_new_tokens=10)
        assert torch.equal(alone[0], batch[index])


def test_text_only_prompt_equals_the_language_model(model: Model) -> None:
    ids = torch.tensor([prompt(1, 5, 6)])
    new = model.generate(ids, max_new_tokens=5, min_new_tokens=5)
    assert torch.equal(
        torch.cat([ids, new], dim=1), model.language_model.generate(ids, max_new_tokens=5, min_new_tokens=5)
    )


def test_generate_supports_beams_sampling_and_penalties(model: Model) -> None:
    given = inputs([prompt(1, "video", 5)], noise(2))
    options: dict[str, Any] = {"num_beams": 2, "num_return_sequences": 2, "repetition_penalty": 1.2, "do_sample": True}
    assert len(model.generate(**given, max_new_tokens=5, **options)) == 2


def test_loss_is_computed_on_labels_only(model: Model) -> None:
    given = inputs([prompt(1, "video", 5, 6)], noise(2))
    labels = given["input_ids"].clone()
    labels[:, :-1] = -100
    expected = nn.functional.cross_entropy(logits(model, **given)[0, -2:-1], labels[0, -1:])
    assert torch.allclose(model(**given, labels=labels).loss, expected)


# Integration with transformers


@pytest.mark.parametrize(
    "text_config",
    [
        pytest.param(LlamaConfig(**SMALL, intermediate_size=32), id="llama"),
        pytest.param(Qwen2Config(**SMALL, intermediate_size=32, num_key_value_heads=1), id="qwen2"),
        pytest.param(GPT2Config(vocab_size=VOCABULARY, n_embd=16, n_layer=1, n_head=2), id="gpt2"),
    ],
)
def test_saved_model_generates_the_same(tmp_path: Path, text_config: Any) -> None:
    model = tiny_videochat(text_config)
    model.save_pretrained(tmp_path)
    loaded: Any = AutoModelForImageTextToText.from_pretrained(tmp_path)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), VideoChatEmbedConfig)
    given = inputs([prompt(1, "video", 5)], noise(3))
    tokens = [one.generate(**given, max_new_tokens=10) for one in (model, loaded)]
    assert torch.equal(tokens[0], tokens[1])
    assert not [path for path in tmp_path.iterdir() if path.suffix not in (".json", ".safetensors")]


def test_attention_kernels_agree(model: Model, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    given = inputs([prompt(1, "video", 5)], noise(3))
    eager, sdpa = (
        logits(Model.from_pretrained(tmp_path, attn_implementation=name), **given) for name in ("eager", "sdpa")
    )
    assert torch.allclose(eager, sdpa, atol=1e-5)


def test_flash_attention_is_not_used_in_the_qformer() -> None:
    config = tiny_videochat().config
    config._attn_implementation = {"qformer_config": "flash_attention_2", "vision_config": "eager"}
    model = Model(config)
    assert model.qformer.config._attn_implementation == "sdpa"
    assert model.vision_tower.config._attn_implementation == "eager"


def test_device_map_places_the_model(model: Model, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    placed = Model.from_pretrained(tmp_path, device_map={"": "cpu"})
    given = inputs([prompt(1, "video", 5)], noise(3))
    assert torch.equal(logits(placed, **given), logits(model, **given))


@pytest.mark.parametrize("bits", [4, 8])
def test_only_the_language_model_is_quantized(tmp_path: Path, bits: Any) -> None:
    text = LlamaConfig(vocab_size=64, hidden_size=64, intermediate_size=64, num_attention_heads=2, num_hidden_layers=1)
    model = tiny_videochat(text)
    model.save_pretrained(tmp_path)
    small = Model.from_pretrained(tmp_path, quantization_config=quantization_config(bits))
    changed = {name for name, one in small.named_modules() if type(one).__module__.startswith("bitsandbytes")}
    linear = {name for name, one in model.language_model.named_modules() if isinstance(one, nn.Linear)}
    assert changed == {f"language_model.{name}" for name in linear - {"lm_head"}}
    given = inputs([prompt(1, "video", 5)], noise(3))
    assert torch.nn.functional.cosine_similarity(logits(small, **given), logits(model, **given), dim=-1).min() > 0.9


def test_adapters_are_trained_with_the_interface(tmp_path: Path) -> None:
    model = tiny_videochat()
    given = inputs([prompt(1, "video", 5)], noise(3))
    before = logits(model, **given)
    add_lora(model, rank=2)
    model.freeze_pretrained()
    assert torch.allclose(logits(model, **given), before, atol=1e-5)
    model(**given, labels=given["input_ids"].masked_fill(given["input_ids"] == VIDEO_TOKEN, -100)).loss.backward()
    trained = {name for name, one in model.named_parameters() if one.grad is not None}
    assert {name.split(".")[0] for name in trained if "lora" not in name} == {
        "vision_tower", "vision_layernorm", "extra_query_tokens", "language_projection",
    }  # fmt: skip
    adapters = {name for name in trained if "lora" in name}
    assert len(adapters) == 2 * 7 * 2
    assert all(name.startswith("language_model.") and "lm_head" not in name for name in adapters)


def test_gradient_checkpointing_gives_the_same_gradients() -> None:
    given = inputs([prompt(1, "video", 5, 6)], noise(3))
    labels = given["input_ids"].masked_fill(given["input_ids"] == VIDEO_TOKEN, -100)
    gradients = []
    for checkpointing in (False, True):
        model = tiny_videochat(gmhra_dropout=0.0).train()
        if checkpointing:
            model.activation_checkpointing_enable()
        model(**given, labels=labels).loss.backward()
        gradients.append({name: one.grad for name, one in model.named_parameters()})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        assert (gradient is None) == (gradients[1][name] is None), name
        if gradient is not None:
            assert torch.allclose(gradient, gradients[1][name], atol=1e-6), name


# Invalid input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_ids": torch.tensor([prompt(1, "video", "video")])}, "placeholders for 2 videos and images, got 1"),
        ({"input_ids": torch.tensor([prompt(1, 5)])}, "placeholders for 0 videos and images, got 1"),
        ({"pixel_values": None}, "placeholders for 1 videos and images, got 0"),
        ({"input_ids": torch.tensor([prompt(1, "video")[:-1]])}, "placeholders for 0.75 videos"),
        (
            {"input_ids": torch.tensor([prompt(1, "video", *[5] * 64)])},
            "has 69 tokens, but the context length is 64",
        ),
        ({"pixel_values": noise(3)[:, :, 1:]}, "the shape must be"),
        ({"pixel_values": noise(3)[:, :1]}, "the shape must be"),
        ({"pixel_values": noise(3) / 0}, "some values are not finite"),
        ({"num_frames": torch.tensor([0, 3])}, "there are no frames"),
    ],
)
def test_invalid_input_is_rejected(model: Model, change: dict[str, Tensor], message: str) -> None:
    given: dict[str, Any] = inputs([prompt(1, "video", 5)], noise(3)) | {"attention_mask": None} | change
    with pytest.raises(InputError, match=message):
        model.generate(**given, max_new_tokens=2)


def test_unsupported_bits_are_rejected() -> None:
    with pytest.raises(VideoChatError, match="must be 4 or 8, got 3"):
        quantization_config(3)  # type: ignore[arg-type]
