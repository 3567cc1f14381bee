"""Captions that repeat each line, such as those that YouTube generates."""

from pathlib import Path

import pytest

from langchain_videochat.media import read_subtitles
from tests.media_files import run_ffmpeg
from tests.subtitled_video import contents, make_plain_video, read_beside

# As YouTube writes them: each line grows word by word, is displayed alone for a hundredth of a second, and moves up.
YOUTUBE = """WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:02.550 align:start position:0%
 
hello<00:00:00.480><c> everyone</c><00:00:00.880><c> welcome</c>

00:00:02.550 --> 00:00:02.560 align:start position:0%
hello everyone welcome
 

00:00:02.560 --> 00:00:05.000 align:start position:0%
hello everyone welcome
to<00:00:02.800><c> the</c><00:00:03.000><c> show</c>

00:00:05.000 --> 00:00:05.010 align:start position:0%
to the show
 

00:00:05.010 --> 00:00:07.500 align:start position:0%
to the show
today<00:00:05.500><c> we</c><00:00:06.000><c> bake</c>

00:00:07.500 --> 00:00:07.510 align:start position:0%
today we bake
 

00:00:12.000 --> 00:00:13.990 align:start position:0%
today we bake
[Music]

00:00:13.990 --> 00:00:14.000 align:start position:0%
[Music]
 
"""  # noqa: W293 - the spaces stand for empty lines
LINES = [
    (0.16, 5.0, "hello everyone welcome"),
    (2.56, 7.5, "to the show"),
    (5.01, 7.51, "today we bake"),
    (12.0, 14.0, "[Music]"),
]

CONVERTED = """1
00:00:00,160 --> 00:00:02,560
hello everyone welcome

2
00:00:02,560 --> 00:00:05,010
hello everyone welcome
to the show

3
00:00:05,010 --> 00:00:07,500
to the show
today we bake
"""

DIALOGUE = """1
00:00:01,000 --> 00:00:02,000
No!

2
00:00:02,000 --> 00:00:03,000
No!
Please!

3
00:00:03,000 --> 00:00:04,000
- Where is he?
- Who?

4
00:00:04,000 --> 00:00:05,000
- Your friend.
- Gone.

5
00:00:05,000 --> 00:00:06,000
I see.

6
00:00:06,000 --> 00:00:07,000
I see.
"""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_plain_video(tmp_path_factory.mktemp("film") / "talk.mp4")


def texts_of(cues: list[tuple[float, float, str]]) -> list[str]:
    return [text for _, _, text in cues]


def test_each_line_becomes_one_cue(video: Path) -> None:
    cues, problems = read_beside(video, "talk.en.vtt", YOUTUBE)
    assert (contents(cues), problems) == (LINES, [])
    assert {cue.language for cue in cues} == {"en"}


def test_converted_captions(video: Path) -> None:
    cues, problems = read_beside(video, "talk.srt", CONVERTED)
    assert contents(cues) == [
        (0.16, 5.01, "hello everyone welcome"),
        (2.56, 7.5, "to the show"),
        (5.01, 7.5, "today we bake"),
    ]
    assert problems == []


def test_dialogue_is_left_as_it_is(video: Path) -> None:
    cues, _ = read_beside(video, "talk.srt", DIALOGUE)
    expected = ["No!", "No! Please!", "- Where is he? - Who?", "- Your friend. - Gone.", "I see.", "I see."]
    assert [cue.text for cue in cues] == expected


def test_captions_that_are_repeated_later_are_kept(video: Path) -> None:
    later = CONVERTED.replace("00:00:0", "00:00:1").replace("\n1\n", "\n4\n")
    cues, _ = read_beside(video, "talk.srt", f"{CONVERTED}\n{later}")
    assert [cue.text for cue in cues] == ["hello everyone welcome", "to the show", "today we bake"] * 2


@pytest.mark.parametrize(("name", "codec"), [("copy.mkv", "webvtt"), ("copy.mp4", "mov_text"), ("copy.mkv", "subrip")])
def test_embedded_captions(name: str, codec: str, video: Path, tmp_path: Path) -> None:
    (tmp_path / "captions").write_text(YOUTUBE)
    inputs = ["-i", str(video), "-f", "webvtt", "-i", str(tmp_path / "captions"), "-map", "0", "-map", "1"]
    run_ffmpeg(*inputs, "-c", "copy", "-c:s", codec, str(tmp_path / name))
    cues = contents(read_subtitles(tmp_path / name))
    assert texts_of(cues) == texts_of(LINES)
    assert [start for start, _, _ in cues] == [start for start, _, _ in LINES]
