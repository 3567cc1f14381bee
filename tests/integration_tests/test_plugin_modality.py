"""A modality that a plugin defines: indexing, prompts, filters, lanes and report, also after the plugin was removed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.subtitled_video import make_subtitled_video

PERCEIVER = """
from langchain_videochat.perception import FrameInputs, Modality, Observation, Perceiver

class LightLevel(Perceiver):
    modality = "light_level"
    defines = (Modality("light_level", "Light", color="#4f6228", order=35, hint="how bright the picture is"),)
    inputs = FrameInputs(every=1.0, tolerance=0.5, size=64)

    def perceive(self, batch):
        for frame, time in zip(batch.frames, batch.times):
            yield Observation(time, time + 1, "light_level", "dark" if frame.mean() < 128 else "bright")
"""

PRELUDE = """
import json, sys
from pathlib import Path
from langchain_videochat import VideoTimelineStore
from tests.unit_tests.embeddings import BagOfWords, make_slides

folder = Path(sys.argv[1])
store = VideoTimelineStore(folder / "store", embedding=BagOfWords())

def search(modality):
    return sorted(one.metadata["video_id"] for one in store.search("dark", k=20, modalities=modality))
"""

INDEX = """
store.index(folder / "night.mp4", profile=folder / "profile.yaml", show_progress=False)
store.add(make_slides("slides", "Whisk two eggs"))
"""

SHOW = """
from langchain_videochat.app import write_report
from langchain_videochat.app.collection import Collection
from langchain_videochat.text.prompts import explain_labels

video = store.videos()[0]
timeline = store.timeline(video.video_id)
retriever = store.as_retriever(modalities=["light_level"])
print(json.dumps({
    "failures": video.failures,
    "prompt": timeline.to_prompt(),
    "labels": explain_labels(),
    "slice": [one.text for one in timeline.slice(modalities=["light_level"])],
    "moment": retriever.invoke("dark")[0].page_content,
    "found": {name: len(search(name)) for name in ("light_level", "subtitle", "screen_text")},
    "lanes": Collection(store, folder).lanes(video.video_id)["lanes"],
    "report": write_report(timeline, folder / "report.html").read_text(),
}))
"""

PROBE_FILTERS = """
from langchain_videochat.perception import Observation
from tests.unit_tests.embeddings import make_timeline

if "add" in sys.argv:
    for modality in ("summary", "speech", "object", "scene", "tag"):
        store.add(make_timeline(modality, Observation(0, 9, modality, "dark")))
names = ["summary", "speech", "object", "scene", "tag"]
if "plugin" in sys.argv:
    store.add(make_timeline("night", Observation(0, 9, "light_level", "dark"), Observation(0, 9, "tag", "dark")))
    names.append("light_level")
found = {name: search(name) for name in names}
print(json.dumps([found, (folder / "store" / "videos.index.sqlite3").stat().st_ino]))
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """Install the plugin in a folder, with the metadata that pip writes."""
    folder = tmp_path / "plugin"
    metadata = folder / "light_level-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: light_level\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[langchain_videochat.perceivers]\nlight = light_level:LightLevel\n")
    (folder / "light_level.py").write_text(PERCEIVER)
    return folder


def run(program: str, *arguments: str | Path, plugin: Path | None = None) -> Any:
    environment = {**os.environ, "PYTHONPATH": str(plugin or "")}
    command = [sys.executable, "-c", PRELUDE + program, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_modality_of_a_plugin_is_everywhere_and_stays_after_its_removal(tmp_path: Path, plugin: Path) -> None:
    make_subtitled_video(tmp_path / "night.mp4", "The lamp is off", "It stays dark")
    (tmp_path / "profile.yaml").write_text("- subtitles\n- light\n")

    with_plugin = run(INDEX + SHOW, tmp_path, plugin=plugin)

    assert with_plugin["failures"] == ""
    assert "\n\nLight:\n00:00-00:04 dark" in with_plugin["prompt"]
    assert '"Light": how bright the picture is' in with_plugin["labels"]
    assert with_plugin["slice"] == ["dark"]
    assert "\nLight: dark" in with_plugin["moment"]
    assert with_plugin["found"] == {"light_level": 1, "subtitle": 1, "screen_text": 1}
    lanes = [(lane["modality"], lane["label"], lane["color"]) for lane in with_plugin["lanes"]]
    assert lanes == [("subtitle", "Subtitles", "#2a62b8"), ("light_level", "Light", "#4f6228")]
    assert '"label": "Light", "color": "#4f6228"' in with_plugin["report"]

    without_plugin = run(SHOW, tmp_path)

    assert without_plugin["prompt"] == with_plugin["prompt"].replace("Light:", "Light level:")
    assert {name: without_plugin[name] for name in ("slice", "found", "moment")} == {
        name: with_plugin[name] for name in ("slice", "found", "moment")
    }
    assert [lane["label"] for lane in without_plugin["lanes"]] == ["Subtitles", "Light level"]
    assert '"label": "Light level"' in without_plugin["report"]


def test_index_from_before_a_plugin_keeps_its_filters(tmp_path: Path, plugin: Path) -> None:
    before, index = run(PROBE_FILTERS, tmp_path, "add")
    assert before == {name: [name] for name in ("summary", "speech", "object", "scene", "tag")}

    after, same_index = run(PROBE_FILTERS, tmp_path, "plugin", plugin=plugin)

    assert after == before | {"tag": ["night", "tag"], "light_level": ["night"]}
    assert same_index == index
