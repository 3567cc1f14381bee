"""Hosts in private networks that may be contacted, on all ports or on one."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import httpx

from langchain_videochat.errors import InputError

_ENTRY = re.compile(r"(\[[\da-f:.]+\]|[\w.-]+)(?::(\d{1,5}))?", re.IGNORECASE)
_PORTS = range(1, 2**16)
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class AllowedHost:
    """A host that may be contacted.

    Example:
        >>> nas, = parse_allowed_hosts(["nas.local:8000"])
        >>> nas.matches(httpx.URL("http://nas.local:8000/talk.mp4")), nas.matches(httpx.URL("http://nas.local/talk.mp4"))
        (True, False)
    """

    host: str
    """Name or address; an IPv6 address has no brackets."""

    port: int | None = None
    """The only port that may be contacted; all ports if None."""

    def matches(self, url: httpx.URL) -> bool:
        """Return whether a URL, http or https, is on this host, and on its port if there is one."""
        port = url.port or _DEFAULT_PORTS.get(url.scheme)
        return url.scheme in _DEFAULT_PORTS and url.host == self.host and self.port in (None, port)


def parse_allowed_hosts(entries: Iterable[str]) -> tuple[AllowedHost, ...]:
    """Parse names or addresses of hosts, each alone or followed by a colon and a port.

    An IPv6 address followed by a port is in brackets.

    Raises:
        InputError: An entry is not a host.

    Example:
        >>> parse_allowed_hosts(["127.0.0.1", "[::1]:8000"])
        (AllowedHost(host='127.0.0.1', port=None), AllowedHost(host='::1', port=8000))
    """
    return tuple(map(_parse, entries))


def _parse(entry: str) -> AllowedHost:
    is_bare_ipv6 = entry.count(":") > 1 and "[" not in entry
    found = _ENTRY.fullmatch(f"[{entry}]" if is_bare_ipv6 else entry)
    host, port = found.groups() if found else ("", None)
    try:
        # The same normalization as that of the addresses to download.
        allowed = AllowedHost(httpx.URL(f"//{host}").host, int(port) if port else None)
    except httpx.InvalidURL:
        allowed = AllowedHost("")
    if not allowed.host or (allowed.port is not None and allowed.port not in _PORTS):
        advice = 'Give a name or an address, such as "nas.local", "127.0.0.1:8000" or "[::1]:8000", without http://'
        raise InputError("allowed_hosts", f"{entry!r} is not a host", advice)
    return allowed
