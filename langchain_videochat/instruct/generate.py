"""Generation of instruction data for many videos, several at once; each item is written as soon as it is finished."""

from collections import Counter
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from operator import length_hint
from pathlib import Path

from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.language_models import LanguageModelLike
from langchain_core.runnables import RunnableConfig
from tqdm.auto import tqdm

from langchain_videochat.errors import InputError, ModelError
from langchain_videochat.instruct.item_folder import open_item_folder
from langchain_videochat.instruct.item_generator import ItemFailure, ItemGenerator
from langchain_videochat.instruct.items import InstructionItem, ItemKind
from langchain_videochat.instruct.notes import is_empty
from langchain_videochat.instruct.plan import InstructionPlan
from langchain_videochat.instruct.timelines import as_timelines, missing_kinds
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.concurrency import iter_concurrent
from langchain_videochat.utils.optional_dependencies import require_extra

MAX_CONCURRENCY = 8
"""Videos processed at the same time."""

MAX_CONSECUTIVE_FAILURES = 10
"""Failed items in a row that stop the run: they have a common cause, such as an invalid API key."""


@dataclass
class GenerationReport:
    """The results of a run. `str()` summarizes them in a few lines."""

    generated: Counter[ItemKind] = field(default_factory=Counter)
    """Accepted items by kind."""

    rejected: Counter[str] = field(default_factory=Counter)
    """Rejected items by gate. Several gates may reject the same item."""

    rejected_items: int = 0
    """Number of items that failed at least one gate."""

    flagged: int = 0
    """Accepted items that have flags."""

    skipped: int = 0
    """Items that were finished before this run."""

    empty_videos: int = 0
    """Videos in which nothing was observed."""

    failed: list[ItemFailure] = field(default_factory=list)
    """Items that could not be generated."""

    input_tokens: int = 0
    """As far as the model's provider reports them, like `output_tokens`."""

    output_tokens: int = 0
    """Tokens that the models generated."""

    @property
    def finished(self) -> int:
        """Items that were generated, rejected, skipped or failed."""
        return self.generated.total() + self.rejected_items + len(self.failed) + self.skipped

    def add(self, result: InstructionItem | ItemFailure) -> None:
        """Count a result."""
        if isinstance(result, ItemFailure):
            self.failed.append(result)
        elif result.failures:
            self.rejected_items += 1
            self.rejected.update({failure.gate for failure in result.failures})
        else:
            self.generated[result.kind] += 1
            self.flagged += bool(result.flags)

    def __str__(self) -> str:
        generated = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.generated.items())) or "no items"
        lines = [f"generated {generated}; {self.flagged:,} flagged; {self.skipped:,} already existed"]
        if self.rejected:
            gates = ", ".join(f"{gate} {count:,}" for gate, count in self.rejected.most_common())
            lines.append(f"rejected {self.rejected_items:,}: {gates}")
        if self.empty_videos:
            lines.append(f"{self.empty_videos:,} videos in which nothing was observed")
        lines += [f"failed {one.id}: {one.problem}" for one in self.failed]
        lines.append(f"{self.input_tokens:,} input tokens, {self.output_tokens:,} output tokens")
        return "\n".join(lines)


def generate_instructions(
    llm: LanguageModelLike,
    timelines: VideoTimelineStore | Iterable[Timeline],
    output: str | Path,
    plan: InstructionPlan | None = None,
    *,
    judge: LanguageModelLike | None = None,
    max_concurrency: int = MAX_CONCURRENCY,
    show_progress: bool = True,
) -> GenerationReport:
    """Generate descriptions of videos, or conversations about them, with a language model (paper 3.2.2).

    Each item is written to the folder as soon as it is finished: accepted items to `items.jsonl`, rejected ones to
    `rejected.jsonl` with the reasons. Items in either file are not generated again, even with another model or other
    prompts. Failed calls are retried; an item that still fails is tried again by the next run.

    Args:
        llm: The chat model. Its LangChain `rate_limiter` keeps it within the provider's limits.
        timelines: Timelines of the videos, or a store for all of its videos.
        output: Folder for the items. Several kinds and languages may share one.
        plan: What to generate; descriptions in English if None.
        judge: Model that checks whether the timeline supports each item; no check if None.
        max_concurrency: Number of videos processed at the same time.
        show_progress: Show a progress bar.

    Returns:
        The results of this run.

    Raises:
        InputError: An argument is invalid, another run is writing to the folder, or it cannot be written.
        ModelUnavailableError: A package is not installed.
        ModelError: The model failed repeatedly. Finished items are kept in `output`.

    Example:
        Generate conversations about all videos of a store:

            report = generate_instructions(llm, store, "made", InstructionPlan(("descriptive", "temporal", "causal")))
            print(report)
    """
    plan = plan or InstructionPlan()
    if max_concurrency < 1:
        raise InputError("max_concurrency", f"must be positive, got {max_concurrency}", "Give 1 or more")
    require_extra("instruct", "instruction data")
    usage = UsageMetadataCallbackHandler()
    generator = ItemGenerator.of(llm, judge, plan, RunnableConfig(callbacks=[usage]))
    timelines = as_timelines(timelines)
    report = GenerationReport()
    consecutive_failures = 0
    total = len(plan.kinds) * length_hint(timelines) or None
    with (
        open_item_folder(output) as folder,
        tqdm(total=total, desc="Instruction data", unit="item", disable=not show_progress) as bar,
    ):
        unfinished = _iter_unfinished(timelines, plan, folder.ids, report)
        jobs = (generator.generate(timeline, kinds) for timeline, kinds in unfinished)
        for result in iter_concurrent(jobs, max_concurrency):
            if isinstance(result, InstructionItem):
                folder.append(result)
            report.add(result)
            by_model = list(usage.usage_metadata.values())
            report.input_tokens = sum(one["input_tokens"] for one in by_model)
            report.output_tokens = sum(one["output_tokens"] for one in by_model)
            tokens = f"{report.input_tokens + report.output_tokens:,}"
            bar.set_postfix(tokens=tokens, rejected=report.rejected_items, failed=len(report.failed), refresh=False)
            bar.update(report.finished + report.empty_videos * len(plan.kinds) - bar.n)
            consecutive_failures = consecutive_failures + 1 if isinstance(result, ItemFailure) else 0
            if consecutive_failures == MAX_CONSECUTIVE_FAILURES:
                last = report.failed[-1].problem
                problem = f"{MAX_CONSECUTIVE_FAILURES} items in a row failed, the last one with {last}"
                raise ModelError("the language model", problem, "Fix the cause and run again; finished items are kept")
    return report


def _iter_unfinished(
    timelines: Iterable[Timeline], plan: InstructionPlan, finished: Set[str], report: GenerationReport
) -> Iterator[tuple[Timeline, tuple[ItemKind, ...]]]:
    """Yield each unfinished video once, with the kinds of items that it still needs."""
    seen: set[str] = set()
    for timeline in timelines:
        kinds = () if timeline.video_id in seen else missing_kinds(timeline, plan, finished)
        seen.add(timeline.video_id)
        if is_empty(timeline):
            report.empty_videos += 1
            continue
        report.skipped += len(plan.kinds) - len(kinds)
        if kinds:
            yield timeline, kinds
