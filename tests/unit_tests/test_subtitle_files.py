"""SubRip and SubStation Alpha files, as they are found: edited by hand, converted, cut and damaged."""

# ruff: noqa: RUF001 - texts in many scripts

import random
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.subtitled_video import contents, make_plain_video, read_beside, spoken

GOOD = "1\n00:00:01,000 --> 00:00:02,000\nGood one\n\n2\n00:00:03,000 --> 00:00:04,000\nGood two\n\n"
GOOD_CUES = [(1.0, 2.0, "Good one"), (3.0, 4.0, "Good two")]

ASS_HEADER = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,20

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_plain_video(tmp_path_factory.mktemp("film") / "talk.mp4")


class TestTimes:
    @pytest.mark.parametrize(
        ("timing", "start", "end"),
        [
            ("00:00:05,000 --> 00:00:06,500", 5, 6.5),
            ("00:00:05.000 --> 00:00:06.500", 5, 6.5),
            ("00:00:05 --> 00:00:06", 5, 6),
            ("0:00:05,5 --> 0:00:06,25", 5.5, 6.25),
            ("00:05,000 --> 00:06,500", 5, 6.5),
            ("00:00:05, 000 -> 00:00:06, 500", 5, 6.5),
            ("00 : 00 : 05,000 -- > 00:00:06,500", 5, 6.5),
            ("00:00:05,000 \u2192 00:00:06,500", 5, 6.5),
            ("00:00:05,000 --&gt; 00:00:06,500", 5, 6.5),
            ("00:00:05,000 -?> 00:00:06,500", 5, 6.5),
            ("00:00:05,000-->00:00:06,500", 5, 6.5),
            ("  00:00:05:000 --> 00:00:06:500  ", 5, 6.5),
            ("00:00:05,000 --> 00:00:06,500 X1:040 X2:600 Y1:020 Y2:050", 5, 6.5),
            ("00:00:05,000 --> 00:00:06,500 position:50% line:0", 5, 6.5),
            ("3 00:00:05,000 --> 00:00:06,500", 5, 6.5),
        ],
    )
    def test_spellings(self, timing: str, start: float, end: float, video: Path) -> None:
        cues, problems = read_beside(video, "talk.srt", f"{GOOD}3\n{timing}\ntext\n\n")
        assert (contents(cues), problems) == ([*GOOD_CUES, (start, end, "text")], [])

    def test_hours(self, video: Path) -> None:
        cues, _ = read_beside(video, "talk.srt", f"{GOOD}3\n1:02:03,4 --> 1:02:04\ntext\n")
        assert contents(cues)[-1] == (3723.4, 3724, "text")

    @pytest.mark.parametrize(
        ("timing", "problem"),
        [
            ("00:00:05,500 --> 00:00:04,000", "1 cue ends before it starts"),
            ("00:00:0x,000 --> 00:00:04,000", "1 cue has no valid time"),
            ("--> 00:00:04,000", "1 cue has no valid time"),
        ],
    )
    def test_damaged_times_cost_one_cue(self, timing: str, problem: str, video: Path) -> None:
        bad = f"3\n{timing}\nbad\n\n"
        assert read_beside(video, "talk.srt", GOOD + bad) == (
            read_beside(video, "talk.srt", GOOD)[0],
            [f"talk.srt: {problem}"],
        )
        cues, problems = read_beside(video, "talk.srt", bad + GOOD)
        assert (contents(cues), problems) == (GOOD_CUES, [f"talk.srt: {problem}"])

    def test_problems_are_counted(self, video: Path) -> None:
        bad = "00:00:05,500 --> 00:00:04,000\nbad\n\n00:00:09,500 --> 00:00:04,000\nbad\n\n"
        assert read_beside(video, "talk.srt", GOOD + bad)[1] == ["talk.srt: 2 cues end before they start"]

    def test_negative_times(self, video: Path) -> None:
        early = "0\n-00:00:02,000 --> -00:00:01,000\nnever\n\n0\n-00:00:01,000 --> 00:00:00,500\nfirst\n\n"
        cues, problems = read_beside(video, "talk.srt", early + GOOD)
        assert contents(cues) == [(0.0, 0.5, "first"), *GOOD_CUES]
        assert problems == ["talk.srt: 2 cues start before the video"]

    @pytest.mark.parametrize("end", ["00:00:05,000", ""])
    def test_cues_without_duration_last_until_the_next(self, end: str, video: Path) -> None:
        endless = f"3\n00:00:05,000 --> {end}\nflash\n\n4\n00:00:07,000 --> 00:00:08,000\nnext\n\n"
        last = f"5\n00:00:10,000 --> {end.replace('05', '10')}\nlast"
        cues, problems = read_beside(video, "talk.srt", GOOD + endless + last)
        assert contents(cues)[2:] == [(5.0, 7.0, "flash"), (7.0, 8.0, "next"), (10.0, 15.0, "last")]
        assert problems == ["talk.srt: 2 cues have no duration"]

    def test_order_and_overlaps(self, video: Path) -> None:
        first, second, _ = GOOD.split("\n\n")
        overlapping = "3\n00:00:01,500 --> 00:00:09,000\nlong\n\n"
        cues, problems = read_beside(video, "talk.srt", f"{overlapping}{second}\n\n{first}\n\n")
        assert contents(cues) == [GOOD_CUES[0], (1.5, 9.0, "long"), GOOD_CUES[1]]
        assert problems == []


class TestBlocks:
    @pytest.mark.parametrize(
        "text",
        [
            GOOD,
            GOOD.strip(),
            GOOD.replace("\n\n", "\n"),
            GOOD.replace("\n", "\n\n"),
            GOOD.replace("\n", "\r\r\n"),
            GOOD.replace("\n", "\r\n"),
            GOOD.replace("\n", "\r"),
            GOOD.replace("1\n", "").replace("2\n", ""),
            GOOD.replace("1\n", "7\n").replace("2\n", "7\n"),
            "\ufeff" + GOOD,
            "\n \n" + GOOD + "\n\n\n",
            GOOD.replace("Good one", "Good one   ").replace("\n\n", "\n \t\n"),
            GOOD.replace("Good one", "Good\none"),
            GOOD.replace("Good one", "\nGood\n\none\n"),
        ],
    )
    def test_numbers_and_empty_lines_do_not_matter(self, text: str, video: Path) -> None:
        cues, problems = read_beside(video, "talk.srt", text.encode())
        assert (contents(cues), problems) == (GOOD_CUES, [])

    def test_numbers_that_are_text(self, video: Path) -> None:
        text = GOOD.replace("Good one", "The answer is\n42") + "3\n00:00:05,000 --> 00:00:06,000\n12\n\n"
        last = "4\n00:00:07,000 --> 00:00:08,000\nand\n42"
        cues, problems = read_beside(video, "talk.srt", text + last)
        assert [cue.text for cue in cues] == ["The answer is 42", "Good two", "12", "and 42"]
        assert problems == []
        unnumbered = "00:00:01,000 --> 00:00:02,000\n1984\n\n00:00:03,000 --> 00:00:04,000\nis\n42\n\n"
        cues, problems = read_beside(video, "talk.srt", unnumbered + unnumbered.replace("01", "05"))
        assert {cue.text for cue in cues} == {"1984", "is 42"}

    def test_text_with_arrows_and_times(self, video: Path) -> None:
        text = GOOD.replace("Good one", "a --> b\nfrom 10:00 to 11:00\n10:30 is --> the break")
        cues, problems = read_beside(video, "talk.srt", text)
        assert contents(cues)[0] == (1.0, 2.0, "a --> b from 10:00 to 11:00 10:30 is --> the break")
        assert problems == []

    def test_text_beside_the_times(self, video: Path) -> None:
        cues, problems = read_beside(video, "talk.srt", "00:00:01,000 --> 00:00:02,000 Good\none")
        assert (contents(cues), problems) == ([(1.0, 2.0, "Good one")], [])

    @pytest.mark.parametrize("content", ["", "\n", "\ufeff"])
    def test_empty_files(self, content: str, video: Path) -> None:
        assert read_beside(video, "talk.srt", content) == ([], [])

    def test_files_without_subtitles_are_reported(self, video: Path) -> None:
        expected = ["talk.srt: cannot be read (no subtitles found)"]
        assert read_beside(video, "talk.srt", "Dear diary") == ([], expected)


class TestText:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("{\\an8}<i>Tom</i> &amp; <font color=\"#fff\">Jerry</font>", "Tom & Jerry"),
            ("{y:i}one<br>{C:$0000FF}two<BR />three", "one two three"),
            ("a dict {x: 1} and vector<int>", "a dict {x: 1} and vector<int>"),
            ("2 < 3 and <laughs> &lt;b&gt;", "2 < 3 and <laughs> <b>"),
            ("<c.yellow>so <00:00:01.500>far</c>", "so far"),
            ("- Who?\n- ADA: me", "- Who? - ADA: me"),
            ("\u202b\u200fשלום, עולם!\u202c", "שלום, עולם!"),
            ("non\u00a0breaking", "non breaking"),
            ("می\u200cخواهم", "می\u200cخواهم"),
        ],
    )  # fmt: skip
    def test_markup(self, text: str, expected: str, video: Path) -> None:
        cues, problems = read_beside(video, "talk.srt", GOOD.replace("Good one", text))
        assert (cues[0].text, cues[0].speaker, problems) == (expected, None, [])

    def test_the_content_decides_about_the_format(self, video: Path) -> None:
        assert contents(read_beside(video, "talk.vtt", GOOD)[0]) == GOOD_CUES
        assert contents(read_beside(video, "talk.ass", GOOD)[0]) == GOOD_CUES
        webvtt = "WEBVTT\n\nNOTE no\n\n00:01.000 --> 00:02.000\n<v Ada>Good one"
        assert spoken(read_beside(video, "talk.srt", webvtt)[0]) == [("Ada", "Good one")]


class TestSubStation:
    def test_actors_are_speakers(self, video: Path) -> None:
        events = (
            "Dialogue: 0,0:00:01.00,0:00:02.00,Default,Ada Lovelace,0,0,0,,Hello, {\\i1}you{\\i0}\\Nthere\n"
            "Dialogue: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,{\\p1}m 0 0 l 9 9{\\p0}{note}Who\\his it?\n"
            "Comment: 0,0:00:05.00,0:00:06.00,Default,,0,0,0,,not shown\n"
        )
        cues, problems = read_beside(video, "talk.ass", ASS_HEADER + events)
        assert spoken(cues) == [("Ada Lovelace", "Hello, you there"), (None, "Who is it?")]
        assert contents(cues)[1][:2] == (3.0, 4.0)
        assert problems == []

    @pytest.mark.parametrize(
        ("line", "problem"),
        [
            ("Dialogue: 0,xx,0:00:02.00,Default,,0,0,0,,bad", "1 cue has no valid time"),
            ("Dialogue: 0,0:00:01.00", "1 cue has no valid time"),
            ("Dialogue: 0,0:00:06.00,0:00:05.00,Default,,0,0,0,,bad", "1 cue ends before it starts"),
            ("Dialogue: z,0:00:01.00,0:00:02.00,,,a,,b,,{\\i1}", None),
            ("garbage", None),
        ],
    )
    def test_damaged_events_cost_one_cue(self, line: str, problem: str | None, video: Path) -> None:
        good = "Dialogue: 0,0:00:01.00,0:00:02.50,Default,,0,0,0,,Good one\n"
        cues, problems = read_beside(video, "talk.ass", f"{ASS_HEADER}{good}{line}\n{good.replace('01', '02')}")
        assert contents(cues) == [(1.0, 2.5, "Good one"), (2.0, 2.5, "Good one")]
        assert problems == ([f"talk.ass: {problem}"] if problem else [])

    def test_other_fields(self, video: Path) -> None:
        text = "[Events]\r\nFormat: Marked, End, Start, Text\r\nDialogue: Marked=0,0:00:02.5,0:00:01,Hi, there\r\n"
        assert contents(read_beside(video, "talk.ssa", text)[0]) == [(1.0, 2.5, "Hi, there")]


class TestTapes:
    @pytest.mark.parametrize("hour", [1, 10, 23])
    def test_files_that_start_at_a_full_hour(self, hour: int, video: Path) -> None:
        cues, problems = read_beside(video, "talk.srt", GOOD.replace("00:00:", f"{hour:02}:00:"))
        assert (contents(cues), problems) == (GOOD_CUES, [f"talk.srt: starts at {hour}:00:00, which was subtracted"])

    def test_one_late_cue_is_late(self, video: Path) -> None:
        late = "3\n10:00:01,000 --> 10:00:02,000\nlate\n\n"
        cues, problems = read_beside(video, "talk.srt", GOOD + late)
        assert (contents(cues), problems) == ([*GOOD_CUES, (36001.0, 36002.0, "late")], [])

    def test_cues_that_fit_nowhere_stay(self, video: Path) -> None:
        cues, problems = read_beside(video, "talk.srt", GOOD.replace("00:00:", "10:30:"))
        assert (contents(cues)[0], problems) == ((37801.0, 37802.0, "Good one"), [])


def test_files_that_cannot_be_read_are_reported(video: Path) -> None:
    large = b"1\n" * (8 * 1024**2 + 1)
    expected = ["talk.srt: cannot be read (16,777,218 bytes are over the limit of 16,777,216)"]
    assert read_beside(video, "talk.srt", large) == ([], expected)


@pytest.mark.parametrize(
    "junk",
    [random.Random(0).randbytes(2**20), b"-" * 2**20, b"-->\n" * 2**18, b"{\\" * 2**19, b"<i " * 2**18, b"1:" * 2**19,
     b"\n" * 2**20, b"1\n" * 2**19, b"00:00:01 --> 00:00:02 " + b"a:xa:x " * 2**17 + b"!",
     b"[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,,,,,,," + b"{\\i1}" * 2**17],
    ids=lambda junk: repr(junk[:8]),
)  # fmt: skip
@pytest.mark.parametrize("prefix", [b"", b"WEBVTT\n\n"])
def test_junk_takes_linear_time(prefix: bytes, junk: bytes, video: Path) -> None:
    begin = time.process_time()
    read_beside(video, "talk.srt", prefix + junk)
    assert time.process_time() - begin < 5.0


SENTENCES = [f"{word} sentence" for word in ("First", "Second", "Third", "Fourth", "Fifth", "Sixth")]
SUBRIP_CUES = [
    f"{n + 1}\n00:00:{3 * n + 1:02},000 --> 00:00:{3 * n + 3:02},000\n{text}" for n, text in enumerate(SENTENCES)
]
WEBVTT_CUES = [cue.replace(",", ".") for cue in SUBRIP_CUES]
ASS_CUES = [
    f"Dialogue: 0,0:00:{3 * n + 1:02}.00,0:00:{3 * n + 3:02}.00,,,0,0,0,,{text}" for n, text in enumerate(SENTENCES)
]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    form=st.sampled_from([("srt", "", SUBRIP_CUES), ("vtt", "WEBVTT\n\n", WEBVTT_CUES), ("ass", ASS_HEADER, ASS_CUES)]),
    victim=st.integers(0, 5),
    position=st.integers(0, 60),
    deleted=st.integers(0, 5),
    inserted=st.text(max_size=4).map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=4),
)
def test_a_damaged_cue_costs_no_other(
    form: tuple[str, str, list[str]], victim: int, position: int, deleted: int, inserted: bytes, video: Path
) -> None:
    suffix, header, cues = form
    texts = [cue.encode() for cue in cues]
    texts[victim] = texts[victim][:position] + inserted + texts[victim][position + deleted :]
    content = header.encode() + b"\n\n".join(texts) + b"\n"
    found, _ = read_beside(video, f"talk.{suffix}", content)
    kept = {(cue.start, cue.end): cue.text for cue in found}
    for number in {0, 1, 2, 3, 4, 5} - {victim}:
        # What is left of a damaged cue may be appended to the one before.
        assert kept[3 * number + 1.0, 3 * number + 3.0].startswith(SENTENCES[number])
