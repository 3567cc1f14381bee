"""VideoChatEmbed with a model of transformers: overhead over `generate`, and the gain of the KV cache."""

import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import torch
import transformers
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from transformers.video_utils import VideoMetadata

from langchain_videochat import VideoChatEmbed
from langchain_videochat.embed import read_video
from langchain_videochat.media import probe
from langchain_videochat.media.geometry import displayed_size
from tests.benchmarks.media import film
from tests.benchmarks.report import Table, progress
from tests.benchmarks.timing import best_of
from tests.tiny_vlms import qwen3_vl

hf: Any = transformers

TOKENS = 50
FRAMES = 8
ROUNDS = 8
PART_SECONDS = 20.0
QUESTION = "What is happening here?"

TEXT = {
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_key_value_heads": 12,
    "head_dim": 64,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [12, 10, 10]},
}
VISION = {"depth": 6, "hidden_size": 384, "intermediate_size": 1536, "num_heads": 6, "out_hidden_size": 768}


def measure(scale: float) -> Table:
    """Ask a small Qwen3-VL with random weights about parts of a film that it has not seen yet, and again."""
    clip = film(max(3, round(6 * scale)))
    starts = count(0.0, 0.1)
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "qwen3-vl"
        qwen3_vl(folder, text=TEXT, vision=VISION)
        llm = VideoChatEmbed(model=str(folder), max_tokens=TOKENS, num_frames=FRAMES)
        bare = _Transformers(folder, _frame_size(llm, clip))
        progress("  comparing answers")
        works: dict[str, Callable[[], None]] = {
            "ours": lambda: _check(llm.invoke(_ask(clip, next(starts)))),
            "transformers": lambda: bare.answer(clip, next(starts)),
        }
        works["ours"]()  # finds the size of frames
        taken = best_of(works, ROUNDS)
        progress("  asking again")
        times = [_ask_twice(llm, clip, next(starts)) for _ in range(ROUNDS)]
    first, second = (min(each) for each in zip(*times, strict=True))
    table = Table("VideoChatEmbed with a model of transformers, on the CPU", "s")
    what = f"`invoke` about a video, {TOKENS} tokens"
    table.cost(what, taken["ours"], "frames, processor and `generate`", taken["transformers"], at_most=1.05)
    table.cost("second question about a video, to the first token", second, "the first question", first, at_most=0.3)
    table.notes = [
        f"A Qwen3-VL of {TEXT['num_hidden_layers']} layers, {TEXT['hidden_size']} wide, with random weights in "
        f"float32; {FRAMES} frames of 720p, scaled to fit 2,048 tokens; the best of {ROUNDS} runs. Each question is "
        "about another part of the video, except for the second ones."
    ]
    return table


class _Transformers:
    """The same model, called as its documentation says."""

    def __init__(self, folder: Path, size: tuple[int, int]) -> None:
        self._model = hf.AutoModelForMultimodalLM.from_pretrained(folder, dtype=torch.float32)
        self._processor = hf.AutoProcessor.from_pretrained(folder)
        self._size = size

    def answer(self, clip: Path, start: float) -> None:
        video = read_video(clip, FRAMES, start, start + PART_SECONDS)
        frames = [cv2.resize(frame, self._size, interpolation=cv2.INTER_AREA) for frame in video.frames]
        messages = [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": QUESTION}]}]
        text = self._processor.apply_chat_template(messages, add_generation_prompt=True)
        metadata = VideoMetadata(total_num_frames=FRAMES, fps=1.0, frames_indices=list(range(FRAMES)))
        inputs = self._processor(
            text=[text], videos=[frames], video_metadata=[metadata], do_sample_frames=False, return_tensors="pt"
        )
        self._model.generate(**inputs, do_sample=False, min_new_tokens=TOKENS, max_new_tokens=TOKENS)


def _check(answer: AIMessage) -> None:
    if answer.usage_metadata is None or answer.usage_metadata["output_tokens"] != TOKENS:
        raise RuntimeError("the answer is shorter than that of transformers")


def _ask(clip: Path, start: float, question: str = QUESTION) -> list[BaseMessage]:
    extras = {"start": start, "end": start + PART_SECONDS}
    return [
        HumanMessage([{"type": "video", "url": clip.as_uri(), "extras": extras}, {"type": "text", "text": question}])
    ]


def _ask_twice(llm: VideoChatEmbed, clip: Path, start: float) -> tuple[float, float]:
    """Return the times to the first token of two questions about a part of a video."""
    return _first_token(llm, _ask(clip, start)), _first_token(llm, _ask(clip, start, "Who is it?"))


def _first_token(llm: VideoChatEmbed, messages: list[BaseMessage]) -> float:
    begin = time.perf_counter()
    stream = llm.stream(messages)
    next(stream)
    return time.perf_counter() - begin


def _frame_size(llm: VideoChatEmbed, clip: Path) -> tuple[int, int]:
    """Return the width and height of the frames that the model gets."""
    backend, video = llm._backend(), probe(clip)
    size = backend.frame_size(FRAMES, (video.width, video.height), backend.default_video_tokens)
    return displayed_size(video.width, video.height, size=size)
