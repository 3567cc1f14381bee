"""Timelines: merging, slicing, moments, and what is written of them."""

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
from langchain_videochat.perception import MODALITIES, Observation
from langchain_videochat.timeline import Timeline, citation, format_timecode

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
    def test_equal_text_that_goes_on_is_one_observation(self) -> None:
        merged = timeline(Observation(4, 6, "screen_text", "Whisk"), Observation(0, 4, "screen_text", "whisk"))

        assert spans(merged) == [(0, 6, "whisk")]

    def test_a_pause_of_one_sampling_interval_is_bridged_and_a_longer_one_is_not(self) -> None:
        merged = timeline(
            Observation(0, 2, "screen_text", "Whisk"),
            Observation(4, 6, "screen_text", "Whisk"),
            Observation(8.1, 10, "screen_text", "Whisk"),
        )

        assert spans(merged) == [(0, 6, "Whisk"), (8.1, 10, "Whisk")]

    def test_the_same_words_in_another_modality_or_language_stay_apart(self) -> None:
        merged = timeline(
            Observation(0, 2, "screen_text", "Salt"),
            Observation(0, 2, "speech", "Salt"),
            Observation(0, 2, "subtitle", "Salt", language="en"),
            Observation(0, 2, "subtitle", "Salt", language="sv"),
        )

        assert len(merged) == 4

    def test_a_repeat_keeps_the_better_score(self) -> None:
        merged = timeline(
            Observation(0, 2, "tag", "egg", score=0.4),
            Observation(2, 4, "tag", "egg", score=0.9),
            Observation(4, 6, "tag", "egg"),
        )

        assert [one.score for one in merged] == [0.9]

    def test_scenes_that_follow_one_another_stay_apart(self) -> None:
        merged = timeline(
            Observation(0, 5, "scene", "Scene from 00:00"), Observation(5, 9, "scene", "Scene from 00:05")
        )

        assert [(one.start, one.end) for one in merged] == [(0, 5), (5, 9)]

    def test_scenes_that_overlap_are_one(self) -> None:
        merged = timeline(
            Observation(0, 5, "scene", "Scene from 00:00"), Observation(4, 9, "scene", "Scene from 00:04")
        )

        assert [(one.start, one.end) for one in merged] == [(0, 9)]

    def test_scenes_of_no_length_that_say_the_same_are_one(self) -> None:
        merged = timeline(Observation(0, 0, "scene", "whisk "), Observation(0, 0, "scene", "whisk "))

        assert spans(merged) == [(0, 0, "whisk")]

    def test_lines_that_start_together_stay_in_the_order_of_reading(self) -> None:
        merged = timeline(Observation(3, 5, "screen_text", "You need"), Observation(3, 5, "screen_text", "2 eggs"))

        assert [one.text for one in merged] == ["You need", "2 eggs"]

    @given(REPEATING)
    def test_merging_twice_changes_nothing(self, seen: list[Observation]) -> None:
        once = timeline(*seen)

        assert timeline(*once) == once

    @given(REPEATING)
    def test_observations_are_in_the_order_of_their_starts(self, seen: list[Observation]) -> None:
        starts = [one.start for one in timeline(*seen)]

        assert starts == sorted(starts)

    @given(REPEATING)
    def test_no_time_is_lost(self, seen: list[Observation]) -> None:
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
    def test_keeps_what_holds_at_some_time_of_the_stretch(
        self, start: float | None, end: float | None, expected: list[str]
    ) -> None:
        assert [one.text for one in self.STEPS.slice(start, end)] == expected

    def test_keeps_the_modalities_asked_for(self) -> None:
        assert [one.text for one in self.STEPS.slice(modalities=["speech", "tag"])] == ["Gently", "egg"]

    def test_leaves_the_timeline_as_it_is(self) -> None:
        self.STEPS.slice(3, 4)

        assert len(self.STEPS) == 4

    def test_refuses_an_end_before_the_start(self) -> None:
        with pytest.raises(InputError, match="2 lies before start, 3"):
            self.STEPS.slice(3, 2)

    @given(st.lists(observations(), max_size=8), SECONDS)
    def test_two_halves_hold_everything(self, seen: list[Observation], middle: float) -> None:
        whole = timeline(*seen)

        assert set(whole.slice(end=middle)) | set(whole.slice(start=middle)) == set(whole)


class TestMoments:
    def test_are_cut_at_scenes(self) -> None:
        moments = timeline(
            Observation(0, 12, "scene", "Scene from 00:00"),
            Observation(12, 60, "scene", "Scene from 00:12"),
            Observation(0, 12, "screen_text", "Whisk"),
            Observation(12, 40, "screen_text", "Fold"),
        ).moments(moment_seconds=100)

        assert [(one.start, one.end) for one in moments] == [(0, 12), (12, 60)]

    def test_long_scenes_are_cut_into_equal_parts(self) -> None:
        moments = timeline(Observation(0, 60, "speech", "Gently")).moments(moment_seconds=25)

        assert [(one.start, one.end) for one in moments] == [(0, 20), (20, 40), (40, 60)]

    def test_have_all_modalities_in_one_text_but_not_the_scene(self) -> None:
        [moment] = timeline(
            Observation(0, 60, "scene", "Scene from 00:00"),
            Observation(0, 4, "screen_text", "Whisk 2 eggs"),
            Observation(5, 9, "screen_text", "Fold"),
            Observation(2, 6, "speech", "Be gentle"),
            Observation(20, 22, "screen_text", "Whisk 2 eggs"),
        ).moments(moment_seconds=60)

        assert moment.text == "two eggs\nSpeech: Be gentle\nOn screen: Whisk 2 eggs; Fold"
        assert moment.modalities == ["speech", "screen_text", "scene"]

    def test_without_anything_observed_are_left_out(self) -> None:
        moments = timeline(Observation(50, 55, "speech", "Done")).moments(moment_seconds=20)

        assert [(one.start, one.end) for one in moments] == [(40, 60)]

    @given(st.lists(observations(), max_size=12), st.floats(1, 50))
    def test_follow_one_another_and_are_no_longer_than_asked(self, seen: list[Observation], longest: float) -> None:
        moments = timeline(*seen).moments(longest)

        assert all(0 < one.end - one.start <= longest + 1e-5 for one in moments)
        assert all(earlier.end <= later.start for earlier, later in pairwise(moments))

    @given(st.lists(observations(), max_size=12), st.floats(1, 50))
    def test_every_observation_is_in_all_moments_that_it_overlaps(
        self, seen: list[Observation], longest: float
    ) -> None:
        whole = timeline(*seen)
        moments = whole.moments(longest)

        for one in whole:
            inside = [moment for moment in moments if one in moment.observations]
            assert inside[0].start <= one.start
            assert inside[-1].end >= one.end
            assert all(earlier.end == later.start for earlier, later in pairwise(inside))

    @given(st.lists(observations(), max_size=12))
    def test_no_moment_holds_a_cut(self, seen: list[Observation]) -> None:
        whole = timeline(*seen)
        cuts = [one.start for one in whole if one.modality == "scene"]

        assert not [cut for cut in cuts for moment in whole.moments() if moment.start < cut < moment.end]

    def test_a_video_without_length_is_one_moment(self) -> None:
        photo = replace(VIDEO, duration=0.0)

        [moment] = timeline(Observation(0, 0, "screen_text", "Menu"), video=photo).moments()

        assert (moment.start, moment.end) == (0, 0)


class TestPrompt:
    def test_is_in_the_order_of_table_1(self) -> None:
        prompt = timeline(*(Observation(0, 1, modality, f"a {modality}") for modality in MODALITIES)).to_prompt()

        of_the_paper = ["a tag", "a caption", "a region", "a summary"]
        ours = ["a action", "a object", "a speech", "a subtitle", "a screen_text"]
        assert re.findall(r"a \w+$", prompt, re.MULTILINE) == of_the_paper + ours
        assert prompt.endswith("Scenes:\n00:00-00:01")

    def test_names_the_video_and_tells_when_each_line_holds(self) -> None:
        prompt = timeline(
            Observation(4, 7.9, "screen_text", "Fold {gently}"), Observation(0, 4, "screen_text", "Whisk")
        ).to_prompt()

        assert prompt == "two eggs (01:00)\n\nOn screen:\n00:00-00:04 Whisk\n00:04-00:07 Fold {gently}"

    def test_of_nothing_is_the_title(self) -> None:
        assert timeline().to_prompt() == "two eggs (01:00)"

    @pytest.mark.parametrize(
        ("seconds", "clock"), [(0, "00:00"), (59.999, "00:59"), (3599, "59:59"), (36000, "10:00:00")]
    )
    def test_times_are_written_as_on_a_player(self, seconds: float, clock: str) -> None:
        assert format_timecode(seconds) == clock


class TestWebVTT:
    def test_a_cue_names_its_modality(self) -> None:
        written = timeline(Observation(3661.5, 3662.25, "speech", "salt & pepper < 5 g")).to_webvtt()

        assert written == ("WEBVTT\n\n01:01:01.500 --> 01:01:02.250\n<v speech>salt &amp; pepper &lt; 5 g\n")

    @given(st.lists(observations(), max_size=8))
    def test_is_read_by_others_with_the_same_times(self, seen: list[Observation]) -> None:
        """Also where text looks like markup, like a cue's time, or has line breaks."""
        whole = Timeline(VIDEO, "c0ffee", tuple(sorted(seen, key=lambda one: one.start)))

        cues = pysubs2.SSAFile.from_string(whole.to_webvtt(), format_="vtt")

        assert len(cues) == len(whole)
        for one, cue in zip(whole, cues, strict=True):
            assert abs(cue.start - one.start * 1000) <= 1
            assert abs(cue.end - one.end * 1000) <= 1.5
            assert cue.start < cue.end

    @pytest.mark.parametrize("text", ["a\n\nb", "00:01.000 --> 00:02.000", "NOTE\n\nx", "a\r\n\r\nb", "x\u2028\u2028y"])
    def test_text_cannot_begin_another_cue(self, text: str) -> None:
        written = Timeline(VIDEO, "c0ffee", (Observation(1, 2, "speech", text),)).to_webvtt()

        assert written.count("-->") == 1
        assert len(written.splitlines()) == 4


VALID = timeline(Observation(1, 2, "speech", "salt", 0.5, (0, 0, 1, 1), "en", "whisper")).to_json()


class TestJson:
    @given(st.lists(observations(), max_size=8), ANY_TEXT, SECONDS, st.none() | SECONDS)
    def test_reads_back_what_was_written(
        self, seen: list[Observation], title: str, duration: float, rate: float | None
    ) -> None:
        video = replace(VIDEO, title=title, duration=duration, frame_rate=rate)
        whole = Timeline(video, "c0ffee", tuple(seen))

        assert Timeline.from_json(whole.to_json()) == whole

    @given(st.text())
    def test_other_text_is_an_input_error(self, text: str) -> None:
        with pytest.raises(InputError):
            Timeline.from_json(text)

    JSON = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    )

    @given(JSON)
    def test_other_json_is_an_input_error(self, record: object) -> None:
        with pytest.raises(InputError):
            Timeline.from_json(json.dumps(record))

    @given(st.sampled_from(["start", "end", "modality", "text", "score", "box", "language", "source"]), JSON)
    def test_a_field_of_the_wrong_type_is_an_input_error_or_fits(self, field: str, value: object) -> None:
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
    def test_a_wrong_record_is_an_input_error(self, text: str) -> None:
        assert text != VALID

        with pytest.raises(InputError, match="no timeline in JSON"):
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
        }

    def test_what_is_unknown_is_absent(self) -> None:
        [document] = timeline(Observation(3, 7, "screen_text", "Whisk")).to_documents()

        assert set(document.metadata) == {"source", "video_id", "start", "end", "modality", "citation", "title"}

    def test_a_moment_lists_its_modalities(self) -> None:
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


def assert_media_fragment(address: str) -> None:
    """Check the temporal dimension of W3C Media Fragments 1.0: the end, where there is one, lies after the start."""
    match = NORMAL_PLAY_TIME.fullmatch(urlsplit(address).fragment)
    assert match, address
    start, end = match.groups()
    assert end is None or float(start) < float(end), address


class TestCitation:
    @pytest.mark.parametrize("name", ["a b.mp4", "a#t=1.mp4", "50%.mp4", "what?.mp4", "übung.mp4", "a&b;c,d.mp4"])
    def test_leads_back_to_the_file_whatever_its_name(self, name: str, tmp_path: Path) -> None:
        parts = urlsplit(citation(str(tmp_path / name), 3, 7.25))

        assert (parts.scheme, unquote(parts.path), parts.fragment) == ("file", str(tmp_path / name), "t=3,7.25")

    def test_addresses_stay_as_they_are(self) -> None:
        assert citation("https://example.org/a.mp4?k=1", 0, 7) == "https://example.org/a.mp4?k=1#t=0,7"

    @given(SECONDS, SECONDS)
    def test_is_a_media_fragment(self, one: float, other: float) -> None:
        assert_media_fragment(citation("/films/a.mp4", min(one, other), max(one, other)))
