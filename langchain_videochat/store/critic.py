"""A chat model as a critic: it checks each moment of a search against each criterion of the query."""

import json
import logging
from collections.abc import Iterator, Sequence
from functools import cached_property
from time import monotonic
from typing import Any

import httpx
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable
from langchain_core.utils.iter import batch_iterate
from pydantic import BaseModel, Field

from langchain_videochat.errors import ModelError, VideoChatError
from langchain_videochat.store.search import RERANKED, RERANKED_CHARACTERS, Diversity
from langchain_videochat.utils.concurrency import run_with_timeout
from langchain_videochat.utils.thinking import without_thinking
from langchain_videochat.utils.untrusted_text import ABOUT_NOTES, mark_as_data

logger = logging.getLogger(__name__)

BATCH_SIZE = 10
"""Moments that the model judges in one call: the answer takes about 15 tokens for each."""

HARMLESS = "A cup is on a table."
"""The text that a model is tried with after an error."""

MAX_CAUSES = 10
"""Maximum number of errors inspected in a chain of causes, which may be circular."""

_BUSY = (408, 409, 425, 429)
"""HTTP status codes of temporary errors, besides those of servers (5xx)."""

_PROMPT = ChatPromptTemplate(
    [
        (
            "system",
            f"""\
You check the results of a search in videos: whether each moment that was found is what the query asks for. You have \
not seen the videos: you are given notes of what was seen and heard in each moment.

{ABOUT_NOTES}

First list the criteria: every condition that the query states about a moment, each thing, person, action, property, \
place or word. What the query excludes is a criterion too: "a kitchen without people" has two, "a kitchen" and "no \
people". A query of one word has one. The criteria of a question are what must be true of a moment that answers it.

Then judge each moment by each criterion. It is met if the notes say so, or clearly imply it, in any language. If they \
do not mention what a criterion demands, it is not met; if they do not mention what a criterion excludes, it is met.

Answer in JSON and write nothing else: the criteria, and for each moment its number and the verdict on each criterion, \
in the order of the criteria, such as:
{{{{"criteria": ["a kitchen", "no people"], "verdicts": [{{{{"moment": 1, "met": [true, false]}}}}]}}}}""",
        ),
        (
            "human",
            """\
The moments:

{moments}

The query: {query}""",
        ),
    ]
)


class Verdict(BaseModel):
    """The verdict on one moment."""

    moment: int = Field(description="The number of the moment.")
    met: list[bool] = Field(description="Whether it meets each criterion, in the order of the criteria.")


class Verdicts(BaseModel):
    """The verdicts on all moments."""

    criteria: list[str] = Field(description="Every condition that the query states, including what it excludes.")
    verdicts: list[Verdict] = Field(description="One for each moment.")

    def count_failures(self, size: int) -> list[int | None]:
        """Count the criteria that each of `size` moments fails; None without a complete verdict on it.

        Verdicts on moments that do not exist are ignored; of several on the same moment, the first counts.

        Example:
            >>> met = [Verdict(moment=2, met=[True, False]), Verdict(moment=7, met=[True, True])]
            >>> Verdicts(criteria=["a kitchen", "no people"], verdicts=met).count_failures(2)
            [None, 1]
        """
        complete = [one for one in reversed(self.verdicts) if len(one.met) == len(self.criteria)]
        failures = {one.moment: one.met.count(False) for one in complete}
        return [failures.get(number) for number in range(1, size + 1)]


class Critic:
    """Demotes moments that fail criteria of the query, as judged by a chat model.

    Moments that meet all criteria come first, then those without a verdict, then those that fail one criterion, two,
    and so on, each in their order. The best moments are judged first; judging stops once `k` moments meet all criteria.

    An unreadable answer, an expired time limit, or a server that is busy or unreachable ends the judging with a warning
    in the log. After any other error, the model is tried with a harmless text: only if that
    fails too is the model reported; otherwise the text of a video has caused the error, and the judging ends.

    A call that takes longer than the time limit cannot be stopped: it is abandoned in a daemon thread, which ends with
    the program. PyTorch may abort a program that ends while a model in the same process is still generating.

    Args:
        model: The chat model. Structured output is used if the model supports it.
    """

    def __init__(self, model: BaseChatModel) -> None:
        self._model = model

    def candidates(self, k: int, diversity: Diversity) -> int:
        """Return the number of moments to judge; if they are to differ, they are in the order of choice."""
        return max(k, RERANKED if diversity.lambda_mult == 1 else min(RERANKED, diversity.fetch_k))

    def rerank(self, query: str, moments: Sequence[Document], k: int, seconds: float) -> list[Document]:
        """Return all moments, those that fail fewer criteria first.

        Raises:
            ModelError: The model fails whatever the text.
        """
        if len(moments) == 1:
            return list(moments)  # a call would change nothing
        deadline = monotonic() + seconds
        failures: list[int | None] = []
        for batch in batch_iterate(BATCH_SIZE, moments):
            found = self._judge(query, [one.page_content for one in batch], deadline)
            failures += found
            if not found or failures.count(0) >= k:
                break
        failures += [None] * (len(moments) - len(failures))
        order = sorted(range(len(moments)), key=lambda place: _rank(failures[place]))
        return [moments[place] for place in order]

    def _judge(self, query: str, texts: Sequence[str], deadline: float) -> list[int | None]:
        """Return the number of criteria that each text fails; nothing if there are no verdicts."""
        try:
            verdicts = _read(self._ask(query, texts, deadline))
        except Exception as error:  # each provider has its own errors
            if not _is_temporary(error):
                self._check_model(query, deadline)
            logger.warning("The ranking is kept, because the reranker failed: %s", _describe(error))
            return []
        failures = [] if verdicts is None else verdicts.count_failures(len(texts))
        if all(one is None for one in failures):
            logger.warning("The ranking is kept, because the reranker did not answer with verdicts")
            return []
        return failures

    def _check_model(self, query: str, deadline: float) -> None:
        """Raise the error of a model that fails for a harmless text too."""
        try:
            self._ask(query, [HARMLESS], deadline)
        except VideoChatError:
            raise
        except Exception as error:
            if not _is_temporary(error):
                advice = "Check its name, its API key and that it supports structured output"
                raise ModelError("reranker", f"the chat model failed ({_describe(error)})", advice) from error

    def _ask(self, query: str, texts: Sequence[str], deadline: float) -> Any:
        marked = [mark_as_data(text[:RERANKED_CHARACTERS]) for text in texts]
        notes = "\n\n".join(f"[{number}]\n{text}" for number, text in enumerate(marked, 1))
        prompt = _PROMPT.invoke({"query": query, "moments": notes})
        return run_with_timeout(lambda: self._structured.invoke(prompt), deadline - monotonic())

    @cached_property
    def _structured(self) -> Runnable[Any, Any]:
        try:
            return self._model.with_structured_output(Verdicts, include_raw=True)
        except NotImplementedError:
            return self._model


def _read(answer: Any) -> Verdicts | None:
    """Return the verdicts in the answer of a model, or None."""
    raw, parsed = (answer["raw"], answer["parsed"]) if isinstance(answer, dict) else (answer, None)
    if isinstance(parsed, Verdicts):
        return parsed
    text = without_thinking(str(raw.text))
    try:  # The object may be in a Markdown code block.
        return Verdicts.model_validate(json.loads(text[text.find("{") : text.rfind("}") + 1], strict=False))
    except (ValueError, RecursionError):
        return None


def _rank(failures: int | None) -> int:
    return 1 if failures is None else failures + (failures > 0)


def _is_temporary(error: BaseException) -> bool:
    """Return whether the model was not reached in time, or its server is busy."""
    for one in _causes(error):
        status = getattr(one, "status_code", getattr(one, "code", None))
        is_busy = isinstance(status, int) and (status in _BUSY or status >= httpx.codes.INTERNAL_SERVER_ERROR)
        if is_busy or isinstance(one, TimeoutError | ConnectionError | httpx.TransportError):
            return True
    return False


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(MAX_CAUSES):
        if error is not None:
            yield error
            error = error.__cause__


def _describe(error: Exception) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return "it took longer than rerank_ms"
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(".: ")
