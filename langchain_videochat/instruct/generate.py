"""Making instruction data of many videos: several at once, each item on the disk as soon as it is there."""

from collections import Counter
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from operator import length_hint
from pathlib import Path
from typing import Any

from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.language_models import LanguageModelLike
from langchain_core.runnables import RunnableConfig
from tqdm.auto import tqdm

from langchain_videochat.errors import InputError, ModelError
from langchain_videochat.instruct.item_folder import ItemFolder, open_folder
from langchain_videochat.instruct.items import Item, Kind
from langchain_videochat.instruct.making import Failure, Maker
from langchain_videochat.instruct.notes import is_empty
from langchain_videochat.instruct.plan import Plan
from langchain_videochat.instruct.timelines import list_timelines, open_kinds
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.concurrency import iter_concurrent
from langchain_videochat.utils.optional_dependencies import require_extra

AT_ONCE = 8
"""Videos that are worked on at the same time."""

GIVE_UP = 10
"""Items that fail in a row before the run stops: so many have a common cause, as a key that is not valid."""


@dataclass
class RunReport:
    """What became of a run; printed, some lines."""

    made: Counter[Kind] = field(default_factory=Counter)
    """Items that were made and passed all gates, by kind."""

    rejected: Counter[str] = field(default_factory=Counter)
    """Faults that were found, by gate; an item may have several."""

    rejected_items: int = 0
    """Items that did not pass a gate."""

    flagged: int = 0
    """Items that passed, with something to know."""

    kept: int = 0
    """Items that were finished before."""

    empty: int = 0
    """Videos in which nothing was observed."""

    failed: list[Failure] = field(default_factory=list)
    """Items that could not be made."""

    input_tokens: int = 0
    """Tokens that the model read, as far as its provider tells."""

    output_tokens: int = 0
    """Tokens that it wrote."""

    @property
    def done(self) -> int:
        """Items of which it is known what became of them."""
        return self.made.total() + self.rejected_items + len(self.failed) + self.kept

    def __str__(self) -> str:
        made = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.made.items())) or "no items"
        lines = [f"made {made}; {self.flagged:,} of them flagged; {self.kept:,} were there already"]
        if self.rejected:
            faults = ", ".join(f"{gate} {count:,}" for gate, count in self.rejected.most_common())
            lines.append(f"rejected {self.rejected_items:,}: {faults}")
        if self.empty:
            lines.append(f"{self.empty:,} videos in which nothing was observed")
        lines += [f"failed {one.id}: {one.problem}" for one in self.failed]
        lines.append(f"{self.input_tokens:,} tokens read, {self.output_tokens:,} written")
        return "\n".join(lines)


def make_instructions(
    llm: LanguageModelLike,
    timelines: VideoTimelineStore | Iterable[Timeline],
    output: str | Path,
    plan: Plan | None = None,
    *,
    judge: LanguageModelLike | None = None,
    max_concurrency: int = AT_ONCE,
    show_progress: bool = True,
) -> RunReport:
    """Have a language model write descriptions of videos, or conversations about them (paper 3.2.2).

    Each item is written into the folder as soon as it is finished: what passes all gates into `items.jsonl`, what does
    not into `rejected.jsonl`, with the reasons. What is in either is not made again, also with another model or other
    prompts. A call that fails is made again some times; an item that failed nevertheless is tried again by the next
    run.

    Args:
        llm: The chat model. Its `rate_limiter`, one of LangChain's, keeps it within the provider's limits.
        timelines: What was observed in the videos; of a store, all of them.
        output: Folder for the items. Descriptions and conversations, in several languages, may share one.
        plan: What is to be made; descriptions in English if None.
        judge: A model that is asked whether the timeline supports what was written; nobody is if None.
        max_concurrency: How many videos are worked on at once.
        show_progress: Show a progress bar.

    Returns:
        What became of this run.

    Raises:
        InputError: An argument makes no sense, another run writes into the folder, or it cannot be written.
        ModelUnavailableError: A package is not installed.
        ModelError: The model failed again and again. What was finished is in `output`.

    Example:
        Make conversations of all videos of a store:

            report = make_instructions(llm, store, "made", Plan(("descriptive", "temporal", "causal")))
            print(report)
    """
    plan = plan or Plan()
    if max_concurrency < 1:
        raise InputError("max_concurrency", f"{max_concurrency} is below 1", "Work on one video at least")
    require_extra("instruct", "instruction data")
    usage = UsageMetadataCallbackHandler()
    maker = Maker.of(llm, judge, plan, RunnableConfig(callbacks=[usage]))
    listed = list_timelines(timelines)
    report = RunReport()
    failed_in_row = 0
    with open_folder(output) as folder, _bar(len(plan.kinds) * length_hint(listed), show_progress) as bar:
        jobs = (maker.make(timeline, kinds) for timeline, kinds in _what_is_left(listed, plan, folder.ids, report))
        for outcome in iter_concurrent(jobs, max_concurrency):
            _take(outcome, folder, report)
            _count_tokens(usage, report)
            bar.set_postfix(_figures(report), refresh=False)
            bar.update(report.done + report.empty * len(plan.kinds) - bar.n)
            failed_in_row = failed_in_row + 1 if isinstance(outcome, Failure) else 0
            if failed_in_row == GIVE_UP:
                problem = f"{GIVE_UP} items in a row failed, the last one so: {report.failed[-1].problem}"
                raise ModelError("the language model", problem, "Mend that and call again: finished items are kept")
    return report


def _what_is_left(
    timelines: Iterable[Timeline], plan: Plan, finished: Set[str], report: RunReport
) -> Iterator[tuple[Timeline, tuple[Kind, ...]]]:
    """Give each video that is not finished once, with the kinds of items that it lacks."""
    seen: set[str] = set()
    for timeline in timelines:
        kinds = () if timeline.video_id in seen else open_kinds(timeline, plan, finished)
        seen.add(timeline.video_id)
        if is_empty(timeline):
            report.empty += 1
            continue
        report.kept += len(plan.kinds) - len(kinds)
        if kinds:
            yield timeline, kinds


def _take(outcome: Item | Failure, folder: ItemFolder, report: RunReport) -> None:
    if isinstance(outcome, Failure):
        report.failed.append(outcome)
        return
    folder.append(outcome)
    if outcome.faults:
        report.rejected_items += 1
        report.rejected.update({fault.gate for fault in outcome.faults})
    else:
        report.made[outcome.kind] += 1
        report.flagged += bool(outcome.flags)


def _count_tokens(usage: UsageMetadataCallbackHandler, report: RunReport) -> None:
    used = list(usage.usage_metadata.values())
    report.input_tokens = sum(one["input_tokens"] for one in used)
    report.output_tokens = sum(one["output_tokens"] for one in used)


def _bar(total: int, show: bool) -> Any:
    return tqdm(total=total or None, desc="Instruction data", unit="item", disable=not show)


def _figures(report: RunReport) -> dict[str, str]:
    return {
        "tokens": f"{report.input_tokens + report.output_tokens:,}",
        "rejected": f"{report.rejected_items:,}",
        "failed": f"{len(report.failed):,}",
    }
