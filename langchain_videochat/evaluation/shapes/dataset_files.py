"""Shapes in Motion as files: H.264 clips with JSON for training, or a benchmark in the format of MVBench."""

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

from langchain_videochat.evaluation.shapes.question_generation import KINDS, generate_questions
from langchain_videochat.evaluation.shapes.rendering import render
from langchain_videochat.evaluation.shapes.scene_samples import (
    JPEG_QUALITY,
    SceneSplit,
    answerable_questions,
    find_scene,
    find_training_scene,
    with_options,
    without_options,
    write_caption,
)
from langchain_videochat.evaluation.shapes.world import FRAME_RATE, Scene
from langchain_videochat.training.samples import MEDIA

CRF = (12, 26)
"""Range of x264's constant rate factor, from almost no loss to slight blur."""


def write_training_files(folder: str | Path, split: SceneSplit, count: int) -> None:
    """Write clips and images, captions for stage 1 and questions for stage 2, in the formats of the paper's code.

    Args:
        folder: Output folder for `video/`, `image/`, `captions.json` and `conversations.json`.
        split: Split of the scenes.
        count: Number of clips, and of images.

    Example:
        Write training files:

            write_training_files("shapes", "train", 1000)
            CaptionFile("shapes/captions.json", "video")[0]
    """
    captions, conversations = [], []
    for media, index in product(MEDIA, range(count)):
        scene, rng = find_training_scene(split, index, media), _random(split, index)
        name = f"{media}/{split}_{index:06}.{'jpg' if media == 'image' else 'mp4'}"
        write = write_image if media == "image" else write_scene
        write(Path(folder, name), scene, index)
        questions = answerable_questions(scene, media, rng)
        pairs = [rng.choice((without_options, with_options))(question) for question in questions]
        captions.append({media: name, "caption": write_caption(scene, media, rng)})
        conversations.append({media: name, "QA": [{"q": text, "a": answer} for text, answer in pairs]})
    _write_json(Path(folder, "captions.json"), captions)
    _write_json(Path(folder, "conversations.json"), conversations)


def write_benchmark(folder: str | Path, per_task: int = 200, split: SceneSplit = "test") -> None:
    """Write a benchmark in the format of MVBench, with a task for each kind of question.

    Args:
        folder: Output folder for `json/TASK.json` and `video/`.
        per_task: Number of questions of each kind.
        split: Split of the scenes.

    Example:
        Evaluate a model on it:

            write_benchmark("shapes-bench")
            model = VideoChatEmbed(model="videochat-embed-tiny")
            evaluate(model, read_items("shapes-bench"), num_frames=8, free_answers=True)
    """
    tasks: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    index = 0
    while any(len(items) < per_task for items in tasks.values()):
        scene, name = find_scene(split, index), f"{split}_{index:06}.mp4"
        questions = generate_questions(scene, _random(split, index))
        needed = [question for question in questions if len(tasks[question.kind]) < per_task]
        for question in needed:
            item = {"video": name, "question": question.text, "candidates": question.options, "answer": question.answer}
            tasks[question.kind].append(item)
        if needed:
            write_scene(Path(folder, "video", name), scene, index)
        index += 1
    for kind, items in tasks.items():
        _write_json(Path(folder, "json", f"{kind.replace(' ', '_')}.json"), items)


def write_scene(path: Path, scene: Scene, seed: int) -> None:
    """Write a scene as an MP4 of 8 frames at 2 fps, with a seed of the rendering and the compression."""
    rng = Random(f"file {seed}")  # noqa: S311 - no secret
    write_clip(path, render(scene, seed=rng.getrandbits(32)), crf=rng.randint(*CRF))


def write_image(path: Path, scene: Scene, seed: int) -> None:
    """Write a scene without events as a JPEG, with a seed of the rendering and the compression."""
    rng = Random(f"file {seed}")  # noqa: S311 - no secret
    pixels = render(scene, seed=rng.getrandbits(32))[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=rng.randint(*JPEG_QUALITY))


def write_clip(path: Path, frames: NDArray[np.uint8], crf: int) -> None:
    """Write frames, RGB, [T, H, W, 3], as a video of 2 fps with x264's constant rate factor `crf`."""
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


def _random(split: SceneSplit, index: int) -> Random:
    return Random(f"questions {split} {index}")  # noqa: S311 - no secret


def _write_json(path: Path, items: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(items, indent=1), encoding="utf-8")
