"""The world in files: clips in H.264, with JSON for both stages of training, and as a benchmark in MVBench's form."""

import json
from collections.abc import Iterable
from fractions import Fraction
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from langchain_videochat.evaluation.shapes.question_generation import KINDS, Question, ask
from langchain_videochat.evaluation.shapes.rendering import render
from langchain_videochat.evaluation.shapes.scene_samples import (
    QUALITY,
    Split,
    ask_about,
    find_example,
    find_scene,
    in_words,
    tell,
    with_options,
)
from langchain_videochat.evaluation.shapes.world import FRAME_RATE, Scene
from langchain_videochat.training.samples import MEDIA

CRF = (12, 26)
"""How strongly clips are compressed: x264's constant rate factor, from hardly visible to a little blurred."""


def write_training_files(folder: str | Path, split: Split, count: int) -> None:
    """Write clips and pictures, captions for stage 1 and questions for stage 2, in the formats of the paper's code.

    Args:
        folder: Where to write `video/`, `image/`, `captions.json` and `conversations.json`.
        split: Of which scenes.
        count: How many clips, and how many pictures.

    Example:
        Write files to train on:

            write_training_files("shapes", "train", 1000)
            CaptionFile("shapes/captions.json", "video")[0]
    """
    captions, conversations = [], []
    for media, index in product(MEDIA, range(count)):
        scene, rng = find_example(split, index, media), _random(split, index)
        name = f"{media}/{split}_{index:06}.{'jpg' if media == 'image' else 'mp4'}"
        write = write_picture if media == "image" else write_scene
        write(Path(folder, name), scene, index)
        pairs = [rng.choice((in_words, with_options))(question) for question in ask_about(scene, media, rng)]
        captions.append({media: name, "caption": tell(scene, media, rng)})
        conversations.append({media: name, "QA": [{"q": text, "a": answer} for text, answer in pairs]})
    _write_json(Path(folder, "captions.json"), captions)
    _write_json(Path(folder, "conversations.json"), conversations)


def write_benchmark(folder: str | Path, per_task: int = 200, split: Split = "test") -> None:
    """Write a benchmark in the form of MVBench: a task for each kind of question.

    Args:
        folder: Where to write `json/TASK.json` and `video/`.
        per_task: How many questions of each kind.
        split: Of which scenes.

    Example:
        Measure a model on it:

            write_benchmark("shapes-bench")
            evaluate(VideoChatEmbed(), read_items("shapes-bench"), num_frames=8, free_answers=True)
    """
    tasks: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    index = 0
    while any(len(items) < per_task for items in tasks.values()):
        scene, name = find_scene(split, index), f"{split}_{index:06}.mp4"
        wanted = [question for question in ask(scene, _random(split, index)) if len(tasks[question.kind]) < per_task]
        for question in wanted:
            tasks[question.kind].append(_item(name, question))
        if wanted:
            write_scene(Path(folder, "video", name), scene, index)
        index += 1
    for kind, items in tasks.items():
        _write_json(Path(folder, "json", f"{kind.replace(' ', '_')}.json"), items)


def write_scene(path: Path, scene: Scene, seed: int) -> None:
    """Write a scene as a video of 8 frames, 2 a second, rendered and compressed by a seed.

    Args:
        path: A file that ends in `.mp4`; its folder is made.
        scene: What it shows.
        seed: For the rendering, and how strongly it is compressed.
    """
    rng = Random(f"file {seed}")  # noqa: S311 - no secret
    write_clip(path, render(scene, seed=rng.getrandbits(32)), crf=rng.randint(*CRF))


def write_picture(path: Path, scene: Scene, seed: int) -> None:
    """Write a scene in which nothing happens as a JPEG, rendered and compressed by a seed; its folder is made."""
    rng = Random(f"file {seed}")  # noqa: S311 - no secret
    pixels = render(scene, seed=rng.getrandbits(32))[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=rng.randint(*QUALITY))


def write_clip(path: Path, frames: NDArray[np.uint8], crf: int) -> None:
    """Write frames, RGB, [T, H, W, 3], as a video of 2 frames a second, compressed by x264's constant rate factor."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=FRAME_RATE, options={"crf": str(crf)})
        assert isinstance(stream, VideoStream)  # noqa: S101
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FRAME_RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _random(split: Split, index: int) -> Random:
    return Random(f"questions {split} {index}")  # noqa: S311 - no secret


def _item(video: str, question: Question) -> dict[str, Any]:
    return {
        "video": video,
        "question": question.text,
        "candidates": question.options,
        "answer": question.answer,
    }


def _write_json(path: Path, items: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(items, indent=1), encoding="utf-8")
