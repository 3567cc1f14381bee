"""The training loop, including data loading, compared with bare forward and backward passes."""

import tempfile
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import Blip2QFormerConfig, Blip2VisionConfig, LlamaConfig

from langchain_videochat.embed import (
    VideoChatEmbedConfig,
    VideoChatEmbedForConditionalGeneration,
    VideoChatEmbedProcessor,
)
from langchain_videochat.training import DataFile, TrainingConfig, train
from langchain_videochat.training.batch_sampler import MediaBatchSampler
from langchain_videochat.training.batches import BatchDataset
from langchain_videochat.training.trainable_weights import load_for_training
from langchain_videochat.training.trainer import LOGS
from langchain_videochat.training.training_data import load_samples
from tests.benchmarks.report import Table, progress
from tests.benchmarks.timing import seconds
from tests.numbered_video import make_numbered
from tests.tiny_training import write_json
from tests.tiny_videochat import byte_tokenizer

STEPS = 8
ROUNDS = 2
BATCH = 4
SIDE, WIDTH, LAYERS = 112, 384, 12
QUERIES = 32


def measure(scale: float) -> Table:
    """Train for some steps, and run forward and backward passes on the same batches alone."""
    steps = max(3, round(STEPS * scale))
    with tempfile.TemporaryDirectory() as scratch:
        config = prepare(Path(scratch), steps)
        loop_seconds, bare_seconds = [], []
        for number in range(ROUNDS):
            progress(f"  {number + 1} of {ROUNDS}")
            run_config = config.model_copy(update={"output": config.output / str(number)})
            train(run_config, show_progress=False)
            loop_seconds.append(seconds_per_step(run_config))
            bare_seconds.append(bare_seconds_per_step(run_config, steps))
    table = Table("Training: one step", "s")
    what = f"the loop: {BATCH} video files of 3 s prefetched, forward, backward, clipping, AdamW, logs"
    table.speed(what, min(loop_seconds), "forward and backward of preloaded batches", min(bare_seconds), at_least=0.9)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    table.notes = [f"{LAYERS} vision and language layers of width {WIDTH}, 8 frames of {SIDE} x {SIDE}; on {device}."]
    return table


def prepare(folder: Path, steps: int) -> TrainingConfig:
    """Write videos, captions, and a model whose steps take about as long as loading their data."""
    entries = []
    for number in range(2 * BATCH):
        make_numbered(folder / f"{number}.mp4")
        entries.append({"video": f"{number}.mp4", "caption": f"the squares of number {number} go on and off"})
    write_json(folder / "captions.json", entries)
    save_model(folder / "model")
    return TrainingConfig(
        stage=1,
        model=str(folder / "model"),
        output=folder / "run",
        data=(DataFile(file=folder / "captions.json"),),
        steps=steps,
        batch_size=BATCH,
        learning_rate=1e-4,
        min_lr_ratio=0.01,
        num_frames=8,
        max_text_tokens=32,
        precision="bf16" if torch.cuda.is_available() else "fp32",
    )


def save_model(folder: Path) -> None:
    """Save a model of a size between the tiny and the real ones."""
    processor = VideoChatEmbedProcessor(byte_tokenizer(), image_size=SIDE, num_visual_tokens=QUERIES)
    shape: dict[str, Any] = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 6}
    config = VideoChatEmbedConfig(
        vision_config=Blip2VisionConfig(**shape, intermediate_size=4 * WIDTH, image_size=SIDE, patch_size=14),
        qformer_config=Blip2QFormerConfig(**shape | {"num_hidden_layers": 6}, intermediate_size=4 * WIDTH),
        text_config=LlamaConfig(**shape, intermediate_size=1024, vocab_size=processor.video_token_id, bos_token_id=0),
        gmhra_layers=2,  # their convolution is slow on a CPU
        num_query_tokens=QUERIES // 2,
        num_extra_query_tokens=QUERIES // 2,
        video_token_id=processor.video_token_id,
    )
    VideoChatEmbedForConditionalGeneration(config).save_pretrained(folder)
    processor.save_pretrained(folder)


def seconds_per_step(config: TrainingConfig) -> float:
    """Return the median time of the logged steps of a run, without the first, which starts the workers."""
    events = EventAccumulator(str(config.output / LOGS)).Reload().Scalars("loss")
    return float(median(after.wall_time - before.wall_time for before, after in pairwise(events)))


def bare_seconds_per_step(config: TrainingConfig, steps: int) -> float:
    """Return the median time of forward and backward passes alone."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model, processor = load_for_training(config, device)
    samples = load_samples(config)
    dataset: Any = BatchDataset(samples, processor, config.max_text_tokens)
    sampler = MediaBatchSampler.of(samples, config.batch_size, config.seed)
    loaded = [
        {name: tensor.to(device) for name, tensor in dataset[sampler.batch(step)].inputs.items()}
        for step in range(steps)
    ]

    def run(inputs: dict[str, torch.Tensor]) -> None:
        with torch.autocast(device, torch.bfloat16, enabled=config.precision == "bf16"):
            loss = model(**inputs, use_cache=False).loss
        loss.backward()
        model.zero_grad()
        if device == "cuda":
            torch.cuda.synchronize()

    run(loaded[0])  # warm-up
    return median(seconds(partial(run, inputs)) for inputs in loaded[1:])
