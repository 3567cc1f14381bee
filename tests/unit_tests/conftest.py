"""Unit tests use no network; hypothesis does not watch the clock, and in CI tries the same examples every time."""

import os

import pytest
from hypothesis import settings
from pytest_socket import disable_socket

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported
settings.register_profile("calm", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("calm")


@pytest.fixture(autouse=True)
def _no_network() -> None:
    disable_socket(allow_unix_socket=True)  # asyncio talks to itself over a unix socket
