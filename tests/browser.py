"""A browser for tests (the system's Chromium), and a server of the page that can be stopped and restarted."""

import shutil
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from langchain_videochat import VideoTimelineStore
from langchain_videochat.app import Chat, Collection, create_app
from langchain_videochat.app.connections import create_server

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
        password: HTTP password, if any.
    """

    def __init__(
        self,
        store: VideoTimelineStore,
        folder: Path,
        chats: Mapping[str, Chat],
        *,
        profile: str,
        max_upload: int = 10**7,
        password: str | None = None,
    ) -> None:
        self._store, self._folder, self._chats = store, folder, chats
        self._options: dict[str, Any] = {"profile": profile, "max_upload": max_upload, "password": password}
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]

    @property
    def address(self) -> str:
        """URL of the page."""
        return f"http://127.0.0.1:{self._port}/"

    def start(self) -> None:
        """Serve the page until `stop` is called."""
        collection = Collection(self._store, self._folder)
        page = create_app(collection, self._chats, **self._options)
        listener = socket.create_server(("127.0.0.1", self._port))
        self._server = create_server(page)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop the server and close all connections."""
        self._server.should_exit = True
        self._thread.join()
