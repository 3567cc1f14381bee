"""From moments to an answer: condense what is too long to be read at once, ask the model, check what it cites."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from langchain_core.documents import Document
from langchain_core.language_models import LanguageModelLike
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import AddableDict, Runnable, RunnableGenerator, RunnableLambda

from langchain_videochat.errors import ModelError
from langchain_videochat.text.citations import Citation, CitationCheck, number_moments
from langchain_videochat.text.context import Count, Note, group, join_notes, moment_note, shorten_condensed
from langchain_videochat.text.prompts import NOT_SHOWN, mark_as_data


@dataclass(frozen=True)
class Reading:
    """What a model reads to answer a question."""

    question: str

    moments: Mapping[int, Document]
    """All moments of the question, by number."""

    notes: Sequence[Note]
    """What of them is to be read: all, or a part, or what was condensed from them."""

    @property
    def check(self) -> CitationCheck:
        """The check that what a model writes cites only these notes."""
        return CitationCheck({number: self.moments[number] for note in self.notes for number in note.numbers})


@dataclass(frozen=True)
class Report:
    """Puts beside an answer, as its pieces come, what it was made from: `documents` first, `citations` last.

    Its methods raise ModelError if the answer is empty.
    """

    moments: Mapping[int, Document]
    """By number."""

    def write(self, pieces: Iterator[str]) -> Iterator[AddableDict]:
        """Take a checked answer."""
        yield self._documents
        answer = ""
        for piece in pieces:
            answer += piece
            yield AddableDict(answer=piece)
        yield self._citations(answer)

    async def awrite(self, pieces: AsyncIterator[str]) -> AsyncIterator[AddableDict]:
        """Take a checked answer."""
        yield self._documents
        answer = ""
        async for piece in pieces:
            answer += piece
            yield AddableDict(answer=piece)
        yield self._citations(answer)

    @property
    def _documents(self) -> AddableDict:
        return AddableDict(documents=list(self.moments.values()))

    def _citations(self, answer: str) -> AddableDict:
        numbers = CitationCheck(self.moments).cited(said(answer))
        return AddableDict(citations=[Citation.of(number, self.moments[number]) for number in numbers])


@dataclass(frozen=True)
class Answerer:
    """Answers questions from moments.

    Its methods return what they make, or a chain that makes it, as RunnableLambda lets them.
    """

    llm: LanguageModelLike

    prompt: ChatPromptTemplate
    """Makes an answer of `notes` and `question`."""

    condense_prompt: ChatPromptTemplate
    """Makes one short text of the `notes` of one part of a video, with a view to `question`."""

    max_tokens: int
    """Tokens that the notes may take in one prompt."""

    count: Count
    """Counts tokens."""

    def answer(self, found: Mapping[str, Any]) -> Any:
        """Answer a question, in as many steps as the length of the moments takes, with `documents` and `citations`.

        Args:
            found: `question`, and `documents`: the moments to answer it from, in the order of their numbers.
        """
        moments = number_moments(found["documents"])
        notes = [moment_note(number, moment) for number, moment in moments.items()]
        reading = Reading(found["question"], moments, notes)
        report = Report(moments)
        return (
            RunnableLambda(lambda _: self._condense(reading))
            | RunnableLambda(self._write)
            | RunnableGenerator(report.write, report.awrite, name="cite")
        )

    def _condense(self, reading: Reading) -> Any:
        """Bring the notes down to what fits into one prompt, in as many rounds as it takes."""
        groups = group(reading.notes, self.max_tokens, self.count)
        if len(groups) <= 1:
            return reading
        parts = [replace(reading, notes=notes) for notes in groups]

        def again(condensed: Sequence[Note]) -> Any:
            return self._condense(replace(reading, notes=[note for note in condensed if note.text]))

        return RunnableLambda(lambda _: parts) | RunnableLambda(self._condense_part).map() | RunnableLambda(again)

    def _condense_part(self, part: Reading) -> Any:
        return self._ask(self.condense_prompt) | RunnableLambda(partial(self._note, part.check))

    def _note(self, check: CitationCheck, text: str) -> Note:
        checked = check.check(said(text))
        if _is_not_shown(checked):
            return Note("", ())
        text = shorten_condensed(check.with_times(checked), self.max_tokens, self.count)
        return Note(mark_as_data(text), tuple(check.cited(text)))

    def _write(self, reading: Reading) -> Any:
        if not reading.notes:
            return NOT_SHOWN
        return self._ask(self.prompt) | reading.check.as_runnable()

    def _ask(self, prompt: ChatPromptTemplate) -> Runnable[Reading, str]:
        return RunnableLambda(_fields) | prompt | self.llm | StrOutputParser()


def said(text: str) -> str:
    """Take what a model said.

    Raises:
        ModelError: It said nothing. That does not mean that there is nothing to say.
    """
    if not text.strip():
        raise ModelError("the language model", "its answer is empty", "Ask again, or give the chain another model")
    return text.strip()


def _fields(reading: Reading) -> dict[str, str]:
    return {"notes": join_notes(reading.notes), "question": reading.question}


def _is_not_shown(text: str) -> bool:
    return text.strip("\"'. \n").casefold() == NOT_SHOWN.strip(".").casefold()
