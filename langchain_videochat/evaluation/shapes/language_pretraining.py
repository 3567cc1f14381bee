"""What the language model learns before it is shown anything: to answer from what there is to tell of a scene.

It is the counterpart of Vicuna. In place of visual tokens it reads what `labels.py` tells of each figure, as sums of
vectors, one for each fact. The Q-Former then learns to bring what reads alike.
"""

from collections.abc import Sequence
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
from langchain_videochat.evaluation.mvbench.prompt import INSTRUCTION
from langchain_videochat.evaluation.shapes.learning import Batches, learn, make_rounds
from langchain_videochat.evaluation.shapes.question_generation import FREQUENCY
from langchain_videochat.evaluation.shapes.scene_samples import (
    TIMES,
    ask_about,
    find_example,
    in_words,
    take_turns,
    tell,
    with_options,
)
from langchain_videochat.evaluation.shapes.targets import DEEDS, PLACES, PROPERTIES, label_figures
from langchain_videochat.evaluation.shapes.world import MAX_FIGURES, Scene
from langchain_videochat.training.batches import IGNORED
from langchain_videochat.training.samples import REQUESTS, Media

FACTS = PROPERTIES + DEEDS + PLACES
"""Of how many of each kind there is one of a figure."""

FACT_SPREAD = 0.15
"""Of the vectors of facts at first: a sum of eleven has the spread of word vectors."""

RATE = 2e-3

CONVERSATIONS = 32
"""Conversations of a step."""

LENGTH = 256
"""Tokens of a conversation: as many questions as find room."""

PICTURES = 0.3
"""Share of the conversations that are about a picture."""

CAPTIONED, OPTIONS = 0.15, 0.4
"""Share of the conversations that begin with a caption, and of those whose questions have options."""

ROUNDS = 3
"""How often all is asked of a scene, each time of other figures by chance."""


class Teller(nn.Module):
    """Tells a language model of the figures of scenes, in the places of visual tokens.

    Each token tells of one figure: they come in the order of the alphabet, and then again.

    Args:
        config: The shape of the whole model.
    """

    _starts: Tensor
    _figures: Tensor

    def __init__(self, config: VideoChatEmbedConfig) -> None:
        super().__init__()
        # One vector says that this is a figure's place, and all others what is true of the figure there.
        self.vectors = nn.EmbeddingBag(2 + sum(FACTS), config.text_config.hidden_size, mode="sum", padding_idx=0)
        nn.init.normal_(self.vectors.weight, std=FACT_SPREAD)
        starts = torch.tensor([*accumulate(FACTS[:-1], initial=2)])
        self.register_buffer("_starts", starts, persistent=False)
        self.register_buffer("_figures", torch.arange(config.num_visual_tokens) % MAX_FIGURES, persistent=False)

    def forward(self, labels: Tensor) -> Tensor:
        """Tell of figures [B, 3, 11], as `label_figures` numbers what is true of them.

        Returns:
            [B, tokens, width].
        """
        facts = torch.where(labels < 0, 0, labels + self._starts)
        place = torch.ones_like(facts[..., :1])
        told: Tensor = self.vectors(torch.cat([place, facts], dim=-1).flatten(0, 1))
        return told.unflatten(0, labels.shape[:2])[:, self._figures]


def pretrain_language(
    model: VideoChatEmbedForConditionalGeneration,
    processor: VideoChatEmbedProcessor,
    *,
    rounds: Sequence[int],
    seed: int = 0,
    show_progress: bool = True,
) -> Teller:
    """Teach a model's language model to answer, from what it is told in place of visual tokens.

    Args:
        model: Its language model is changed in place.
        processor: That of the model.
        rounds: How often the weights are changed in each round, by 32 conversations each time. The vectors of facts are
            learnt in the first.
        seed: Decides on how the vectors of facts begin.
        show_progress: Show a progress bar.

    Returns:
        What tells it of figures.
    """
    torch.manual_seed(seed)
    teller = Teller(model.config)
    language = model.language_model

    def miss(ids: Tensor, labels: Tensor, figures: Tensor) -> Tensor:
        embeddings = model.embed(ids, teller(figures))
        read = language.model(inputs_embeds=embeddings, use_cache=False).last_hidden_state[:, :-1]
        is_learnt = labels[:, 1:] != IGNORED
        return cross_entropy(language.lm_head(read[is_learnt]), labels[:, 1:][is_learnt])

    for each in make_rounds(rounds):
        learn(
            [language.model],
            [weights for part in (language, teller) for weights in part.parameters() if weights.requires_grad],
            _Conversations(processor, each.steps),
            miss,
            rate=RATE,
            share=each.share,
            name=f"Language model, {each.title}" if show_progress else None,
        )
        teller.requires_grad_(False)
    return teller


class _Conversations(Batches):
    """Conversations about scenes, and what there is to tell of their figures."""

    def __init__(self, processor: VideoChatEmbedProcessor, steps: range) -> None:
        super().__init__(steps)
        self._processor = processor

    def _make(self, step: int) -> tuple[Tensor, ...]:
        numbers = range(step * CONVERSATIONS, (step + 1) * CONVERSATIONS)
        ids, labels, figures = map(list, zip(*map(self._converse, numbers), strict=True))
        padding = self._processor.tokenizer.pad_token_id
        return (
            pad_sequence(ids, batch_first=True, padding_value=padding),
            pad_sequence(labels, batch_first=True, padding_value=IGNORED),
            torch.stack(figures),
        )

    def _converse(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        rng = Random(f"conversation {number}")  # noqa: S311 - no secret
        media: Media = "image" if rng.random() < PICTURES else "video"
        scene = find_example("train", number, media)
        turns = talk(scene, media, rng)
        ids = self._processor(turns, add_generation_prompt=False)["input_ids"][0, :LENGTH]
        return ids, self._answers(ids), torch.from_numpy(label_figures(scene))

    def _answers(self, ids: Tensor) -> Tensor:
        """Label what stands between "###Assistant:" and the next "###", and that, and nothing else."""
        separator, assistant = self._processor.tokenizer.convert_tokens_to_ids(["###", "Assistant"])
        messages = (ids == separator).cumsum(0)
        spoken = messages[(ids == assistant).nonzero().flatten()]
        begins = (ids == assistant) | (ids == separator)
        is_answer = torch.isin(messages, spoken) & ~begins & ~begins.roll(1)
        ends = (ids == separator) & torch.isin(messages - 1, spoken)
        return ids.where(is_answer | ends, IGNORED)


def talk(scene: Scene, media: Media, rng: Random) -> list[Turn]:
    """Talk about a scene: all that can be asked, sometimes after a caption, in words or with options.

    Example:
        >>> from langchain_videochat.evaluation.shapes import draw_scene
        >>> question, answer, *_ = talk(draw_scene(0), "video", Random(0))
        >>> question.content[-1].splitlines()[0], answer.content
        ('Question: How many objects are there?', ('one',))
    """
    asked = {each.text: each for _ in range(ROUNDS) for each in ask_about(scene, media, rng)}
    questions = sorted(asked.values(), key=lambda each: rng.random() ** FREQUENCY[each.kind], reverse=True)
    write = with_options if rng.random() < OPTIONS else in_words
    pairs = [write(each) for each in questions]
    if rng.random() < CAPTIONED:
        pairs.insert(0, (rng.choice(REQUESTS).format(media=media), tell(scene, media, rng)))
    shown = VisualTokens(media, torch.empty(0), None, TIMES if media == "video" else ())
    first, *others = take_turns(pairs)
    opening = [Turn("system", (INSTRUCTION,))] if write is with_options and rng.random() < OPTIONS else []
    return [*opening, Turn("human", (shown, *first.content)), *others]
