"""Overfits a tiny VideoChat-Embed on a few answers, so that tests can converse with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from langchain_core.messages import BaseMessage
from torch import Tensor

from langchain_videochat.embed import VideoChatEmbedProcessor, load_model
from langchain_videochat.embed.output_format import read_output_format
from langchain_videochat.embed.tool_calls import add_tools
from tests.opened_media import read_conversation

LEARNING_RATE = 0.02

MAX_ROUNDS = 300
"""Half a dozen lessons take about 70 rounds, 4 s on one core."""

TARGET_LOSS = 0.001
"""Mean loss of an answer's tokens. Even in an answer of 100 tokens, the probability of each is then at least 0.9."""

IGNORE_INDEX = -100
"""Label of a token without loss."""


@dataclass(frozen=True)
class Lesson:
    """A conversation and the answer to learn."""

    messages: Sequence[BaseMessage]

    answer: str
    """Text, or the output of `write_tool_call`."""

    tools: Sequence[Any] = ()
    """Tools, as for `bind_tools`."""

    response_format: Any = None
    """A response format, as an option of a call."""


def teach(folder: Path, lessons: Sequence[Lesson]) -> None:
    """Train the language model of a saved VideoChat-Embed until it gives the answers of the lessons, and save it.

    Training is deterministic: the same model and lessons give the same weights.

    Example:
        Teach a model to say hello:

            teach(save_videochat(folder), [Lesson([HumanMessage("Hello")], "Hello!")])
    """
    model, processor = load_model(folder, device="cpu", dtype="float32", show_progress=False)
    model.requires_grad_(False)
    model.language_model.requires_grad_(True)
    optimizer = torch.optim.AdamW(model.language_model.parameters(), lr=LEARNING_RATE)
    batches = [_training_inputs(processor, lesson) for lesson in lessons]
    for _ in range(MAX_ROUNDS):
        losses = [_backward(model, inputs) for inputs in batches]
        if max(losses) < TARGET_LOSS:
            model.save_pretrained(folder)
            return
        torch.nn.utils.clip_grad_norm_(model.language_model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    raise RuntimeError(f"losses after {MAX_ROUNDS} rounds: {losses}")


def _training_inputs(processor: VideoChatEmbedProcessor, lesson: Lesson) -> dict[str, Tensor]:
    """Return the prompt of VideoChatEmbed, followed by the answer and its end token, which have labels."""
    turns = read_conversation(lesson.messages)
    output_format = read_output_format(lesson.tools, response_format=lesson.response_format)
    prompt = processor(add_tools(turns, output_format.tools, output_format.response_schema))
    tokenizer = processor.tokenizer
    answer = torch.tensor([[*tokenizer.encode(lesson.answer, add_special_tokens=False), tokenizer.eos_token_id]])
    input_ids = torch.cat([prompt["input_ids"], answer], dim=1)
    labels = torch.cat([torch.full_like(prompt["input_ids"], IGNORE_INDEX), answer], dim=1)
    return {**prompt, "input_ids": input_ids, "attention_mask": torch.ones_like(input_ids), "labels": labels}


def _backward(model: Any, inputs: dict[str, Tensor]) -> float:
    loss = model(**inputs).loss
    loss.backward()
    return float(loss.detach())
