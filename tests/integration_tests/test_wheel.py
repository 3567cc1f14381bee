"""The wheel holds everything: built, installed into an empty environment, and used without the sources."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path

import pytest

import langchain_videochat
from tests.media_files import make_beeps

ROOT = Path(__file__).parents[2]

PROGRAM = """
from pathlib import Path

import langchain_videochat
from starlette.testclient import TestClient
from langchain_videochat import VideoChatEmbed, VideoTimelineStore
from langchain_videochat.app import Collection, create_app, write_report

assert {environment!r} in langchain_videochat.__file__, langchain_videochat.__file__

store = VideoTimelineStore("index")
[record] = store.videos()
write_report(store.timeline(record.video_id), "report.html", show_progress=False)
page = TestClient(create_app(Collection(store, Path()), {{}}), base_url="http://localhost")
assert page.get("/").status_code == 200

clip = {{"type": "video", "url": Path("clip.mp4").absolute().as_uri(), "mime_type": "video/mp4"}}
model = VideoChatEmbed(model="videochat-embed-tiny")
print(model.invoke([("human", [clip, {{"type": "text", "text": "Describe the video."}}])]).text)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the source distribution, as a release does."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel where the dependencies of this environment are visible, and its editable install is not."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    # A path in a .pth file is searched, but the .pth files in it are not read.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder


def run(command: list[str | Path], folder: Path) -> str:
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_wheel_works_without_the_sources(environment: Path, tmp_path: Path) -> None:
    make_beeps(tmp_path / "clip.mp4", seconds=2)
    command = environment / "bin" / "videochat"

    assert run([command, "--version"], tmp_path) == f"videochat {langchain_videochat.__version__}\n"
    assert "indexed clip.mp4" in run([command, "index", "clip.mp4", "--store", "index", "--profile", "lite"], tmp_path)
    run([command, "skill", "install"], tmp_path)
    answer = run([environment / "bin" / "python", "-c", PROGRAM.format(environment=str(environment))], tmp_path)

    assert answer.strip()
    assert "name: videochat" in (tmp_path / ".claude/skills/videochat/SKILL.md").read_text()
    assert "data:image/jpeg;base64" in (tmp_path / "report.html").read_text()


def test_the_source_distribution_holds_tests_and_documentation(wheel: Path) -> None:
    [archive] = wheel.parent.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        names = {name.partition("/")[2] for name in files.getnames()}

    assert {"LICENSE", "README.md", "CHANGELOG.md", "Makefile", "constraints.txt", "pyproject.toml"} <= names
    assert {"tests/integration_tests/test_wheel.py", "examples/demo.py", "docs/training.md", "SECURITY.md"} <= names
