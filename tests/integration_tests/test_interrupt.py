"""Ctrl-C during indexing, an answer, and while the page is served."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from langchain_videochat import VideoTimelineStore
from tests.slides import render_talk
from tests.unit_tests.embeddings import make_slides

# Processes that a shell starts in the background, such as this test, ignore Ctrl-C.
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from langchain_videochat.cli.main import app
app()
"""

SLOW_MODEL = """
import langchain.chat_models
from langchain_core.language_models.fake_chat_models import FakeListChatModel
langchain.chat_models.init_chat_model = lambda name: FakeListChatModel(responses=["slowly " * 1000], sleep=0.1)
"""


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render a talk that takes a while to perceive."""
    slides = [[f"Slide {number}", f"Code {4711 * number}"] for number in range(12)]
    return render_talk(tmp_path_factory.mktemp("talk") / "talk.mp4", slides, seconds=6.0)


def test_ctrl_c_stops_indexing_and_the_next_run_finishes(talk: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, "index", str(talk), "--profile", "lite", "--store", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        shown = ""
        while not re.search(r"[1-9]%\|", shown):
            shown += process.stderr.read(1)
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "to resume" in errors
    assert "Traceback" not in errors
    again = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (again.returncode, again.stdout.split()[0]) == (0, "indexed")


def test_ctrl_c_stops_an_answer(tmp_path: Path) -> None:
    VideoTimelineStore(tmp_path).add(make_slides("eggs", "Whisk two eggs"))
    command = [
        sys.executable,
        "-c",
        SLOW_MODEL + PROGRAM,
        "ask",
        "How many?",
        "--model",
        "a:b",
        "--store",
        str(tmp_path),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "slow" in process.stdout.read(10)
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=20)[1]
    assert (process.returncode, errors.strip()) == (130, "Stopped.")


def test_ctrl_c_stops_the_page(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, "app", "--port", "0", "--folder", str(tmp_path)]
    with subprocess.Popen(
        [*command, "--store", str(tmp_path / "store")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = re.findall(r"http://\S+", line)[0]
        assert httpx.get(f"{url}/api/state").json()["models"] == []
        port = url.rpartition(":")[2]
        second = subprocess.run(
            [*command, "--port", port], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
        )
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=20)[1]
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert second.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in second.stderr
