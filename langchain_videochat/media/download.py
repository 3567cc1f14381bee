"""Size-limited downloads from public addresses."""

from collections.abc import Collection, Sequence
from pathlib import Path

import anyio
import httpx
from anyio.from_thread import start_blocking_portal

from langchain_videochat.errors import SourceError
from langchain_videochat.media.allowed_hosts import AllowedHost, parse_allowed_hosts

MAX_BYTES = 8 * 1024**3
MAX_SECONDS = 3600.0
TIMEOUT_SECONDS = 30.0


def download(
    address: str,
    target: Path,
    *,
    max_bytes: int = MAX_BYTES,
    max_seconds: float = MAX_SECONDS,
    allowed_hosts: Collection[str] = (),
) -> None:
    """Download a file.

    Every host, including that of each redirect, is resolved and refused if its address is private, local or reserved
    for cloud metadata.

    Args:
        address: An `http:` or `https:` address.
        target: The file to write.
        max_bytes: Maximum size of the file.
        max_seconds: Maximum duration of the download, from connecting to the last byte, redirects included; it also
            fails if the server doesn't respond for 30 seconds.
        allowed_hosts: Hosts that may be contacted even if they are on a private network, such as "nas.local", or
            "nas.local:8000" to allow only that port.

    Raises:
        SourceError: The address is refused, the server does not send the file, or a limit is exceeded.
        InputError: One of `allowed_hosts` is not a host.
    """
    allowed = parse_allowed_hosts(allowed_hosts)
    # A deadline can end any wait in an event loop; httpx's own timeouts restart with each byte. The loop has its own
    # thread, because the caller may be in another loop.
    try:
        with start_blocking_portal() as portal:
            portal.call(_download, address, target, max_bytes, max_seconds, allowed)
    except (TimeoutError, httpx.TimeoutException) as error:
        problem = "the server is too slow, and the download takes too long"
        raise SourceError(address, problem, "Try again later, or download the video and give its path") from error
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, OSError) as error:
        raise SourceError(address, f"cannot be downloaded ({error})", "Check the address and the connection") from error


class _Transport(httpx.AsyncBaseTransport):
    """Sends each request, redirects included, to an allowed host directly, and to any other through a guard."""

    def __init__(self, guard: httpx.AsyncBaseTransport, allowed: Sequence[AllowedHost]) -> None:
        self._guard, self._allowed = guard, allowed
        self._direct = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        is_allowed = any(host.matches(request.url) for host in self._allowed)
        return await (self._direct if is_allowed else self._guard).handle_async_request(request)

    async def aclose(self) -> None:
        await self._direct.aclose()
        await self._guard.aclose()


async def _download(
    address: str, target: Path, max_bytes: int, max_seconds: float, allowed: Sequence[AllowedHost]
) -> None:
    # langchain-core offers this protection to its partner packages under private names only; they are used only here.
    from langchain_core._security._exceptions import SSRFBlockedError
    from langchain_core._security._transport import SSRFSafeTransport

    client = httpx.AsyncClient(
        transport=_Transport(SSRFSafeTransport(), allowed),
        timeout=TIMEOUT_SECONDS,
        headers={"Accept-Encoding": "identity"},
        follow_redirects=True,
    )
    try:
        with anyio.fail_after(max_seconds):
            async with client, client.stream("GET", address) as response:
                _check_response(address, response, max_bytes)
                await _save(address, response, target, max_bytes)
    except SSRFBlockedError as error:
        advice = "Download the video yourself and give its path"
        raise SourceError(address, f"the address is refused ({error})", advice) from error


def _check_response(address: str, response: httpx.Response, max_bytes: int) -> None:
    if not response.is_success:
        status = f"{response.status_code} {response.reason_phrase}".strip()
        raise SourceError(address, f"the server responded with {status}", "Check the address")
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise SourceError(address, "is a web page, not a video", "Give the address of the video file itself")
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise _too_large(address, max_bytes)


async def _save(address: str, response: httpx.Response, target: Path, max_bytes: int) -> None:
    size = 0
    with target.open("wb") as file:
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > max_bytes:
                raise _too_large(address, max_bytes)
            file.write(chunk)


def _too_large(address: str, max_bytes: int) -> SourceError:
    problem = f"is larger than the limit of {max_bytes / 1024**2:,.0f} MiB"
    return SourceError(address, problem, "Download the video yourself and give its path")
