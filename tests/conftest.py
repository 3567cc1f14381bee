"""Settings of all tests."""

import gc
import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

# Read when torch is imported. Tests run in parallel processes, whose threads would compete for the CPUs.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_finish() -> None:
    # The garbage collector would go through all imported modules again and again.
    gc.freeze()


def pytest_sessionfinish() -> None:
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def _float32_on_every_cpu() -> Iterator[None]:
    """Let perceivers compute in float32, also on CPUs with bfloat16, which is less exact than many tests are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cpu.get_capabilities", dict)
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_label_vectors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the vectors of labels apart from those of the user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("langchain_videochat.perception.label_vectors.FOLDER", tmp_path_factory.mktemp("label-vectors"))
        yield


@pytest.fixture(scope="module", autouse=True)
def _close_databases() -> Iterator[None]:
    """Close the databases of a module's tests: Chroma keeps 10 MB, 8 threads and 20 open files for each directory."""
    yield
    from chromadb.api.shared_system_client import SharedSystemClient

    gc.collect()
    systems = SharedSystemClient._identifier_to_system
    for directory in [name for name, system in systems.items() if system.settings.is_persistent]:
        with suppress(AttributeError):  # Chroma has failed to open it
            systems.pop(directory).stop()
        SharedSystemClient._identifier_to_refcount.pop(directory, None)
