"""Generation of the items of one video: a model writes them, the gates check them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.language_models import LanguageModelLike
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.retry import ExponentialJitterParams

from langchain_videochat.instruct.answer_parsing import MalformedAnswerError, ask_with_retry, parse_numbers
from langchain_videochat.instruct.chains import create_item_chain
from langchain_videochat.instruct.gates import Gate, build_gates, run_gates, single_frame_flags
from langchain_videochat.instruct.items import GateFailure, InstructionItem, ItemKind, item_id
from langchain_videochat.instruct.notes import NotesBuilder
from langchain_videochat.instruct.plan import InstructionPlan
from langchain_videochat.instruct.sentences import split_sentences
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.untrusted_text import mark_as_data

MAX_ATTEMPTS = 6
"""Attempts of a failing call before its item counts as failed."""

BACKOFF = ExponentialJitterParams(max=30.0)
"""Delay before a retry: about one second at first, doubled each time, at most 30 seconds."""


@dataclass(frozen=True)
class ItemFailure:
    """An item that could not be generated. The next run tries it again."""

    id: str
    """Id of the item."""

    problem: str
    """Why it could not be generated."""


@dataclass(frozen=True)
class ItemGenerator:
    """Generates the items of one video after another. Thread-safe."""

    notes_builder: NotesBuilder

    chains: Mapping[ItemKind, Runnable[dict[str, Any], Any]]
    """Chains from notes to the content of an item."""

    judge: Runnable[dict[str, Any], tuple[int, ...]] | None
    """Chain to the numbers of the statements that the notes do not support."""

    gates: Mapping[str, Gate]

    language: str

    config: RunnableConfig

    @classmethod
    def of(
        cls, llm: LanguageModelLike, judge: LanguageModelLike | None, plan: InstructionPlan, config: RunnableConfig
    ) -> "ItemGenerator":
        """Create the generator of a plan."""
        retrying = _with_backoff(llm)
        return cls(
            NotesBuilder.of(retrying, plan),
            {kind: create_item_chain(retrying, kind, plan) for kind in plan.kinds},
            None if judge is None else ask_with_retry(plan.prompt("judge"), _with_backoff(judge), parse_numbers),
            build_gates(plan.language, plan.words),
            plan.language,
            config,
        )

    def generate(self, timeline: Timeline, kinds: Sequence[ItemKind]) -> Iterator[InstructionItem | ItemFailure]:
        """Yield the items of a video. Its notes are built, and condensed if necessary, once for all of them."""
        notes = ""
        for kind in kinds:
            try:
                notes = notes or self.notes_builder.build(timeline, self.config)
                result: InstructionItem | ItemFailure = self._generate(timeline, kind, notes)
            except Exception as error:  # each provider has its own error classes
                problem = f"{type(error).__name__}: {' '.join(str(error).split())}"
                result = ItemFailure(item_id(timeline.video_id, kind, self.language), problem)
            yield result

    def _generate(self, timeline: Timeline, kind: ItemKind, notes: str) -> InstructionItem:
        item = self._write(timeline, kind, notes)
        if item.failures:
            return item
        failures = run_gates(self.gates, item)
        if not failures and self.judge is not None:
            failures = tuple(self._judge(self.judge, item, notes))
        return item.model_copy(update={"failures": failures, "flags": single_frame_flags(item)})

    def _write(self, timeline: Timeline, kind: ItemKind, notes: str) -> InstructionItem:
        try:
            content = self.chains[kind].invoke({"notes": notes}, self.config)
        except MalformedAnswerError as error:
            failures = (GateFailure(gate="format", reason=error.problem),)
            return InstructionItem.from_timeline(timeline, kind, self.language, text=error.text, failures=failures)
        field = "text" if kind == "description" else "pairs"
        return InstructionItem.from_timeline(timeline, kind, self.language, **{field: content})

    def _judge(
        self, judge: Runnable[dict[str, Any], tuple[int, ...]], item: InstructionItem, notes: str
    ) -> Iterator[GateFailure]:
        statements = [f"{pair.q} {pair.a}" for pair in item.pairs] or split_sentences(item.text)
        numbered = mark_as_data("\n".join(f"{number}. {one}" for number, one in enumerate(statements, 1)))
        try:
            unsupported = judge.invoke({"notes": notes, "statements": numbered}, self.config)
        except MalformedAnswerError as error:
            yield GateFailure(gate="unsupported", reason=f"the judge returned no verdict: {error.problem}")
            return
        for number in unsupported:
            if 1 <= number <= len(statements):
                reason = f"not supported by the timeline: {statements[number - 1]!r}"
                yield GateFailure(gate="unsupported", reason=reason)


def _with_backoff(llm: LanguageModelLike) -> Runnable[Any, Any]:
    return llm.with_retry(stop_after_attempt=MAX_ATTEMPTS, exponential_jitter_params=BACKOFF)
