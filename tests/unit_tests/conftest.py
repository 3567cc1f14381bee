"""Unit tests use no network, and hypothesis does not watch the clock."""

import os

import pytest
from hypothesis import settings
from pytest_socket import disable_socket

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")


@pytest.fixture(autouse=True)
def _no_network() -> None:
    disable_socket(allow_unix_socket=True)  # asyncio talks to itself over a unix socket
