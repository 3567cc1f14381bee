"""Unit tests run without network access. Hypothesis sets no deadlines, and in CI it repeats the same examples."""

import os

import pytest
from hypothesis import settings
from pytest_socket import disable_socket

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported
settings.register_profile("no deadline", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("no deadline")


@pytest.fixture(autouse=True)
def _no_network() -> None:
    disable_socket(allow_unix_socket=True)  # asyncio uses a Unix socket internally
