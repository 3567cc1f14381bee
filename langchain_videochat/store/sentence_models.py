"""Models made for sentence-transformers, loaded by it, or by transformers alone where the vectors are the same."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings
from langchain_core.utils.iter import batch_iterate

from langchain_videochat.errors import ModelError
from langchain_videochat.models.hub import without_progress_bars
from langchain_videochat.models.weights import (
    FolderWeights,
    check_missing,
    check_vocabulary,
    share,
    silence_bitsandbytes,
)
from langchain_videochat.store.mean_pooling_config import MeanPoolingConfig, read_mean_pooling_config

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

BATCH_SIZE = 32
"""Texts that an encoder reads at once, as in sentence-transformers."""

_PROMPTS = {"intfloat/multilingual-e5-small": {"query": "query: ", "document": "passage: "}}
"""Prompts that models were trained with, but that their repositories do not declare."""

_DOCUMENT_PROMPTS = ("document", "passage", "corpus")
"""Names of the prompt for documents, as sentence-transformers has them."""


class SentenceTransformerModel(Embeddings):
    """A model of any architecture, run by sentence-transformers.

    Args:
        model: The model.
    """

    def __init__(self, model: "SentenceTransformer") -> None:
        self._model = model
        # encode_document would prefer an empty prompt "document", which all models have, to one of the other names.
        self._document_prompt = _document_prompt(model.prompts)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts."""
        encode = self._model.encode_document
        vectors: list[list[float]] = encode(texts, prompt=self._document_prompt, show_progress_bar=False).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """Embed a query."""
        vector: list[float] = self._model.encode_query(text, show_progress_bar=False).tolist()
        return vector


class MeanPoolingModel(Embeddings):
    """A text encoder of transformers whose states are averaged over the tokens.

    The default models are of this kind. sentence-transformers gives the same vectors, but importing it takes seconds
    and more memory than the default model, because it imports scikit-learn, peft and bitsandbytes.

    Args:
        encoder: The encoder.
        tokenizer: Its tokenizer, which knows the maximum number of tokens.
        prompts: Prompts by their names in sentence-transformers.
        pool: Converts states, [texts, tokens, size], and the mask of tokens, [texts, tokens], to vectors.
    """

    def __init__(
        self,
        encoder: Any,
        tokenizer: Any,
        prompts: Mapping[str, str],
        pool: "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]",
    ) -> None:
        self._encoder = encoder
        self._tokenizer = tokenizer
        self._query_prompt = prompts.get("query", "")
        self._document_prompt = _document_prompt(prompts)
        self._pool = pool

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts."""
        return self._embed(texts, self._document_prompt)

    def embed_query(self, text: str) -> list[float]:
        """Embed a query."""
        return self._embed([text], self._query_prompt)[0]

    def _embed(self, texts: Sequence[str], prompt: str) -> list[list[float]]:
        # Batches of texts of similar length need little padding.
        longest_first = sorted(range(len(texts)), key=lambda index: len(texts[index]), reverse=True)
        vectors: dict[int, list[float]] = {}
        for batch in batch_iterate(BATCH_SIZE, longest_first):
            vectors |= zip(batch, self._encode([prompt + texts[index] for index in batch]), strict=True)
        return [vectors[index] for index in range(len(texts))]

    def _encode(self, texts: list[str]) -> list[list[float]]:
        import torch

        inputs = self._tokenizer(texts, padding=True, truncation=True, return_tensors="pt").to(self._encoder.device)
        with torch.inference_mode():
            states = self._encoder(**inputs).last_hidden_state
            vectors: list[list[float]] = self._pool(states, inputs["attention_mask"]).tolist()
        return vectors


def load_sentence_model(weights: FolderWeights) -> Embeddings:
    """Load a model that was made for sentence-transformers.

    Raises:
        ModelError: It was not made for sentence-transformers, or is incomplete.
    """
    if not (weights.folder / "modules.json").is_file():
        # Otherwise, sentence-transformers would average the states of any model, which is useless for search.
        problem = "is not a sentence-transformers model: it has no modules.json"
        raise ModelError(weights.model, problem, "Use a model that was made for sentence-transformers")
    config = read_mean_pooling_config(weights.folder)
    if config is not None:
        return _load_mean_pooling(weights, config)
    # It refers to itself, so that Python frees it late: until then, it is shared with models loaded later.
    return SentenceTransformerModel(share(_load_sentence_transformer, weights))


def _load_mean_pooling(weights: FolderWeights, config: MeanPoolingConfig) -> MeanPoolingModel:
    from transformers import AutoModel, AutoTokenizer

    with without_progress_bars():
        encoder, report = AutoModel.from_pretrained(
            weights.folder, output_loading_info=True, trust_remote_code=False, local_files_only=True
        )
    # Many models lack the layer that reads the first token's state, which is not used.
    check_missing((name for name in report["missing_keys"] if not name.startswith("pooler.")), weights)
    tokenizer: Any = AutoTokenizer.from_pretrained(weights.folder, trust_remote_code=False, local_files_only=True)
    check_vocabulary(tokenizer, encoder, weights)
    limit = min(tokenizer.model_max_length, encoder.config.max_position_embeddings)
    tokenizer.model_max_length = config.max_seq_length or limit
    prompts = config.prompts | _PROMPTS.get(weights.model, {})
    return MeanPoolingModel(
        encoder.to(weights.torch_device), tokenizer, prompts, _unit_mean if config.normalize else _mean
    )


def _load_sentence_transformer(weights: FolderWeights) -> "SentenceTransformer":
    silence_bitsandbytes()
    from sentence_transformers import SentenceTransformer

    prompts = _PROMPTS.get(weights.model)
    with without_progress_bars():
        return SentenceTransformer(str(weights.folder), prompts=prompts, trust_remote_code=False, local_files_only=True)


def _mean(states: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
    """Return the mean of the states where the mask is 1, computed in float32, in the dtype of the states."""
    import torch

    weights = mask.unsqueeze(-1).to(states.dtype)
    total = (states * weights).sum(dim=1, dtype=torch.float32)
    return (total / weights.sum(dim=1, dtype=torch.float32).clamp(min=1)).to(states.dtype)


def _unit_mean(states: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
    from torch.nn.functional import normalize

    return normalize(_mean(states, mask), dim=-1)


def _document_prompt(prompts: Mapping[str, str | None]) -> str:
    return next(filter(None, map(prompts.get, _DOCUMENT_PROMPTS)), "")
