"""Stage times, and the OpenTelemetry spans that are made of them."""

import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import sleep

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from langchain_videochat.media import FrameBatch
from langchain_videochat.perception import (
    FrameInputs,
    Observation,
    Perceiver,
    PerceptionCallbacks,
    SegmentResult,
    load_profile,
    perceive,
    perceive_segment,
)
from langchain_videochat.utils.interval import Interval
from langchain_videochat.utils.tracing import BUSY_SECONDS, StageTime, emit_stages, span
from tests.recorded_spans import recorded_spans
from tests.slides import render_talk
from tests.subtitled_video import make_subtitled_video

SLOW = 0.3
"""Seconds that `SlowTags` takes for a batch."""


class NoTags(Perceiver[FrameInputs, FrameBatch]):
    """Finds nothing."""

    modality = "tag"
    inputs = FrameInputs(every=1.0, tolerance=0.0, size=16)

    def perceive(self, batch: FrameBatch) -> Iterator[Observation]:
        yield from ()


class SlowTags(NoTags):
    """Finds nothing, slowly."""

    def perceive(self, batch: FrameBatch) -> Iterator[Observation]:
        sleep(SLOW)
        return super().perceive(batch)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> SegmentResult:
    video = tmp_path_factory.mktemp("eggs") / "eggs.mp4"
    make_subtitled_video(video, "Whisk two eggs", "Fold the omelette")
    return perceive_segment(video, load_profile("lite"), Interval(0.0, 10.0))


def test_a_segment_has_the_times_of_its_stages(result: SegmentResult) -> None:
    names = {stage.name for stage in result.stages}
    assert {"probe", "load", "decode picture", "read subtitles", "perceive Scenes", "perceive SubtitleTracks"} <= names
    for stage in result.stages:
        assert stage.start <= stage.end
        assert 0 <= stage.busy <= stage.end - stage.start + 1e-3


def test_waiting_is_not_counted_as_work(tmp_path: Path) -> None:
    video = make_subtitled_video(tmp_path / "eggs.mp4", "Whisk two eggs", "Fold the omelette")
    stages: list[StageTime] = []
    list(perceive(video, [SlowTags(), NoTags()], callbacks=PerceptionCallbacks(stage=stages.append)))
    busy = {stage.name: stage.busy for stage in stages}
    assert busy["perceive NoTags"] < SLOW <= busy["perceive SlowTags"]


def test_results_can_be_built_without_stages_pickled_and_compared(result: SegmentResult) -> None:
    assert pickle.loads(pickle.dumps(result)).stages == result.stages
    assert SegmentResult((), (), ()).stages == ()
    assert replace(result, stages=()) == result


def test_stages_are_reported_if_a_video_is_left_early(tmp_path: Path) -> None:
    video = render_talk(tmp_path / "talk.mp4", [["one"], ["two"]], seconds=30.0)
    stages: list[StageTime] = []
    observations = perceive(video, "lite", callbacks=PerceptionCallbacks(stage=stages.append))
    next(observations)
    observations.close()  # type: ignore[attr-defined]  # it is a generator
    assert "decode picture" in {stage.name for stage in stages}


def test_stages_become_spans_below_that_of_the_video() -> None:
    stages = (StageTime("probe", 100.0, 100.5, 0.5), StageTime("decode picture", 100.5, 110.0, 2.0))
    with recorded_spans() as exporter:
        with span("index video", source="eggs.mp4") as video:
            emit_stages(stages, video)
            with span("embed", texts=3):
                pass
        found = {one.name: one for one in exporter.get_finished_spans()}
    parent = found["index video"]
    assert dict(parent.attributes or {}) == {"videochat.source": "eggs.mp4"}
    assert {_parent_id(found[name]) for name in ("probe", "decode picture", "embed")} == {parent.context.span_id}
    decoding = found["decode picture"]
    assert (decoding.start_time, decoding.end_time) == (100_500_000_000, 110_000_000_000)
    assert dict(decoding.attributes or {}) == {BUSY_SECONDS: 2.0}
    assert decoding.instrumentation_scope is not None
    assert decoding.instrumentation_scope.name == "langchain_videochat"


def test_an_error_is_recorded() -> None:
    with recorded_spans() as exporter:
        with pytest.raises(OSError, match="disk full"), span("store"):
            raise OSError("disk full")
        (found,) = exporter.get_finished_spans()
    assert not found.status.is_ok
    assert found.events[0].name == "exception"


def _parent_id(found: ReadableSpan) -> int:
    assert found.parent is not None
    return found.parent.span_id
