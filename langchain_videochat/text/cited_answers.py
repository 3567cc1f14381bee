"""From moments to a cited answer: condense notes that exceed the context, ask the model, check its citations."""

import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, cast

from langchain_core.documents import Document
from langchain_core.language_models import LanguageModelLike
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import (
    AddableDict,
    Runnable,
    RunnableConfig,
    RunnableGenerator,
    RunnableLambda,
    RunnableSequence,
)
from langchain_core.runnables.base import RunnableEach
from langchain_core.runnables.config import run_in_executor

from langchain_videochat.errors import ModelError, StoreError
from langchain_videochat.store.hits import TimedWords, find_hit, hit_interval, informative_words
from langchain_videochat.store.words import QueryWord, index_text, query_words
from langchain_videochat.text.citations import Citation, CitationCheck, number_moments
from langchain_videochat.text.context import CountTokens, Note, group_notes, join_notes, moment_note, truncate_condensed
from langchain_videochat.text.llms import read_text
from langchain_videochat.text.prompts import NOT_SHOWN, NOT_SUPPORTED, is_not_shown
from langchain_videochat.text.questions import ParsedQuestion
from langchain_videochat.text.reply_filter import ReplyFilter
from langchain_videochat.text.retrieval import FoundMoments, Library
from langchain_videochat.text.retriever_library import RetrieverLibrary
from langchain_videochat.timeline.documents import moment_key
from langchain_videochat.utils.interval import Interval
from langchain_videochat.utils.untrusted_text import mark_as_data

logger = logging.getLogger(__name__)

MAX_CLOSEST = 3
"""Closest moments of an answer without citations."""


@dataclass(frozen=True)
class AnswerContext:
    """A question, and the notes that the model reads to answer it."""

    question: ParsedQuestion

    moments: Mapping[int, Document]
    """All moments found for the question, by number."""

    notes: Sequence[Note]
    """The notes to read: those of all moments, of one part of them, or condensed ones."""

    ranking: Sequence[int] = ()
    """The numbers of the moments, best first, if a retriever found them."""

    are_excerpts: bool = False
    """Whether the model may ask for the notes of all moments instead."""

    @property
    def citation_check(self) -> CitationCheck:
        """A check that allows citations of these notes only."""
        return CitationCheck({number: self.moments[number] for note in self.notes for number in note.numbers})

    @property
    def prompt_variables(self) -> dict[str, str]:
        """The variables of the prompts."""
        return {"notes": join_notes(self.notes), "question": self.question.text}


@dataclass(frozen=True)
class Answerer:
    """Answers questions from moments.

    Its methods return a result, or a Runnable that produces it, which RunnableLambda runs.
    """

    llm: LanguageModelLike

    library: Library | RetrieverLibrary
    """Where the moments were found."""

    find_all: Callable[[ParsedQuestion], FoundMoments]
    """Finds all moments of the videos that a question is about, if the model asks for them."""

    prompt: ChatPromptTemplate
    """Answers a `question` from `notes`."""

    excerpts_prompt: ChatPromptTemplate
    """Does the same, or lets the model ask for all notes."""

    condense_prompt: ChatPromptTemplate
    """Condenses the `notes` of one part of a video with regard to a `question`."""

    max_tokens: int
    """Maximum number of tokens of the notes in one prompt."""

    count_tokens: CountTokens

    strict: bool = False
    """Whether an answer that is not supported is replaced by `NOT_SUPPORTED`."""

    def answer(self, found: FoundMoments) -> Any:
        """Answer a question from moments."""
        moments = number_moments(found.documents)
        notes = [moment_note(number, moment) for number, moment in moments.items()]
        context = AnswerContext(found.question, moments, notes, found.ranking, found.are_excerpts)
        condense = RunnableLambda(lambda _: self._condense(context), name="condense_notes")
        return RunnableSequence(condense, RunnableLambda(self._write, name="write_answer"), name="answer_from_notes")

    def _condense(self, context: AnswerContext) -> Any:
        """Condense the notes, in as many rounds as necessary, until they fit into one prompt."""
        groups = group_notes(context.notes, self.max_tokens, self.count_tokens)
        if len(groups) <= 1:
            return context
        parts = [replace(context, notes=notes) for notes in groups]

        def condense_again(condensed: Sequence[Note]) -> Any:
            return self._condense(replace(context, notes=[note for note in condensed if note.text]))

        return RunnableSequence(
            RunnableLambda(lambda _: parts, name="split_notes"),
            RunnableEach(bound=RunnableLambda(self._condense_part, name="condense_part"), name="condense_parts"),
            RunnableLambda(condense_again, name="condense_again"),
            name="condense_round",
        )

    def _condense_part(self, part: AnswerContext) -> Any:
        to_note = RunnableLambda(partial(self._condensed_note, part.citation_check), name="check_condensed")
        return self._ask("ask_about_part", self.condense_prompt, to_note)

    def _condensed_note(self, check: CitationCheck, text: str) -> Note:
        checked = check.check(require_text(text))
        if is_not_shown(checked):
            return Note("", ())
        text = truncate_condensed(check.with_times(checked), self.max_tokens, self.count_tokens)
        return Note(mark_as_data(text), tuple(check.cited(text)))

    def _write(self, context: AnswerContext) -> Any:
        check, reply = context.citation_check, ReplyFilter(context.are_excerpts)
        stream = CitedAnswerStream(context, check, reply, self.library, self._answer_from_all(), self.strict)
        cite = stream.as_runnable()
        if not context.notes:
            return RunnableSequence(RunnableLambda(lambda _: NOT_SHOWN, name="answer_not_shown"), cite, name="no_notes")
        prompt = self.excerpts_prompt if context.are_excerpts else self.prompt
        return self._ask("ask_about_notes", prompt, check.as_runnable(reply), cite)

    def _answer_from_all(self) -> Runnable[ParsedQuestion, AddableDict]:
        return RunnableSequence(
            RunnableLambda(self.find_all, name="find_all_moments"),
            RunnableLambda(self.answer, name="answer_question"),
            name="answer_from_all",
        )

    def _ask(
        self, name: str, prompt: ChatPromptTemplate, *steps: Runnable[Any, Any]
    ) -> RunnableSequence[AnswerContext, Any]:
        variables = RunnableLambda(lambda context: context.prompt_variables, name="prompt_variables")
        return RunnableSequence(variables, prompt, self.llm, read_text(), *steps, name=name)


@dataclass(frozen=True)
class CitedAnswerStream:
    """Converts the deltas of a checked answer to dicts: `documents` first, then `answer`; last, what supports it.

    `RunnablePassthrough.assign` would do the same, but it passes each delta between threads: 25 ms for 130 deltas
    instead of 9 ms.

    Raises:
        ModelError: The answer is empty.
    """

    context: AnswerContext

    check: CitationCheck
    """The check that the answer passes through."""

    reply: ReplyFilter
    """The filter that the answer passes through."""

    library: Library | RetrieverLibrary

    answer_from_all: Runnable[ParsedQuestion, AddableDict]
    """Answers a question from all moments, if the model asks for them."""

    strict: bool

    def as_runnable(self) -> Runnable[str, AddableDict]:
        """Return a Runnable that converts an answer, also while it streams."""
        # LangChain passes the config to generators that take it, which its types do not say.
        transform, atransform = cast("Any", self.transform), cast("Any", self.atransform)
        return RunnableGenerator(transform, atransform, name="cite")

    def transform(self, deltas: Iterator[str], config: RunnableConfig) -> Iterator[AddableDict]:
        """Convert the deltas of an answer."""
        answer = next(deltas, "") if self.context.are_excerpts else ""
        if self.reply.asks_for_all:
            yield from self.answer_from_all.stream(self.context.question, config)
            return
        yield from self._begin(answer)
        for delta in deltas:
            answer += delta
            if not self.strict:
                yield AddableDict(answer=delta)
        yield from self._conclude(answer)

    async def atransform(self, deltas: AsyncIterator[str], config: RunnableConfig) -> AsyncIterator[AddableDict]:
        """Convert the deltas of an answer."""
        answer = await anext(deltas, "") if self.context.are_excerpts else ""
        if self.reply.asks_for_all:
            async for part in self.answer_from_all.astream(self.context.question, config):
                yield part
            return
        for part in self._begin(answer):
            yield part
        async for delta in deltas:
            answer += delta
            if not self.strict:
                yield AddableDict(answer=delta)
        for part in await run_in_executor(None, self._conclude, answer):
            yield part

    def _begin(self, start: str) -> list[AddableDict]:
        """Return the first parts: the moments, and the start of an answer that was read to see whether it is one."""
        documents = AddableDict(documents=list(self.context.moments.values()))
        return [documents, AddableDict(answer=start)] if start and not self.strict else [documents]

    def _conclude(self, answer: str) -> list[AddableDict]:
        """Return the last parts: the answer, unless it was streamed, and what supports it."""
        statements = CitationCheck(self.context.moments).statements(require_text(answer))
        supported = bool(statements) and not self.check.removed
        parts = []
        if self.strict:
            is_allowed = supported or is_not_shown(answer)
            parts.append(AddableDict(answer=answer if is_allowed else NOT_SUPPORTED))
            statements = statements if is_allowed else {}
        closest = [] if statements else self._cite_all(self._closest())
        return [*parts, AddableDict(citations=self._cite_all(statements), supported=supported, closest=closest)]

    def _closest(self) -> dict[int, list[str]]:
        """Return the numbers of the moments that match the question best, best first, each with the question."""
        ranking = self.context.ranking if isinstance(self.library, RetrieverLibrary) else self._rank(self.library)
        return {number: [self.context.question.text] for number in ranking[:MAX_CLOSEST]}

    def _rank(self, library: Library) -> Sequence[int]:
        question, moments = self.context.question, self.context.moments
        if not moments:
            return []
        numbers = {moment_key(moment): number for number, moment in moments.items()}
        try:
            found = library.search(
                question.text, MAX_CLOSEST, video_id=question.video_ids, start=question.start, end=question.end
            )
        except StoreError as error:
            logger.warning("Cannot search for the closest moments: %s", error)
            return []
        # Those that did not fit into the context are left out: `documents` does not hold them.
        return [numbers[moment_key(moment)] for moment in found if moment_key(moment) in numbers]

    def _cite_all(self, statements: Mapping[int, Iterable[str]]) -> list[Citation]:
        cited = zip(statements.items(), self._timed_words(list(statements)), strict=True)
        return [self._cite(number, texts, words) for (number, texts), words in cited]

    def _timed_words(self, numbers: Sequence[int]) -> list[list[TimedWords]]:
        try:
            return self.library.timed_words(self.context.moments[number] for number in numbers)
        except StoreError as error:
            # The answer is complete: its citations are whole moments instead.
            logger.warning("Cannot read the cited moments: %s", error)
            return [[] for _ in numbers]

    def _cite(self, number: int, statements: Iterable[str], observations: Collection[TimedWords]) -> Citation:
        moment = self.context.moments[number]
        hits = [hit for one in statements for hit in find_hit(self._informative_words(one), observations)]
        whole = Interval(moment.metadata["start"], moment.metadata["end"])
        return Citation.of(number, moment, hit_interval(hits, whole))

    def _informative_words(self, statement: str) -> dict[str, float]:
        words = query_words(statement)
        for word in words:
            if word not in self._counts:  # Statements share many words.
                self._counts[word] = sum(f" {word.text} " in text for text in self._texts)
        return informative_words({word: self._counts[word] for word in words}, len(self._texts))

    @cached_property
    def _counts(self) -> dict[QueryWord, int]:
        return {}

    @cached_property
    def _texts(self) -> list[str]:
        return [f" {index_text(moment.page_content)} " for moment in self.context.moments.values()]


def require_text(text: str) -> str:
    """Return a model's answer without surrounding whitespace.

    Raises:
        ModelError: The answer is empty, which does not mean that the video shows nothing.
    """
    if not text.strip():
        raise ModelError("the language model", "its answer is empty", "Ask again, or use another model")
    return text.strip()
