"""Teaches a tiny VideoChatEmbed answers by heart, so that tests can hold a conversation with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from langchain_core.messages import BaseMessage
from langchain_core.utils.function_calling import convert_to_openai_tool
from torch import Tensor

from langchain_videochat.embed import VideoChatEmbedProcessor, load_model
from langchain_videochat.embed.messages import read_messages
from langchain_videochat.embed.tool_calls import tell_tools

LEARNING_RATE = 0.02

MOST_ROUNDS = 300
"""Half a dozen lessons take 70, 4 seconds of one core."""

LEARNT = 0.001
"""Mean loss of an answer's tokens: of 100, none is then less likely than 0.9."""

IGNORED = -100
"""Label of a token that is not to be learnt."""


@dataclass(frozen=True)
class Lesson:
    """How a conversation is to go on."""

    messages: Sequence[BaseMessage]

    answer: str
    """A text, or what `write_tool_call` writes."""

    tools: Sequence[Any] = ()
    """As `bind_tools` takes them."""


def teach(folder: Path, lessons: Sequence[Lesson]) -> None:
    """Train the language model of a saved VideoChatEmbed until it goes on as the lessons do, and save it again.

    Nothing is random: the same model and lessons give the same weights.

    Example:
        Have a model say hello:

            teach(save_videochat(folder), [Lesson([HumanMessage("Hello")], "Hello!")])
    """
    model, processor = load_model(folder, device="cpu", dtype="float32", show_progress=False)
    model.requires_grad_(False)
    model.language_model.requires_grad_(True)
    optimizer = torch.optim.AdamW(model.language_model.parameters(), lr=LEARNING_RATE)
    batches = [_training_inputs(processor, lesson) for lesson in lessons]
    for _ in range(MOST_ROUNDS):
        losses = [_study(model, inputs) for inputs in batches]
        if max(losses) < LEARNT:
            model.save_pretrained(folder)
            return
        torch.nn.utils.clip_grad_norm_(model.language_model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    raise RuntimeError(f"losses after {MOST_ROUNDS} rounds: {losses}")


def _training_inputs(processor: VideoChatEmbedProcessor, lesson: Lesson) -> dict[str, Tensor]:
    """Make what VideoChatEmbed shows the model, and after it the answer and its end, which alone have labels."""
    turns = read_messages(lesson.messages)
    if lesson.tools:
        turns = tell_tools(turns, [convert_to_openai_tool(tool) for tool in lesson.tools])
    prompt = processor(turns)
    tokenizer = processor.tokenizer
    answer = torch.tensor([[*tokenizer.encode(lesson.answer, add_special_tokens=False), tokenizer.eos_token_id]])
    input_ids = torch.cat([prompt["input_ids"], answer], dim=1)
    labels = torch.cat([torch.full_like(prompt["input_ids"], IGNORED), answer], dim=1)
    return {**prompt, "input_ids": input_ids, "attention_mask": torch.ones_like(input_ids), "labels": labels}


def _study(model: Any, inputs: dict[str, Tensor]) -> float:
    loss = model(**inputs).loss
    loss.backward()
    return float(loss.detach())
