"""Size-limited downloads from public addresses."""

import time
from collections.abc import Collection
from pathlib import Path

import httpx

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
        max_seconds: Maximum duration of the download; a server that stops responding is given up after 30 seconds.
        allowed_hosts: Hosts that may be contacted even if they are on a private network.

    Raises:
        SourceError: The address is refused, the server does not send the file, or a limit is exceeded.
    """
    deadline = time.monotonic() + max_seconds
    timeout = min(TIMEOUT_SECONDS, max_seconds)
    # langchain-core offers this protection to its partner packages under private names only; they are used only here.
    from langchain_core._security._exceptions import SSRFBlockedError
    from langchain_core._security._policy import SSRFPolicy
    from langchain_core._security._transport import ssrf_safe_client

    policy = SSRFPolicy(allowed_hosts=frozenset(allowed_hosts))
    headers = {"Accept-Encoding": "identity"}
    try:
        with (
            ssrf_safe_client(policy, timeout=timeout, headers=headers) as client,
            client.stream("GET", address) as response,
        ):
            _check_response(address, response, max_bytes)
            _save(address, response, target, max_bytes, deadline)
    except SSRFBlockedError as error:
        advice = "Download the video yourself and give its path"
        raise SourceError(address, f"the address is refused ({error})", advice) from error
    except httpx.TimeoutException as error:
        raise SourceError(address, "the server is too slow", "Try again later") from error
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, OSError) as error:
        raise SourceError(address, f"cannot be downloaded ({error})", "Check the address and the connection") from error


def _check_response(address: str, response: httpx.Response, max_bytes: int) -> None:
    if not response.is_success:
        status = f"{response.status_code} {response.reason_phrase}".strip()
        raise SourceError(address, f"the server responded with {status}", "Check the address")
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise SourceError(address, "is a web page, not a video", "Give the address of the video file itself")
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise _too_large(address, max_bytes)


def _save(address: str, response: httpx.Response, target: Path, max_bytes: int, deadline: float) -> None:
    size = 0
    with target.open("wb") as file:
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > max_bytes:
                raise _too_large(address, max_bytes)
            if time.monotonic() > deadline:
                raise SourceError(address, "the download takes too long", "Download the video and give its path")
            file.write(chunk)


def _too_large(address: str, max_bytes: int) -> SourceError:
    problem = f"is larger than the limit of {max_bytes / 1024**2:,.0f} MiB"
    return SourceError(address, problem, "Download the video yourself and give its path")
