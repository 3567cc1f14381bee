"""All operations with one fuzzed file."""

import gc
import shutil
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from tests.fuzz.files import make_file
from tests.fuzz.findings import FileResult, save
from tests.fuzz.measurement import Limits, measure
from tests.fuzz.operations import operations_for


def import_libraries() -> None:
    """Import what operations need, once for all processes that are forked. onnxruntime would start a thread."""
    import cv2
    import torch
    from tqdm import tqdm

    from langchain_videochat.perception import create_perceivers

    for module in ("embed.conversion.checkpoint_files", "store.store"):
        import_module(f"langchain_videochat.{module}")
    create_perceivers("lite")
    # Their threads would be taken for those of an operation.
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    tqdm.monitor_interval = 0
    gc.collect()
    gc.freeze()


@dataclass(frozen=True)
class Fuzzer:
    """Tries operations with fuzzed files."""

    folder: Path
    """For temporary files."""

    seeds: Path
    """The folder of the intact files."""

    keep: Path | None = None
    """Where to save the files with findings."""

    limits: Limits = field(default_factory=Limits)
    """What an operation may use."""

    def fuzz(self, number: int) -> FileResult:
        """Try all operations with a file, which is made from its number."""
        file = make_file(number, self.seeds)
        place, work = self.folder / str(number), self.folder / f"{number} work"
        path = file.write(place, self.seeds)
        measurements = []
        for operation in operations_for(file):
            measurements.append(measure(operation, path, work, self.limits))
            shutil.rmtree(work)
        result = FileResult(number, file.seed.name, len(file.content), tuple(measurements))
        if self.keep and result.findings:
            save(result.findings, file.content, self.keep)
        shutil.rmtree(place)
        return result
