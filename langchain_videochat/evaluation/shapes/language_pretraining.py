"""Pre-training of the language model on symbolic descriptions of scenes: the counterpart of Vicuna.

Instead of visual tokens, the model reads sums of embeddings of the facts in `targets.label_figures`. The Q-Former is
then trained to produce similar tokens. Answering requires look-ups and comparisons, which are hard to learn from visual
tokens that are still vague: trained on clips directly, 79 % of answers were right after 77,000 conversations.
"""

from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from random import Random

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from langchain_videochat.embed import (
    Turn,
    VideoChatEmbedConfig,
    VideoChatEmbedForConditionalGeneration,
    VideoChatEmbedProcessor,
)
from langchain_videochat.embed.conversation import VisualTokens
from langchain_videochat.evaluation.benchmarks.prompts import INSTRUCTION
from langchain_videochat.evaluation.shapes.part_training import GeneratedBatches, plan_rounds, train_part
from langchain_videochat.evaluation.shapes.question_generation import FREQUENCY
from langchain_videochat.evaluation.shapes.scene_samples import (
    TIMES,
    answerable_questions,
    find_training_scene,
    to_turns,
    with_options,
    without_options,
    write_caption,
)
from langchain_videochat.evaluation.shapes.targets import (
    EVENT_CLASSES,
    POSITION_CLASSES,
    PROPERTY_CLASSES,
    label_figures,
)
from langchain_videochat.evaluation.shapes.world import MAX_FIGURES, Scene
from langchain_videochat.training.batches import IGNORE_INDEX
from langchain_videochat.training.samples import REQUESTS, Media

FACT_CLASSES = PROPERTY_CLASSES + EVENT_CLASSES + POSITION_CLASSES
"""Number of classes of each fact about a figure."""

FACT_STD = 0.15
"""Initial standard deviation of fact embeddings: a sum of eleven has that of word embeddings."""

LEARNING_RATE = 2e-3

CONVERSATIONS = 32
"""Conversations in a step."""

MAX_LENGTH = 256
"""Maximum tokens in a conversation. Longer ones are truncated."""

IMAGE_SHARE = 0.3
"""Fraction of conversations about an image."""

CAPTION_SHARE, OPTIONS_SHARE = 0.15, 0.4
"""Fractions of conversations that start with a caption, and that have questions with options."""

QUESTION_PASSES = 3
"""How often all kinds of questions are generated for a scene, about random figures."""


class FactEmbedding(nn.Module):
    """Embeds facts about figures as substitutes for visual tokens.

    Each token describes one figure. Figures are in alphabetical order and repeat.
    """

    _starts: Tensor
    _figures: Tensor

    def __init__(self, config: VideoChatEmbedConfig) -> None:
        super().__init__()
        # Index 0 is padding, index 1 marks the place of a figure, and the others are its facts.
        self.vectors = nn.EmbeddingBag(2 + sum(FACT_CLASSES), config.text_config.hidden_size, mode="sum", padding_idx=0)
        nn.init.normal_(self.vectors.weight, std=FACT_STD)
        starts = torch.tensor([*accumulate(FACT_CLASSES[:-1], initial=2)])
        self.register_buffer("_starts", starts, persistent=False)
        self.register_buffer("_figures", torch.arange(config.num_visual_tokens) % MAX_FIGURES, persistent=False)

    def forward(self, labels: Tensor) -> Tensor:
        """Embed figures, [B, 3, 11], labelled by `label_figures`.

        Returns:
            [B, tokens, width].
        """
        facts = torch.where(labels < 0, 0, labels + self._starts)
        place = torch.ones_like(facts[..., :1])
        tokens: Tensor = self.vectors(torch.cat([place, facts], dim=-1).flatten(0, 1))
        return tokens.unflatten(0, labels.shape[:2])[:, self._figures]


def pretrain_language(
    model: VideoChatEmbedForConditionalGeneration,
    processor: VideoChatEmbedProcessor,
    *,
    rounds: Sequence[int],
    seed: int = 0,
    show_progress: bool = True,
) -> FactEmbedding:
    """Train the language model of a model, in place, to answer questions from fact embeddings.

    Args:
        model: The model.
        processor: The model's processor.
        rounds: Number of steps in each round, with 32 conversations each. Fact embeddings are trained in the first.
        seed: Seed of the fact embeddings.
        show_progress: Show a progress bar.

    Returns:
        The fact embeddings.
    """
    torch.manual_seed(seed)
    facts = FactEmbedding(model.config)
    language = model.language_model

    def loss_function(ids: Tensor, labels: Tensor, figures: Tensor) -> Tensor:
        embeddings = model.embed(ids, facts(figures))
        states = language.model(inputs_embeds=embeddings, use_cache=False).last_hidden_state[:, :-1]
        is_target = labels[:, 1:] != IGNORE_INDEX
        return cross_entropy(language.lm_head(states[is_target]), labels[:, 1:][is_target])

    for each in plan_rounds(rounds):
        train_part(
            [language.model],
            [weights for part in (language, facts) for weights in part.parameters() if weights.requires_grad],
            GeneratedBatches(partial(_generate_batch, processor), each.steps),
            loss_function,
            learning_rate=LEARNING_RATE,
            lr_scale=each.lr_scale,
            name=f"Language model, {each.title}" if show_progress else None,
        )
        facts.requires_grad_(False)
    return facts


def _generate_batch(processor: VideoChatEmbedProcessor, step: int) -> tuple[Tensor, ...]:
    """Return conversations about scenes, labels of the answers, and labels of the figures."""
    ids, labels, figures = [], [], []
    for number in range(step * CONVERSATIONS, (step + 1) * CONVERSATIONS):
        rng = Random(f"conversation {number}")  # noqa: S311 - no secret
        media: Media = "image" if rng.random() < IMAGE_SHARE else "video"
        scene = find_training_scene("train", number, media)
        turns = write_conversation(scene, media, rng)
        ids.append(processor(turns, add_generation_prompt=False)["input_ids"][0, :MAX_LENGTH])
        labels.append(_label_answers(processor, ids[-1]))
        figures.append(torch.from_numpy(label_figures(scene)))
    padded = pad_sequence(ids, batch_first=True, padding_value=processor.tokenizer.pad_token_id)
    return padded, pad_sequence(labels, batch_first=True, padding_value=IGNORE_INDEX), torch.stack(figures)


def _label_answers(processor: VideoChatEmbedProcessor, ids: Tensor) -> Tensor:
    """Return labels for the answers: the tokens after "###Assistant:", up to and including the next "###"."""
    separator, assistant = processor.tokenizer.convert_tokens_to_ids(["###", "Assistant"])
    messages = (ids == separator).cumsum(0)
    spoken = messages[(ids == assistant).nonzero().flatten()]
    begins = (ids == assistant) | (ids == separator)
    is_answer = torch.isin(messages, spoken) & ~begins & ~begins.roll(1)
    ends = (ids == separator) & torch.isin(messages - 1, spoken)
    return ids.where(is_answer | ends, IGNORE_INDEX)


def write_conversation(scene: Scene, media: Media, rng: Random) -> list[Turn]:
    """Return a conversation about a scene: all questions, with or without options, sometimes after a caption.

    Example:
        >>> from langchain_videochat.evaluation.shapes import draw_scene
        >>> question, answer, *_ = write_conversation(draw_scene(0), "video", Random(0))
        >>> question.content[-1].splitlines()[0], answer.content
        ('Question: How many objects are there?', ('one',))
    """
    by_text = {each.text: each for _ in range(QUESTION_PASSES) for each in answerable_questions(scene, media, rng)}
    questions = sorted(by_text.values(), key=lambda each: rng.random() ** FREQUENCY[each.kind], reverse=True)
    write = with_options if rng.random() < OPTIONS_SHARE else without_options
    pairs = [write(each) for each in questions]
    if rng.random() < CAPTION_SHARE:
        pairs.insert(0, (rng.choice(REQUESTS).format(media=media), write_caption(scene, media, rng)))
    visual = VisualTokens(media, torch.empty(0), None, TIMES if media == "video" else ())
    opening = [Turn("system", (INSTRUCTION,))] if write is with_options and rng.random() < OPTIONS_SHARE else []
    return [*opening, *to_turns([visual], pairs)]
