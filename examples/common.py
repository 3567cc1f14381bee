"""What the examples share: the demo video, a store that holds it, and the model named on the command line."""

import argparse
import os
from pathlib import Path

from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel

from examples.render_demo import render
from langchain_videochat import VideoChatEmbed, VideoTimelineStore

VIDEO = Path(__file__).parents[1] / "demo" / "quick_recipes.mp4"
"""In the same place wherever an example is started."""


def demo_video() -> Path:
    """Render the demo video if it is not there yet."""
    if not VIDEO.exists():
        print(f"Rendering {VIDEO}")
        render(VIDEO)
    return VIDEO


def demo_store() -> VideoTimelineStore:
    """Open a store with all videos of the folder of the demo video; those that it holds already are skipped."""
    folder = demo_video().parent
    store = VideoTimelineStore(folder / "store")
    store.index(folder, profile="lite", on_error="skip")
    return store


def named_model(description: str | None) -> BaseChatModel:
    """Make the chat model that `--model`, or else the variable VIDEOCHAT_MODEL, names."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    preset = os.environ.get("VIDEOCHAT_MODEL")
    help_text = "PROVIDER:MODEL, as openai:gpt-5-mini or ollama:qwen3"
    parser.add_argument("--model", default=preset, required=preset is None, help=help_text)
    name: str = parser.parse_args().model
    return init_chat_model(name)


def watching_model(description: str | None) -> VideoChatEmbed:
    """Make the VideoChatEmbed that `--model`, or else the variable VIDEOCHAT_EMBED_MODEL, names; a toy if neither."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder of `videochat convert`")
    return VideoChatEmbed(model=parser.parse_args().model, max_tokens=200)


def video_block(video: Path, **extras: float) -> dict[str, object]:
    """Show a video, or with `start` and `end` a stretch of it, in a message."""
    return {"type": "video", "url": video.absolute().as_uri(), "mime_type": "video/mp4", "extras": extras}
