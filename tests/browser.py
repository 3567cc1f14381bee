"""A browser for tests (the system's Chromium), and a server of the page that can be stopped and restarted."""

import shutil
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from playwright.sync_api import Browser, sync_playwright

from langchain_videochat import VideoTimelineStore
from langchain_videochat.app import Chat, Collection, create_app

SCREENSHOTS = Path("build/screenshots")


def find_chromium() -> str | None:
    """Return the path of Chromium, or None if it is not installed."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a headless browser."""
    with sync_playwright() as playwright:
        # Containers do not support the sandbox.
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


class Site:
    """The page's server, in a thread of this process.

    Args:
        store: The videos.
        folder: Folder to serve files from.
        chats: Chat backends by name.
        profile: Perception profile for uploads.
        max_upload: Maximum size of an upload in bytes.
    """

    def __init__(
        self,
        store: VideoTimelineStore,
        folder: Path,
        chats: Mapping[str, Chat],
        *,
        profile: str,
        max_upload: int = 10**7,
    ) -> None:
        self._store, self._folder, self._chats = store, folder, chats
        self._profile, self._max_upload = profile, max_upload
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]

    @property
    def address(self) -> str:
        """URL of the page."""
        return f"http://127.0.0.1:{self._port}/"

    def start(self) -> None:
        """Serve the page until `stop` is called."""
        collection = Collection(self._store, self._folder)
        page = create_app(collection, self._chats, profile=self._profile, max_upload=self._max_upload)
        config = uvicorn.Config(page, port=self._port, log_level="warning", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop the server and close all connections."""
        self._server.should_exit = True
        self._thread.join()
