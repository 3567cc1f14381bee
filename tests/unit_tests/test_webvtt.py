"""WebVTT files. The cases named after the W3C follow its tests (web-platform-tests, webvtt/parsing)."""

from pathlib import Path

import pytest

from tests.subtitled_video import contents, make_plain_video, read_beside, spoken

TEAMS = """WEBVTT

0eae5f9e-5e1a-4a5e-9b2c-1f0b1c0f8a1d/14-0
00:00:01.500 --> 00:00:03.120
<v Smith, John>Good morning everyone.</v>

0eae5f9e-5e1a-4a5e-9b2c-1f0b1c0f8a1d/14-1
00:00:03.120 --> 00:00:06.000
<v Smith, John>The budget is forty
thousand euros.</v>

0eae5f9e-5e1a-4a5e-9b2c-1f0b1c0f8a1d/15-0
00:00:07.000 --> 00:00:09.000
<v Ada>I disagree.</v>
"""

ZOOM = """WEBVTT

1
00:00:01.000 --> 00:00:02.500
Ada Lovelace: Shall we start?

2
00:00:03.000 --> 00:00:04.000
Grace Hopper: Yes.
"""

STREAMING = """WEBVTT

NOTE Profile: webvtt-lssdh
NOTE
Date: 2015/11/11

STYLE
::cue(.white) { color: white }

REGION
id:top
width:80%
lines:3
regionanchor:50%,0%
viewportanchor:50%,10%
scroll:up

NOTE SegmentIndex
NOTE Position=392,Duration=500.500

1
00:00:01.000 --> 00:00:02.000 region:top position:50.00%,middle align:middle size:80.00% line:84.66%
<c.white.bg_black><b>[door slams]</b></c>

2
00:00:03.000 --> 00:00:04.000 position:10.00%,start align:start size:80.00% line:79.33%
<c.white>Where were you&nbsp;&lrm;last &lt;night&gt;?</c>
"""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_plain_video(tmp_path_factory.mktemp("film") / "talk.mp4")


def test_transcripts_of_meetings_keep_who_speaks(video: Path) -> None:
    cues, problems = read_beside(video, "talk.vtt", TEAMS)
    assert spoken(cues) == [
        ("Smith, John", "Good morning everyone."),
        ("Smith, John", "The budget is forty thousand euros."),
        ("Ada", "I disagree."),
    ]
    assert contents(cues)[0][:2] == (1.5, 3.12)
    assert problems == []
    cues, problems = read_beside(video, "talk.vtt", ZOOM)
    assert spoken(cues) == [(None, "Ada Lovelace: Shall we start?"), (None, "Grace Hopper: Yes.")]
    assert problems == []


def test_notes_styles_regions_and_settings_are_not_speech(video: Path) -> None:
    cues, problems = read_beside(video, "talk.vtt", STREAMING)
    assert contents(cues) == [(1.0, 2.0, "[door slams]"), (3.0, 4.0, "Where were you last <night>?")]
    assert problems == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<v Ada>Hi</v> <v Bob>Ho</v>", [("Ada", "Hi"), ("Bob", "Ho")]),
        ("<v Ada>Hi\n<v Bob>Ho", [("Ada", "Hi"), ("Bob", "Ho")]),
        ("<v Ada>Hi <v Bob>ho</v> hi</v> (ha)", [("Ada", "Hi"), ("Bob", "ho"), ("Ada", "hi"), (None, "(ha)")]),
        ("<v.first.loud Ada  King>Hi", [("Ada King", "Hi")]),
        ("<v O&apos;Hara &amp; Co>Hi", [("O'Hara & Co", "Hi")]),
        ("<v>Hi</v>", [(None, "Hi")]),
        ("<v\tAda>Hi</v>", [("Ada", "Hi")]),
        ("<v Ada>One</v>\n<v Ada>two</v>", [("Ada", "One two")]),
        ("<video>Hi</video>", [(None, "Hi")]),
    ],
)  # fmt: skip
def test_voices(text: str, expected: list[tuple[str | None, str]], video: Path) -> None:
    cues, problems = read_beside(video, "talk.vtt", f"WEBVTT\n\n00:01.000 --> 00:02.000\n{text}\n")
    assert spoken(cues) == expected
    assert {(cue.start, cue.end) for cue in cues} == {(1.0, 2.0)}
    assert problems == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("<ruby>漢<rt>kan</rt>字<rt>ji</rt></ruby>", "漢kan字ji"),
        ("<lang en>over</lang> and <u>out", "over and out"),
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2 &amp", "1 < 2 && 3 > 2 &"),
        ("a & b &; &1", "a & b &; &1"),
        ("so <00:00:01.500><c>far</c>", "so far"),
        ("unfinished <i", "unfinished"),
        ("\ufffd kept", "\ufffd kept"),
    ],
)
def test_text(text: str, expected: str, video: Path) -> None:
    cues, problems = read_beside(video, "talk.vtt", f"WEBVTT\n\n00:01.000 --> 00:02.000\n{text}\n")
    assert ([cue.text for cue in cues], problems) == ([expected], [])


class TestW3C:
    @pytest.mark.parametrize(
        "header",
        ["WEBVTT", "WEBVTT ", "WEBVTT\t", "WEBVTT a talk", "\ufeffWEBVTT", "WEBVTT 00:00.000 --> 00:01.000",
         "WEBVTT\nX: 1\ny"],
    )  # fmt: skip
    def test_headers(self, header: str, video: Path) -> None:
        cues, problems = read_beside(video, "talk.vtt", f"{header}\n\n00:01.000 --> 00:02.000\ntext\n")
        assert (contents(cues), problems) == ([(1.0, 2.0, "text")], [])

    @pytest.mark.parametrize(
        "header", ["WEBVTT", "WEBVTT\n", "WEBVTT\n\n", "\ufeffWEBVTT\n\nNOTE nothing", "WEBVTT\n\n00:00"]
    )
    def test_files_without_cues(self, header: str, video: Path) -> None:
        assert read_beside(video, "talk.vtt", header) == ([], [])

    def test_a_cue_may_follow_the_header_at_once(self, video: Path) -> None:
        cues, _ = read_beside(video, "talk.vtt", "WEBVTT\n00:01.000 --> 00:02.000\ntext\n")
        assert contents(cues) == [(1.0, 2.0, "text")]

    @pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\r\r\n"])
    def test_line_breaks(self, newline: str, video: Path) -> None:
        text = "WEBVTT\n\nid\n00:01.000 --> 00:02.000\ntwo\nlines\n\nid\n00:03.000 --> 00:04.000\ntext"
        cues, problems = read_beside(video, "talk.vtt", text.replace("\n", newline).encode())
        assert (contents(cues), problems) == ([(1.0, 2.0, "two lines"), (3.0, 4.0, "text")], [])

    @pytest.mark.parametrize("cue_id", [" leading", "trailing ", "-- >", "->", " ", "1", "NOTE", "\ufffd"])
    def test_ids(self, cue_id: str, video: Path) -> None:
        cues, problems = read_beside(video, "talk.vtt", f"WEBVTT\n\n{cue_id}\n00:01.000 --> 00:02.000\ntext\n")
        assert (contents(cues), problems) == ([(1.0, 2.0, "text")], [])

    @pytest.mark.parametrize("arrow", ["-->", "foo-->", "-->foo", "--->", "-->-->"])
    def test_a_line_with_an_arrow_begins_a_cue(self, arrow: str, video: Path) -> None:
        before, after = "00:01.000 --> 00:02.000\ntext1", "00:03.000 --> 00:04.000\ntext2"
        cues, problems = read_beside(video, "talk.vtt", f"WEBVTT\n\n{before}\n{arrow}\n{after}\n")
        assert contents(cues) == [(1.0, 2.0, "text1"), (3.0, 4.0, "text2")]
        assert problems == ["talk.vtt: 1 cue has no valid time"]

    @pytest.mark.parametrize(
        ("timing", "start", "end"),
        [
            ("00:00.000 --> 00:00:01.000", 0, 1),
            ("00:00:00.000 --> 00:01.000", 0, 1),
            ("0:00:00.000 --> 0:00:01.000", 0, 1),
            ("000:00:00.000 --> 00:00:01.000", 0, 1),
            ("60:00:00.000 --> 60:00:01.000", 216_000, 216_001),
            ("   00:00:00.000    -->  00:00:01.000 ", 0, 1),
            ("\t\t00:00:00.000\t-->\t00:00:01.000\t", 0, 1),
            ("\f00:00:00.000\f-->\f00:00:01.000\f", 0, 1),
            ("00:00:00.000-->00:00:01.000", 0, 1),
            ("00:00:00.000 --> 00:00:01.000align:end", 0, 1),
        ],
    )
    def test_valid_times(self, timing: str, start: float, end: float, video: Path) -> None:
        early = "00:00:00.000 --> 00:00:00.500\nfirst"  # keeps late cues from being taken for those of a tape
        cues, problems = read_beside(video, "talk.vtt", f"WEBVTT\n\n{early}\n\n{timing}\ntext\n")
        assert (contents(cues)[1:], problems) == ([(start, end, "text")], [])

    @pytest.mark.parametrize(
        "timing",
        [
            *("00:60.000 --> 01:00.000", "00:00:60.000 --> 01:00:00.000", "00:60:00.000 --> 01:00:00.000"),
            *("00::00:00.000 --> 00:00:01.000", "00:000:00.000 --> 00:00:01.000", "00:00:00.0000 --> 00:00:01.000"),
            *("00:00:00..000 --> 00:00:01.000", "000:00.000 --> 00:01.000", "00:0:00.000 --> 00:00:01.000"),
            *("00:00:00.00 --> 00:00:01.000", "00:00:00 --> 00:00:01.000", "0:00.000 --> 00:01.000", "00 --> 01"),
            *("x00:00:00.000 --> 00:00:01.000", "00:00:00.000 -a -->", "00:00:00.000 --> 00:00:01.00", "-->"),
            *("\v00:00:00.000 --> 00:00:01.000", "00:00:00.000 \0--> 00:00:01.000", "-1:00:00.000 --> 00:00:01.000"),
        ],
    )
    def test_invalid_times(self, timing: str, video: Path) -> None:
        cues, problems = read_beside(
            video, "talk.vtt", f"WEBVTT\n\n{timing}\ninvalid\n\n00:03.000 --> 00:04.000\ntext\n"
        )
        assert contents(cues) == [(3.0, 4.0, "text")]
        assert problems == ["talk.vtt: 1 cue has no valid time"]


def test_cues_that_browsers_refuse_are_kept_where_their_times_are_clear(video: Path) -> None:
    cues, problems = read_beside(video, "talk.vtt", "\n webvtt\n\nid\n00:00:01,000 --> 00:00:02,000\ntext\n")
    assert (contents(cues), problems) == ([(1.0, 2.0, "text")], [])
    cues, problems = read_beside(video, "talk.vtt", "1\n00:00:01.000 --> 00:00:02.000\ntext\n")
    assert (contents(cues), problems) == ([(1.0, 2.0, "text")], [])
