"""VideoChat-Text as a chain: questions in, answers with verified citations out."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

from langchain_core.documents import Document
from langchain_core.language_models import LanguageModelLike
from langchain_core.messages import BaseMessage, trim_messages
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import RetrieverLike
from langchain_core.runnables import Runnable, RunnableLambda, RunnableSequence
from langchain_core.runnables.config import run_in_executor
from langchain_core.vectorstores import VectorStore

from langchain_videochat.errors import InputError
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.text.citations import Citation, number_moments
from langchain_videochat.text.cited_answers import Answerer
from langchain_videochat.text.context import CountTokens, TokenCounter, select_fitting, truncate_moment
from langchain_videochat.text.llms import read_text
from langchain_videochat.text.prompts import (
    ANSWER_PROMPT,
    CONDENSE_PROMPT,
    EXCERPTS_PROMPT,
    STANDALONE_PROMPT,
    check_variables,
)
from langchain_videochat.text.questions import (
    ParsedQuestion,
    VideoMessages,
    VideoQuestion,
    parse_question,
)
from langchain_videochat.text.retrieval import (
    FoundMoments,
    Library,
    TimelineLibrary,
    check_videos,
    find_moments,
    has_more_moments,
    list_moments,
    sort_by_time,
)
from langchain_videochat.text.retriever_library import RetrieverLibrary
from langchain_videochat.text.rewritten_questions import clean_rewritten
from langchain_videochat.text.video_answers import VideoAnswer, VideoQAChain, unsupported_remark
from langchain_videochat.timeline import Timeline

logger = logging.getLogger(__name__)

__all__ = [
    "Citation",
    "VideoAnswer",
    "VideoMessages",
    "VideoQAChain",
    "VideoQuestion",
    "create_video_qa_chain",
    "unsupported_remark",
]

MAX_CONTEXT_TOKENS = 3000
"""Default token budget of the notes: with instructions, question and answer they fill a context of 4,096 tokens, a
common default of local models."""

MIN_CONTEXT_TOKENS = 200
"""A smaller budget may not hold one moment with its number, times and title."""

Scope = Literal["auto", "moments", "whole"]

_INPUT_TYPE: Any = str | VideoQuestion | VideoMessages
"""The forms of a `QuestionInput` that JSON can have."""


def create_video_qa_chain(
    llm: LanguageModelLike,
    videos: VideoTimelineStore | Timeline | RetrieverLike,
    *,
    k: int = 4,
    max_context_tokens: int = MAX_CONTEXT_TOKENS,
    scope: Scope = "auto",
    strict: bool = False,
    prompt: ChatPromptTemplate | None = None,
    condense_prompt: ChatPromptTemplate | None = None,
    standalone_prompt: ChatPromptTemplate | None = None,
) -> VideoQAChain:
    """Create a chain that answers questions about videos, with citations (VideoChat-Text, paper 3.1.2).

    It retrieves the `k` best moments, the moments right before and after them, and then the next best moments, until
    the context is full. The model answers from these. Citations are checked: numbers and times that the model was not
    given are removed from the answer. Each citation has the times of the observations that share most words with the
    statement it follows, or of the whole moment if none stands out. If the videos do not answer the question, the
    answer is "The video does not show this."

    An answer is `supported` if it cites at least one moment and no citation was removed. Small models often write
    answers that are not. An answer without citations comes with the `closest` moments instead.

    If the question is about a whole video, such as for a summary, a count or a list, the model replies to the moments
    with the marker `prompts.WHOLE_VIDEO` instead of an answer, and is asked again with all moments: each part of a long
    video is condensed by a separate prompt, and one more prompt combines the results. So the model decides, in any
    language, and other questions need no additional call. If it does not ask for the whole video, its answer stands.
    The model is not given this choice if the context already holds all moments. If the store has more than `k` videos
    and the question names none, the whole videos are those of the `k` best moments. Follow-up questions (those with a
    `history`) are first rewritten by the model to stand alone.

    Instead of a store, any retriever can find the moments: an ensemble, a reranker, or another vector store. Its
    Documents need `video_id`, `start` and `end` in their metadata, as those of `VideoChatTextLoader` have; `title` and
    `source` are optional. The chain sees nothing but these Documents: there are no neighbors, all questions are
    answered from what is retrieved, and citations have the times of a whole Document. A question that is restricted to
    videos or times uses the retrieved Documents that match; if the video is unknown or shorter, none does, and no error
    is raised. `VideoTimelineStore.as_retriever()` searches within the restrictions, and has precise citations.

    `stream` and `astream` yield dicts that add up to the answer: first `documents`, then deltas of `answer`, then
    `citations`, `supported` and `closest` together.

    Args:
        llm: The chat model. It must answer with text: no tool calls, no `with_structured_output`.
        videos: A store, a single timeline, or a retriever. From a timeline, the model gets as many moments as fit into
            the context.
        k: Number of best moments that are selected first, together with their neighbors. More follow by rank as far as
            they fit into the context. A retriever decides itself.
        max_context_tokens: Maximum number of tokens of the notes in one prompt. They are counted by the model's
            tokenizer if that needs no download, else estimated from the length of the text.
        scope: "moments" or "whole" to answer from retrieved moments or from whole videos; with "auto", the model
            decides. With a retriever, "auto" is "moments".
        strict: Replace an answer that is not supported, except "The video does not show this.", by "The videos do not
            support an answer to this question." The answer is then streamed in one piece.
        prompt: Answers the question, with the variables `notes` and `question`. If None, `prompts.EXCERPTS_PROMPT` if
            the model may ask for the whole video, else `prompts.ANSWER_PROMPT`. With another prompt, the model asks
            for the whole video only if the prompt explains `prompts.WHOLE_VIDEO`, as `EXCERPTS_PROMPT` does.
        condense_prompt: Condenses one part of a long video, with the same variables; `prompts.CONDENSE_PROMPT` if None.
        standalone_prompt: Rewrites a follow-up question, with the variables `history` and `question`;
            `prompts.STANDALONE_PROMPT` if None.

    Returns:
        A chain to a `VideoAnswer` from a string, a `VideoQuestion`, a message, a list of messages, or a dict with
        `messages`, such as the state of an agent. The last human message is the question. The chain raises InputError
        if the question is invalid or names an unknown video or a time after its end, if no moment fits into the
        context, or if a Document lacks metadata; StoreError if the store cannot be read, ModelError if the model's
        answer is empty or not text, and any error of the model or retriever.

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

        Ask about what a retriever finds:

            chain = create_video_qa_chain(llm, store.as_retriever(search_type="mmr", search_kwargs={"k": 8}))
            chain.invoke({"messages": [("human", "How much sugar do I add?")]})
    """
    library = _open_library(videos)
    _check_arguments(k, max_context_tokens, scope, library)
    answer_prompt = check_variables("prompt", prompt or ANSWER_PROMPT, {"notes", "question"})
    condense_prompt = check_variables("condense_prompt", condense_prompt or CONDENSE_PROMPT, {"notes", "question"})
    standalone_prompt = check_variables(
        "standalone_prompt", standalone_prompt or STANDALONE_PROMPT, {"history", "question"}
    )
    count_tokens = TokenCounter(llm)
    rewriter = _QuestionRewriter(llm, standalone_prompt, max_context_tokens, count_tokens)
    finder = _MomentFinder(library, k, max_context_tokens, scope, count_tokens)
    answerer = Answerer(
        llm=llm,
        library=library,
        find_all=finder.find_all,
        prompt=answer_prompt,
        excerpts_prompt=EXCERPTS_PROMPT if prompt is None else answer_prompt,
        condense_prompt=condense_prompt,
        max_tokens=max_context_tokens,
        count_tokens=count_tokens,
        strict=strict,
    )
    steps: RunnableSequence[Any, VideoAnswer] = RunnableSequence(
        RunnableLambda(parse_question, name="parse_question"),
        RunnableLambda(rewriter.rewrite, name="rewrite_question"),
        RunnableLambda(finder.find, finder.afind, name="find_moments"),
        RunnableLambda(answerer.answer, name="answer_question"),
        name="video_qa",
    )
    return VideoQAChain(bound=steps, custom_input_type=_INPUT_TYPE, custom_output_type=VideoAnswer)


def _open_library(videos: Any) -> Library | RetrieverLibrary:
    if isinstance(videos, VideoTimelineStore):
        return videos
    if isinstance(videos, Timeline):
        return TimelineLibrary(videos)
    if isinstance(videos, Runnable):
        return RetrieverLibrary(videos)
    advice = "Pass its as_retriever()" if isinstance(videos, VectorStore) else "Pass one of these"
    raise InputError("videos", f"must be a store, a timeline or a retriever, got {type(videos).__name__}", advice)


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
        return RunnableSequence(
            RunnableLambda(lambda _: variables, name="prompt_variables"),
            self.prompt,
            self.llm,
            read_text(),
            RunnableLambda(partial(_replace_text, question), name="check_rewritten"),
            name="ask_to_rewrite",
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

    library: Library | RetrieverLibrary
    k: int
    max_tokens: int
    scope: Scope
    count_tokens: CountTokens

    def find(self, question: ParsedQuestion) -> FoundMoments:
        if isinstance(self.library, RetrieverLibrary):
            return self._choose_retrieved(question, self.library.search(question))
        check_videos(self.library, question)
        if self.scope == "whole":
            return self.find_all(question)
        found = find_moments(self.library, question, self.k, self.max_tokens)
        fitting = self._fit(found)
        are_excerpts = self.scope == "auto" and (
            fitting != found or has_more_moments(self.library, question, found, self.k)
        )
        return FoundMoments(question, sort_by_time(fitting), are_excerpts=are_excerpts)

    def find_all(self, question: ParsedQuestion) -> FoundMoments:
        """Find all moments of the videos that a question is about; condensing makes them fit."""
        assert not isinstance(self.library, RetrieverLibrary)  # noqa: S101 - a retriever finds no excerpts
        found = list_moments(self.library, question, max_videos=self.k)
        truncated = [truncate_moment(one, len(found), self.max_tokens, self.count_tokens) for one in found]
        return FoundMoments(question, self._check_fitting(found, [one for one in truncated if one is not None]))

    async def afind(self, question: ParsedQuestion) -> FoundMoments:
        if isinstance(self.library, RetrieverLibrary):
            return self._choose_retrieved(question, await self.library.asearch(question))
        return await run_in_executor(None, self.find, question)

    def _choose_retrieved(self, question: ParsedQuestion, found: Sequence[Document]) -> FoundMoments:
        fitting = self._fit(found)
        documents = sort_by_time(fitting)
        numbers = {id(one): number for number, one in number_moments(documents).items()}
        return FoundMoments(question, documents, ranking=[numbers[id(one)] for one in fitting])

    def _fit(self, found: Sequence[Document]) -> list[Document]:
        return self._check_fitting(found, select_fitting(found, self.max_tokens, self.count_tokens))

    def _check_fitting(self, found: Sequence[Document], fitting: list[Document]) -> list[Document]:
        if found and not fitting:
            problem = f"no moment fits into {self.max_tokens} tokens together with the title of its video"
            raise InputError("max_context_tokens", problem, "Increase it, or shorten the title")
        return fitting


def _replace_text(question: ParsedQuestion, rewritten: str) -> ParsedQuestion:
    text = clean_rewritten(rewritten, question.text)
    if text is None:
        logger.debug("Kept the question as it is, because it was rewritten as %r", rewritten)
    return replace(question, text=text or question.text, history=())


def _check_arguments(k: int, max_context_tokens: int, scope: str, library: Library | RetrieverLibrary) -> None:
    if k < 1:
        raise InputError("k", f"must be at least 1, got {k}", "Retrieve at least one moment")
    if max_context_tokens < MIN_CONTEXT_TOKENS:
        problem = f"{max_context_tokens} is too few for one moment"
        raise InputError("max_context_tokens", problem, f"Set it to at least {MIN_CONTEXT_TOKENS}")
    if scope not in get_args(Scope):
        raise InputError("scope", f"unknown scope {scope!r}", f"Choose one of {', '.join(get_args(Scope))}")
    if scope == "whole" and isinstance(library, RetrieverLibrary):
        problem = "a retriever finds single moments, never whole videos"
        raise InputError("scope", problem, 'Pass a VideoTimelineStore or a Timeline, or set it to "moments"')
