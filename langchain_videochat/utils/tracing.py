"""OpenTelemetry spans of work in this process, and of stages that were measured in others.

Without a configured tracer provider, spans cost a few microseconds and are not recorded.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

TRACER = "langchain_videochat"
"""Name of the tracer, the instrumentation scope of all spans."""

BUSY_SECONDS = "videochat.busy_seconds"
"""Attribute of a stage's span: the seconds in which it worked."""


@dataclass(frozen=True)
class StageTime:
    """The time that a stage of the work on a video took, for example decoding. Stages may overlap."""

    name: str
    """For example "probe", "decode picture" or "perceive Scenes"."""

    start: float
    """Unix time in seconds at which it began."""

    end: float
    """Unix time at which it ended."""

    busy: float
    """Seconds in which it worked; in the others it waited for another stage."""


class Stopwatch:
    """Measures one stage that works in several turns, in one thread at a time.

    Args:
        name: Name of the stage.

    Example:
        >>> stopwatch = Stopwatch("decode picture")
        >>> for _ in range(2):
        ...     with stopwatch.running():
        ...         pass
        >>> stopwatch.stage().name
        'decode picture'
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._busy = 0.0
        # Unix time may jump, for example when the clock is set; durations are measured with a steady clock.
        self._created = time.time() - time.perf_counter()
        self._start: float | None = None
        self._end = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure a turn of work, in this block."""
        begin = time.perf_counter()
        if self._start is None:
            self._start = begin
        try:
            yield
        finally:
            self._end = time.perf_counter()
            self._busy += self._end - begin

    def stage(self) -> StageTime | None:
        """Return the time so far; None if the stage never worked."""
        if self._start is None:
            return None
        return StageTime(self._name, self._created + self._start, self._created + self._end, self._busy)


def span(name: str, **attributes: "AttributeValue") -> "AbstractContextManager[Span]":
    """Record a block as a span, the child of the current one. An error that leaves the block is recorded too.

    Args:
        name: Name of the span.
        **attributes: Its attributes; "videochat." is put before each name.

    Example:
        >>> with span("embed", texts=3):
        ...     pass
    """
    from opentelemetry import trace

    named = {f"videochat.{key}": value for key, value in attributes.items()}
    return trace.get_tracer(TRACER).start_as_current_span(name, attributes=named)


def emit_span(name: str, start: float, stages: Iterable[StageTime], **attributes: "AttributeValue") -> None:
    """Record work that ends now as a span, and its stages as children of it.

    Args:
        name: Name of the span.
        start: Unix time in seconds at which the work began.
        stages: Its stages, perhaps measured in other processes.
        **attributes: Its attributes, as for `span`.
    """
    from opentelemetry import trace

    named = {f"videochat.{key}": value for key, value in attributes.items()}
    recorded = trace.get_tracer(TRACER).start_span(name, attributes=named, start_time=_nanoseconds(start))
    emit_stages(stages, recorded)
    recorded.end()


def emit_stages(stages: Iterable[StageTime], parent: "Span") -> None:
    """Record stages that were measured elsewhere, perhaps in another process, as children of a span.

    Args:
        stages: The stages, with the times at which they ran.
        parent: The span of the work that they belong to.
    """
    from opentelemetry import trace

    if not parent.is_recording():
        return
    context, tracer = trace.set_span_in_context(parent), trace.get_tracer(TRACER)
    for stage in stages:
        child = tracer.start_span(
            stage.name, context, attributes={BUSY_SECONDS: stage.busy}, start_time=_nanoseconds(stage.start)
        )
        child.end(_nanoseconds(stage.end))


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
