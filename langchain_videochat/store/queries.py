"""Queries: what is searched for, and its embeddings."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from langchain_videochat.errors import InputError, MediaError, SourceError
from langchain_videochat.media import read_picture
from langchain_videochat.perception.visual_models import FRAME_SIZE, VisualModel
from langchain_videochat.store.filters import Filter
from langchain_videochat.store.frame_index import FrameIndex
from langchain_videochat.store.index_snapshot import IndexSnapshot
from langchain_videochat.store.observation_vectors import read_query
from langchain_videochat.store.picture_search import DescriptionScale, PictureQuery, picture_query
from langchain_videochat.store.search import Query
from langchain_videochat.store.similarity_scale import UNRELATED, unrelated_similarity
from langchain_videochat.store.visual_embedding import VisualEmbedding

VISUAL = "visual"
"""The modality of embedded frames."""


@dataclass(frozen=True)
class SearchInput:
    """What a caller searches for."""

    text: str | None = None

    picture: NDArray[np.uint8] | None = None
    """An RGB picture [height, width, 3]."""

    like: tuple[str, float] | None = None
    """Video id and time in seconds of a frame."""

    @classmethod
    def of(cls, text: str | None, image: str | Path | None, like: tuple[str, float] | None) -> "SearchInput":
        """Check the arguments of a search, and read the image.

        Raises:
            InputError: There is nothing to search for, too much, or the image is not a picture.
        """
        if (text, image, like) == (None, None, None):
            raise InputError("query", "is missing", "Give a search text or an image")
        if image is not None and like is not None:
            raise InputError("like", "cannot be combined with image", "Give one of the two")
        return cls(text, None if image is None else _read_image(image), like)


def _read_image(image: str | Path) -> NDArray[np.uint8]:
    try:
        return read_picture(image, size=FRAME_SIZE)
    except (SourceError, MediaError) as error:
        # The name alone: agents' files are read through links in a private folder.
        raise InputError("image", f"{Path(image).name}: {error.problem}", error.advice) from error


class QueryBuilder:
    """Embeds what is searched for.

    Args:
        embedding: The embedding model of the store.
        visual: The visual model of the store.
    """

    def __init__(self, embedding: Embeddings, visual: VisualEmbedding) -> None:
        self._embedding = embedding
        self._visual = visual
        self._described: tuple[VisualModel, NDArray[np.float32]] | None = None

    def build(self, index: IndexSnapshot, given: SearchInput, condition: Filter) -> Query:
        """Return a query with its embeddings. The visual model is loaded only if there are frames to compare.

        Args:
            index: What is searched.
            given: What is searched for.
            condition: Filter on moments.

        Raises:
            InputError: No frame was embedded at the time of `given.like`.
            StoreError: The visual model is not that of the store, or only the caller may open it.
            ModelUnavailableError: It is needed, and not available on this machine.
            ModelError: It is damaged, or of the wrong kind.
        """
        modalities = condition.modalities
        has_texts = given.text is not None and modalities != (VISUAL,)
        has_description = given.text is not None and (modalities is None or VISUAL in modalities)
        query = self._embed_text(given.text) if given.text is not None and has_texts else Query()
        frames = index.frame_index
        if given.like is not None:
            query = _add_frame(index, query, given.like, frames)
        if frames is None and given.picture is not None:
            raise InputError("image", "no frames of this store were embedded", "Index with a profile that has `visual`")
        if frames is None:
            return query
        if given.picture is not None:
            (vector,) = self._visual.open().embed_images([given.picture])
            self._visual.check_width(frames.dimensions, vector)
            query = replace(query, frames=frames, picture=picture_query(vector, frames))
        # Texts can be searched without it.
        model = (self._visual.find() if has_texts else self._visual.open()) if has_description else None
        if given.text is None or model is None:
            return query
        return replace(query, frames=frames, description=self._describe(given.text, model, frames))

    def _embed_text(self, text: str) -> Query:
        return Query(text, read_query(self._embedding.embed_query(text)), self._unrelated)

    def _describe(self, text: str, model: VisualModel, frames: FrameIndex) -> PictureQuery:
        (vector,) = model.embed_texts([text])
        self._visual.check_width(frames.dimensions, vector)
        known = self._described
        if known is None or known[0] is not model:
            known = self._described = model, model.embed_texts(UNRELATED)
        return DescriptionScale.of(known[1], frames).query(vector)

    @cached_property
    def _unrelated(self) -> float:
        return unrelated_similarity(self._embedding)


def _add_frame(index: IndexSnapshot, query: Query, like: tuple[str, float], frames: FrameIndex | None) -> Query:
    video_id, seconds = like
    found = index.frame_at(video_id, seconds)
    if frames is None or found is None:
        problem = f"no frame of video {video_id!r} was embedded at {seconds:g} s"
        raise InputError("like", problem, "Index the video with a profile that has `visual`")
    number, vector = found
    return replace(query, frames=frames, picture=picture_query(vector, frames), excluded=number)
