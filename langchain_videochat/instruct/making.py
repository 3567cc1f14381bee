"""Making the items of one video: a model writes them, the gates check them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.language_models import LanguageModelLike
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.retry import ExponentialJitterParams

from langchain_videochat.instruct.asking import BrokenAnswerError
from langchain_videochat.instruct.chains import make_judge, make_reader, make_writer
from langchain_videochat.instruct.gates import Gate, check_all, make_gates, one_frame_flags
from langchain_videochat.instruct.items import Fault, Item, Kind, item_id
from langchain_videochat.instruct.notes import TimelineReader
from langchain_videochat.instruct.plan import Plan
from langchain_videochat.instruct.wording import split_sentences
from langchain_videochat.text.prompts import mark_as_data
from langchain_videochat.timeline import Timeline

ATTEMPTS = 6
"""How often a call is made, if it fails, before its item counts as failed."""

BACKOFF = ExponentialJitterParams(max=30.0)
"""One second and a bit are waited before the second attempt, twice as much before each further one, at most this."""


@dataclass(frozen=True)
class Failure:
    """An item that could not be made. The next run tries again."""

    id: str
    """Which item."""

    problem: str
    """Why."""


@dataclass(frozen=True)
class Maker:
    """Makes the items of one video after another, in whatever thread."""

    reader: TimelineReader
    """Makes notes of a timeline."""

    writers: Mapping[Kind, Runnable[dict[str, Any], Any]]
    """Make the content of an item from notes."""

    judge: Runnable[dict[str, Any], tuple[int, ...]] | None
    """Names the statements that notes do not support."""

    gates: Mapping[str, Gate]
    """By their names."""

    language: str
    """Of the items."""

    config: RunnableConfig
    """For all calls."""

    @classmethod
    def of(cls, llm: LanguageModelLike, judge: LanguageModelLike | None, plan: Plan, config: RunnableConfig) -> "Maker":
        """Make what a plan needs."""
        persistent = _persistent(llm)
        return cls(
            make_reader(persistent, plan),
            {kind: make_writer(persistent, kind, plan) for kind in plan.kinds},
            None if judge is None else make_judge(_persistent(judge), plan),
            make_gates(plan.language, plan.words),
            plan.language,
            config,
        )

    def make(self, timeline: Timeline, kinds: Sequence[Kind]) -> Iterator[Item | Failure]:
        """Make the items of a video; it is read once for all of them."""
        notes = ""
        for kind in kinds:
            try:
                notes = notes or self.reader.read(timeline, self.config)
                outcome: Item | Failure = self._make(timeline, kind, notes)
            except Exception as error:  # each provider has errors of its own
                problem = f"{type(error).__name__}: {' '.join(str(error).split())}"
                outcome = Failure(item_id(timeline.video_id, kind, self.language), problem)
            yield outcome

    def _make(self, timeline: Timeline, kind: Kind, notes: str) -> Item:
        item = self._write(timeline, kind, notes)
        if item.faults:
            return item
        faults = check_all(self.gates, item)
        if not faults and self.judge is not None:
            faults = tuple(self._judge(self.judge, item, notes))
        return item.model_copy(update={"faults": faults, "flags": one_frame_flags(item)})

    def _write(self, timeline: Timeline, kind: Kind, notes: str) -> Item:
        try:
            content = self.writers[kind].invoke({"notes": notes}, self.config)
        except BrokenAnswerError as error:
            faults = (Fault(gate="format", reason=error.problem),)
            return Item.about(timeline, kind, self.language, text=error.text, faults=faults)
        field_name = "text" if kind == "description" else "pairs"
        return Item.about(timeline, kind, self.language, **{field_name: content})

    def _judge(self, judge: Runnable[dict[str, Any], tuple[int, ...]], item: Item, notes: str) -> Iterator[Fault]:
        statements = [f"{pair.q} {pair.a}" for pair in item.pairs] or split_sentences(item.text)
        numbered = mark_as_data("\n".join(f"{number}. {one}" for number, one in enumerate(statements, 1)))
        try:
            unsupported = judge.invoke({"notes": notes, "statements": numbered}, self.config)
        except BrokenAnswerError as error:
            yield Fault(gate="unsupported", reason=f"the judge gave no verdict: {error.problem}")
            return
        for number in unsupported:
            if 1 <= number <= len(statements):
                yield Fault(gate="unsupported", reason=f"the timeline does not tell: {statements[number - 1]!r}")


def _persistent(llm: LanguageModelLike) -> Runnable[Any, Any]:
    return llm.with_retry(stop_after_attempt=ATTEMPTS, exponential_jitter_params=BACKOFF)
