"""Ctrl-C in the middle of indexing, and of an answer."""

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

# What a shell starts in the background, this test too, ignores Ctrl-C.
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
    """Render a talk that takes a while to read."""
    slides = [[f"Slide {number}", f"Code {4711 * number}"] for number in range(40)]
    return render_talk(tmp_path_factory.mktemp("talk") / "talk.mp4", slides, seconds=6.0)


def test_ctrl_c_ends_at_once_and_the_next_run_finishes(talk: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, "index", str(talk), "--profile", "lite", "--store", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        shown = ""
        while not re.search(r"[1-9]%\|", shown):
            shown += running.stderr.read(1)
        running.send_signal(signal.SIGINT)
        rest = running.communicate(timeout=60)[1]
    assert running.returncode == 130
    assert "goes on from there" in rest
    assert "Traceback" not in rest
    again = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (again.returncode, again.stdout.split()[0]) == (0, "indexed")


def test_ctrl_c_ends_an_answer_at_once(tmp_path: Path) -> None:
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
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert "slow" in running.stdout.read(10)
        running.send_signal(signal.SIGINT)
        errors = running.communicate(timeout=20)[1]
    assert (running.returncode, errors.strip()) == (130, "Stopped.")


def test_the_page_is_served_until_ctrl_c(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, "app", "--port", "0", "--folder", str(tmp_path)]
    with subprocess.Popen(
        [*command, "--store", str(tmp_path / "store")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        told = running.stdout.readline()
        address = re.findall(r"http://\S+", told)[0]
        assert httpx.get(f"{address}/api/state").json()["models"] == []
        port = address.rpartition(":")[2]
        taken = subprocess.run(
            [*command, "--port", port], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
        )
        running.send_signal(signal.SIGINT)
        errors = running.communicate(timeout=20)[1]
    assert running.returncode == 130
    assert "Traceback" not in errors
    assert taken.returncode == 1
    assert f"{port} at 127.0.0.1 cannot be listened at" in taken.stderr
