"""Timelines: merging, slicing, moments and output formats."""

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pysubs2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_videochat.errors import InputError
from langchain_videochat.media import StreamInfo, VideoInfo
from langchain_videochat.perception import Observation, list_modalities
from langchain_videochat.timeline import Timeline, citation, format_timecode

MODALITIES = [modality.name for modality in list_modalities()]
VIDEO = VideoInfo(
    source="/films/two eggs.mp4",
    title="two eggs",
    duration=60.0,
    width=1280,
    height=720,
    frame_rate=25.0,
    container="mov,mp4,m4a,3gp,3g2,mj2",
    streams=(StreamInfo("video", "h264"), StreamInfo("subtitle", "mov_text", "en")),
)


def timeline(*observations: Observation, video: VideoInfo = VIDEO) -> Timeline:
    return Timeline.of(video, "c0ffee", observations)


def spans(observations: Timeline | list[Observation]) -> list[tuple[float, float, str]]:
    return [(one.start, one.end, one.text) for one in observations]


SECONDS = st.floats(0, 200, allow_nan=False)
FRACTIONS = st.floats(0, 1)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@st.composite
def observations(draw: st.DrawFn, text: st.SearchStrategy[str] = ANY_TEXT) -> Observation:
    start, end = sorted([draw(SECONDS), draw(SECONDS)])
    return Observation(
        start=start,
        end=end,
        modality=draw(st.sampled_from(MODALITIES)),
        text=draw(text),
        score=draw(st.none() | FRACTIONS),
        box=draw(st.none() | st.tuples(FRACTIONS, FRACTIONS, FRACTIONS, FRACTIONS)),
        language=draw(st.none() | st.sampled_from(["en", "de", "zh-Hans"])),
        source=draw(st.none() | ANY_TEXT),
    )


REPEATING = st.lists(observations(st.sampled_from(["Whisk", "whisk ", "Fold", " fold", ""])), max_size=12)


class TestMerging:
    def test_merges_equal_text_that_continues(self) -> None:
        merged = timeline(Observation(4, 6, "screen_text", "Whisk"), Observation(0, 4, "screen_text", "whisk"))

        assert spans(merged) == [(0, 6, "whisk")]

    def test_merges_across_a_gap_of_one_sampling_interval_at_most(self) -> None:
        merged = timeline(
            Observation(0, 2, "screen_text", "Whisk"),
            Observation(4, 6, "screen_text", "Whisk"),
            Observation(8.1, 10, "screen_text", "Whisk"),
        )

        assert spans(merged) == [(0, 6, "Whisk"), (8.1, 10, "Whisk")]

    def test_keeps_equal_text_of_different_modalities_or_languages(self) -> None:
        merged = timeline(
            Observation(0, 2, "screen_text", "Salt"),
            Observation(0, 2, "speech", "Salt"),
            Observation(0, 2, "subtitle", "Salt", language="en"),
            Observation(0, 2, "subtitle", "Salt", language="sv"),
        )

        assert len(merged) == 4

    def test_keeps_the_highest_score(self) -> None:
        merged = timeline(
            Observation(0, 2, "tag", "egg", score=0.4),
            Observation(2, 4, "tag", "egg", score=0.9),
            Observation(4, 6, "tag", "egg"),
        )

        assert [one.score for one in merged] == [0.9]

    def test_keeps_adjacent_scenes(self) -> None:
        merged = timeline(
            Observation(0, 5, "scene", "Scene from 00:00"), Observation(5, 9, "scene", "Scene from 00:05")
        )

        assert [(one.start, one.end) for one in merged] == [(0, 5), (5, 9)]

    def test_merges_overlapping_scenes(self) -> None:
        merged = timeline(
            Observation(0, 5, "scene", "Scene from 00:00"), Observation(4, 9, "scene", "Scene from 00:04")
        )

        assert [(one.start, one.end) for one in merged] == [(0, 9)]

    def test_merges_equal_scenes_of_zero_length(self) -> None:
        merged = timeline(Observation(0, 0, "scene", "whisk "), Observation(0, 0, "scene", "whisk "))

        assert spans(merged) == [(0, 0, "whisk")]

    def test_keeps_the_reading_order_of_simultaneous_lines(self) -> None:
        merged = timeline(Observation(3, 5, "screen_text", "You need"), Observation(3, 5, "screen_text", "2 eggs"))

        assert [one.text for one in merged] == ["You need", "2 eggs"]

    @given(REPEATING)
    def test_is_idempotent(self, seen: list[Observation]) -> None:
        once = timeline(*seen)

        assert timeline(*once) == once

    @given(REPEATING)
    def test_sorts_by_start(self, seen: list[Observation]) -> None:
        starts = [one.start for one in timeline(*seen)]

        assert starts == sorted(starts)

    @given(REPEATING)
    def test_covers_the_intervals_of_all_inputs(self, seen: list[Observation]) -> None:
        merged = timeline(*seen)

        for one in seen:
            assert any(
                kept.modality == one.modality
                and kept.start <= one.start
                and kept.end >= one.end
                and (one.modality == "scene" or kept.text.casefold() == one.text.strip().casefold())
                for kept in merged
            )


class TestSlice:
    STEPS = timeline(
        Observation(0, 10, "screen_text", "Whisk"),
        Observation(5, 15, "speech", "Gently"),
        Observation(10, 20, "screen_text", "Fold"),
        Observation(15, 15, "tag", "egg"),
    )

    @pytest.mark.parametrize(
        ("start", "end", "expected"),
        [
            (None, None, ["Whisk", "Gently", "Fold", "egg"]),
            (10, None, ["Gently", "Fold", "egg"]),
            (None, 5, ["Whisk"]),
            (10, 15, ["Gently", "Fold"]),
            (15, 16, ["Fold", "egg"]),
            (20, 30, []),
        ],
    )
    def test_keeps_observations_that_overlap_the_interval(
        self, start: float | None, end: float | None, expected: list[str]
    ) -> None:
        assert [one.text for one in self.STEPS.slice(start, end)] == expected

    def test_keeps_the_given_modalities(self) -> None:
        assert [one.text for one in self.STEPS.slice(modalities=["speech", "tag"])] == ["Gently", "egg"]

    def test_does_not_change_the_timeline(self) -> None:
        self.STEPS.slice(3, 4)

        assert len(self.STEPS) == 4

    def test_rejects_an_end_before_the_start(self) -> None:
        with pytest.raises(InputError, match=r"end \(2 s\) must be after start \(3 s\)"):
            self.STEPS.slice(3, 2)

    @given(st.lists(observations(), max_size=8), SECONDS)
    def test_two_halves_contain_all_observations(self, seen: list[Observation], middle: float) -> None:
        whole = timeline(*seen)

        assert set(whole.slice(end=middle)) | set(whole.slice(start=middle)) == set(whole)


class TestMoments:
    def test_are_split_at_scene_boundaries(self) -> None:
        moments = timeline(
            Observation(0, 12, "scene", "Scene from 00:00"),
            Observation(12, 60, "scene", "Scene from 00:12"),
            Observation(0, 12, "screen_text", "Whisk"),
            Observation(12, 40, "screen_text", "Fold"),
        ).moments(moment_seconds=100)

        assert [(one.start, one.end) for one in moments] == [(0, 12), (12, 60)]

    def test_split_long_scenes_into_equal_parts(self) -> None:
        moments = timeline(Observation(0, 60, "speech", "Gently")).moments(moment_seconds=25)

        assert [(one.start, one.end) for one in moments] == [(0, 20), (20, 40), (40, 60)]

    def test_text_contains_all_modalities_except_scenes(self) -> None:
        [moment] = timeline(
            Observation(0, 60, "scene", "Scene from 00:00"),
            Observation(0, 4, "screen_text", "Whisk 2 eggs"),
            Observation(5, 9, "screen_text", "Fold"),
            Observation(2, 6, "speech", "Be gentle"),
            Observation(20, 22, "screen_text", "Whisk 2 eggs"),
        ).moments(moment_seconds=60)

        assert moment.text == "two eggs\nSpeech: Be gentle\nOn screen: Whisk 2 eggs; Fold"
        assert moment.modalities == ["speech", "screen_text", "scene"]

    def test_without_observations_are_left_out(self) -> None:
        moments = timeline(Observation(50, 55, "speech", "Done")).moments(moment_seconds=20)

        assert [(one.start, one.end) for one in moments] == [(40, 60)]

    @given(st.lists(observations(), max_size=12), st.floats(1, 50))
    def test_are_consecutive_and_not_longer_than_the_limit(self, seen: list[Observation], max_seconds: float) -> None:
        moments = timeline(*seen).moments(max_seconds)

        assert all(0 < one.end - one.start <= max_seconds + 1e-5 for one in moments)
        assert all(earlier.end <= later.start for earlier, later in pairwise(moments))

    @given(st.lists(observations(), max_size=12), st.floats(1, 50))
    def test_contain_every_observation_that_overlaps_them(self, seen: list[Observation], max_seconds: float) -> None:
        whole = timeline(*seen)
        moments = whole.moments(max_seconds)

        for one in whole:
            inside = [moment for moment in moments if one in moment.observations]
            assert inside[0].start <= one.start
            assert inside[-1].end >= one.end
            assert all(earlier.end == later.start for earlier, later in pairwise(inside))

    @given(st.lists(observations(), max_size=12))
    def test_contain_no_scene_boundary(self, seen: list[Observation]) -> None:
        whole = timeline(*seen)
        starts = sorted({one.start for one in whole if one.modality == "scene"})
        cuts = starts[1:]  # the first scene may begin after the sound

        assert not [cut for cut in cuts for moment in whole.moments() if moment.start < cut < moment.end]

    def test_a_video_of_zero_length_is_one_moment(self) -> None:
        photo = replace(VIDEO, duration=0.0)

        [moment] = timeline(Observation(0, 0, "screen_text", "Menu"), video=photo).moments()

        assert (moment.start, moment.end) == (0, 0)


class TestPrompt:
    def test_follows_the_order_of_table_1(self) -> None:
        prompt = timeline(*(Observation(0, 1, one, f"a {one}") for one in MODALITIES if one != "visual")).to_prompt()

        of_the_paper = ["a tag", "a caption", "a region", "a summary"]
        ours = ["a action", "a object", "a speech", "a subtitle", "a screen_text"]
        assert re.findall(r"a \w+$", prompt, re.MULTILINE) == of_the_paper + ours
        assert prompt.endswith("Scenes:\n00:00-00:01")

    def test_contains_the_title_and_the_times_of_each_line(self) -> None:
        prompt = timeline(
            Observation(4, 7.9, "screen_text", "Fold {gently}"), Observation(0, 4, "screen_text", "Whisk")
        ).to_prompt()

        assert prompt == "two eggs (01:00)\n\nOn screen:\n00:00-00:04 Whisk\n00:04-00:07 Fold {gently}"

    def test_of_an_empty_timeline_is_the_title(self) -> None:
        assert timeline().to_prompt() == "two eggs (01:00)"

    @pytest.mark.parametrize(
        ("seconds", "timecode"), [(0, "00:00"), (59.999, "00:59"), (3599, "59:59"), (36000, "10:00:00")]
    )
    def test_formats_times_like_a_video_player(self, seconds: float, timecode: str) -> None:
        assert format_timecode(seconds) == timecode


class TestWebVTT:
    def test_cue_contains_its_modality(self) -> None:
        written = timeline(Observation(3661.5, 3662.25, "speech", "salt & pepper < 5 g")).to_webvtt()

        assert written == ("WEBVTT\n\n01:01:01.500 --> 01:01:02.250\n<v speech>salt &amp; pepper &lt; 5 g\n")

    @given(st.lists(observations(), max_size=8))
    def test_other_parsers_read_the_same_times(self, seen: list[Observation]) -> None:
        """Includes text that looks like markup or like the times of a cue, and line breaks."""
        whole = Timeline(VIDEO, "c0ffee", tuple(sorted(seen, key=lambda one: one.start)))

        cues = pysubs2.SSAFile.from_string(whole.to_webvtt(), format_="vtt")

        texts = [one for one in whole if one.text]
        assert len(cues) == len(texts)
        for one, cue in zip(texts, cues, strict=True):
            assert abs(cue.start - one.start * 1000) <= 1
            assert abs(cue.end - one.end * 1000) <= 1.5
            assert cue.start < cue.end

    @pytest.mark.parametrize("text", ["a\n\nb", "00:01.000 --> 00:02.000", "NOTE\n\nx", "a\r\n\r\nb", "x\u2028\u2028y"])
    def test_text_cannot_start_another_cue(self, text: str) -> None:
        written = Timeline(VIDEO, "c0ffee", (Observation(1, 2, "speech", text),)).to_webvtt()

        assert written.count("-->") == 1
        assert len(written.splitlines()) == 4


VALID = timeline(Observation(1, 2, "speech", "salt", 0.5, (0, 0, 1, 1), "en", "whisper")).to_json()


class TestJson:
    @given(st.lists(observations(), max_size=8), ANY_TEXT, SECONDS, st.none() | SECONDS)
    def test_round_trip(self, seen: list[Observation], title: str, duration: float, rate: float | None) -> None:
        video = replace(VIDEO, title=title, duration=duration, frame_rate=rate)
        whole = Timeline(video, "c0ffee", tuple(seen))

        assert Timeline.from_json(whole.to_json()) == whole

    @given(st.text())
    def test_rejects_other_text(self, text: str) -> None:
        with pytest.raises(InputError):
            Timeline.from_json(text)

    JSON = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    )

    @given(JSON)
    def test_rejects_other_json(self, record: object) -> None:
        with pytest.raises(InputError):
            Timeline.from_json(json.dumps(record))

    @given(st.sampled_from(["start", "end", "modality", "text", "score", "box", "language", "source"]), JSON)
    def test_rejects_a_field_of_the_wrong_type_unless_it_is_valid(self, field: str, value: object) -> None:
        record = json.loads(VALID)
        record["observations"][0][field] = value

        try:
            [one] = Timeline.from_json(json.dumps(record))
        except InputError:
            return
        assert isinstance(one.start, float | int)
        assert isinstance(one.end, float | int)
        assert isinstance(one.text, str)
        assert one.score is None or isinstance(one.score, float | int)
        assert one.language is None or isinstance(one.language, str)
        assert one.source is None or isinstance(one.source, str)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{}",
            "[]",
            "[" * 100_000,
            VALID.replace('"start": 1', '"start": 1' + "0" * 400),
            VALID.replace('"start": 1', '"start": -1'),
            VALID.replace('"start": 1', '"start": NaN'),
            VALID.replace('"start": 1', '"start": "1"'),
            VALID.replace('"end": 2', '"end": 0.5'),
            VALID.replace('"speech"', '"smell"'),
            VALID.replace('"salt"', "5"),
            VALID.replace('"score": 0.5', '"score": 1.5'),
            VALID.replace('"box": [0, 0, 1, 1]', '"box": [0, 0, 1]'),
            VALID.replace('"text"', '"words"'),
            VALID.replace('"duration": 60.0', '"duration": "long"'),
            VALID.replace('"duration": 60.0, ', ""),
            VALID.replace('"title": "two eggs"', '"title": null'),
            VALID.replace('"video_id": "c0ffee"', '"video_id": 7'),
            VALID.replace('"kind": "video"', '"sort": "video"'),
        ],
        ids=range(19),
    )
    def test_rejects_an_invalid_record(self, text: str) -> None:
        assert text != VALID

        with pytest.raises(InputError, match="not a timeline in JSON"):
            Timeline.from_json(text)


class TestDocuments:
    def test_metadata_of_an_observation(self) -> None:
        [document] = timeline(
            Observation(3, 7, "screen_text", "Whisk", 0.9, (0, 0, 1, 1), "en", "rapidocr")
        ).to_documents()

        assert document.page_content == "Whisk"
        assert document.metadata == {
            "source": "/films/two eggs.mp4",
            "video_id": "c0ffee",
            "start": 3,
            "end": 7,
            "modality": "screen_text",
            "citation": "file:///films/two%20eggs.mp4#t=3,7",
            "title": "two eggs",
            "score": 0.9,
            "language": "en",
            "perceiver": "rapidocr",
            "document_id": document.id,
        }

    def test_metadata_do_not_contain_none(self) -> None:
        [document] = timeline(Observation(3, 7, "screen_text", "Whisk")).to_documents()

        names = {"source", "video_id", "document_id", "start", "end", "modality", "citation", "title"}
        assert set(document.metadata) == names

    def test_metadata_of_a_moment_contain_its_modalities(self) -> None:
        [document] = timeline(
            Observation(3, 7, "screen_text", "Whisk"),
            Observation(3, 7, "speech", "Gently"),
            video=replace(VIDEO, duration=10),
        ).to_documents("moment")

        assert document.page_content == "two eggs\nSpeech: Gently\nOn screen: Whisk"
        assert (document.metadata["modality"], document.metadata["modalities"]) == ("moment", "speech,screen_text")
        assert (document.metadata["start"], document.metadata["end"]) == (0, 10)

    @pytest.mark.parametrize("granularity", ["observation", "moment"])
    @given(seen=st.lists(observations(), max_size=8))
    def test_metadata_are_scalars_and_citations_are_media_fragments(
        self, granularity: str, seen: list[Observation]
    ) -> None:
        for document in timeline(*seen).to_documents(granularity):  # type: ignore[arg-type]
            assert all(isinstance(value, str | int | float | bool) for value in document.metadata.values())
            assert_media_fragment(document.metadata["citation"])


NORMAL_PLAY_TIME = re.compile(r"t=(\d+(?:\.\d+)?)(?:,(\d+(?:\.\d+)?))?")


def assert_media_fragment(url: str) -> None:
    """Check the temporal dimension of W3C Media Fragments 1.0: an end, if given, is after the start."""
    match = NORMAL_PLAY_TIME.fullmatch(urlsplit(url).fragment)
    assert match, url
    start, end = match.groups()
    assert end is None or float(start) < float(end), url


class TestCitation:
    @pytest.mark.parametrize("name", ["a b.mp4", "a#t=1.mp4", "50%.mp4", "what?.mp4", "übung.mp4", "a&b;c,d.mp4"])
    def test_quotes_any_file_name(self, name: str, tmp_path: Path) -> None:
        parts = urlsplit(citation(str(tmp_path / name), 3, 7.25))

        assert (parts.scheme, unquote(parts.path), parts.fragment) == ("file", str(tmp_path / name), "t=3,7.25")

    def test_keeps_urls(self) -> None:
        assert citation("https://example.org/a.mp4?k=1", 0, 7) == "https://example.org/a.mp4?k=1#t=0,7"

    @given(SECONDS, SECONDS)
    def test_is_a_media_fragment(self, one: float, other: float) -> None:
        assert_media_fragment(citation("/films/a.mp4", min(one, other), max(one, other)))
