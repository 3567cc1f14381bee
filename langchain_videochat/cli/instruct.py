"""The commands `instruct ...`: instruction data is made of videos, and exported to train on."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_videochat.cli.options import DEFAULT_STORE, FAILED, JsonOption, ModelOption
from langchain_videochat.errors import InputError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_core.language_models import BaseChatModel

    from langchain_videochat.instruct import Estimate, ExportReport, Plan, RunReport
    from langchain_videochat.store import VideoTimelineStore
    from langchain_videochat.timeline import Timeline

SourcesArgument = Annotated[
    list[str], typer.Argument(metavar="VIDEOS_OR_STORE", help="Folder of a store; or files, folders, glob patterns.")
]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Folder for the items. Those in it are kept.")]
LanguageOption = Annotated[str, typer.Option(help="English name of the language to write in.")]
JudgeOption = Annotated[
    str | None, typer.Option(help="Model that is asked whether what was written is in the timeline; none if not given.")
]
StoreOption = Annotated[
    Path, typer.Option("--store", envvar="VIDEOCHAT_STORE", help="Folder of the store in which videos are indexed.")
]
ProfileOption = Annotated[str, typer.Option(help="Which models look and listen, where a video is not indexed yet.")]
ConcurrencyOption = Annotated[int, typer.Option(min=1, help="How many videos are worked on at once.")]
RateOption = Annotated[float | None, typer.Option(min=0.001, help="Calls of the model in a second, at most.")]
ContextOption = Annotated[int, typer.Option(help="Tokens of a video's notes in one prompt; longer ones are condensed.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Tell calls, tokens and cost, and ask no model.")]
InputPriceOption = Annotated[float | None, typer.Option(min=0, help="Price of a million tokens read, for --dry-run.")]
OutputPriceOption = Annotated[float | None, typer.Option(min=0, help="The same of tokens written.")]


def describe(
    sources: SourcesArgument,
    model: ModelOption,
    output: OutputOption,
    language: LanguageOption = "English",
    min_words: Annotated[int, typer.Option(min=1, help="Fewest words of a description.")] = 150,
    max_words: Annotated[int, typer.Option(min=1, help="Most words of a description.")] = 200,
    judge: JudgeOption = None,
    store: StoreOption = DEFAULT_STORE,
    profile: ProfileOption = "standard",
    max_concurrency: ConcurrencyOption = 8,
    calls_per_second: RateOption = None,
    max_context_tokens: ContextOption = 6000,
    dry_run: DryRunOption = False,
    input_price: InputPriceOption = None,
    output_price: OutputPriceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a language model describe videos in detail, from their timelines (paper 3.2.2).

    Videos that are not indexed yet are, first. Called again with the same --output, it makes what is missing there.

    Example: `videochat instruct describe videochat-store --model openai:gpt-5-mini --output made --dry-run`
    """
    from langchain_videochat.instruct import Plan

    plan = Plan(("description",), language, (min_words, max_words), max_context_tokens)
    timelines = _timelines(sources, store, profile, show_progress=not as_json)
    way = _Way(model, judge, max_concurrency, calls_per_second)
    if dry_run:
        _tell_cost(timelines, output, plan, way, input_price, output_price, as_json=as_json)
    else:
        _make(timelines, output, plan, way, as_json=as_json)


def converse(
    sources: SourcesArgument,
    model: ModelOption,
    output: OutputOption,
    kind: Annotated[
        list[str] | None, typer.Option(help="*descriptive*, *temporal* or *causal*; may be repeated. All if not given.")
    ] = None,
    language: LanguageOption = "English",
    judge: JudgeOption = None,
    store: StoreOption = DEFAULT_STORE,
    profile: ProfileOption = "standard",
    max_concurrency: ConcurrencyOption = 8,
    calls_per_second: RateOption = None,
    max_context_tokens: ContextOption = 6000,
    dry_run: DryRunOption = False,
    input_price: InputPriceOption = None,
    output_price: OutputPriceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a language model write conversations about videos, of several turns, from their timelines (paper 3.2.2).

    Videos that are not indexed yet are, first. Called again with the same --output, it makes what is missing there.

    Example: `videochat instruct converse talks/ --kind temporal --model ollama:qwen3 --output made`
    """
    from langchain_videochat.instruct import Plan
    from langchain_videochat.instruct.items import CONVERSATION_KINDS

    kinds: Any = tuple(kind or CONVERSATION_KINDS)
    if "description" in kinds:
        raise InputError("--kind", "a description is no conversation", "Make it with `videochat instruct describe`")
    plan = Plan(kinds, language, max_context_tokens=max_context_tokens)
    timelines = _timelines(sources, store, profile, show_progress=not as_json)
    way = _Way(model, judge, max_concurrency, calls_per_second)
    if dry_run:
        _tell_cost(timelines, output, plan, way, input_price, output_price, as_json=as_json)
    else:
        _make(timelines, output, plan, way, as_json=as_json)


def export(
    items: Annotated[Path, typer.Argument(help="Folder that *describe* and *converse* wrote.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write. It must not be there yet.")],
    validation: Annotated[float, typer.Option(min=0, max=1, help="Share of the videos kept for validation.")] = 0.1,
    request: Annotated[
        list[str] | None,
        typer.Option(help="What is asked for before a description, where these are not English; may be repeated."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write what was made as files for `videochat train` and as a data set, without near-duplicates.

    Example: `videochat instruct export made --output data`
    """
    from langchain_videochat import instruct

    _show(instruct.export(items, output, validation=validation, requests=request or None), as_json=as_json)


def _timelines(
    sources: list[str], folder: Path, profile: str, *, show_progress: bool
) -> "VideoTimelineStore | Iterable[Timeline]":
    """Open the store that is named, or index the videos that are."""
    from langchain_videochat.instruct.timelines import StoredTimelines
    from langchain_videochat.store import VideoTimelineStore

    if len(sources) == 1 and Path(sources[0], "chroma.sqlite3").is_file():
        return VideoTimelineStore(sources[0])
    store = VideoTimelineStore(folder)
    report = store.index(sources, profile=profile, on_error="skip", show_progress=show_progress)
    for video in report.failed:
        typer.echo(str(video), err=True)
    video_ids = [video.video_id for video in (*report.indexed, *report.skipped) if video.video_id]
    if not video_ids:
        raise SourceError(", ".join(sources), "no video of these can be read", "See the reasons above")
    return StoredTimelines(store, video_ids)


@dataclass(frozen=True)
class _Way:
    """By which models items are made, and how fast."""

    model: str
    judge: str | None
    max_concurrency: int
    calls_per_second: float | None

    def load(self) -> "tuple[BaseChatModel, BaseChatModel | None]":
        """Make the model and the judge, which may be the same one."""
        model = _load(self.model, self.calls_per_second)
        if self.judge is None or self.judge == self.model:
            return model, model if self.judge else None
        return model, _load(self.judge, self.calls_per_second)


def _tell_cost(
    timelines: "VideoTimelineStore | Iterable[Timeline]",
    output: Path,
    plan: "Plan",
    way: _Way,
    input_price: float | None,
    output_price: float | None,
    *,
    as_json: bool,
) -> None:
    from langchain_videochat.instruct import estimate

    judged = way.judge is not None
    told = estimate(timelines, output, plan, judged=judged, input_price=input_price, output_price=output_price)
    _show(told, as_json=as_json)


def _make(
    timelines: "VideoTimelineStore | Iterable[Timeline]", output: Path, plan: "Plan", way: _Way, *, as_json: bool
) -> None:
    from langchain_videochat.instruct import make_instructions

    model, judge = way.load()
    try:
        report = make_instructions(
            model, timelines, output, plan, judge=judge, max_concurrency=way.max_concurrency, show_progress=not as_json
        )
    except KeyboardInterrupt:
        typer.echo(f"What was finished is kept in {output}: call again, and it goes on from there.", err=True)
        raise
    _show(report, as_json=as_json)
    if report.failed:
        raise typer.Exit(FAILED)


def _load(name: str, calls_per_second: float | None) -> "BaseChatModel":
    from langchain_core.rate_limiters import InMemoryRateLimiter

    from langchain_videochat.text.llms import load_model

    model = load_model(name)
    if calls_per_second is not None:
        model.rate_limiter = InMemoryRateLimiter(requests_per_second=calls_per_second)
    return model


def _show(told: "Estimate | RunReport | ExportReport", *, as_json: bool) -> None:
    from pydantic import TypeAdapter

    # Not dataclasses.asdict, which garbles a Counter.
    text = TypeAdapter(type(told)).dump_json(told, indent=2).decode() if as_json else str(told)
    typer.echo(text)
