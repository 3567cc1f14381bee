"""Runs that make instruction data: what is on the disk, what fails, and going on after a stop."""

import errno
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from langchain_videochat import VideoTimelineStore
from langchain_videochat.errors import InputError, ModelError, ModelUnavailableError
from langchain_videochat.instruct import Item, Plan, RunReport, estimate, make_instructions
from langchain_videochat.instruct.item_folder import ACCEPTED, REJECTED, open_folder
from langchain_videochat.instruct.items import KINDS
from langchain_videochat.instruct.making import ATTEMPTS
from langchain_videochat.perception import Observation
from langchain_videochat.timeline import Timeline
from tests.instruct_data import WORDS, Script, Writer, always, make_videos, write_truth
from tests.unit_tests.embeddings import BagOfWords, make_timeline

ALL = Plan(KINDS, words=WORDS)
VIDEOS = make_videos(6)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langchain_videochat.instruct.making.BACKOFF", {"max": 0.001, "jitter": 0})


def make(folder: Path, model: Writer, plan: Plan = ALL, videos: Any = VIDEOS, **options: Any) -> RunReport:
    return make_instructions(model, videos, folder, plan, show_progress=False, **options)


def items(folder: Path, name: str = ACCEPTED) -> list[Item]:
    if not (folder / name).exists():
        return []
    return [Item.model_validate_json(line) for line in (folder / name).read_bytes().splitlines()]


def failing(*, every: int) -> Script:
    """Write the truth, but raise at some calls."""
    calls = iter(range(1, 10**6))

    def script(system: str, prompt: str) -> str:
        if next(calls) % every == 0:
            raise ConnectionError("the server is\nbusy")
        return write_truth(system, prompt)

    return script


# What is made


@pytest.mark.parametrize("at_once", [1, 4])
def test_each_video_gets_each_kind(tmp_path: Path, at_once: int) -> None:
    model = Writer()
    report = make(tmp_path, model, max_concurrency=at_once)
    made = items(tmp_path)
    assert {item.id for item in made} == {f"{video.video_id}/{kind}/english" for video in VIDEOS for kind in KINDS}
    assert len(made) == 24
    assert (report.made, report.rejected_items, report.failed) == (dict.fromkeys(KINDS, 6), 0, [])
    assert model.calls == 6 * 5  # descriptions take two
    assert (report.input_tokens, report.output_tokens) == (300, 150)
    assert not (tmp_path / REJECTED).exists()


def test_what_is_finished_is_not_made_again(tmp_path: Path) -> None:
    make(tmp_path, Writer(), videos=VIDEOS[:4])
    before = (tmp_path / ACCEPTED).read_bytes()
    model = Writer()
    report = make(tmp_path, model)
    assert model.calls == 2 * 5
    assert (report.kept, report.made.total()) == (16, 8)
    assert (tmp_path / ACCEPTED).read_bytes().startswith(before)
    assert len({item.id for item in items(tmp_path)}) == len(items(tmp_path)) == 24


def test_kinds_and_languages_share_a_folder(tmp_path: Path) -> None:
    make(tmp_path, Writer(), Plan(words=WORDS))
    make(tmp_path, Writer(), Plan(("causal",)))
    german = json.dumps([{"q": "Was liegt dort auf dem Tisch?", "a": "Dort liegt ein roter Apfel."}] * 2)
    report = make(tmp_path, always(german), Plan(("causal",), language="German"))
    assert (report.kept, report.rejected) == (0, {"repeats": 6})
    assert len(items(tmp_path)) == 12


def test_all_videos_of_a_store_are_taken(tmp_path: Path) -> None:
    store = VideoTimelineStore(tmp_path / "store", embedding=BagOfWords())
    for video in VIDEOS[:3]:
        store.add(video)
    make(tmp_path / "made", Writer(), Plan(("temporal",)), store)
    assert {item.video for item in items(tmp_path / "made")} == {video.video.source for video in VIDEOS[:3]}


def test_paths_are_absolute_and_addresses_stay() -> None:
    here = make_timeline("here", Observation(0, 1, "caption", "a cat"), source="films/cat.mp4")
    web = make_timeline("web", Observation(0, 1, "caption", "a cat"), source="https://example.org/cat.mp4")
    assert Item.about(here, "causal", "English").video == str(Path("films/cat.mp4").absolute())
    address = make_timeline("file", Observation(0, 1, "caption", "a cat"), source="file:///films/a%20cat.mp4")
    assert Item.about(address, "causal", "English").video == "/films/a cat.mp4"
    assert Item.about(web, "causal", "English").video == "https://example.org/cat.mp4"


def test_empty_and_repeated_videos_are_passed_over(tmp_path: Path) -> None:
    empty = make_timeline("empty", Observation(0, 5, "scene", "scene"))
    model = Writer()
    report = make(tmp_path, model, Plan(("causal",)), [empty, VIDEOS[0], empty, VIDEOS[0]])
    assert (report.empty, report.made.total(), model.calls) == (2, 1, 1)
    assert "2 videos in which nothing was observed" in str(report)


def test_each_item_is_on_the_disk_before_the_next_video_is_taken(tmp_path: Path) -> None:
    written: list[int] = []

    def script(system: str, prompt: str) -> str:
        written.append(len(items(tmp_path)))
        return write_truth(system, prompt)

    def one_by_one() -> Iterator[Timeline]:
        for number, video in enumerate(VIDEOS):
            while len(items(tmp_path)) < number:
                threading.Event().wait(0.001)
            yield video

    make(tmp_path, Writer(script=script), Plan(("causal",)), one_by_one(), max_concurrency=2)
    assert written == [0, 1, 2, 3, 4, 5]


# What is rejected


@pytest.mark.parametrize(
    ("answer", "description_faults", "conversation_faults"),
    [
        ("", ["format"], ["format"]),
        ("I'm sorry, but I cannot help with that.", ["length", "refusal"], ["format"]),
        ("[{", ["length", "unfinished"], ["format"]),
        ("Ein Mann öffnet die Tür und schneidet Zwiebeln.", ["language", "length"], ["format"]),
        ('[{"q": "What is it?", "a": "It is a cat."}]', ["length", "unfinished"], ["turns"]),
    ],
)
def test_what_is_of_no_use_is_kept_with_the_reasons(
    tmp_path: Path, answer: str, description_faults: list[str], conversation_faults: list[str]
) -> None:
    report = make(tmp_path, always(answer), Plan(("description", "causal"), words=WORDS), VIDEOS[:1])
    description, conversation = items(tmp_path, REJECTED)
    assert sorted(fault.gate for fault in description.faults) == description_faults
    assert sorted(fault.gate for fault in conversation.faults) == conversation_faults
    assert description.text == answer
    assert all(fault.reason for item in (description, conversation) for fault in item.faults)
    assert report.rejected == {gate: (description_faults + conversation_faults).count(gate) for gate in report.rejected}
    assert (report.rejected_items, report.made.total()) == (2, 0)
    assert "rejected 2: " in str(report)
    again = make(tmp_path, Writer(), Plan(("description", "causal"), words=WORDS), VIDEOS[:1])
    assert again.kept == 2


def judging(verdict: str) -> Writer:
    return Writer(script=lambda system, prompt: verdict if "supported" in system else "never asked for this")


@pytest.mark.parametrize(
    ("verdict", "reasons"),
    [
        ("[]", []),
        ("[99]", []),  # there is no such statement
        ("[2]", ["the timeline does not tell: 'Next, somebody comes near and looks at the red apple for a while.'"]),
        ("hm", ["the judge gave no verdict: its answer is no list of numbers"]),
    ],
)
def test_a_judge_rejects_what_the_timeline_does_not_tell(tmp_path: Path, verdict: str, reasons: list[str]) -> None:
    judge = judging(verdict)
    report = make(tmp_path, Writer(), Plan(words=WORDS), VIDEOS[:1], judge=judge)
    found = [fault for item in items(tmp_path, REJECTED) for fault in item.faults]
    assert [fault.reason[: len(reason)] for fault, reason in zip(found, reasons, strict=True)] == reasons
    assert {fault.gate for fault in found} <= {"unsupported"}
    assert report.made.total() == (not reasons)


def test_a_judge_reads_the_notes_and_is_asked_only_about_what_passed(tmp_path: Path) -> None:
    told: list[str] = []

    def script(system: str, prompt: str) -> str:
        told.append(prompt)
        return "[]"

    make(tmp_path, Writer(), Plan(("causal",)), VIDEOS[:1], judge=Writer(script=script))
    make(tmp_path, always("nothing"), Plan(words=WORDS), VIDEOS[:1], judge=Writer(script=script))
    (prompt,) = told
    assert "a red apple stands on shelf 0" in prompt
    assert "2. What happens to the red apple after that?" in prompt


# What fails


def test_an_error_every_third_call_costs_no_item(tmp_path: Path) -> None:
    report = make(tmp_path, Writer(script=failing(every=3)), max_concurrency=1)
    assert (report.made.total(), report.failed) == (24, [])


def test_several_videos_at_once_bear_errors_too(tmp_path: Path) -> None:
    model = Writer(script=failing(every=2))
    while make(tmp_path, model).failed:  # in what order calls are made is not known, and so not which of them fail
        pass
    wanted = [f"{video.video_id}/{kind}/english" for video in VIDEOS for kind in KINDS]
    assert sorted(item.id for item in items(tmp_path)) == sorted(wanted)


def test_an_item_that_fails_is_told_and_tried_again_by_the_next_run(tmp_path: Path) -> None:
    def script(system: str, prompt: str) -> str:
        if "shelf 2" in prompt:
            raise ConnectionError("the server is\nbusy")
        return write_truth(system, prompt)

    model = Writer(script=script)
    report = make(tmp_path, model, Plan(("causal",)))
    assert [(one.id, one.problem) for one in report.failed] == [
        ("00000002/causal/english", "ConnectionError: the server is busy")
    ]
    assert "failed 00000002/causal/english: ConnectionError" in str(report)
    assert model.calls == 5 + ATTEMPTS
    assert len(items(tmp_path)) == 5
    again = make(tmp_path, Writer(), Plan(("causal",)))
    assert (again.kept, again.made.total(), again.failed) == (5, 1, [])


def test_a_model_that_always_fails_stops_the_run(tmp_path: Path) -> None:
    def script(system: str, prompt: str) -> str:
        raise PermissionError("no such key")

    with pytest.raises(ModelError, match="10 items in a row failed, the last one so: PermissionError: no such key"):
        make(tmp_path, Writer(script=script), videos=make_videos(50))
    assert items(tmp_path) == []


def test_two_runs_on_one_folder(tmp_path: Path) -> None:
    refused: list[InputError] = []

    def script(system: str, prompt: str) -> str:
        with pytest.raises(InputError, match="another run is writing into it") as raised:
            make(tmp_path, Writer(), Plan(("causal",)), VIDEOS[:1])
        refused.append(raised.value)
        return write_truth(system, prompt)

    make(tmp_path, Writer(script=script), Plan(("causal",)), VIDEOS[:1])
    assert (len(refused), len(items(tmp_path))) == (1, 1)
    assert make(tmp_path, Writer(), Plan(("causal",)), VIDEOS[:1]).kept == 1


def test_a_line_that_was_being_written_is_made_anew(tmp_path: Path) -> None:
    make(tmp_path, Writer(), max_concurrency=1)
    whole = (tmp_path / ACCEPTED).read_bytes()
    (tmp_path / ACCEPTED).write_bytes(whole[: -len(whole.splitlines()[-1]) // 2])
    report = make(tmp_path, Writer(), max_concurrency=1)
    assert (report.kept, report.made.total()) == (23, 1)
    assert (tmp_path / ACCEPTED).read_bytes() == whole


@pytest.mark.parametrize("content", ["notes\n", "[1]\n", '{"kind": "poem"}\n', "\n"])
def test_another_file_is_left_as_it_is(tmp_path: Path, content: str) -> None:
    (tmp_path / ACCEPTED).write_text(content)
    with pytest.raises(InputError, match=r"items\.jsonl: line 1 is no item"):
        make(tmp_path, Writer())
    assert (tmp_path / ACCEPTED).read_text() == content


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="it cannot be written"):
        make(tmp_path / "file", Writer())


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    with open_folder(tmp_path) as folder:
        monkeypatch.setattr(Path, "open", is_full)
        item = Item(video_id="a", video="/a.mp4", kind="causal", language="English")
        with pytest.raises(InputError, match=r"it cannot be written \(No space left on device\)\. Make room"):
            folder.append(item)
    assert item.id not in folder.ids


def test_arguments_that_make_no_sense(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="max_concurrency: 0 is below 1"):
        make(tmp_path, Writer(), max_concurrency=0)
    with pytest.raises(InputError, match="'Klingon' is unknown"):
        make(tmp_path, Writer(), Plan(language="Klingon"))


def test_a_missing_package_is_told_before_a_model_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langchain_videochat.utils.optional_dependencies.find_spec", lambda _: None)
    model = Writer()
    with pytest.raises(ModelUnavailableError, match=r"pip install \"langchain-videochat\[instruct\]\""):
        make(tmp_path, model)
    assert model.calls == 0


# What it will cost


@pytest.mark.parametrize(("judge", "calls"), [(None, 30), (Writer(), 54)])
def test_as_many_calls_are_made_as_were_estimated(tmp_path: Path, judge: Writer | None, calls: int) -> None:
    told = estimate(VIDEOS, tmp_path, ALL, judged=judge is not None)
    model = Writer()
    make(tmp_path, model, judge=judge)
    assert (told.items, told.videos, told.calls, told.cost) == (24, 6, calls, None)
    assert model.calls + (judge.calls if judge else 0) == calls
    assert estimate(VIDEOS, tmp_path, ALL).items == 0


def test_tokens_are_estimated_and_priced(tmp_path: Path) -> None:
    read: list[int] = []

    def script(system: str, prompt: str) -> str:
        read.append(len((system + prompt).encode()) // 3)
        return write_truth(system, prompt)

    told = estimate(VIDEOS, tmp_path, ALL, input_price=2, output_price=10)
    make(tmp_path, Writer(script=script))
    assert told.input_tokens == pytest.approx(sum(read), rel=0.1)
    assert told.cost == pytest.approx((2 * told.input_tokens + 10 * told.output_tokens) / 1e6)
    assert "24 items of 6 videos: 30 calls" in str(told)


def test_condensing_is_estimated(tmp_path: Path) -> None:
    observed = [Observation(at * 10, at * 10 + 10, "speech", f"part {at} " * 30) for at in range(60)]
    video = make_timeline("long", *observed)
    plan = Plan(("causal",), max_context_tokens=1000)
    model = always('[{"q": "Why is that?", "a": "So it is."}, {"q": "And then?", "a": "It ends."}]')
    told = estimate([video], tmp_path, plan)
    make(tmp_path, model, plan, [video])
    assert told.calls == pytest.approx(model.calls, abs=2)
    assert told.calls > 5
