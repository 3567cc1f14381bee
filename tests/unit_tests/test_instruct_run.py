"""Generation runs: files on disk, failures, and resuming."""

import errno
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from langchain_videochat import VideoTimelineStore
from langchain_videochat.errors import InputError, ModelError, ModelUnavailableError
from langchain_videochat.instruct import (
    GenerationReport,
    InstructionItem,
    InstructionPlan,
    estimate,
    generate_instructions,
)
from langchain_videochat.instruct.item_folder import ACCEPTED, REJECTED, open_item_folder
from langchain_videochat.instruct.item_generator import MAX_ATTEMPTS
from langchain_videochat.instruct.items import ITEM_KINDS
from langchain_videochat.perception import Observation
from langchain_videochat.timeline import Timeline
from tests.instruct_data import WORDS, Script, Writer, always, make_videos, write_truth
from tests.unit_tests.embeddings import BagOfWords, make_timeline

ALL = InstructionPlan(ITEM_KINDS, words=WORDS)
VIDEOS = make_videos(6)


@pytest.fixture(autouse=True)
def _no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langchain_videochat.instruct.item_generator.BACKOFF", {"max": 0.001, "jitter": 0})


def generate(
    folder: Path, model: Writer, plan: InstructionPlan = ALL, videos: Any = VIDEOS, **options: Any
) -> GenerationReport:
    return generate_instructions(model, videos, folder, plan, show_progress=False, **options)


def items(folder: Path, name: str = ACCEPTED) -> list[InstructionItem]:
    if not (folder / name).exists():
        return []
    return [InstructionItem.model_validate_json(line) for line in (folder / name).read_bytes().splitlines()]


def failing(*, every: int) -> Script:
    """Answer truthfully, but raise an error on every n-th call."""
    calls = iter(range(1, 10**6))

    def script(system: str, prompt: str) -> str:
        if next(calls) % every == 0:
            raise ConnectionError("the server is\nbusy")
        return write_truth(system, prompt)

    return script


# Generated items


@pytest.mark.parametrize("max_concurrency", [1, 4])
def test_each_video_gets_each_kind(tmp_path: Path, max_concurrency: int) -> None:
    model = Writer()
    report = generate(tmp_path, model, max_concurrency=max_concurrency)
    generated = items(tmp_path)
    assert {item.id for item in generated} == {
        f"{video.video_id}/{kind}/english" for video in VIDEOS for kind in ITEM_KINDS
    }
    assert len(generated) == 24
    assert (report.generated, report.rejected_items, report.failed) == (dict.fromkeys(ITEM_KINDS, 6), 0, [])
    assert model.calls == 6 * 5  # a description takes two calls
    assert (report.input_tokens, report.output_tokens) == (300, 150)
    assert not (tmp_path / REJECTED).exists()


def test_finished_items_are_skipped(tmp_path: Path) -> None:
    generate(tmp_path, Writer(), videos=VIDEOS[:4])
    before = (tmp_path / ACCEPTED).read_bytes()
    model = Writer()
    report = generate(tmp_path, model)
    assert model.calls == 2 * 5
    assert (report.skipped, report.generated.total()) == (16, 8)
    assert (tmp_path / ACCEPTED).read_bytes().startswith(before)
    assert len({item.id for item in items(tmp_path)}) == len(items(tmp_path)) == 24


def test_kinds_and_languages_share_a_folder(tmp_path: Path) -> None:
    generate(tmp_path, Writer(), InstructionPlan(words=WORDS))
    generate(tmp_path, Writer(), InstructionPlan(("causal",)))
    german = json.dumps([{"q": "Was liegt dort auf dem Tisch?", "a": "Dort liegt ein roter Apfel."}] * 2)
    report = generate(tmp_path, always(german), InstructionPlan(("causal",), language="German"))
    assert (report.skipped, report.rejected) == (0, {"repeats": 6})
    assert len(items(tmp_path)) == 12


def test_all_videos_of_a_store_are_processed(tmp_path: Path) -> None:
    store = VideoTimelineStore(tmp_path / "store", embedding=BagOfWords())
    for video in VIDEOS[:3]:
        store.add(video)
    generate(tmp_path / "made", Writer(), InstructionPlan(("temporal",)), store)
    assert {item.video for item in items(tmp_path / "made")} == {video.video.source for video in VIDEOS[:3]}


def test_paths_are_absolute_and_urls_are_kept() -> None:
    here = make_timeline("here", Observation(0, 1, "caption", "a cat"), source="films/cat.mp4")
    web = make_timeline("web", Observation(0, 1, "caption", "a cat"), source="https://example.org/cat.mp4")
    assert InstructionItem.from_timeline(here, "causal", "English").video == str(Path("films/cat.mp4").absolute())
    address = make_timeline("file", Observation(0, 1, "caption", "a cat"), source="file:///films/a%20cat.mp4")
    assert InstructionItem.from_timeline(address, "causal", "English").video == "/films/a cat.mp4"
    assert InstructionItem.from_timeline(web, "causal", "English").video == "https://example.org/cat.mp4"


def test_empty_and_repeated_videos_are_skipped(tmp_path: Path) -> None:
    empty = make_timeline("empty", Observation(0, 5, "scene", "scene"))
    model = Writer()
    report = generate(tmp_path, model, InstructionPlan(("causal",)), [empty, VIDEOS[0], empty, VIDEOS[0]])
    assert (report.empty_videos, report.generated.total(), model.calls) == (2, 1, 1)
    assert "2 videos in which nothing was observed" in str(report)


def test_each_item_is_written_before_the_next_video_starts(tmp_path: Path) -> None:
    written: list[int] = []

    def script(system: str, prompt: str) -> str:
        written.append(len(items(tmp_path)))
        return write_truth(system, prompt)

    def one_by_one() -> Iterator[Timeline]:
        for number, video in enumerate(VIDEOS):
            while len(items(tmp_path)) < number:
                threading.Event().wait(0.001)
            yield video

    generate(tmp_path, Writer(script=script), InstructionPlan(("causal",)), one_by_one(), max_concurrency=2)
    assert written == [0, 1, 2, 3, 4, 5]


# Rejected items


@pytest.mark.parametrize(
    ("answer", "description_gates", "conversation_gates"),
    [
        ("", ["format"], ["format"]),
        ("I'm sorry, but I cannot help with that.", ["length", "refusal"], ["format"]),
        ("[{", ["length", "unfinished"], ["format"]),
        ("Ein Mann öffnet die Tür und schneidet Zwiebeln.", ["language", "length"], ["format"]),
        ('[{"q": "What is it?", "a": "It is a cat."}]', ["length", "unfinished"], ["turns"]),
    ],
)
def test_rejected_items_are_written_with_reasons(
    tmp_path: Path, answer: str, description_gates: list[str], conversation_gates: list[str]
) -> None:
    report = generate(tmp_path, always(answer), InstructionPlan(("description", "causal"), words=WORDS), VIDEOS[:1])
    description, conversation = items(tmp_path, REJECTED)
    assert sorted(failure.gate for failure in description.failures) == description_gates
    assert sorted(failure.gate for failure in conversation.failures) == conversation_gates
    assert description.text == answer
    assert all(failure.reason for item in (description, conversation) for failure in item.failures)
    assert report.rejected == {gate: (description_gates + conversation_gates).count(gate) for gate in report.rejected}
    assert (report.rejected_items, report.generated.total()) == (2, 0)
    assert "rejected 2: " in str(report)
    again = generate(tmp_path, Writer(), InstructionPlan(("description", "causal"), words=WORDS), VIDEOS[:1])
    assert again.skipped == 2


def judging(verdict: str) -> Writer:
    return Writer(script=lambda system, prompt: verdict if "supported" in system else "never asked for this")


@pytest.mark.parametrize(
    ("verdict", "reasons"),
    [
        ("[]", []),
        ("[99]", []),  # no such statement
        ("[2]", ["not supported by the timeline: 'Next, somebody comes near and looks at the red apple for a while.'"]),
        ("hm", ["the judge returned no verdict: its answer is not a list of numbers"]),
    ],
)
def test_the_judge_rejects_unsupported_statements(tmp_path: Path, verdict: str, reasons: list[str]) -> None:
    judge = judging(verdict)
    report = generate(tmp_path, Writer(), InstructionPlan(words=WORDS), VIDEOS[:1], judge=judge)
    found = [failure for item in items(tmp_path, REJECTED) for failure in item.failures]
    assert [failure.reason[: len(reason)] for failure, reason in zip(found, reasons, strict=True)] == reasons
    assert {failure.gate for failure in found} <= {"unsupported"}
    assert report.generated.total() == (not reasons)


def test_the_judge_gets_the_notes_and_only_items_that_passed_the_gates(tmp_path: Path) -> None:
    prompts: list[str] = []

    def script(system: str, prompt: str) -> str:
        prompts.append(prompt)
        return "[]"

    generate(tmp_path, Writer(), InstructionPlan(("causal",)), VIDEOS[:1], judge=Writer(script=script))
    generate(tmp_path, always("nothing"), InstructionPlan(words=WORDS), VIDEOS[:1], judge=Writer(script=script))
    (prompt,) = prompts
    assert "a red apple stands on shelf 0" in prompt
    assert "2. What happens to the red apple after that?" in prompt


# Failures


def test_failing_calls_are_retried(tmp_path: Path) -> None:
    report = generate(tmp_path, Writer(script=failing(every=3)), max_concurrency=1)
    assert (report.generated.total(), report.failed) == (24, [])


def test_failing_calls_are_retried_in_concurrent_runs(tmp_path: Path) -> None:
    model = Writer(script=failing(every=2))
    while generate(tmp_path, model).failed:  # the order of calls is random, and with it which items fail
        pass
    expected = [f"{video.video_id}/{kind}/english" for video in VIDEOS for kind in ITEM_KINDS]
    assert sorted(item.id for item in items(tmp_path)) == sorted(expected)


def test_failed_items_are_reported_and_retried_by_the_next_run(tmp_path: Path) -> None:
    def script(system: str, prompt: str) -> str:
        if "shelf 2" in prompt:
            raise ConnectionError("the server is\nbusy")
        return write_truth(system, prompt)

    model = Writer(script=script)
    report = generate(tmp_path, model, InstructionPlan(("causal",)))
    assert [(one.id, one.problem) for one in report.failed] == [
        ("00000002/causal/english", "ConnectionError: the server is busy")
    ]
    assert "failed 00000002/causal/english: ConnectionError" in str(report)
    assert model.calls == 5 + MAX_ATTEMPTS
    assert len(items(tmp_path)) == 5
    again = generate(tmp_path, Writer(), InstructionPlan(("causal",)))
    assert (again.skipped, again.generated.total(), again.failed) == (5, 1, [])


def test_repeated_failures_stop_the_run(tmp_path: Path) -> None:
    def script(system: str, prompt: str) -> str:
        raise PermissionError("no such key")

    with pytest.raises(ModelError, match="10 items in a row failed, the last one with PermissionError: no such key"):
        generate(tmp_path, Writer(script=script), videos=make_videos(50))
    assert items(tmp_path) == []


def test_concurrent_runs_on_one_folder_are_refused(tmp_path: Path) -> None:
    refused: list[InputError] = []

    def script(system: str, prompt: str) -> str:
        with pytest.raises(InputError, match="another run is writing to it") as raised:
            generate(tmp_path, Writer(), InstructionPlan(("causal",)), VIDEOS[:1])
        refused.append(raised.value)
        return write_truth(system, prompt)

    generate(tmp_path, Writer(script=script), InstructionPlan(("causal",)), VIDEOS[:1])
    assert (len(refused), len(items(tmp_path))) == (1, 1)
    assert generate(tmp_path, Writer(), InstructionPlan(("causal",)), VIDEOS[:1]).skipped == 1


def test_an_incomplete_line_is_generated_again(tmp_path: Path) -> None:
    generate(tmp_path, Writer(), max_concurrency=1)
    whole = (tmp_path / ACCEPTED).read_bytes()
    (tmp_path / ACCEPTED).write_bytes(whole[: -len(whole.splitlines()[-1]) // 2])
    report = generate(tmp_path, Writer(), max_concurrency=1)
    assert (report.skipped, report.generated.total()) == (23, 1)
    assert (tmp_path / ACCEPTED).read_bytes() == whole


@pytest.mark.parametrize("content", ["notes\n", "[1]\n", '{"kind": "poem"}\n', "\n"])
def test_files_of_another_format_are_not_changed(tmp_path: Path, content: str) -> None:
    (tmp_path / ACCEPTED).write_text(content)
    with pytest.raises(InputError, match=r"items\.jsonl: line 1 is not an instruction item"):
        generate(tmp_path, Writer())
    assert (tmp_path / ACCEPTED).read_text() == content


def test_an_unwritable_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        generate(tmp_path / "file", Writer())


def test_a_full_disk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    with open_item_folder(tmp_path) as folder:
        monkeypatch.setattr(Path, "open", is_full)
        item = InstructionItem(video_id="a", video="/a.mp4", kind="causal", language="English")
        with pytest.raises(InputError, match=r"cannot be written \(No space left on device\)\. Free disk space"):
            folder.append(item)
    assert item.id not in folder.ids


def test_invalid_arguments(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="max_concurrency: must be positive, got 0"):
        generate(tmp_path, Writer(), max_concurrency=0)
    with pytest.raises(InputError, match="unknown language 'Klingon'"):
        generate(tmp_path, Writer(), InstructionPlan(language="Klingon"))


def test_a_missing_package_is_reported_before_the_first_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langchain_videochat.utils.optional_dependencies.find_spec", lambda _: None)
    model = Writer()
    with pytest.raises(ModelUnavailableError, match=r"pip install \"langchain-videochat\[instruct\]\""):
        generate(tmp_path, model)
    assert model.calls == 0


# Cost estimates


@pytest.mark.parametrize(("judge", "calls"), [(None, 30), (Writer(), 54)])
def test_estimated_calls_match_the_run(tmp_path: Path, judge: Writer | None, calls: int) -> None:
    estimated = estimate(VIDEOS, tmp_path, ALL, judged=judge is not None)
    model = Writer()
    generate(tmp_path, model, judge=judge)
    assert (estimated.items, estimated.videos, estimated.calls, estimated.cost) == (24, 6, calls, None)
    assert model.calls + (judge.calls if judge else 0) == calls
    assert estimate(VIDEOS, tmp_path, ALL).items == 0


def test_tokens_are_estimated_and_priced(tmp_path: Path) -> None:
    input_tokens: list[int] = []

    def script(system: str, prompt: str) -> str:
        input_tokens.append(len((system + prompt).encode()) // 3)
        return write_truth(system, prompt)

    estimated = estimate(VIDEOS, tmp_path, ALL, input_price=2, output_price=10)
    generate(tmp_path, Writer(script=script))
    assert estimated.input_tokens == pytest.approx(sum(input_tokens), rel=0.1)
    assert estimated.cost == pytest.approx((2 * estimated.input_tokens + 10 * estimated.output_tokens) / 1e6)
    assert "24 items of 6 videos: 30 calls" in str(estimated)


def test_condensing_is_estimated(tmp_path: Path) -> None:
    observed = [Observation(at * 10, at * 10 + 10, "speech", f"part {at} " * 30) for at in range(60)]
    video = make_timeline("long", *observed)
    plan = InstructionPlan(("causal",), max_context_tokens=1000)
    model = always('[{"q": "Why is that?", "a": "So it is."}, {"q": "And then?", "a": "It ends."}]')
    estimated = estimate([video], tmp_path, plan)
    generate(tmp_path, model, plan, [video])
    assert estimated.calls == pytest.approx(model.calls, abs=2)
    assert estimated.calls > 5
