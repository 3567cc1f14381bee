"""VideoChat-Text as a chain: questions in, answers with verified citations out."""

import logging
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
from langchain_videochat.text.citations import Citation
from langchain_videochat.text.cited_answers import Answerer
from langchain_videochat.text.context import CountTokens, TokenCounter, select_fitting, truncate_moment
from langchain_videochat.text.prompts import (
    ANSWER_PROMPT,
    CONDENSE_PROMPT,
    NOT_SUPPORTED,
    STANDALONE_PROMPT,
    check_variables,
    is_not_shown,
)
from langchain_videochat.text.questions import (
    ParsedQuestion,
    VideoQuestion,
    is_about_whole_video,
    parse_question,
)
from langchain_videochat.text.retrieval import (
    FoundMoments,
    Library,
    TimelineLibrary,
    check_videos,
    find_moments,
    list_moments,
    sort_by_time,
)
from langchain_videochat.text.rewritten_questions import clean_rewritten
from langchain_videochat.timeline import Timeline

logger = logging.getLogger(__name__)

__all__ = ["Citation", "VideoAnswer", "VideoQuestion", "create_video_qa_chain", "unsupported_remark"]

MAX_CONTEXT_TOKENS = 3000
"""Default token budget of the notes: with instructions, question and answer they fill a context of 4,096 tokens, a
common default of local models."""

MIN_CONTEXT_TOKENS = 200
"""A smaller budget may not hold one moment with its number, times and title."""

Scope = Literal["auto", "moments", "whole"]

_INPUT_TYPE: Any = str | VideoQuestion


class VideoAnswer(TypedDict):
    """The output of a question-answering chain."""

    answer: str
    """The answer, with the numbers of the moments that support it: "[2]"."""

    citations: list[Citation]
    """The parts of the video that support the answer, one for each cited moment, in order of first citation."""

    supported: bool
    """Whether the answer cites at least one moment, and no citation had to be removed because the model was not given
    such a moment. It is false for "The video does not show this.", too. That the cited moments say what the answer says
    is not checked."""

    closest: list[Citation]
    """If `citations` is empty: the moments that match the question best, best first. They need not contain an
    answer."""

    documents: list[Document]
    """The moments that the model was given: moment n is `documents[n - 1]`."""


def unsupported_remark(answer: VideoAnswer) -> str | None:
    """Return a remark to show with an answer that is not supported; None if it is, or does not claim anything.

    Example:
        >>> answer = VideoAnswer(answer="The car is red.", citations=[], supported=False, closest=[], documents=[])
        >>> unsupported_remark(answer)
        'Not supported by the videos: this answer cites none of their moments.'
    """
    if answer["supported"] or is_not_shown(answer["answer"]) or answer["answer"] == NOT_SUPPORTED:
        return None
    if answer["citations"]:
        return "Not fully supported by the videos: this answer also cited moments that do not exist."
    return "Not supported by the videos: this answer cites none of their moments."


def create_video_qa_chain(
    llm: LanguageModelLike,
    store_or_timeline: VideoTimelineStore | Timeline,
    *,
    k: int = 4,
    max_context_tokens: int = MAX_CONTEXT_TOKENS,
    scope: Scope = "auto",
    strict: bool = False,
    prompt: ChatPromptTemplate | None = None,
    condense_prompt: ChatPromptTemplate | None = None,
    standalone_prompt: ChatPromptTemplate | None = None,
) -> Runnable[str | VideoQuestion, VideoAnswer]:
    """Create a chain that answers questions about videos, with citations (VideoChat-Text, paper 3.1.2).

    It retrieves moments and the moments right before and after them, and the model answers from those that fit into the
    context, most relevant first. Citations are checked: numbers and times that the model was not given are removed from
    the answer. Each citation has the times of the observations that share most words with the statement it follows, or
    of the whole moment if none stands out. If the videos do not answer the question, the answer is "The video does not
    show this."

    An answer is `supported` if it cites at least one moment and no citation was removed. Small models often write
    answers that are not. An answer without citations comes with the `closest` moments instead.

    Questions that need the whole video, such as for a summary or a count, are answered from all of it: each part of a
    long video is condensed by a separate prompt, and one more prompt combines the results. If the store has more than
    `k` videos and the question names none, the videos of the `k` best moments are used. Follow-up questions (those with
    a `history`) are first rewritten by the model to stand alone.

    `stream` and `astream` yield dicts that add up to the answer: first `documents`, then deltas of `answer`, then
    `citations`, `supported` and `closest` together.

    Args:
        llm: The chat model.
        store_or_timeline: The videos. From a single timeline, the model gets as many moments as fit into the context.
        k: Number of moments to retrieve from a store.
        max_context_tokens: Maximum number of tokens of the notes in one prompt. They are counted by the model's
            tokenizer if that needs no download, else estimated from the length of the text.
        scope: "moments" or "whole" to answer from single moments or from the whole video; "auto" decides by the words
            of each question.
        strict: Replace an answer that is not supported, except "The video does not show this.", by "The videos do not
            support an answer to this question." The answer is then streamed in one piece.
        prompt: Answers the question, with the variables `notes` and `question`; `prompts.ANSWER_PROMPT` if None.
        condense_prompt: Condenses one part of a long video, with the same variables; `prompts.CONDENSE_PROMPT` if None.
        standalone_prompt: Rewrites a follow-up question, with the variables `history` and `question`;
            `prompts.STANDALONE_PROMPT` if None.

    Returns:
        A chain from a string or a `VideoQuestion` to a `VideoAnswer`. It raises InputError if the question is invalid
        or names an unknown video or a time after its end, or if no moment fits into the context; StoreError if the
        store cannot be read, ModelError if the model's answer is empty, and any error of the model.

    Raises:
        InputError: An argument is invalid.

    Example:
        Ask about the videos of a store, then ask a follow-up question:

            chain = create_video_qa_chain(llm, store)
            first = chain.invoke("How much sugar do I add?")
            print(first["answer"], *(citation.label for citation in first["citations"]))
            history = [("human", "How much sugar do I add?"), ("ai", first["answer"])]
            for chunk in chain.stream({"question": "And when?", "history": history}):
                print(chunk.get("answer", ""), end="")
    """
    _check_arguments(k, max_context_tokens, scope)
    answer_prompt = check_variables("prompt", prompt or ANSWER_PROMPT, {"notes", "question"})
    condense_prompt = check_variables("condense_prompt", condense_prompt or CONDENSE_PROMPT, {"notes", "question"})
    standalone_prompt = check_variables(
        "standalone_prompt", standalone_prompt or STANDALONE_PROMPT, {"history", "question"}
    )
    library = TimelineLibrary(store_or_timeline) if isinstance(store_or_timeline, Timeline) else store_or_timeline
    count_tokens = TokenCounter(llm)
    rewriter = _QuestionRewriter(llm, standalone_prompt, max_context_tokens, count_tokens)
    finder = _MomentFinder(library, k, max_context_tokens, scope, count_tokens)
    answerer = Answerer(llm, library, answer_prompt, condense_prompt, max_context_tokens, count_tokens, strict)
    chain: Runnable[Any, Any] = (
        RunnableLambda(parse_question)
        | RunnableLambda(rewriter.rewrite)
        | RunnableLambda(finder.find)
        | RunnableLambda(answerer.answer)
    )
    return chain.with_types(input_type=_INPUT_TYPE, output_type=VideoAnswer).with_config(run_name="video_qa")


@dataclass(frozen=True)
class _QuestionRewriter:
    """Rewrites follow-up questions as questions that stand alone."""

    llm: LanguageModelLike
    prompt: ChatPromptTemplate
    max_tokens: int
    count_tokens: CountTokens

    def rewrite(self, question: ParsedQuestion) -> Any:
        if not question.history:
            return question
        variables = {"history": self._latest_turns(question), "question": question.text}
        return (
            RunnableLambda(lambda _: variables)
            | self.prompt
            | self.llm
            | StrOutputParser()
            | RunnableLambda(partial(_replace_text, question))
        )

    def _latest_turns(self, question: ParsedQuestion) -> list[BaseMessage]:
        return trim_messages(
            list(question.history),
            max_tokens=self.max_tokens,
            token_counter=lambda turns: sum(self.count_tokens(turn.text) for turn in turns),
            start_on="human",
        )


@dataclass(frozen=True)
class _MomentFinder:
    """Finds the moments to answer a question from."""

    library: Library
    k: int
    max_tokens: int
    scope: Scope
    count_tokens: CountTokens

    def find(self, question: ParsedQuestion) -> FoundMoments:
        check_videos(self.library, question)
        # A word list decides: asking the model would add a call to every question.
        is_whole = self.scope == "whole" or (self.scope == "auto" and is_about_whole_video(question.text))
        if is_whole:
            found = list_moments(self.library, question, max_videos=self.k)
            truncated = [truncate_moment(one, len(found), self.max_tokens, self.count_tokens) for one in found]
            fitting = [document for document in truncated if document is not None]
        else:
            found = find_moments(self.library, question, self.k)
            fitting = sort_by_time(select_fitting(found, self.max_tokens, self.count_tokens))
        if found and not fitting:
            problem = f"no moment fits into {self.max_tokens} tokens together with the title of its video"
            raise InputError("max_context_tokens", problem, "Increase it, or shorten the title")
        return FoundMoments(question, fitting)


def _replace_text(question: ParsedQuestion, rewritten: str) -> ParsedQuestion:
    text = clean_rewritten(rewritten, question.text)
    if text is None:
        logger.debug("Kept the question as it is, because it was rewritten as %r", rewritten)
    return replace(question, text=text or question.text, history=())


def _check_arguments(k: int, max_context_tokens: int, scope: str) -> None:
    if k < 1:
        raise InputError("k", f"must be at least 1, got {k}", "Retrieve at least one moment")
    if max_context_tokens < MIN_CONTEXT_TOKENS:
        problem = f"{max_context_tokens} is too few for one moment"
        raise InputError("max_context_tokens", problem, f"Set it to at least {MIN_CONTEXT_TOKENS}")
    if scope not in get_args(Scope):
        raise InputError("scope", f"unknown scope {scope!r}", f"Choose one of {', '.join(get_args(Scope))}")
