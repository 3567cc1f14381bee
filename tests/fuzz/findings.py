"""Findings: what was found, sorted by cause, saved and summarized."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.measurement import Measurement

_FRAME = re.compile(r'File "[^"]*/langchain_videochat/([^"]+)", line (\d+),? in (\w+)')


@dataclass(frozen=True)
class FileResult:
    """What was measured with a file."""

    number: int
    """The number of the file, from which it can be made again."""

    seed: str
    """Name of the intact file."""

    size: int
    """Bytes."""

    measurements: tuple[Measurement, ...]
    """One for each operation."""

    @property
    def was_read(self) -> bool:
        """Whether an operation got anything of the file."""
        return any(one.report and one.report.got_anything for one in self.measurements)

    @property
    def findings(self) -> "list[Finding]":
        """What no operation may do."""
        return [Finding(problem, self, one) for one in self.measurements for problem in one.problems]


@dataclass(frozen=True)
class Finding:
    """Something that no operation may do with a file."""

    problem: str
    """The kind, for example "crash"."""

    file: FileResult
    """The file."""

    measurement: Measurement
    """The measurement."""

    @property
    def cause(self) -> str:
        """The kind and the place in the package: findings of one cause are the same fault."""
        report = self.measurement.report
        if report and report.foreign:
            error = report.foreign.strip().splitlines()[-1].split(":")[0]
            # Python's tracebacks end with the innermost call, those of faulthandler begin with it.
            return f"{self.problem} {error} at {_place(_FRAME.findall(report.foreign)[::-1])}"
        return f"{self.problem} at {_place(_FRAME.findall(self.measurement.log))}"

    def __str__(self) -> str:
        one = self.measurement
        used = f"{one.cpu:.1f} s of CPU, {one.memory / 2**20:.0f} MiB"
        ended = f", signal {one.signal}" if one.signal else ""
        file = f"{self.file.number} ({self.file.seed}, {self.file.size} bytes)"
        return f"{file}, {one.operation}: {self.cause}, {used}{ended}"


def _place(frames: list[tuple[str, str, str]]) -> str:
    # Threads that wait for others are in this module.
    places = [f"{file}:{line} ({function})" for file, line, function in frames if file != "utils/concurrency.py"]
    return places[0] if places else "an unknown place"


def save(findings: Iterable[Finding], content: bytes, folder: Path) -> None:
    """Save a file with a description of what was found.

    Args:
        findings: The findings of one file.
        content: The mutated file.
        folder: Where to save it.
    """
    for finding in findings:
        name = f"{finding.file.number} {finding.file.seed}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        report = finding.measurement.report
        details = f"{finding}\n\n{report.foreign if report else ''}\n{finding.measurement.log}\n"
        with (folder / f"{name}.txt").open("a") as notes:
            notes.write(details)


class Summary:
    """What a run has found."""

    def __init__(self) -> None:
        self.files = self.read = 0
        self._cpu: Counter[str] = Counter()
        self._runs: Counter[str] = Counter()
        self._slowest: dict[str, tuple[float, int]] = {}
        self._largest: dict[str, tuple[int, int]] = {}
        self._causes: dict[str, list[Finding]] = defaultdict(list)

    @property
    def has_findings(self) -> bool:
        """Whether anything was found."""
        return bool(self._causes)

    def add(self, result: FileResult) -> None:
        """Add the result of a file."""
        self.files += 1
        self.read += result.was_read
        for one in result.measurements:
            self._runs[one.operation] += 1
            self._cpu[one.operation] += one.cpu  # type: ignore[assignment] # a Counter of seconds
            self._slowest[one.operation] = max(self._slowest.get(one.operation, (0.0, 0)), (one.cpu, result.number))
            self._largest[one.operation] = max(self._largest.get(one.operation, (0, 0)), (one.memory, result.number))
        for finding in result.findings:
            self._causes[finding.cause].append(finding)

    def __str__(self) -> str:
        return "\n".join([*self._operations(), "", *self._findings()])

    def _operations(self) -> list[str]:
        header = f"{'operation':24} {'runs':>7} {'CPU mean':>9} {'longest':>9} (file) {'largest growth':>16} (file)"
        lines = [header]
        for name, runs in self._runs.items():
            (cpu, slow), (memory, large) = self._slowest[name], self._largest[name]
            mean = self._cpu[name] / runs
            lines.append(f"{name:24} {runs:7} {mean:7.2f} s {cpu:7.2f} s ({slow}) {memory / 2**20:10.0f} MiB ({large})")
        return lines

    def _findings(self) -> list[str]:
        share = self.read / max(self.files, 1)
        lines = [f"{self.files} files, of which {share:.0%} could be read at least in part"]
        for cause, findings in sorted(self._causes.items(), key=lambda item: -len(item[1])):
            numbers = dict.fromkeys(str(finding.file.number) for finding in findings)
            lines.append(f"{len(findings):5} x {cause}: file {', '.join(list(numbers)[:5])}")
        return lines if self._causes else [*lines, "no findings"]
