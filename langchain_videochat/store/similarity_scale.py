"""The scale of an embedding model's similarities, which makes scores of different models comparable."""

import numpy as np
from langchain_core.embeddings import Embeddings

QUESTION = "When does the goalkeeper save the penalty?"

UNRELATED = (
    "A hand pours milk into a bowl of flour.",
    "The next slide shows the cost of the new server.",
    "a dog sleeps on a red sofa",
    "Take the second street on the left, behind the church.",
    "Error 404: page not found",
    "My grandmother was born in a village near the sea.",
    "two children build a tower of wooden blocks",
    "Tighten the four screws with a small wrench.",
)


def unrelated_similarity(embedding: Embeddings) -> float:
    """Return the cosine similarity that a model gives to unrelated texts: near 0 for most, about 0.7 for others.

    Example:
        >>> from langchain_videochat.store.embeddings import SentenceTransformerEmbeddings
        >>> abs(unrelated_similarity(SentenceTransformerEmbeddings())) < 0.1
        True
    """
    query = np.asarray(embedding.embed_query(QUESTION))
    documents = np.asarray(embedding.embed_documents(list(UNRELATED)))
    lengths = np.linalg.norm(documents, axis=1) * np.linalg.norm(query)
    return float((documents @ query / np.where(lengths == 0, 1, lengths)).mean())
