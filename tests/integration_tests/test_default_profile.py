"""The question before the models of the default profile are downloaded, in a terminal."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.media_files import make_beeps

PROGRAM = "from langchain_videochat.cli import app; app()"


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    video = make_beeps(tmp_path / "beeps.mp4", seconds=1)
    return [sys.executable, "-c", PROGRAM, "index", str(video), "--store", str(tmp_path / "store")]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A machine without a network that has no models yet."""
    caches = {"HF_HOME": str(tmp_path / "hub"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    return {**os.environ, **caches, "HF_HUB_OFFLINE": "1", "NO_COLOR": "1", "COLUMNS": "200"}


def answer(command: list[str], environment: dict[str, str], keys: str) -> tuple[int, str]:
    """Run a command in a terminal, press keys, and return its exit code and output."""
    terminal, end = pty.openpty()
    with subprocess.Popen(command, stdin=end, stdout=end, stderr=end, env=environment) as process:
        os.close(end)
        os.write(terminal, keys.encode())
        output = b""
        while chunk := _read(terminal):
            output += chunk
    os.close(terminal)
    return process.returncode, output.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1024)
    except OSError:  # the process has ended
        return b""


def test_a_terminal_is_asked_before_anything_is_downloaded(command: list[str], environment: dict[str, str]) -> None:
    code, output = answer(command, environment, "n\n")
    assert code == 1
    assert "and index? [Y/n]" in output
    assert "Nothing was downloaded or indexed." in output
    assert "cannot be reached" not in output


def test_no_question_is_asked_with_consent(command: list[str], environment: dict[str, str], tmp_path: Path) -> None:
    # The command continues, and ends at once: its store is a file.
    (tmp_path / "store").write_text("not a folder")
    code, output = answer([*command, "--yes"], environment, "")
    assert code == 1
    assert "To download, once" in output
    assert "and index?" not in output
    assert "store: " in output
