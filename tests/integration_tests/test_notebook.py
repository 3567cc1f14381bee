"""The tour notebook runs completely, in its own folder and in the repository's, and shows the right output."""

import base64
import io
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from nbclient import NotebookClient
from PIL import Image

from langchain_videochat import VideoTimelineStore
from langchain_videochat.media import probe, thumbnail

ROOT = Path(__file__).parents[2]
TOUR = ROOT / "examples" / "tour.ipynb"

JUICE = (24, 28)
"""The interval of the demo video with the answer about juice, in seconds."""


class ExecutedTour:
    """The tour notebook with its outputs.

    Args:
        repository: A folder with `examples/` that stands in for the repository.
        started_in: Working directory of the kernel.
    """

    def __init__(self, repository: Path, started_in: Path) -> None:
        self.output_folder = repository / "demo" / "tour"
        self.started_in = started_in
        notebook = nbformat.read(repository / "examples" / TOUR.name, as_version=4)
        client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(started_in)}})
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("PYTHONPATH", os.pathsep.join([str(repository), str(ROOT)]))
            environment.setenv("IPYTHONDIR", str(repository / "ipython"))
            client.execute()
        self._outputs = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}

    def printed(self, cell: str, stream: str = "stdout") -> str:
        return "".join(one.text for one in self._outputs[cell] if one.get("name") == stream)

    def displayed(self, cell: str, kind: str) -> str:
        [text] = [one.data[kind] for one in self._outputs[cell] if kind in one.get("data", ())]
        return str(text)

    def link(self) -> Path:
        """Resolve the link to the report as a browser does."""
        [address] = re.findall(r"href='([^']+)'", self.displayed("report", "text/html"))
        return Path(self.started_in, address).resolve()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the examples, as the tour writes beside them."""
    folder = tmp_path_factory.mktemp("repository")
    shutil.copytree(TOUR.parent, folder / "examples", ignore=shutil.ignore_patterns("__pycache__", "training"))
    return folder


@pytest.fixture(scope="module")
def tour(repository: Path) -> ExecutedTour:
    """The tour, started in its own folder as Jupyter does."""
    return ExecutedTour(repository, repository / "examples")


@pytest.mark.slow
def test_video_is_indexed_and_listed(tour: ExecutedTour) -> None:
    assert "quick_recipes.mp4 (" in tour.printed("index")
    assert tour.printed("index", "stderr") == ""
    assert re.fullmatch(r"[0-9a-f]{16} Two quick recipes 40 s, \d\d observations\n", tour.printed("videos"))


@pytest.mark.slow
def test_timeline_is_printed_and_drawn(tour: ExecutedTour) -> None:
    printed = tour.printed("timeline")
    assert "00:24-00:27 Roll the fruit on the table first, it gives more juice." in printed
    assert "Pancakes" not in printed
    picture = base64.b64decode(tour.displayed("drawing", "image/png"))
    assert picture == (tour.output_folder / "timeline.png").read_bytes()
    width, height = Image.open(io.BytesIO(picture), formats=["PNG"]).size
    assert width > height > 300


@pytest.mark.slow
def test_right_moment_is_found_and_shown(tour: ExecutedTour) -> None:
    video = tour.output_folder.parent / "quick_recipes.mp4"
    best, second = tour.printed("search").strip().split("\n\n")
    assert best.splitlines()[0] == f"{video.as_uri()}#t=24.4,27.6"
    assert "Roll the fruit on the table first" in best
    assert second.startswith(f"{video.as_uri()}#t=")
    frame = base64.b64decode(tour.displayed("frame", "image/jpeg"))
    assert frame == thumbnail(video, sum(JUICE) / 2, width=480)


@pytest.mark.slow
def test_moment_is_cut_out_and_played(tour: ExecutedTour) -> None:
    clip = tour.output_folder / "juice.mp4"
    assert probe(clip).duration == pytest.approx(JUICE[1] - JUICE[0], abs=0.1)
    [embedded] = re.findall(r'src="data:video/mp4;base64,([^"]+)"', tour.displayed("clip", "text/html"))
    assert base64.b64decode(embedded) == clip.read_bytes()
    assert len(embedded) < 100_000


@pytest.mark.slow
def test_filters_narrow_the_search(tour: ExecutedTour) -> None:
    pancakes, lemonade, spoken = tour.printed("filters").strip().split("\n\n")
    assert "2 eggs" in pancakes
    assert "3 lemons" in lemonade
    assert spoken == "Moments with speech: 0"


@pytest.mark.slow
def test_chain_formats_a_prompt(tour: ExecutedTour) -> None:
    printed = tour.printed("chain")
    assert "60 g sugar" in printed
    assert printed.endswith("\n\nQuestion: How much sugar does the lemonade need?\n")


@pytest.mark.slow
def test_report_is_written_and_linked(tour: ExecutedTour) -> None:
    report = tour.output_folder / "report.html"
    assert "Roll the fruit on the table first" in report.read_text(encoding="utf-8")
    assert tour.printed("report").strip() == report.as_uri()
    assert tour.link() == report


@pytest.mark.slow
def test_second_run_elsewhere_reuses_the_index(tour: ExecutedTour, repository: Path) -> None:
    again = ExecutedTour(repository, repository)
    assert again.printed("index").startswith("skipped")
    assert again.printed("search") == tour.printed("search")
    assert again.link() == tour.link()
    assert sorted(path.name for path in repository.iterdir()) == ["demo", "examples", "ipython"]
    assert not (repository / "examples" / "demo").exists()


@pytest.mark.slow
def test_code_of_the_last_cell_runs(
    tour: ExecutedTour, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [text] = [one.source for one in nbformat.read(TOUR, as_version=4).cells if one.id == "next"]
    [code] = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    model = FakeListChatModel(responses=["60 g [1]."])
    monkeypatch.setattr("langchain.chat_models.init_chat_model", lambda _: model)
    exec(compile(code, TOUR.name, "exec"), {"store": VideoTimelineStore(tour.output_folder / "index")})
    answer, citation = capsys.readouterr().out.splitlines()
    assert answer == "60 g [1]."
    assert "quick_recipes.mp4#t=" in citation


def test_notebook_is_saved_without_outputs() -> None:
    notebook: dict[str, Any] = json.loads(TOUR.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    for cell in notebook["cells"]:
        assert cell["metadata"] == {}
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
    nbformat.validate(nbformat.from_dict(notebook))
