"""Downloads from a local server."""

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from langchain_videochat.errors import SourceError
from langchain_videochat.media import list_sources, local_file
from langchain_videochat.media.download import download

CONTENT = b"0123456789" * 1000


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        port = self.server.server_port  # type: ignore[attr-defined]
        redirects = {
            "/near": "/film.mp4",
            "/private": f"http://localhost:{port}/film.mp4",
            "/mapped": f"http://[::ffff:127.0.0.1]:{port}/film.mp4",
            "/cloud": "http://169.254.169.254/latest",
            "/file": "file:///etc/hostname",
            "/port": "http://127.0.0.1:1/film.mp4",
            "/loop": "/loop",
        }
        path = self.path.partition("?")[0]
        if path in redirects:
            self._head(302, Location=redirects[path])
        elif path == "/page":
            self._head(200, **{"Content-Type": "text/html; charset=utf-8"})
        elif path == "/cut":
            self._head(200, **{"Content-Length": str(2 * len(CONTENT))})
            self.wfile.write(CONTENT)
        elif path == "/endless":
            self._head(200)
            self._send_until_closed(CONTENT, pause=0)
        elif path == "/drip":
            self._head(200)
            self._send_until_closed(b"x", pause=0.05)
        elif path == "/slow-headers":
            self.wfile.write(b"HTTP/1.0 200 OK\r\nX-Padding: ")
            self._send_until_closed(b"x", pause=0.05)
        elif path.startswith("/slow-redirects"):
            time.sleep(0.1)
            self._head(302, Location=f"{path}/next")
        elif path == "/silent":
            time.sleep(2)
        elif path.endswith("film.mp4"):
            self._head(200, **{"Content-Length": str(len(CONTENT))})
            self.wfile.write(CONTENT)
        else:
            self._head(404)

    def _head(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send_until_closed(self, data: bytes, pause: float) -> None:
        try:
            while True:
                self.wfile.write(data)
                time.sleep(pause)
        except OSError:
            pass

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as http:
        http.daemon_threads = True
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()


@pytest.mark.parametrize("path", ["/film.mp4", "/near", "/a%20b/..%2Ffilm.mp4?token=%2F"])
def test_a_download_is_deleted_at_the_end(server: str, path: str) -> None:
    assert list_sources(server + path) == [server + path]
    with local_file(server + path, allowed_hosts=["127.0.0.1"]) as file:
        assert file.read_bytes() == CONTENT
        assert list(file.parent.iterdir()) == [file]
    assert not file.parent.exists()


def test_a_download_keeps_its_file_name(server: str) -> None:
    with local_file(f"{server}/a%20%3Ffilm.mp4", allowed_hosts=["127.0.0.1"]) as file:
        assert file.name == "a _film.mp4"


def test_a_private_server_is_refused_unless_allowed(server: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="refused"):
        download(f"{server}/film.mp4", tmp_path / "film.mp4")
    assert not any(tmp_path.iterdir())


def test_a_host_is_allowed_on_all_ports_or_on_one(server: str, tmp_path: Path) -> None:
    port = int(server.rpartition(":")[2])
    for allowed in ("127.0.0.1", f"127.0.0.1:{port}"):
        download(f"{server}/near", tmp_path / "film.mp4", allowed_hosts=["[::1]:80", allowed])
        assert (tmp_path / "film.mp4").read_bytes() == CONTENT
    for refused in (f"127.0.0.1:{port + 1}", "127.0.0.1:80", f"[::1]:{port}"):
        with pytest.raises(SourceError, match="refused"):
            download(f"{server}/film.mp4", tmp_path / "film.mp4", allowed_hosts=[refused])


def test_a_redirect_to_another_port_is_refused(server: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="refused"):
        download(f"{server}/port", tmp_path / "film.mp4", allowed_hosts=[server.removeprefix("http://")])


@pytest.mark.parametrize("path", ["/private", "/mapped", "/cloud", "/file"])
def test_redirects_to_other_private_addresses_are_refused(server: str, path: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="refused"):
        download(server + path, tmp_path / "film.mp4", allowed_hosts=["127.0.0.1"])


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/missing", "404"),
        ("/loop", "redirects"),
        ("/page", "web page"),
        ("/cut", "cannot be downloaded"),
        ("/endless", "larger than"),
        ("/drip", "too long"),
        ("/silent", "too slow"),
        ("/slow-headers", "too slow"),
        ("/slow-redirects", "too slow"),
    ],
)
def test_server_errors(server: str, path: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=problem):
        download(server + path, tmp_path / "film.mp4", max_bytes=2**20, max_seconds=0.5, allowed_hosts=["127.0.0.1"])


def test_a_server_that_never_answers_the_tls_handshake_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"https://127.0.0.1:{listener.getsockname()[1]}/film.mp4"
        with pytest.raises(SourceError, match="too slow"):
            download(address, tmp_path / "film.mp4", max_seconds=0.5, allowed_hosts=["127.0.0.1"])


async def test_downloads_within_an_event_loop(server: str, tmp_path: Path) -> None:
    download(f"{server}/film.mp4", tmp_path / "film.mp4", allowed_hosts=["127.0.0.1"])
    assert (tmp_path / "film.mp4").read_bytes() == CONTENT


def test_the_content_length_is_checked_before_writing(server: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="larger than"):
        download(f"{server}/film.mp4", tmp_path / "film.mp4", max_bytes=100, allowed_hosts=["127.0.0.1"])
    assert not any(tmp_path.iterdir())


def test_an_unreachable_server(server: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be downloaded"):
        download("http://127.0.0.1:1/film.mp4", tmp_path / "film.mp4", allowed_hosts=["127.0.0.1"])
