"""The vision side of VideoChat-Embed compared with that of BLIP-2, which it extends, at full size."""

from functools import partial
from typing import Any

import torch
from transformers import Blip2QFormerConfig, Blip2QFormerModel, Blip2VisionConfig, Blip2VisionModel, LlamaConfig

from langchain_videochat.embed import VideoChatEmbedConfig, VideoChatEmbedForConditionalGeneration
from tests.benchmarks.real_videochat import with_random_weights
from tests.benchmarks.report import Table
from tests.benchmarks.timing import best_of

FRAMES = 8
ROUNDS = 3
LAYERS = 39


def measure(scale: float) -> Table:
    """Encode the same frames with both, alternately."""
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    vision = Blip2VisionConfig(num_hidden_layers=max(8, round(LAYERS * scale)))
    qformer = Blip2QFormerConfig()
    language = LlamaConfig(num_hidden_layers=0, vocab_size=8)
    shape: dict[str, Any] = {"vision_config": vision, "qformer_config": qformer, "text_config": language}
    ours = with_random_weights(partial(VideoChatEmbedForConditionalGeneration, VideoChatEmbedConfig(**shape)), device)
    vision_model = with_random_weights(partial(Blip2VisionModel, vision), device)
    qformer_model = with_random_weights(partial(Blip2QFormerModel, qformer), device)
    queries = torch.randn(1, 32, qformer.hidden_size, device=device)
    frames = torch.randn(FRAMES, 3, 224, 224, device=device)

    def by_blip2() -> None:
        tokens = vision_model(frames).last_hidden_state
        qformer_model(query_embeds=queries.expand(FRAMES, -1, -1), encoder_hidden_states=tokens)
        _wait(device)

    def by_ours() -> None:
        ours.encode_videos(frames.unsqueeze(0))
        _wait(device)

    with torch.inference_mode():
        durations = best_of({"ours": by_ours, "BLIP-2": by_blip2}, ROUNDS)
    table = Table(f"VideoChat-Embed: {FRAMES} frames to the language model's embeddings", "s")
    what = f"vision tower with GMHRA, Q-Former with {ours.config.num_visual_tokens} queries, projection"
    reference = "transformers' BLIP-2: vision tower, Q-Former"
    table.cost(what, durations["ours"], reference, durations["BLIP-2"], at_most=1.1)
    table.notes = [f"ViT-g with {vision.num_hidden_layers} layers, float32, random weights, on {device}."]
    return table


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
