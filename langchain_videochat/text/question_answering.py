"""VideoChat-Text as a chain: a question goes in, an answer comes out with citations that were checked."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

from langchain_core.documents import Document
from langchain_core.language_models import LanguageModelLike
from langchain_core.messages import BaseMessage, trim_messages
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda
from typing_extensions import TypedDict

from langchain_videochat.errors import InputError
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.text.answering import Answerer, said
from langchain_videochat.text.citations import Citation
from langchain_videochat.text.context import Count, TokenCounter, cut, fit
from langchain_videochat.text.prompts import ANSWER_PROMPT, CONDENSE_PROMPT, STANDALONE_PROMPT, check_variables
from langchain_videochat.text.questions import (
    LONGEST_QUESTION,
    Question,
    VideoQuestion,
    asks_for_whole,
    read_question,
)
from langchain_videochat.text.retrieval import (
    Library,
    TimelineLibrary,
    all_moments,
    check_videos,
    find_moments,
    in_time_order,
)
from langchain_videochat.timeline import Timeline

__all__ = ["Citation", "VideoAnswer", "VideoQuestion", "create_video_qa_chain"]

MAX_CONTEXT_TOKENS = 3000
"""Tokens of notes in a prompt: with the instructions, a question and an answer they fill a context of 4,096, which is
what local models are often started with."""

LEAST_CONTEXT_TOKENS = 200
"""Tokens below which not even one moment fits, with its number, times and title."""

Scope = Literal["auto", "moments", "whole"]


_INPUT: Any = str | VideoQuestion


class VideoAnswer(TypedDict):
    """What a question-answering chain answers."""

    answer: str
    """The answer, with the numbers of the moments that it rests on, as "[2]"."""

    citations: list[Citation]
    """The moments that the answer cites, in the order in which it does."""

    documents: list[Document]
    """The moments that it was answered from: that numbered n is `documents[n - 1]`."""


def create_video_qa_chain(
    llm: LanguageModelLike,
    store_or_timeline: VideoTimelineStore | Timeline,
    *,
    k: int = 4,
    max_context_tokens: int = MAX_CONTEXT_TOKENS,
    scope: Scope = "auto",
    prompt: ChatPromptTemplate | None = None,
    condense_prompt: ChatPromptTemplate | None = None,
    standalone_prompt: ChatPromptTemplate | None = None,
) -> Runnable[str | VideoQuestion, VideoAnswer]:
    """Make a chain that answers questions about videos, with citations (VideoChat-Text, paper 3.1.2).

    It finds moments, reads what happens right before and after them too, and has the model answer from as much of it
    as the context holds, most relevant first. What the model cites is checked: numbers and times that it was not given
    are taken out of the answer. A question that the videos do not answer gets "The video does not show this."

    Questions about a whole video, such as for a summary or a count, go over all of it instead: one prompt for each part
    of a long video, then one for what they told. In a store of more than `k` videos, these are the videos in which the
    best moments are found, unless the question names one. Questions that follow on `history` are first rewritten by
    the model so that they stand alone.

    `stream` and `astream` yield dicts that add up to the answer: first `documents`, then `answer` piece by piece, at
    last `citations`.

    Args:
        llm: The chat model.
        store_or_timeline: Where to look. Of a timeline, as many moments are read as the context holds.
        k: How many moments to look up in a store.
        max_context_tokens: Tokens that the notes of the video may take in one prompt. They are counted as the model
            counts them if it can do so without fetching anything, else from the length of the text.
        scope: "moments" or "whole" to look at single moments or at all of the video; "auto" decides by the words of
            each question.
        prompt: What the model is told, with the variables `notes` and `question`; `prompts.ANSWER_PROMPT` if None.
        condense_prompt: What it is told to condense one part of a long video, with the same variables;
            `prompts.CONDENSE_PROMPT` if None.
        standalone_prompt: What it is told to rewrite a question, with the variables `history` and `question`;
            `prompts.STANDALONE_PROMPT` if None.

    Returns:
        A chain from a string or a `VideoQuestion` to a `VideoAnswer`. It raises InputError where the question makes no
        sense or names a video or a time that is not there, StoreError where the store cannot be read, ModelError where
        the model's answer is empty, and whatever the model raises.

    Raises:
        InputError: An argument makes no sense.

    Example:
        Ask a store, then go on:

            chain = create_video_qa_chain(llm, store)
            first = chain.invoke("How much sugar do I add?")
            print(first["answer"], *(citation.label for citation in first["citations"]))
            history = [("human", "How much sugar do I add?"), ("ai", first["answer"])]
            for chunk in chain.stream({"question": "And when?", "history": history}):
                print(chunk.get("answer", ""), end="")
    """
    _check_arguments(k, max_context_tokens, scope)
    answering = check_variables("prompt", prompt or ANSWER_PROMPT, {"notes", "question"})
    condensing = check_variables("condense_prompt", condense_prompt or CONDENSE_PROMPT, {"notes", "question"})
    rewriting = check_variables("standalone_prompt", standalone_prompt or STANDALONE_PROMPT, {"history", "question"})
    library = TimelineLibrary(store_or_timeline) if isinstance(store_or_timeline, Timeline) else store_or_timeline
    count = TokenCounter(llm)
    rewriter = _Rewriter(llm, rewriting, max_context_tokens, count)
    finder = _Finder(library, k, max_context_tokens, scope, count)
    answerer = Answerer(llm, answering, condensing, max_context_tokens, count)
    chain: Runnable[Any, Any] = (
        RunnableLambda(read_question)
        | RunnableLambda(rewriter.rewrite)
        | RunnableLambda(finder.find)
        | RunnableLambda(answerer.answer)
    )
    return chain.with_types(input_type=_INPUT, output_type=VideoAnswer).with_config(run_name="video_qa")


@dataclass(frozen=True)
class _Rewriter:
    """Makes a question that follows on earlier turns one that stands alone."""

    llm: LanguageModelLike
    prompt: ChatPromptTemplate
    max_tokens: int
    count: Count

    def rewrite(self, question: Question) -> Any:
        if not question.history:
            return question
        fields = {"history": self._latest(question), "question": question.text}
        return (
            RunnableLambda(lambda _: fields)
            | self.prompt
            | self.llm
            | StrOutputParser()
            | RunnableLambda(partial(_with_text, question))
        )

    def _latest(self, question: Question) -> list[BaseMessage]:
        return trim_messages(
            list(question.history),
            max_tokens=self.max_tokens,
            token_counter=lambda turns: sum(self.count(turn.text) for turn in turns),
            start_on="human",
        )


@dataclass(frozen=True)
class _Finder:
    """Finds the moments that a question is answered from."""

    library: Library
    k: int
    max_tokens: int
    scope: Scope
    count: Count

    def find(self, question: Question) -> dict[str, Any]:
        check_videos(self.library, question)
        documents = self._whole(question) if self._is_whole(question) else self._moments(question)
        return {"question": question.text, "documents": documents}

    def _is_whole(self, question: Question) -> bool:
        return self.scope == "whole" or (self.scope == "auto" and asks_for_whole(question.text))

    def _whole(self, question: Question) -> list[Document]:
        documents = all_moments(self.library, question, self.k)
        fitting = [cut(document, len(documents), self.max_tokens, self.count) for document in documents]
        return [document for document in fitting if document is not None]

    def _moments(self, question: Question) -> list[Document]:
        found = find_moments(self.library, question, self.k)
        return in_time_order(fit(found, self.max_tokens, self.count))


def _with_text(question: Question, text: str) -> Question:
    return replace(question, text=said(text)[:LONGEST_QUESTION], history=())


def _check_arguments(k: int, max_context_tokens: int, scope: str) -> None:
    if k < 1:
        raise InputError("k", f"{k} is below 1", "Look up at least one moment")
    if max_context_tokens < LEAST_CONTEXT_TOKENS:
        problem = f"{max_context_tokens} is too few for one moment"
        raise InputError("max_context_tokens", problem, f"Give {LEAST_CONTEXT_TOKENS} or more")
    if scope not in get_args(Scope):
        raise InputError("scope", f"{scope!r} is unknown", f"Take one of {', '.join(get_args(Scope))}")
