"""Search: each moment gets one score, from its meaning, that of its best observation, words, and its best frame."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from operator import attrgetter, itemgetter
from typing import TypeVar

import numpy as np
from langchain_core.documents import Document
from langchain_core.utils.iter import batch_iterate
from numpy.typing import NDArray

from langchain_videochat.errors import InputError
from langchain_videochat.store.candidates import EXACT_LIMIT, FRAME_CANDIDATES, Candidates, Neighborhood
from langchain_videochat.store.filters import Filter, TimeBound
from langchain_videochat.store.frame_index import FrameIndex
from langchain_videochat.store.hits import SearchHit, TimedWords
from langchain_videochat.store.index_snapshot import IndexSnapshot
from langchain_videochat.store.observation_vectors import cosines
from langchain_videochat.store.picture_search import PictureQuery, ScoredFrames, fuse, score_frames
from langchain_videochat.store.time_order import Placement, TimeOrder
from langchain_videochat.store.word_matches import WordMatches, match_words
from langchain_videochat.utils.interval import Interval
from langchain_videochat.utils.vectors import unit

TextsT = TypeVar("TextsT")
FramesT = TypeVar("FramesT")

FEW_WORDS_WEIGHT = 0.2
"""Weight of single words in the score of words. They count little, because a question mostly paraphrases its answer;
the rest is for a moment that contains most of the query, such as a code or a name. Values from 0.15 to 0.3 work about
equally well on collections that differ in style and language."""

AROUND_SECONDS = 300.0
"""Moments up to this far from an anchor are always scored."""

RERANKED = 20
"""Minimum number of best moments that a reranker gets."""

RERANKED_CHARACTERS = 4000
"""Length of the text that a reranker gets of a moment; most cross-encoders read 512 tokens."""

DEFAULT_FETCH_K = 20
"""Best moments among which moments that differ are chosen; the default of LangChain's vector stores."""


@dataclass(frozen=True)
class Diversity:
    """How much moments that differ from better ones are preferred: maximal marginal relevance.

    Raises:
        InputError: `lambda_mult` is not from 0 to 1, or `fetch_k` is below 1.
    """

    lambda_mult: float = 1.0
    """Weight of the match with the query, 0 to 1; the rest is that of the difference from better moments."""

    fetch_k: int = DEFAULT_FETCH_K
    """The moments are chosen among this many best ones, at least `k`."""

    def __post_init__(self) -> None:
        if not 0 <= self.lambda_mult <= 1:
            advice = "Give 1 to rank by the match alone, less to prefer moments that differ"
            raise InputError("lambda_mult", f"must be from 0 to 1, got {self.lambda_mult}", advice)
        if self.fetch_k < 1:
            raise InputError("fetch_k", f"must be at least 1, got {self.fetch_k}", "Choose among more than k moments")

    def candidates(self, k: int) -> int:
        """Return the number of best moments among which `k` are chosen."""
        return k if self.lambda_mult == 1 else max(k, self.fetch_k)

    def select(self, relevance: NDArray[np.float32], vectors: NDArray[np.float32], k: int) -> list[int]:
        """Choose items by maximal marginal relevance (Carbonell and Goldstein 1998).

        Args:
            relevance: How well each item matches, at most 1 [items].
            vectors: Their unit vectors [items, dimensions].
            k: Maximum number of items.

        Returns:
            Positions of the chosen items, in the order of choice.

        Example:
            >>> eggs, also_eggs, pan = [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]
            >>> Diversity(0.5).select(np.array([1.0, 0.9, 0.3]), np.array([eggs, also_eggs, pan]), k=2)
            [0, 2]
        """
        chosen: list[int] = []
        redundancy = np.zeros(len(relevance))
        while len(chosen) < min(k, len(relevance)):
            scores = self.lambda_mult * relevance - (1 - self.lambda_mult) * redundancy
            scores[chosen] = -np.inf
            chosen.append(int(scores.argmax()))
            similarity = np.einsum("ij,j->i", vectors, vectors[chosen[-1]])
            redundancy = similarity if len(chosen) == 1 else np.maximum(redundancy, similarity)
        return chosen


@dataclass(frozen=True)
class Query:
    """What moments are compared with."""

    text: str = ""
    """Search text; empty if the texts of moments do not count."""

    embedding: NDArray[np.float32] | None = None
    """Its embedding [dimensions]; None if the texts of moments do not count."""

    unrelated: float = 0.0
    """Cosine similarity of unrelated texts, from `unrelated_similarity`."""

    frames: FrameIndex | None = None
    """The frames of the store; None if they are not compared with anything."""

    description: PictureQuery | None = None
    """The search text, as frames are compared with it."""

    picture: PictureQuery | None = None
    """A picture, as frames are compared with it."""

    excluded: int | None = None
    """Number of a moment that is left out."""


@dataclass(frozen=True)
class _TextMatch:
    """How well the texts of a moment match."""

    score: float

    similarities: NDArray[np.float32]
    """Cosine similarities of its observations with the query; empty if they have no vectors."""

    similarity: float
    """Cosine similarity of the moment as a whole."""

    def nearest(self, observations: Sequence[TimedWords], condition: Filter) -> TimedWords | None:
        """Return the matching observation that is nearest to the query, unless the moment as a whole is nearer."""
        known = zip(self.similarities, observations, strict=False)
        nearest = max(((value, one) for value, one in known if one.matches(condition)), default=None, key=itemgetter(0))
        return nearest[1] if nearest is not None and nearest[0] >= self.similarity else None


@dataclass(frozen=True)
class _Scored:
    """A moment with its score."""

    number: int

    score: float

    text: _TextMatch | None = None

    frames: ScoredFrames | None = None
    """Its frames, if they match better than its texts."""

    nearness: float = 0.0
    """Score of its best frame, which decides between moments with the same score."""

    @property
    def rank(self) -> tuple[float, float]:
        """Sort key, best first."""
        return -self.score, -self.nearness

    def hit(
        self,
        document: Document,
        observations: Sequence[TimedWords],
        weights: Mapping[str, float],
        condition: Filter,
        part: Interval | None,
    ) -> SearchHit:
        """Return the moment as a hit, with its observations that match a filter, or its best frame."""
        matching = [one for one in observations if one.matches(condition)]
        frame = None if self.frames is None else self.frames.best_within(condition.interval or Interval())
        if frame is not None:
            end = max(frame.start, min(frame.end, document.metadata["end"]))
            shown = TimedWords(frame.start, end, "visual", "")
            return SearchHit(document, [*matching, shown], {}, self.score, shown, part)
        nearest = None if self.text is None else self.text.nearest(observations, condition)
        return SearchHit(document, matching, weights, self.score, nearest, part)


def search(
    index: IndexSnapshot,
    query: Query,
    *,
    k: int,
    condition: Filter,
    diversity: Diversity,
    min_score: float,
    order: TimeOrder | None = None,
) -> list[Document]:
    """Find the moments with the highest scores.

    The score of a moment's texts is the mean of that of meaning and that of words. Meaning is the mean of two cosine
    similarities with the query, that of the moment and that of its nearest observation, scaled so that unrelated texts
    have 0. It is fused with the score of the moment's best frame for the description; with a picture, the score is the
    mean of that and the score of the best frame for the picture. A moment that matches only because of an observation
    that a better one contains too is left out.

    Args:
        index: A snapshot of the local index.
        query: What moments are compared with.
        k: Maximum number of moments.
        condition: Filter on moments.
        diversity: How much moments that differ from better ones are preferred.
        min_score: Moments with a lower score are left out.
        order: Order in time that replaces the order by score; `diversity` must then leave the order as it is.

    Returns:
        Moments, best first. In their metadata, `hit_start`, `hit_end` and `citation` refer to the observations that the
        query is about, or to the best frame.
    """
    wanted = min(diversity.candidates(k), index.size())
    # Around anchors, moments may match the query too little to be candidates.
    around = [] if order is None else list(_find_around(index, order, condition))
    sought = wanted + (query.excluded is not None)
    candidates = Candidates(index, condition if order is None else order.narrow(condition), sought)
    (words, by_text), by_frames = _run_both(
        query, partial(_find_by_texts, index, candidates, query), partial(_find_by_frames, candidates, query)
    )
    by_text = [*by_text, *around]
    # With a picture, every candidate needs the score of its frames: the score of a moment is the mean of both.
    seen = by_text if query.picture is not None else around
    texts, frames = _run_both(
        query,
        partial(_score_texts, index, query, [*by_text, *by_frames], words),
        partial(_score_frames, index, query, [*by_frames, *seen]),
    )
    scored = _combine(query, texts, frames)
    kept = (one for one in scored if one.score >= min_score and one.number != query.excluded)
    ranking = sorted(kept, key=attrgetter("rank"))
    if order is not None:
        return _select_in_order(index, ranking, wanted, words.weights, condition, order)
    hits = _select(index, ranking, wanted, words.weights, condition)
    if hits and diversity.lambda_mult < 1:
        hits = _diversify(index, query, hits, k, diversity)
    return [hit.to_document() for hit in hits.values()]


def _run_both(
    query: Query, with_texts: Callable[[], TextsT], with_frames: Callable[[], FramesT]
) -> tuple[TextsT, FramesT]:
    """Run two functions at once: most of their work is done by NumPy and SQLite, without the GIL."""
    if query.frames is None:
        return with_texts(), with_frames()
    with ThreadPoolExecutor(1) as pool:
        frames = pool.submit(with_frames)
        return with_texts(), frames.result()


def _find_by_texts(index: IndexSnapshot, candidates: Candidates, query: Query) -> tuple[WordMatches, Collection[int]]:
    words = match_words(index, query.text) if query.text else WordMatches()
    if query.embedding is None:
        return words, []
    if candidates.every is not None:
        return words, candidates.every
    vectors = Neighborhood(partial(index.signs.nearest, query.embedding), index.signs.size)
    return words, [*candidates.near(vectors), *candidates.worded(words)]


def _find_by_frames(candidates: Candidates, query: Query) -> list[int]:
    if query.frames is None:
        return []
    given = [one for one in (query.description, query.picture) if one is not None]
    nearest, size = query.frames.nearest, query.frames.size
    every = [Neighborhood(partial(nearest, one.sought), size, FRAME_CANDIDATES) for one in given]
    return [number for vectors in every for number in candidates.near(vectors)]


def _find_around(index: IndexSnapshot, order: TimeOrder, condition: Filter) -> Iterator[int]:
    """Return the moments around the anchors."""
    for anchor in (*(order.after or ()), *(order.before or ())):
        start, end = anchor.interval.start - AROUND_SECONDS, anchor.interval.end + AROUND_SECONDS
        bounds = (TimeBound("end", ">", start), TimeBound("start", "<", end))
        yield from index.find(condition.narrow(video_ids=[anchor.video_id], bounds=bounds), EXACT_LIMIT)


def _score_texts(
    index: IndexSnapshot, query: Query, numbers: Iterable[int], words: WordMatches
) -> dict[int, _TextMatch]:
    """Score the texts of moments, by number; moments that no longer exist are left out."""
    if query.embedding is None:
        return {}
    found = index.vectors(list(dict.fromkeys(numbers)))
    if not found.numbers:
        return {}
    similarities, starts = cosines(found.vectors, query.embedding), found.starts
    wholes = similarities[starts]
    observations = similarities.copy()
    observations[starts] = -1
    nearest = np.where(np.array(found.counts) > 1, np.maximum.reduceat(observations, starts), wholes)
    # The difference is 0 for a model that gives the same vector to all texts.
    meaning = np.clip(((wholes + nearest) / 2 - query.unrelated) / max(1 - query.unrelated, 0.001), 0, 1)
    shares = np.array([words.shares.get(number, 0.0) for number in found.numbers])
    scores = (meaning + FEW_WORDS_WEIGHT * shares + (1 - FEW_WORDS_WEIGHT) * shares**3) / 2
    # Not np.split, which takes ten times as long.
    spans = [slice(start + 1, start + count) for start, count in zip(starts.tolist(), found.counts, strict=True)]
    rows = zip(found.numbers, scores.tolist(), spans, wholes.tolist(), strict=True)
    return {number: _TextMatch(score, similarities[span], whole) for number, score, span, whole in rows}


@dataclass(frozen=True)
class _FrameMatch:
    """How well the frames of a moment match."""

    description: ScoredFrames | None
    """Scores for the description, if there is one."""

    picture: ScoredFrames | None
    """Scores for the picture, if there is one."""


def _score_frames(index: IndexSnapshot, query: Query, numbers: Iterable[int]) -> dict[int, _FrameMatch]:
    """Score the frames of moments, by number; moments without frames are left out."""
    if query.frames is None:
        return {}
    found = index.frames(list(dict.fromkeys(numbers)))
    description = {} if query.description is None else score_frames(found, query.description)
    picture = {} if query.picture is None else score_frames(found, query.picture)
    return {number: _FrameMatch(description.get(number), picture.get(number)) for number in found.numbers}


def _combine(query: Query, texts: Mapping[int, _TextMatch], frames: Mapping[int, _FrameMatch]) -> Iterator[_Scored]:
    """Score moments by their texts and frames."""
    nothing = _FrameMatch(None, None)
    for number in texts if query.embedding is not None else frames:
        one = _score_description(query, number, texts.get(number), frames.get(number, nothing).description)
        yield one if query.picture is None else _add_picture(query, one, frames.get(number, nothing).picture)


def _score_description(query: Query, number: int, text: _TextMatch | None, frames: ScoredFrames | None) -> _Scored:
    """Score a moment for the search text."""
    if query.description is None or frames is None:
        return _Scored(number, 0.0 if text is None else text.score, text)
    best, chance = frames.best, query.description.chance
    if text is None:
        return _Scored(number, max(best, 0.0), None, frames, best)
    is_better = fuse(0.0, best, chance) > text.score
    return _Scored(number, fuse(text.score, best, chance), text, frames if is_better else None, best)


def _add_picture(query: Query, one: _Scored, frames: ScoredFrames | None) -> _Scored:
    """Add the score of a moment for the picture: moments that match the search text too come first."""
    best = -1.0 if frames is None else frames.best
    has_text = query.embedding is not None or query.description is not None
    score = (one.score + max(best, 0.0)) / 2 if has_text else max(best, 0.0)
    return _Scored(one.number, score, one.text, frames or one.frames, best)


def _select_in_order(
    index: IndexSnapshot,
    scored: Sequence[_Scored],
    k: int,
    weights: dict[str, float],
    condition: Filter,
    order: TimeOrder,
) -> list[Document]:
    """Return the first `k` moments in the order of time, with their anchors in the metadata."""
    by_number = {one.number: one for one in scored}
    scores = {number: one.score for number, one in by_number.items()}
    places = order.arrange(scores, index.places(list(by_number)))
    hits = _select(index, [by_number[number] for number in places], k, weights, condition, places)
    return [places[number].add_anchors(hit.to_document()) for number, hit in hits.items()]


def _select(
    index: IndexSnapshot,
    ranking: Iterable[_Scored],
    k: int,
    weights: dict[str, float],
    condition: Filter,
    places: Mapping[int, Placement] | None = None,
) -> dict[int, SearchHit]:
    """Return the first `k` moments of a ranking by number, without those that repeat a better one."""
    hits: dict[int, SearchHit] = {}
    for batch in batch_iterate(k, ranking):
        found = index.moments([one.number for one in batch])
        for one in batch:
            if one.number not in found:
                continue
            document, observations = found[one.number]
            placement = None if places is None else places[one.number]
            own = condition if placement is None else placement.narrow(condition)
            hit = one.hit(document, observations, weights, own, None if placement is None else placement.part)
            if own != condition and not hit.observations:
                continue  # The moment extends beyond its anchor, but nothing was observed there.
            if not (hit.is_across and any(hit.repeats(other) for other in hits.values())):
                hits[one.number] = hit
        if len(hits) >= k:
            break
    return dict(islice(hits.items(), k))


def _diversify(
    index: IndexSnapshot, query: Query, hits: dict[int, SearchHit], k: int, diversity: Diversity
) -> dict[int, SearchHit]:
    numbers, vectors = _represent(index, query, list(hits))
    relevance = np.asarray([hits[number].score for number in numbers], dtype=np.float32)
    chosen = diversity.select(relevance / (relevance.max(initial=0) or 1), vectors, k)
    return {numbers[position]: hits[numbers[position]] for position in chosen}


def _represent(index: IndexSnapshot, query: Query, numbers: Sequence[int]) -> tuple[list[int], NDArray[np.float32]]:
    """Return a unit vector for each moment that exists: of its text, or if texts do not count, of its first frame."""
    if query.frames is None or query.embedding is not None:
        texts = index.vectors(numbers)
        return texts.numbers, unit(texts.vectors[texts.starts].astype(np.float32))
    frames = index.frames(numbers)
    return frames.numbers, unit(frames.vectors[frames.starts] - query.frames.center)
