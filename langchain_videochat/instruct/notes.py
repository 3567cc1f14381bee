"""Conversion of a timeline to notes that fit in one prompt."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.language_models import LanguageModelLike
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig

from langchain_videochat.errors import InputError
from langchain_videochat.instruct.answer_parsing import ask_with_retry
from langchain_videochat.instruct.plan import InstructionPlan
from langchain_videochat.text.context import (
    CountTokens,
    Note,
    TokenCounter,
    group_notes,
    join_notes,
    moment_note,
    truncate_condensed,
    truncate_moment,
)
from langchain_videochat.timeline import Timeline
from langchain_videochat.timeline.moments import with_text
from langchain_videochat.utils.untrusted_text import mark_as_data


@dataclass(frozen=True)
class NotesBuilder:
    """Converts timelines to notes. Notes that are too long are condensed part by part until they fit."""

    llm: LanguageModelLike

    condense_prompt: ChatPromptTemplate
    """Condenses the `notes` of one part of a video."""

    max_tokens: int
    """Maximum tokens of the notes."""

    count_tokens: CountTokens

    @classmethod
    def of(cls, llm: Any, plan: InstructionPlan) -> "NotesBuilder":
        """Create the builder of a plan. The model may be wrapped by `with_retry`."""
        return cls(llm, plan.prompt("condense"), plan.max_context_tokens, TokenCounter(getattr(llm, "bound", llm)))

    def build(self, timeline: Timeline, config: RunnableConfig | None = None) -> str:
        """Return a timeline as notes. Calls that condense notes use `config`.

        Raises:
            InputError: The timeline is empty.
            MalformedAnswerError: The model condensed a part to nothing.
        """
        if is_empty(timeline):
            raise InputError(timeline.video.source, "nothing was observed in this video", "Leave it out")
        notes = list(iter_notes(timeline, self.max_tokens, self.count_tokens))
        while len(parts := group_notes(notes, self.max_tokens, self.count_tokens)) > 1:
            notes = [self._condense(part, config) for part in parts]
        return join_notes(notes)

    def _condense(self, part: Sequence[Note], config: RunnableConfig | None) -> Note:
        chain = ask_with_retry(self.condense_prompt, self.llm)
        text: Any = chain.invoke({"notes": join_notes(part)}, config)
        return Note(mark_as_data(truncate_condensed(text, self.max_tokens, self.count_tokens)), ())


def is_empty(timeline: Timeline) -> bool:
    """Return whether a timeline contains nothing but scenes, which consist of times only, and vectors."""
    return all(one.modality == "scene" for one in with_text(timeline))


def iter_notes(timeline: Timeline, max_tokens: int, count_tokens: CountTokens) -> Iterator[Note]:
    """Yield a note for each moment, cut to a number of tokens."""
    documents = list(timeline.to_documents("moment"))
    for number, document in enumerate(documents, 1):
        fitting = truncate_moment(document, len(documents), max_tokens, count_tokens)
        if fitting is not None:
            yield moment_note(number, fitting)
