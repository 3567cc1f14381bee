"""A timeline as notes that a language model can read at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.language_models import LanguageModelLike
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig

from langchain_videochat.errors import InputError
from langchain_videochat.instruct.asking import ask
from langchain_videochat.text.context import (
    Count,
    Note,
    TokenCounter,
    cut,
    group,
    join_notes,
    moment_note,
    shorten_condensed,
)
from langchain_videochat.text.prompts import mark_as_data
from langchain_videochat.timeline import Timeline


@dataclass(frozen=True)
class TimelineReader:
    """Writes timelines as notes. A model condenses those that are too long, part by part, until they fit."""

    llm: LanguageModelLike

    condense_prompt: ChatPromptTemplate
    """Makes one short text of the `notes` of one part of a video."""

    max_tokens: int
    """Tokens that the notes may take."""

    count: Count
    """Counts tokens."""

    def read(self, timeline: Timeline, config: RunnableConfig | None = None) -> str:
        """Write a timeline as notes.

        Args:
            timeline: What was observed in a video.
            config: For the calls that condense it.

        Raises:
            InputError: Nothing was observed.
            BrokenAnswerError: The model condensed a part of it to nothing.
        """
        if is_empty(timeline):
            raise InputError(timeline.video.source, "nothing was observed in this video", "Leave it out")
        notes = list(write_notes(timeline, self.max_tokens, self.count))
        while len(parts := group(notes, self.max_tokens, self.count)) > 1:
            notes = [self._condense(part, config) for part in parts]
        return join_notes(notes)

    def _condense(self, part: Sequence[Note], config: RunnableConfig | None) -> Note:
        condensing = ask(self.condense_prompt, self.llm)
        text: Any = condensing.invoke({"notes": join_notes(part)}, config)
        return Note(mark_as_data(shorten_condensed(text, self.max_tokens, self.count)), ())


def is_empty(timeline: Timeline) -> bool:
    """Tell whether nothing but scenes was observed, which say no more than their times."""
    return all(one.modality == "scene" for one in timeline)


def write_notes(timeline: Timeline, max_tokens: int, count: Count) -> Iterable[Note]:
    """Write a note for each moment, none of which takes more than a number of tokens."""
    documents = list(timeline.to_documents("moment"))
    for number, document in enumerate(documents, 1):
        fitting = cut(document, len(documents), max_tokens, count)
        if fitting is not None:
            yield moment_note(number, fitting)


def counter_of(llm: Any) -> TokenCounter:
    """Count tokens as a model does, also where it is wrapped to be tried again."""
    return TokenCounter(getattr(llm, "bound", llm))
