"""The fuzzer: its files follow from their numbers and mostly get past the first checks, and it reports what it must."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from random import Random

import pytest

from langchain_videochat.errors import MediaError
from langchain_videochat.media import probe, read_audio
from tests.fuzz.files import MAX_SIZE, make_file
from tests.fuzz.findings import FileResult, Summary
from tests.fuzz.measurement import Limits, Measurement, measure
from tests.fuzz.mutations import ebml, generic, mp4, riff
from tests.fuzz.operations import Operation
from tests.fuzz.seeds import CHECKPOINTS, MEDIA, SIDECARS, Seed, make_seeds

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs fork and /proc")

LIMITS = Limits(cpu=1, memory=2**26, wall=60, threads=16)
FILES = 150


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seeds")
    make_seeds(folder, jobs=2)
    return folder


@pytest.fixture(scope="module")
def process() -> Iterator[ProcessPoolExecutor]:
    """Provide a process without threads, which may fork."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


def test_a_file_follows_from_its_number(seeds: Path) -> None:
    first, second = ([make_file(number, seeds) for number in range(FILES)] for _ in range(2))
    assert first == second
    assert max(len(file.content) for file in first) <= MAX_SIZE
    assert {file.seed for file in first} >= {*SIDECARS, *CHECKPOINTS}
    changed = [file for file in first if file.content != (seeds / file.seed.name).read_bytes()]
    assert len(changed) > 0.9 * FILES


def test_parsed_files_are_written_as_they_were(seeds: Path) -> None:
    for name in ("faststart.mp4", "fragments.mp4", "edit list.mov"):
        content = (seeds / name).read_bytes()
        assert mp4.write(mp4.parse(content)) == content
    content = (seeds / "talk.avi").read_bytes()
    assert riff.write(riff.parse(content)) == content


@pytest.mark.parametrize("name", ["talk.mkv", "talk.webm", "live.mkv"])
def test_elements_are_written_with_long_sizes(name: str, seeds: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(ebml.write(ebml.parse((seeds / name).read_bytes())))
    assert probe(path).duration == pytest.approx(probe(seeds / name).duration)


@pytest.mark.parametrize("seed", [*MEDIA, *SIDECARS, *CHECKPOINTS], ids=lambda seed: seed.name)
def test_mutations_accept_the_files_of_other_mutations(seed: Seed, seeds: Path) -> None:
    content = (seeds / seed.name).read_bytes()
    for number in range(50):
        mutate = generic.mutate if number % 2 else seed.mutate
        content = mutate(content, Random(number))[:MAX_SIZE] or content


def test_most_files_get_past_the_first_checks(seeds: Path, process: ProcessPoolExecutor, tmp_path: Path) -> None:
    assert process.submit(_share_of_readable, seeds, tmp_path).result() > 0.5


def _share_of_readable(seeds: Path, folder: Path) -> float:
    files = [file for file in (make_file(number, seeds) for number in range(FILES // 2)) if file.seed in MEDIA]
    readable = 0
    for file in files:
        path = file.write(folder / str(file.number), seeds)
        found = measure(Operation("any", _read_anything), path, folder / f"{file.number} work", Limits())
        readable += bool(found.report and found.report.got_anything)
    return readable / len(files)


def _read_anything(path: Path, _: Path) -> bool:
    try:
        return probe(path).duration > 0
    except MediaError:
        return next(read_audio(path), None) is not None


def _behave(path: Path, folder: Path) -> bool:
    return path.exists() and folder.is_dir()


def _refuse(path: Path, _: Path) -> None:
    raise MediaError(path, "is damaged", "Export it again")


def _raise_key_error(*_: Path) -> None:
    raise KeyError("moov")


def _run_out_of_memory(*_: Path) -> None:
    raise MemoryError


def _abort(*_: Path) -> None:
    os.abort()


def _exit(*_: Path) -> None:
    os._exit(0)


def _hang(*_: Path) -> None:
    time.sleep(3600)


def _spin(*_: Path) -> None:
    while True:
        pass


def _spin_in_a_program(*_: Path) -> None:
    subprocess.run([sys.executable, "-c", "while True: pass"], check=False)


def _fill_memory(*_: Path) -> None:
    blocks = []
    while True:
        blocks.append(b"x" * 2**20)


def _need_memory_for_a_moment(*_: Path) -> None:
    del [b"x" * 2**27][0]


def _start_many_threads(*_: Path) -> None:
    threads = [threading.Thread(target=time.sleep, args=(1,)) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _leave_a_thread(*_: Path) -> None:
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()


def _leave_a_process(*_: Path) -> None:
    subprocess.Popen(["sleep", "3600"])


def _leave_a_descriptor(path: Path, _: Path) -> None:
    os.open(path, os.O_RDONLY)


def _leave_a_temporary_file(*_: Path) -> None:
    Path(tempfile.gettempdir(), "left").touch()


def _leave_an_unfinished_file(_: Path, folder: Path) -> None:
    (folder / "unfinished.mp4").touch()


@pytest.mark.parametrize(
    ("run", "problems"),
    [
        (_behave, ()),
        (_refuse, ()),
        (_raise_key_error, ("foreign exception",)),
        (_run_out_of_memory, ("foreign exception",)),
        (_abort, ("crash",)),
        (_exit, ("crash",)),
        (_spin, ("CPU time",)),
        (_spin_in_a_program, ("CPU time",)),
        (_fill_memory, ("memory",)),
        (_need_memory_for_a_moment, ("memory",)),
        (_start_many_threads, ("threads",)),
        (_leave_a_thread, ("leftover threads",)),
        (_leave_a_process, ("leftover processes",)),
        (_leave_a_descriptor, ("leftover descriptors",)),
        (_leave_a_temporary_file, ("leftover files",)),
        (_leave_an_unfinished_file, ("leftover files",)),
    ],
)
def test_operations_are_measured(
    run: Callable[[Path, Path], object], problems: tuple[str, ...], process: ProcessPoolExecutor, tmp_path: Path
) -> None:
    measurement = _measure(run, process, tmp_path)
    assert measurement.problems == problems


def test_a_hanging_operation_is_killed(process: ProcessPoolExecutor, tmp_path: Path) -> None:
    hanging = _measure(_hang, process, tmp_path, Limits(wall=1))
    assert hanging.problems == ("hang",)
    assert hanging.signal == signal.SIGKILL


def test_a_measurement_describes_what_happened(process: ProcessPoolExecutor, tmp_path: Path) -> None:
    good, refused, foreign, killed, spinning, greedy = (
        _measure(run, process, tmp_path / run.__name__)
        for run in (_behave, _refuse, _raise_key_error, _abort, _spin, _need_memory_for_a_moment)
    )
    assert good.report
    assert good.report.got_anything
    assert refused.report
    assert "is damaged. Export it again" in refused.report.refusal
    assert foreign.report
    assert "KeyError: 'moov'" in foreign.report.foreign
    assert killed.signal == signal.SIGABRT
    assert "_abort" in killed.log
    assert spinning.cpu >= LIMITS.cpu
    assert "in _spin" in spinning.log
    assert 2**26 < greedy.memory < 2**28


def test_findings_are_grouped_by_cause(process: ProcessPoolExecutor, tmp_path: Path) -> None:
    crash = _measure(_abort, process, tmp_path / "1")
    summary = Summary()
    for number in (5, 6):
        summary.add(FileResult(number, "talk.mp4", 100, (crash,)))
    assert summary.has_findings
    assert "2 x crash at an unknown place: file 5, 6" in str(summary)
    assert not Summary().has_findings


def _measure(
    run: Callable[[Path, Path], object], process: ProcessPoolExecutor, folder: Path, limits: Limits = LIMITS
) -> Measurement:
    folder.mkdir(exist_ok=True)
    path = folder / "file.mp4"
    path.write_bytes(b"content")
    return process.submit(measure, Operation(run.__name__, run), path, folder / "work", limits).result()
