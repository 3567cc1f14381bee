"""Export of instruction data: files for training and datasets, splits, near-duplicates and the data card."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from langchain_videochat.embed import Video
from langchain_videochat.errors import InputError, SourceError
from langchain_videochat.instruct import (
    ExportReport,
    GateFailure,
    InstructionItem,
    InstructionPlan,
    QAPair,
    export,
    generate_instructions,
)
from langchain_videochat.instruct.dataset_export import REQUESTS, split_of
from langchain_videochat.instruct.dataset_statistics import SPLITS
from langchain_videochat.instruct.item_folder import load_items, open_item_folder
from langchain_videochat.training import CaptionFile, ConversationFile
from tests.instruct_data import WORDS, Writer, make_videos
from tests.numbered_video import make_numbered, regular

VIDEOS = make_videos(60)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Items of 60 videos."""
    folder = tmp_path_factory.mktemp("made")
    generate_instructions(
        Writer(), VIDEOS, folder, InstructionPlan(("description", "causal"), words=WORDS), show_progress=False
    )
    return folder


@pytest.fixture(scope="module")
def data(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "data"
    export(made, folder)
    return folder


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def write_items(folder: Path, *items: InstructionItem) -> Path:
    with open_item_folder(folder) as opened:
        for item in items:
            opened.append(item)
    return folder


def description(text: str, video: str = "/a.mp4", video_id: str = "a", **more: Any) -> InstructionItem:
    return InstructionItem(
        video_id=video_id, video=video, kind="description", **{"language": "English", "text": text} | more
    )


# The files


def test_files_have_the_formats_of_the_papers_code(data: Path) -> None:
    captions = [entry for split in SPLITS for entry in read_json(data / f"captions.{split}.json")]
    conversations = [entry for split in SPLITS for entry in read_json(data / f"conversations.{split}.json")]
    assert {entry["video"] for entry in captions} == {video.video.source for video in VIDEOS}
    assert [sorted(entry) for entry in captions] == [["caption", "video"]] * 60
    assert [sorted(entry) for entry in conversations] == [["QA", "video"]] * 120
    assert {(len(entry["QA"]), *map(tuple, entry["QA"])) for entry in conversations} == {
        (1, ("q", "a")),
        (3, ("q", "a"), ("q", "a"), ("q", "a")),
    }


def test_requests_for_descriptions_vary(data: Path) -> None:
    conversations = read_json(data / "conversations.train.json")
    requests = [entry["QA"][0]["q"] for entry in conversations if len(entry["QA"]) == 1]
    assert set(requests) == set(REQUESTS)
    assert all(requests.count(request) <= len(requests) / 3 for request in REQUESTS)


def test_training_can_load_the_files(tmp_path: Path) -> None:
    make_numbered(tmp_path / "a.mp4", times=regular(10, rate=5))
    pairs = (QAPair(q="What is it?", a="Squares."), QAPair(q="And then?", a="It ends."))
    path = str(tmp_path / "a.mp4")
    talk = InstructionItem(video_id="a", video=path, kind="temporal", language="English", pairs=pairs)
    items = write_items(tmp_path / "made", description("First, there are squares.", path), talk)
    export(items, tmp_path / "data", validation=0)
    captions = CaptionFile(tmp_path / "data" / "captions.train.json", "video", num_frames=2)
    conversations = ConversationFile(tmp_path / "data" / "conversations.train.json", "video", num_frames=2)
    assert (len(captions), len(conversations)) == (1, 2)
    assert isinstance(captions[0].turns[0].content[0], Video)
    assert captions[0].turns[1].content == ("First, there are squares.",)
    assert conversations[0].turns[0].content[1] in REQUESTS
    assert [turn.content[-1] for turn in conversations[1].turns] == ["What is it?", "Squares.", "And then?", "It ends."]
    assert read_json(tmp_path / "data" / "captions.validation.json") == []


def test_all_rows_have_the_same_columns(data: Path) -> None:
    rows = [row for split in SPLITS for row in lines(data / f"{split}.jsonl")]
    columns = {"id": str, "video_id": str, "video": str, "kind": str, "language": str, "QA": list, "flags": str}
    assert len(rows) == 120
    assert all({name: type(value) for name, value in row.items()} == columns for row in rows)


def test_flags_are_exported(tmp_path: Path) -> None:
    item = description("A cat.", flags=("answered by one frame: What?",))
    report = export(write_items(tmp_path / "made", item), tmp_path / "data", validation=0)
    assert lines(tmp_path / "data" / "train.jsonl")[0]["flags"] == "answered by one frame: What?"
    assert report.flagged == 1


@settings(max_examples=20)  # each draws a chart
@given(st.lists(st.tuples(st.text(), st.text()), min_size=1), st.text(), st.text(min_size=1))
def test_every_text_can_be_exported(pairs: list[tuple[str, str]], text: str, video: str) -> None:
    pairs_written = [QAPair(q=f"q{question}", a=f"a{answer}") for question, answer in pairs]
    talk = InstructionItem(
        video_id="a", video=f"/{video}", kind="causal", language="English", pairs=tuple(pairs_written)
    )
    with TemporaryDirectory() as folder:
        items = write_items(Path(folder, "made"), description(f"A{text}", f"/{video}"), talk)
        export(items, Path(folder, "data"), validation=0)
        rows = {row["kind"]: row["QA"] for row in lines(Path(folder, "data", "train.jsonl"))}
        assert rows["causal"] == [pair.model_dump() for pair in pairs_written]
        assert len(CaptionFile(Path(folder, "data", "captions.train.json"), "video")) == 1
        assert len(ConversationFile(Path(folder, "data", "conversations.train.json"), "video")) == 2


def test_export_is_reproducible(made: Path, data: Path, tmp_path: Path) -> None:
    reordered = tmp_path / "made"
    reordered.mkdir()
    items = (made / "items.jsonl").read_bytes().splitlines(keepends=True)
    (reordered / "items.jsonl").write_bytes(b"".join(reversed(items)))
    export(reordered, tmp_path / "data")
    assert {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()} == {
        path.name: path.read_bytes() for path in data.iterdir()
    }


# Splits


def test_each_video_is_in_one_split(data: Path) -> None:
    videos = {split: {row["video_id"] for row in lines(data / f"{split}.jsonl")} for split in SPLITS}
    assert not videos["train"] & videos["validation"]
    assert len(videos["train"] | videos["validation"]) == 60
    assert videos["validation"]


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_fraction_only_adds_videos_to_validation(video_id: str, one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert (split_of(video_id, less), split_of(video_id, more)) != ("validation", "train")


def test_the_validation_fraction_is_met() -> None:
    inside = [split_of(f"video {number}", 0.2) for number in range(5000)]
    assert inside.count("validation") == pytest.approx(1000, abs=100)


# Rejected items


def test_rejected_items_and_duplicates_are_written_with_reasons(tmp_path: Path) -> None:
    text = " ".join(f"Then the man takes thing number {number} from the shelf." for number in range(20))
    twins = [description(text, video_id=name) for name in ("b", "a")]
    bad = description("Hm", video_id="c", failures=(GateFailure(gate="length", reason="it has 1 words"),))
    report = export(write_items(tmp_path / "made", *twins, bad), tmp_path / "data", validation=0)
    rejected = lines(tmp_path / "data" / "rejected.jsonl")
    assert [(row["video_id"], row["failures"][0]["gate"]) for row in rejected] == [("b", "duplicate"), ("c", "length")]
    assert [row["video_id"] for row in lines(tmp_path / "data" / "train.jsonl")] == ["a"]
    assert (report.rejected, report.rejected_items) == ({"duplicate": 1, "length": 1}, 2)


def test_the_former_name_of_failures_is_read(tmp_path: Path) -> None:
    line = description("A cat.", failures=(GateFailure(gate="times", reason="it contains a time"),)).model_dump_json()
    (tmp_path / "rejected.jsonl").write_text(line.replace('"failures"', '"faults"') + "\n")
    _, (rejected,) = load_items(tmp_path)
    assert [failure.gate for failure in rejected.failures] == ["times"]


# The data card


def test_the_card_describes_the_dataset(made: Path, data: Path, tmp_path: Path) -> None:
    report = export(made, tmp_path / "data")
    _, head, text = (data / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    metadata = yaml.safe_load(head)
    assert metadata["language"] == ["en"]
    (config,) = metadata["configs"]
    for file in config["data_files"]:
        assert lines(data / file["path"])
    assert [file["split"] for file in config["data_files"]] == ["train", "validation"]
    items = report.kinds["description"].items
    assert f"| description | {items['train']} | {items['validation']} | 1.0 | " in text
    assert items["train"] + items["validation"] == 60
    assert "Languages: English." in text
    assert f"{report.output}: 0 items flagged" in str(report)


def test_the_chart_is_an_image(data: Path) -> None:
    with Image.open(data / "chart.png") as chart:
        assert chart.size[0] > 1000
        assert len(chart.convert("RGB").getcolors(1 << 20) or []) > 10


def test_empty_splits_are_omitted(tmp_path: Path) -> None:
    export(write_items(tmp_path / "made", description("A cat.")), tmp_path / "data", validation=1)
    head = yaml.safe_load((tmp_path / "data" / "README.md").read_text().split("---\n")[1])
    assert head["configs"][0]["data_files"] == [{"split": "validation", "path": "validation.jsonl"}]
    assert not (tmp_path / "data" / "train.jsonl").exists()


# Errors


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"validation": 2}, "must be between 0 and 1, got 2"),
        ({"validation": -0.1}, "got -0.1"),
        ({"requests": [" "]}, "must not be empty"),
    ],
)
def test_invalid_arguments(made: Path, tmp_path: Path, options: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        export(made, tmp_path / "data", **options)
    assert not (tmp_path / "data").exists()


def test_an_existing_folder_is_not_touched(made: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="already exists"):
        export(made, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_folders_without_accepted_items(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="contains no items"):
        export(tmp_path / "nowhere", tmp_path / "data")
    bad = description("Hm", failures=(GateFailure(gate="length", reason="it has 1 words"),))
    with pytest.raises(InputError, match="no item passed the gates"):
        export(write_items(tmp_path / "made", bad), tmp_path / "data")


def test_requests_must_match_the_language_of_the_descriptions(tmp_path: Path) -> None:
    items = write_items(tmp_path / "made", description("Eine Katze springt.", language="German"))
    with pytest.raises(InputError, match="there are descriptions in German"):
        export(items, tmp_path / "data", validation=0)
    report: ExportReport = export(items, tmp_path / "data", validation=0, requests=["Beschreibe das Video."])
    assert lines(tmp_path / "data" / "train.jsonl")[0]["QA"][0]["q"] == "Beschreibe das Video."
    assert report.languages == ("German",)
