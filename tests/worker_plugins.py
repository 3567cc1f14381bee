"""Perceivers that sleep, crash or exhaust memory, installed like those of another package."""

from pathlib import Path

PERCEIVERS = '''
import os, signal, time
from langchain_videochat.perception import Observation, Perceiver, SubtitleInputs


class Sleeper(Perceiver):
    """Sleeps for some seconds per segment, as a model that runs on a GPU would."""

    modality = "tag"
    inputs = SubtitleInputs()

    def __init__(self, seconds):
        self.seconds = seconds

    def perceive(self, batch):
        return ()

    def finish(self, end):
        time.sleep(self.seconds)
        yield Observation(max(0.0, end - 1), end, "tag", "slept")


class Fragile(Perceiver):
    """Dies at subtitles that name the way, and counts the tries in a file."""

    modality = "tag"
    inputs = SubtitleInputs()

    def __init__(self, log):
        self.log = log

    def perceive(self, batch):
        for cue in batch:
            if cue.text in ("kill", "exit", "allocate"):
                with open(self.log, "a") as file:
                    file.write(f"{cue.text}\\n")
            if cue.text == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            elif cue.text == "exit":
                os._exit(3)
            elif cue.text == "allocate":
                bytearray(2**40)
        return ()
'''


def install_plugins(folder: Path) -> Path:
    """Write the package with the metadata that pip writes; return the folder, which must be on the path of modules."""
    metadata = folder / "worker_perceivers-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: worker_perceivers\nVersion: 1.0\n")
    names = "sleeper = worker_perceivers:Sleeper\nfragile = worker_perceivers:Fragile\n"
    (metadata / "entry_points.txt").write_text(f"[langchain_videochat.perceivers]\n{names}")
    (folder / "worker_perceivers.py").write_text(PERCEIVERS)
    return folder


def write_profile(path: Path, **perceivers: object) -> Path:
    """Write a profile with `subtitles` and other perceivers, by name with their options as a mapping."""
    lines = [f"- {name}: {options}" for name, options in perceivers.items()]
    path.write_text("\n".join(["- subtitles", *lines]))
    return path
