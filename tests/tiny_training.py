"""Training data for a tiny VideoChat-Embed: videos, images, captions and conversations."""

import json
import shutil
from pathlib import Path
from typing import Any

from langchain_videochat.training import TrainingConfig
from tests.numbered_video import make_numbered, regular
from tests.slides import draw_slide
from tests.tiny_videochat import save_videochat

VIDEOS, IMAGES = 5, 3

BROKEN = "broken.mp4"
"""An unreadable file; no sample uses it unless a test adds one."""


def make_samples(folder: Path) -> Path:
    """Write a model, videos, images, and both kinds of data files: `captions.json` and `conversations.json`."""
    save_videochat(folder / "model")
    (folder / BROKEN).write_text("not a video")
    videos = [f"{number}.mp4" for number in range(VIDEOS)]
    images = [f"{number}.png" for number in range(IMAGES)]
    for number, name in enumerate(videos):
        make_numbered(folder / name, times=regular(10 + number, rate=5))
    for number, name in enumerate(images):
        draw_slide([f"picture {number}"], (64, 48)).save(folder / name)
    captions = [{"video": name, "caption": f"the {name[0]}. video"} for name in videos]
    captions += [{"image": name, "caption": f"picture {name[0]}"} for name in images]
    write_json(folder / "captions.json", captions)
    pairs = [{"q": "How long is it?", "a": "Short."}, {"q": "And what is it?", "a": "Squares."}]
    conversations = [{"video": name, "QA": pairs} for name in videos]
    conversations += [{"image": name, "QA": pairs[1:]} for name in images]
    write_json(folder / "conversations.json", conversations)
    return folder


def write_json(path: Path, value: Any) -> Path:
    """Write a JSON file and return its path."""
    path.write_text(json.dumps(value))
    return path


def make_config(folder: Path, output: Path, **changes: Any) -> TrainingConfig:
    """Build a config for a few quick steps of stage 1."""
    fields: dict[str, Any] = {
        "stage": 1,
        "model": str(folder / "model"),
        "output": output,
        "data": [{"file": folder / "captions.json"}],
        "steps": 4,
        "batch_size": 4,
        "learning_rate": 0.01,
        "min_lr_ratio": 0.1,
        "num_frames": 2,
        "max_text_tokens": 32,
        "precision": "fp32",
        "num_workers": 0,
    }
    return TrainingConfig(**(fields | changes))


def without_dropout(model: Path, copy: Path) -> Path:
    """Copy a model and disable its dropout, which depends on how samples are split over devices."""
    shutil.copytree(model, copy)
    config = copy / "config.json"
    config.write_text(config.read_text().replace('"gmhra_dropout": 0.5', '"gmhra_dropout": 0.0'))
    return copy
