"""Size-limited downloads from public addresses."""

from collections.abc import Collection
from pathlib import Path

import anyio
import httpx
from anyio.from_thread import start_blocking_portal

from langchain_videochat.errors import SourceError

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
        allowed_hosts: Hosts that may be contacted even if they are on a private network.

    Raises:
        SourceError: The address is refused, the server does not send the file, or a limit is exceeded.
    """
    # A deadline can end any wait in an event loop; httpx's own timeouts restart with each byte. The loop has its own
    # thread, because the caller may be in another loop.
    try:
        with start_blocking_portal() as portal:
            portal.call(_download, address, target, max_bytes, max_seconds, frozenset(allowed_hosts))
    except (TimeoutError, httpx.TimeoutException) as error:
        problem = "the server is too slow, and the download takes too long"
        raise SourceError(address, problem, "Try again later, or download the video and give its path") from error
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, OSError) as error:
        raise SourceError(address, f"cannot be downloaded ({error})", "Check the address and the connection") from error


async def _download(
    address: str, target: Path, max_bytes: int, max_seconds: float, allowed_hosts: frozenset[str]
) -> None:
    # langchain-core offers this protection to its partner packages under private names only; they are used only here.
    from langchain_core._security._exceptions import SSRFBlockedError
    from langchain_core._security._policy import SSRFPolicy
    from langchain_core._security._transport import ssrf_safe_async_client

    policy = SSRFPolicy(allowed_hosts=allowed_hosts)
    headers = {"Accept-Encoding": "identity"}
    try:
        with anyio.fail_after(max_seconds):
            async with (
                ssrf_safe_async_client(policy, timeout=TIMEOUT_SECONDS, headers=headers) as client,
                client.stream("GET", address) as response,
            ):
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
