"""Who speaks: from subtitles to prompts, search and exports."""

import json
from pathlib import Path

import pytest

from langchain_videochat.media import VideoInfo, probe
from langchain_videochat.perception import Observation, perceive
from langchain_videochat.perception.subtitle_tracks import SubtitleTracks
from langchain_videochat.timeline import Timeline
from tests.subtitled_video import contents, make_plain_video, read_beside, spoken

TRANSCRIPT = """WEBVTT

00:00:01.000 --> 00:00:03.000
<v Ada Lovelace>We start.</v>

00:00:03.000 --> 00:00:05.000
<v Grace Hopper>No.</v>
<v Ada Lovelace>No.</v>
"""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_plain_video(tmp_path_factory.mktemp("film") / "talk.mp4", seconds=6)


@pytest.fixture
def timeline(video: Path) -> Timeline:
    sidecar = video.with_suffix(".vtt")
    sidecar.write_text(TRANSCRIPT)
    try:
        return Timeline.of(probe(video), "c0ffee", perceive(video, [SubtitleTracks()]))
    finally:
        sidecar.unlink()


def test_observations_have_speakers(timeline: Timeline) -> None:
    assert [(one.speaker, one.text) for one in timeline] == [
        ("Ada Lovelace", "We start."),
        ("Grace Hopper", "No."),
        ("Ada Lovelace", "No."),
    ]


def test_prompts_and_moments_name_speakers(timeline: Timeline) -> None:
    assert "00:01-00:03 Ada Lovelace: We start." in timeline.to_prompt()
    (moment,) = timeline.moments()
    assert "Subtitles: Ada Lovelace: We start.; Grace Hopper: No.; Ada Lovelace: No." in moment.text
    (document,) = timeline.to_documents("moment")
    assert "Grace Hopper: No." in document.page_content


def test_documents_name_speakers(timeline: Timeline) -> None:
    documents = list(timeline.to_documents())
    assert [one.page_content for one in documents][:2] == ["Ada Lovelace: We start.", "Grace Hopper: No."]
    assert [one.metadata["speaker"] for one in documents] == ["Ada Lovelace", "Grace Hopper", "Ada Lovelace"]
    (unattributed,) = Timeline.of(timeline.video, "c0ffee", [Observation(0, 1, "speech", "Hello")]).to_documents()
    assert unattributed.page_content == "Hello"
    assert "speaker" not in unattributed.metadata


def test_webvtt_has_voices_that_can_be_read_back(timeline: Timeline, video: Path) -> None:
    written = timeline.to_webvtt()
    assert "<v.subtitle Ada Lovelace>We start." in written
    cues, problems = read_beside(video, "talk.vtt", written)
    assert spoken(cues) == [(one.speaker, one.text) for one in timeline]
    assert contents(cues) == [(one.start, one.end, one.text) for one in timeline]
    assert problems == []
    hostile = Observation(0, 1, "speech", "a < b", speaker="A\n\n<B> & -->C")
    cues, _ = read_beside(video, "talk.vtt", Timeline.of(timeline.video, "c0ffee", [hostile]).to_webvtt())
    assert spoken(cues) == [("A <B> & -->C", "a < b")]


def test_json_keeps_speakers(timeline: Timeline) -> None:
    assert Timeline.from_json(timeline.to_json()) == timeline
    old = json.loads(timeline.to_json())
    for one in old["observations"]:
        del one["speaker"]
    assert {one.speaker for one in Timeline.from_json(json.dumps(old))} == {None}


class TestMerging:
    VIDEO = VideoInfo(source="/talk.mp4", title="talk", duration=10.0, width=64, height=64)

    def merged(self, *observations: Observation) -> list[tuple[float, float, str | None, str | None]]:
        timeline = Timeline.of(self.VIDEO, "c0ffee", observations)
        return [(one.start, one.end, one.speaker, one.language) for one in timeline]

    def test_speakers_who_say_the_same_stay_apart(self) -> None:
        ada = Observation(0, 2, "subtitle", "No", speaker="Ada")
        bob = Observation(1, 3, "subtitle", "No", speaker="Bob")
        assert self.merged(ada, bob) == [(0, 2, "Ada", None), (1, 3, "Bob", None)]

    def test_a_copy_without_speakers_is_the_same(self) -> None:
        named = Observation(0, 2, "subtitle", "No", speaker="Ada", language="en")
        unnamed = Observation(0, 2.1, "subtitle", "no")
        assert self.merged(named, unnamed) == self.merged(unnamed, named) == [(0, 2.1, "Ada", "en")]

    def test_a_copy_with_a_more_precise_language_is_the_same(self) -> None:
        one = Observation(0, 2, "subtitle", "No", language="en")
        other = Observation(0, 2, "subtitle", "No", language="en-US")
        assert len(self.merged(one, other)) == 1
        assert len(self.merged(one, Observation(0, 2, "subtitle", "No", language="es"))) == 2
