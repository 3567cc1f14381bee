"""The commands on videos and stores, the page, the report and the installation."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from langchain_videochat import __version__
from langchain_videochat.cli import app
from langchain_videochat.media import probe
from langchain_videochat.perception import describe_profile
from langchain_videochat.perception.profiles import PROFILES
from tests.media_files import make_beeps
from tests.slides import render_talk

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    slides = [
        ["Pitching a tent", "Count 8 pegs", "Unroll the sheet"],
        ["All the poles are up", "Code TX-19 done", "Well slept"],
    ]
    return render_talk(tmp_path_factory.mktemp("videos") / "tent [1].mp4", slides)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, video: Path) -> Run:
    """Run commands on a store that contains the video."""
    store = tmp_path_factory.mktemp("store")

    def invoke(*arguments: object) -> Result:
        environment = {"VIDEOCHAT_STORE": str(store), "COLUMNS": "200", "NO_COLOR": "1"}
        return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)

    result = invoke("index", video, "--profile", "lite")
    assert result.exit_code == 0, result.output
    return invoke


def test_index_reports_each_video(run: Run, video: Path) -> None:
    result = run("index", video, "--profile", "lite", "--json")
    assert result.exit_code == 0
    (report,) = json.loads(result.stdout)
    assert (report["status"], report["source"], report["decoded_fraction"]) == ("skipped", str(video), 1.0)


def test_index_reports_damage_and_perceives_again_when_asked(run: Run, tmp_path: Path) -> None:
    video = make_beeps(tmp_path / "beeps.mp4", seconds=2)
    (tmp_path / "beeps.srt").write_text("1\n00:01:00,000 --> 00:01:02,000\nToo late.\n")
    profile = tmp_path / "quick.yaml"
    profile.write_text("- subtitles\n")
    arguments = ["index", video, "--profile", profile, "--store", tmp_path / "store"]

    outputs = [run(*arguments, *options).stdout for options in ([], [], ["--refresh"])]

    assert [output.split()[0] for output in outputs] == ["indexed", "skipped", "indexed"]
    assert all("; damaged: 1 cue starts after the end of the video\n" in output for output in outputs)
    (report,) = json.loads(run(*arguments, "--json").stdout)
    assert report["damage"] == "1 cue starts after the end of the video"


def test_index_continues_after_a_bad_file(run: Run, video: Path, tmp_path: Path) -> None:
    bad = tmp_path / "notes.mp4"
    bad.write_text("this is not a video")
    result = run("index", bad, video, "--profile", "lite")
    assert result.exit_code == 1
    assert "notes.mp4" in result.stdout
    assert "skipped" in result.stdout


def test_index_explains_the_default_profile(run: Run, tmp_path: Path) -> None:
    result = run("index", tmp_path / "missing.mp4", "--json", "--store", tmp_path / "store")
    assert result.exit_code == 1
    assert re.search(r"search +sentence-transformers/all-MiniLM-L6-v2 +91 MB +Apache-2\.0", result.stderr)
    assert "Profile standard, as no --profile is given." in result.stderr
    assert "Downloads nothing." in result.stderr
    for profile in PROFILES:
        assert profile in result.stderr
        assert describe_profile(profile)[:40] in " ".join(result.stderr.split())
    (report,) = json.loads(result.stdout)
    assert report["status"] == "failed"


def test_index_does_not_explain_a_named_profile(run: Run, video: Path) -> None:
    assert "--profile" not in run("index", video, "--profile", "lite").stderr


def test_search_prints_moments(run: Run, video: Path) -> None:
    result = run("search", "TX-19", "-k", "1")
    assert result.exit_code == 0
    assert "tent [1]" in result.stdout
    assert "00:04-00:08" in result.stdout
    assert "Code TX-19 done" in result.stdout


def test_search_prints_json(run: Run) -> None:
    (found,) = json.loads(run("search", "pegs", "-k", "1", "--to", "0:03", "--json").stdout)
    assert (found["start"], found["end"]) == (0.0, 4.0)
    assert 0 <= found["hit_start"] < found["hit_end"] <= 4
    assert "Count 8 pegs" in found["text"]


def test_timeline_in_all_formats(run: Run, video: Path) -> None:
    assert "00:04-00:08 Code TX-19 done" in run("timeline", "tent [1]").stdout
    assert run("timeline", video, "--webvtt").stdout.startswith("WEBVTT")
    assert json.loads(run("timeline", video, "--json", "--from", "5").stdout)["observations"][0]["text"]


def test_timeline_is_drawn(run: Run, video: Path, tmp_path: Path) -> None:
    result = run("timeline", video, "--plot", tmp_path / "lanes.png", "--from", "2")
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(tmp_path / "lanes.png")
    assert Image.open(tmp_path / "lanes.png").width > 1000


def test_report_indexes_only_new_videos(run: Run, video: Path, tmp_path: Path) -> None:
    new = render_talk(tmp_path / "new.mp4", [["Folding it up"]])
    profile = tmp_path / "quick.yaml"
    profile.write_text("- scenes\n")
    options = ["-o", tmp_path / "report.html", "--profile", profile]

    assert run("report", video, *options).exit_code == 0
    # With this profile, indexing again would drop the screen text.
    assert "Code TX-19 done" in (tmp_path / "report.html").read_text()
    assert run("report", new, *options, "--store", tmp_path / "store").exit_code == 0
    assert "Scene from 00:00" in (tmp_path / "report.html").read_text()


def test_videos_lists_the_store(run: Run, video: Path) -> None:
    (record,) = json.loads(run("videos", "--json").stdout)
    assert record["video"]["source"] == str(video)
    assert record["video_id"] in run("videos").stdout


def test_clip_cuts_a_file(run: Run, video: Path, tmp_path: Path) -> None:
    output = tmp_path / "clip.mp4"
    assert run("clip", video, "0:01", "3.5", "-o", output).exit_code == 0
    assert probe(output).duration == pytest.approx(2.5, abs=0.25)


def test_frames_saves_a_sheet(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "made" / "sheet.jpg"
    result = run("frames", "tent [1]", "--sheet", "-o", output, "--from", "1", "--json")
    assert json.loads(result.stdout) == [
        {"path": str(output), "times": pytest.approx([1, 4], abs=0.2), "labels": ["00:01", "00:04"]}
    ]
    assert max(Image.open(output).size) <= 896
    assert "already exists" in run("frames", "tent [1]", "--sheet", "-o", output).stderr
    assert run("frames", "tent [1]", "--sheet", "-o", output, "--overwrite").stdout == f"{output}: 00:00, 00:04\n"


def test_frames_saves_single_frames(run: Run, video: Path, tmp_path: Path) -> None:
    result = run("frames", video, "--at", "5.5", "--at", "0:01", "-o", tmp_path, "--store", "/nowhere")
    assert result.stdout == f"{tmp_path}/1.jpg: 1 s\n{tmp_path}/5.5.jpg: 5.5 s\n"
    assert [Image.open(tmp_path / name).size for name in ("1.jpg", "5.5.jpg")] == [(640, 360)] * 2


def test_doctor_checks_the_installation(run: Run) -> None:
    checks = {check["name"]: check for check in json.loads(run("doctor", "--json").stdout)}
    assert checks["ffmpeg"]["ok"]
    assert checks["OCR"]["ok"]
    assert checks["full-text index"]["ok"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["timeline", "nowhere"], "no video in the store has this path, title or id"),
        (["search", "x", "--from", "soon"], "'soon' is not a valid time"),
        (["search", "x", "--modality", "smell"], "smell"),
        (["clip", "tent [1]", "5", "2", "-o", "x.mp4"], "end (2 s) must be after start (5 s)"),
        (["frames", "tent [1]", "-o", "x"], "exactly one of them is required"),
        (["frames", "tent [1]", "-o", "x", "--at", "99"], "after the end of the video"),
        (["frames", "tent [1]", "-o", "x.png", "--sheet"], "Use a name that ends with .jpg"),
        (["frames", "tent [1]", "-o", "/proc/x/sheet.jpg", "--sheet"], "cannot be written"),
        (["videos", "--store", "/nowhere"], "there is no store"),
        (["app", "--host", "0.0.0.0"], "Set a --password too"),
        (["app", "--folder", "/nowhere", "--port", "0"], "/nowhere is not a folder"),
        (["app", "--model", "nobody:knows", "--port", "0"], "PROVIDER:MODEL"),
        (["report", "nowhere"], "no video in the store has this path, title or id"),
        (["timeline", "tent [1]", "--plot", "lanes.jpg"], "unsupported picture format"),
    ],
)
def test_errors_are_one_message_and_an_exit_code(run: Run, arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr + result.stdout
    assert "Traceback" not in result.output


def test_remove_keeps_the_file(video: Path, tmp_path: Path) -> None:
    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--store", str(tmp_path)])

    assert invoke("index", str(video), "--profile", "lite").exit_code == 0
    assert invoke("remove", str(video)).exit_code == 0
    assert json.loads(invoke("videos", "--json").stdout) == []
    assert video.exists()


def test_unknown_profile_is_an_error(run: Run, video: Path) -> None:
    result = run("index", video, "--profile", "heavy")
    assert result.exit_code == 1
    assert (
        "unknown profile 'heavy'. Use one of lite, talk, standard, full, paper, or give a .yaml file" in result.stderr
    )


def test_help_names_all_profiles(run: Run) -> None:
    text = " ".join(run("index", "--help").stdout.replace("│", " ").split())
    assert all(f"{profile} " in text or f"{profile}," in text for profile in PROFILES)
    assert "Default: standard" in text


def test_version_is_printed(run: Run) -> None:
    assert run("--version").stdout == f"videochat {__version__}\n"


@pytest.mark.parametrize(
    "command", ["index", "search", "timeline", "videos", "remove", "clip", "frames", "report", "app", "doctor"]
)
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert f"videochat {command}" in result.stdout
