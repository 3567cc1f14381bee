"""Reranking: a slower model reorders the best moments of a search."""

import json
import logging
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.utils.iter import batch_iterate

from langchain_videochat.errors import InputError, ModelError
from langchain_videochat.models.hub import fetch_weights, without_progress_bars
from langchain_videochat.models.weights import FolderWeights, check_vocabulary, share, silence_bitsandbytes
from langchain_videochat.store.critic import Critic
from langchain_videochat.store.search import RERANKED, RERANKED_CHARACTERS, Diversity
from langchain_videochat.timeline.documents import with_metadata

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

logger = logging.getLogger(__name__)

DEFAULT_RERANK_MS = 2000
"""Default time limit in milliseconds: a cross-encoder of the size of MiniLM-L6 takes 0.8 s on one core of a CPU for 20
moments of 100 words, and 2.2 s if they have 300."""

BATCH_SIZE = 2
"""Pairs that a cross-encoder scores at once. A batch that has started is finished, so larger ones would exceed the time
limit by more; on a CPU they are no faster."""

_FILES = ("config.json", "*.json", "*.safetensors")
"""Files of a model, each of which it must have."""

_ADVICE = (
    "Use an id on the Hugging Face Hub such as cross-encoder/ms-marco-MiniLM-L6-v2, the path of a folder, or a "
    "chat model object, for example init_chat_model(...)"
)


class Reranker(Protocol):
    """Orders moments by how well they match a query."""

    def candidates(self, k: int, diversity: Diversity) -> int:
        """Return the number of moments to rerank if `k` are wanted."""

    def rerank(self, query: str, moments: Sequence[Document], k: int, seconds: float) -> list[Document]:
        """Return all moments, best first.

        Args:
            query: Search text.
            moments: The moments, best first as far as the search knows.
            k: Number of moments that are wanted: the order of the others may be left as it is.
            seconds: Time limit. Moments that cannot be judged in time keep their order.
        """


class CrossEncoderReranker:
    """Orders moments by the scores of a cross-encoder, a model that reads the query and the moment together.

    It gets the whole text of a moment, not only its best observation: whether a moment has "no people" in it, or what
    "it" is, follows from its other observations.

    Args:
        model: An id on the Hugging Face Hub, or the path of a folder. The model is loaded on first use.
    """

    def __init__(self, model: str) -> None:
        self.model = model

    def candidates(self, k: int, diversity: Diversity) -> int:
        """Return the number of moments to rerank: only `k` if they are to differ, because reranking ignores that."""
        return max(k, RERANKED) if diversity.lambda_mult == 1 else k

    def rerank(self, query: str, moments: Sequence[Document], k: int, seconds: float) -> list[Document]:
        """Return the moments that were scored in time, best first and with `rerank_score`, then the others."""
        model = self._loaded
        deadline = monotonic() + seconds  # after loading, which is not part of a search
        scores: list[float] = []
        for batch in batch_iterate(BATCH_SIZE, moments):
            if monotonic() >= deadline:
                logger.warning("Reranked %d of %d moments within rerank_ms", len(scores), len(moments))
                break
            scores += _score(model, query, batch)
        scored = sorted(zip(scores, moments, strict=False), key=lambda one: -one[0])
        return [
            *(with_metadata(moment, {"rerank_score": round(score, 4)}) for score, moment in scored),
            *moments[len(scores) :],
        ]

    @cached_property
    def _loaded(self) -> "CrossEncoder":
        return share(_load, FolderWeights(self.model, folder=fetch_weights(self.model, files=_FILES)))


def _load(weights: FolderWeights) -> "CrossEncoder":
    _check_kind(weights)
    silence_bitsandbytes()
    from sentence_transformers import CrossEncoder

    with without_progress_bars():
        model: CrossEncoder = CrossEncoder(
            str(weights.folder),
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True},
        )
    check_vocabulary(model.tokenizer, model.model, weights)
    if model.num_labels != 1:
        problem = f"it returns {model.num_labels} scores instead of one"
        raise ModelError(weights.model, problem, "Use a cross-encoder that was trained for ranking")
    return model


def _check_kind(weights: FolderWeights) -> None:
    # Otherwise, sentence-transformers would put a randomly initialized layer on top of any model.
    from transformers import AutoConfig, PretrainedConfig

    config: PretrainedConfig = AutoConfig.from_pretrained(weights.folder, trust_remote_code=False)
    architectures = config.architectures or ["unknown"]
    is_classifier = architectures[0].endswith("ForSequenceClassification")
    if not is_classifier and _declared_type(weights.folder) != "CrossEncoder":
        problem = f"is not a cross-encoder: its architecture is {architectures[0]}"
        raise ModelError(weights.model, problem, "Use a cross-encoder that was made for sentence-transformers")


def _declared_type(folder: Path) -> str | None:
    declaration = folder / "config_sentence_transformers.json"
    return json.loads(declaration.read_text(encoding="utf-8")).get("model_type") if declaration.is_file() else None


def _score(model: "CrossEncoder", query: str, moments: Sequence[Document]) -> list[float]:
    from torch import nn

    pairs = [(query, one.page_content[:RERANKED_CHARACTERS]) for one in moments]
    # Many models declare no activation, and return logits.
    scores: list[float] = model.predict(pairs, activation_fn=nn.Sigmoid(), show_progress_bar=False).tolist()
    return scores


def resolve_reranker(given: str | Path | BaseChatModel) -> str | BaseChatModel:
    """Return a chat model, or the id on the Hugging Face Hub or the absolute path of a cross-encoder.

    Raises:
        InputError: It is neither a chat model, nor an existing path, nor the form of an id.

    Example:
        >>> resolve_reranker("cross-encoder/ms-marco-MiniLM-L6-v2")
        'cross-encoder/ms-marco-MiniLM-L6-v2'
    """
    if isinstance(given, BaseChatModel):
        return given
    if not isinstance(given, str | Path):
        raise InputError("reranker", f"must be a name or a chat model, got {type(given).__name__}", _ADVICE)
    name = str(given)
    if name and Path(name).exists():
        return str(Path(name).absolute())
    owner, _, model = name.partition("/")
    if owner and model and not {"/", ":"} & set(model + owner):
        return name
    raise InputError("reranker", f"unknown cross-encoder {name!r}", _ADVICE)


class Rerankers:
    """Creates rerankers, and keeps the last cross-encoder in memory: loading it takes seconds."""

    def __init__(self) -> None:
        self._cross_encoder = lru_cache(maxsize=1)(CrossEncoderReranker)

    def get(self, given: str | Path | BaseChatModel) -> Reranker:
        """Return the reranker that an argument of `search` stands for.

        Raises:
            InputError: It stands for none.
        """
        model = resolve_reranker(given)
        return Critic(model) if isinstance(model, BaseChatModel) else self._cross_encoder(model)
