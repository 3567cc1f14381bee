"""README.md shows what its commands print today."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

FOLDER = "file:///home/you/langchain-videochat"
"""Stands in README.md for the folder in which the commands run."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clone")


@pytest.fixture(autouse=True)
def _run_in_clone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def pattern_of(shown: str) -> str:
    """Make a regular expression of shown output.

    `[...]` stands for any lines, a video's id for any id, and the end of a spoken sentence for any decimals, which
    differ from CPU to CPU.
    """
    pattern = re.escape(shown).replace(re.escape("[...]\n"), r"(?:.*\n)*?")
    pattern = re.sub(r"\\\([0-9a-f]{16}\\\)", r"\\([0-9a-f]{16}\\)", pattern)
    return re.sub(r"(\\#t=[^,]+,\d+)\\\.\d+", r"\1\\.\\d+", pattern)


def test_the_demo_prints_what_is_shown(folder: Path) -> None:
    (shown,) = re.findall(r"^<!-- python -m examples.demo -->\n```\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    # In a process of its own: the synthesizer continues with the random numbers of earlier sentences.
    command = [sys.executable, "-m", "examples.demo"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    demo = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)

    printed = demo.stdout.replace(folder.as_uri(), FOLDER)
    assert re.fullmatch(pattern_of(shown), printed), printed


def test_the_page_is_served_at_the_address_that_is_shown() -> None:
    ((command, shown),) = re.findall(r"^\$ \S*/(videochat app .*)\n(Open .*)\n```", README, re.MULTILINE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program, *arguments = shlex.split(command)
    executable = Path(sys.executable).with_name(program)
    Path("demo").mkdir(exist_ok=True)

    with subprocess.Popen([executable, *arguments, "--port", str(port)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        line = server.stdout.readline()
        server.send_signal(signal.SIGINT)

    assert line.rstrip("\n") == shown.replace("7860", str(port))
