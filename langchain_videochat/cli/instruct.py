"""Commands that generate instruction data: instruct describe, converse, export."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_videochat.cli.options import DEFAULT_STORE, FAILED, EmbeddingOption, JsonOption, ModelOption
from langchain_videochat.cli.output import print_report
from langchain_videochat.errors import InputError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_core.language_models import BaseChatModel

    from langchain_videochat.instruct import InstructionPlan
    from langchain_videochat.store import VideoTimelineStore
    from langchain_videochat.timeline import Timeline

SourcesArgument = Annotated[
    list[str], typer.Argument(metavar="VIDEOS_OR_STORE", help="Folder of a store; or files, folders or glob patterns.")
]
OutputOption = Annotated[
    Path, typer.Option("--output", "-o", help="Folder for the items; items already in it are kept.")
]
LanguageOption = Annotated[str, typer.Option(help="Language to write in, by its English name.")]
JudgeOption = Annotated[
    str | None,
    typer.Option(help="Chat model that checks whether the timeline supports each item. Default: no check."),
]
StoreOption = Annotated[
    Path, typer.Option("--store", envvar="VIDEOCHAT_STORE", help="Folder of the store for videos given as files.")
]
ProfileOption = Annotated[str, typer.Option(help="Perception models for videos that are not indexed yet.")]
ConcurrencyOption = Annotated[int, typer.Option(min=1, help="Number of videos processed concurrently.")]
RateOption = Annotated[float | None, typer.Option(min=0.001, help="Maximum model calls per second.")]
ContextOption = Annotated[
    int, typer.Option(help="Maximum tokens of a video's notes in a prompt; longer notes are condensed.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Estimate calls, tokens and cost, without calling a model.")
]
InputPriceOption = Annotated[float | None, typer.Option(min=0, help="Price per million input tokens, for --dry-run.")]
OutputPriceOption = Annotated[float | None, typer.Option(min=0, help="Price per million output tokens, for --dry-run.")]


def describe(
    sources: SourcesArgument,
    model: ModelOption,
    output: OutputOption,
    language: LanguageOption = "English",
    min_words: Annotated[int, typer.Option(min=1, help="Minimum number of words in a description.")] = 150,
    max_words: Annotated[int, typer.Option(min=1, help="Maximum number of words in a description.")] = 200,
    judge: JudgeOption = None,
    store: StoreOption = Path(DEFAULT_STORE),
    profile: ProfileOption = "standard",
    embedding: EmbeddingOption = None,
    max_concurrency: ConcurrencyOption = 8,
    calls_per_second: RateOption = None,
    max_context_tokens: ContextOption = 6000,
    dry_run: DryRunOption = False,
    input_price: InputPriceOption = None,
    output_price: OutputPriceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Generate detailed descriptions of videos from their timelines (paper 3.2.2).

    Videos that are not indexed yet are indexed first. Interrupted runs resume when called with the same --output.

    Example: `videochat instruct describe videochat-store --model openai:gpt-5-mini --output made --dry-run`
    """
    from langchain_videochat.instruct import InstructionPlan

    plan = InstructionPlan(("description",), language, (min_words, max_words), max_context_tokens)
    timelines = _open_timelines(sources, store, profile, embedding, show_progress=not as_json)
    models = _Models(model, judge, max_concurrency, calls_per_second)
    _generate(timelines, output, plan, models, dry_run, (input_price, output_price), as_json)


def converse(
    sources: SourcesArgument,
    model: ModelOption,
    output: OutputOption,
    kind: Annotated[
        list[str] | None, typer.Option(help="*descriptive*, *temporal* or *causal*; repeatable. Default: all.")
    ] = None,
    language: LanguageOption = "English",
    judge: JudgeOption = None,
    store: StoreOption = Path(DEFAULT_STORE),
    profile: ProfileOption = "standard",
    embedding: EmbeddingOption = None,
    max_concurrency: ConcurrencyOption = 8,
    calls_per_second: RateOption = None,
    max_context_tokens: ContextOption = 6000,
    dry_run: DryRunOption = False,
    input_price: InputPriceOption = None,
    output_price: OutputPriceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Generate multi-turn conversations about videos from their timelines (paper 3.2.2).

    Videos that are not indexed yet are indexed first. Interrupted runs resume when called with the same --output.

    Example: `videochat instruct converse talks/ --kind temporal --model ollama:qwen3 --output made`
    """
    from langchain_videochat.instruct import InstructionPlan
    from langchain_videochat.instruct.items import CONVERSATION_KINDS

    kinds: Any = tuple(kind or CONVERSATION_KINDS)
    if "description" in kinds:
        raise InputError("--kind", "a description is not a conversation", "Use `videochat instruct describe`")
    plan = InstructionPlan(kinds, language, max_context_tokens=max_context_tokens)
    timelines = _open_timelines(sources, store, profile, embedding, show_progress=not as_json)
    models = _Models(model, judge, max_concurrency, calls_per_second)
    _generate(timelines, output, plan, models, dry_run, (input_price, output_price), as_json)


def export(
    items: Annotated[Path, typer.Argument(help="Folder written by *describe* and *converse*.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write; must not exist yet.")],
    validation: Annotated[
        float, typer.Option(min=0, max=1, help="Fraction of the videos held out for validation.")
    ] = 0.1,
    request: Annotated[
        list[str] | None,
        typer.Option(help="Question to put before descriptions that are not in English; repeatable."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Export generated items for `videochat train` and as a dataset, without near-duplicates.

    Example: `videochat instruct export made --output data`
    """
    from langchain_videochat import instruct

    print_report(instruct.export(items, output, validation=validation, requests=request or None), as_json)


def _open_timelines(
    sources: list[str], folder: Path, profile: str, embedding: str | None, *, show_progress: bool
) -> "VideoTimelineStore | Iterable[Timeline]":
    """Open a store, or index videos and return their timelines."""
    from langchain_videochat.instruct.timelines import StoredTimelines
    from langchain_videochat.store import VideoTimelineStore

    if len(sources) == 1 and Path(sources[0], "chroma.sqlite3").is_file():
        return VideoTimelineStore(sources[0])
    store = VideoTimelineStore(folder, embedding=embedding)
    report = store.index(sources, profile=profile, on_error="skip", show_progress=show_progress)
    for video in report.failed:
        typer.echo(str(video), err=True)
    video_ids = [video.video_id for video in (*report.indexed, *report.skipped) if video.video_id]
    if not video_ids:
        raise SourceError(", ".join(sources), "none of these videos can be read", "See the errors above")
    return StoredTimelines(store, video_ids)


@dataclass(frozen=True)
class _Models:
    """The chat models to use, and how many calls they may get."""

    model: str
    judge: str | None
    max_concurrency: int
    calls_per_second: float | None


def _generate(
    timelines: "VideoTimelineStore | Iterable[Timeline]",
    output: Path,
    plan: "InstructionPlan",
    models: _Models,
    dry_run: bool,
    prices: tuple[float | None, float | None],
    as_json: bool,
) -> None:
    from langchain_videochat.instruct import estimate, generate_instructions

    judge = models.judge
    if dry_run:
        print_report(
            estimate(timelines, output, plan, judged=judge is not None, input_price=prices[0], output_price=prices[1]),
            as_json,
        )
        return
    # A judge with the model's name is the same model, with the same rate limit.
    loaded = {name: _load_model(name, models.calls_per_second) for name in dict.fromkeys((models.model, judge)) if name}
    try:
        report = generate_instructions(
            loaded[models.model],
            timelines,
            output,
            plan,
            judge=loaded[judge] if judge else None,
            max_concurrency=models.max_concurrency,
            show_progress=not as_json,
        )
    except KeyboardInterrupt:
        typer.echo(f"Finished items are saved in {output}: run the command again to resume.", err=True)
        raise
    print_report(report, as_json)
    if report.failed:
        raise typer.Exit(FAILED)


def _load_model(name: str, calls_per_second: float | None) -> "BaseChatModel":
    from langchain_core.rate_limiters import InMemoryRateLimiter

    from langchain_videochat.text.llms import load_chat_model

    model = load_chat_model(name)
    if calls_per_second is not None:
        model.rate_limiter = InMemoryRateLimiter(requests_per_second=calls_per_second)
    return model
