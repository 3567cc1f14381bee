"""Overfits tiny models on a few answers, so that tests can converse with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from langchain_core.messages import BaseMessage
from torch import Tensor

from langchain_videochat.embed import Turn, load_model
from langchain_videochat.embed.output_format import read_output_format
from langchain_videochat.embed.settings import ModelSettings
from langchain_videochat.embed.tool_calls import add_tools
from langchain_videochat.embed.transformers_backend import load_transformers
from tests.opened_media import read_conversation

LEARNING_RATE = 0.02
VLM_LEARNING_RATE = 0.01
"""Of models with two layers, which are less stable."""

MAX_ROUNDS = 300
"""Half a dozen lessons take about 70 rounds, 4 s on one core, and twice as many for models of transformers."""

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
    tokenizer = processor.tokenizer
    batches = [
        _training_inputs(processor(_read_turns(lesson)), tokenizer, lesson.answer, tokenizer.eos_token_id)
        for lesson in lessons
    ]
    _overfit(model, batches, LEARNING_RATE)
    model.save_pretrained(folder)


def teach_vlm(folder: Path, lessons: Sequence[Lesson]) -> None:
    """Train a saved model of transformers, as `teach` trains a VideoChat-Embed."""
    backend = load_transformers(ModelSettings(str(folder), device="cpu", dtype="float32"))
    end_token = min(backend.generator.end_tokens)
    batches = [
        _training_inputs(backend.build_prompt(_read_turns(lesson)).inputs, backend.tokenizer, lesson.answer, end_token)
        for lesson in lessons
    ]
    _overfit(backend.model, batches, VLM_LEARNING_RATE)
    backend.model.save_pretrained(folder)


def _read_turns(lesson: Lesson) -> Sequence[Turn]:
    """Return the conversation of VideoChatEmbed."""
    turns = read_conversation(lesson.messages)
    output_format = read_output_format(lesson.tools, response_format=lesson.response_format)
    return add_tools(turns, output_format.tools, output_format.response_schema)


def _training_inputs(prompt: Mapping[str, Tensor], tokenizer: Any, text: str, end_token: int) -> dict[str, Tensor]:
    """Return a prompt, followed by an answer and its end token, which have labels."""
    answer = torch.tensor([[*tokenizer.encode(text, add_special_tokens=False), end_token]])
    labels = torch.cat([torch.full_like(prompt["input_ids"], IGNORE_INDEX), answer], dim=1)
    ends = {"input_ids": answer, "attention_mask": torch.ones_like(answer)}
    per_token = {
        name: torch.cat([value, ends.get(name, torch.zeros_like(answer))], dim=1)
        for name, value in prompt.items()
        if value.shape == prompt["input_ids"].shape
    }
    return {**prompt, **per_token, "labels": labels}


def _overfit(model: Any, batches: Sequence[dict[str, Tensor]], learning_rate: float) -> None:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate)
    for _ in range(MAX_ROUNDS):
        losses = [_backward(model, inputs) for inputs in batches]
        if max(losses) < TARGET_LOSS:
            return
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    raise RuntimeError(f"losses after {MAX_ROUNDS} rounds: {losses}")


def _backward(model: Any, inputs: dict[str, Tensor]) -> float:
    loss = model(**inputs).loss
    loss.backward()
    return float(loss.detach())
