"""Parts that the examples share: the demo video, a store with it, and the model from the command line."""

import argparse
import os
from pathlib import Path

from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel

from examples.render_demo import render
from langchain_videochat import VideoChatEmbed, VideoTimelineStore

VIDEO = Path(__file__).parents[1] / "demo" / "quick_recipes.mp4"


def demo_video() -> Path:
    """Return the demo video, rendering it if it does not exist yet."""
    if not VIDEO.exists():
        print(f"Rendering {VIDEO}")
        render(VIDEO)
    return VIDEO


def demo_store() -> VideoTimelineStore:
    """Open a store with all videos in the demo video's folder, indexing the new ones."""
    folder = demo_video().parent
    store = VideoTimelineStore(folder / "store")
    store.index(folder, profile="lite", on_error="skip")
    return store


def chat_model_from_args(description: str | None) -> BaseChatModel:
    """Load the chat model named by `--model` or the environment variable VIDEOCHAT_MODEL."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    preset = os.environ.get("VIDEOCHAT_MODEL")
    help_text = "PROVIDER:MODEL, for example openai:gpt-5-mini or ollama:qwen3"
    parser.add_argument("--model", default=preset, required=preset is None, help=help_text)
    name: str = parser.parse_args().model
    return init_chat_model(name)


def embed_model_from_args(description: str | None) -> VideoChatEmbed:
    """Load the VideoChatEmbed named by `--model` or the environment variable VIDEOCHAT_EMBED_MODEL.

    Without either, this is the bundled model, which knows only simple shapes.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder written by `videochat convert`")
    return VideoChatEmbed(model=parser.parse_args().model, max_tokens=200)


def video_block(video: Path, **extras: float) -> dict[str, object]:
    """Make a content block of a video, or of the interval between `start` and `end` in seconds."""
    return {"type": "video", "url": video.absolute().as_uri(), "mime_type": "video/mp4", "extras": extras}
