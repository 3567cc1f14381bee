"""HTTP authentication, Basic for the page and Bearer for MCP clients, that slows down guessing."""

import base64
import hashlib
import ipaddress
import logging
import math
import secrets
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Literal

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response

FREE_FAILURES = 5
"""Wrong passwords before a client has to wait."""

MAX_DELAY = 300.0
"""Longest time in seconds that a client has to wait."""

FORGET_SECONDS = 3600.0
"""Seconds without a wrong password after which a client's failures are forgotten."""

MAX_CLIENTS = 10_000
"""Maximum number of clients whose failures are remembered, which takes about 2 MB."""

ATTACK_FAILURES = 30
"""Wrong passwords from all clients within a minute that are considered an attack from many addresses."""

ATTACK_DELAY = 60.0
"""Seconds that a client has to wait after a single wrong password during such an attack."""

MAX_LOG_LINES = 20
"""Maximum number of log lines about wrong passwords per minute."""

COOKIE = "videochat-login"

MINUTE = 60.0
"""Seconds."""

_LOG = logging.getLogger(__name__)

Scheme = Literal["Basic", "Bearer"]
"""How a client sends the password: Basic with any user name, as browsers do, or Bearer, as a token."""

_CHALLENGES = {"Basic": 'Basic realm="videochat", charset="UTF-8"', "Bearer": 'Bearer realm="videochat"'}


class Login:
    """Checks the password of requests.

    A client that has given the correct password gets a cookie. The cookie doesn't replace the password, but wrong
    passwords from others no longer delay this client, even if they share its address, for example behind a reverse
    proxy.

    Args:
        password: The password.
        scheme: How clients send it.

    Example:
        >>> login = Login("secret")
        >>> login.reject(HTTPConnection({"type": "http", "headers": []})).status_code
        401
    """

    def __init__(self, password: str, scheme: Scheme = "Basic") -> None:
        self._scheme = scheme
        self._digest = _digest(password.encode("utf-8", "surrogateescape"))
        self._token = secrets.token_urlsafe()
        self._brake = LoginBrake()

    @property
    def cookie(self) -> str:
        """The `Set-Cookie` header for clients that have given the password."""
        return f"{COOKIE}={self._token}; Path=/; HttpOnly; SameSite=Strict"

    def has_cookie(self, request: HTTPConnection) -> bool:
        """Return whether the client has logged in before."""
        return secrets.compare_digest(_digest(request.cookies.get(COOKIE, "").encode()), _digest(self._token.encode()))

    def reject(self, request: HTTPConnection) -> Response | None:
        """Return the response that rejects a request, or None if its password is correct."""
        candidate = _password(request.headers.get("authorization", ""), self._scheme)
        if candidate is None:
            return self._ask_for_password()
        client = "a client that has logged in before" if self.has_cookie(request) else client_network(request.client)
        wait = self._brake.wait(client)
        if wait > 0:
            seconds = math.ceil(wait)
            message = f"Too many wrong passwords. Try again in {seconds} s."
            return PlainTextResponse(message, 429, {"Retry-After": str(seconds)})
        if secrets.compare_digest(_digest(candidate), self._digest):
            return None
        self._brake.add_failure(client)
        return self._ask_for_password()

    def _ask_for_password(self) -> Response:
        name = "password" if self._scheme == "Basic" else "token"
        challenge = {"WWW-Authenticate": _CHALLENGES[self._scheme]}
        return PlainTextResponse(f"The {name} is missing or wrong.", 401, challenge)


class LoginBrake:
    """Delays clients after wrong passwords.

    The delay is 2 s after the fifth wrong password and doubles with each further one. If there are many failures within
    a minute, each client has to wait after its first wrong password; a client without wrong passwords never waits.

    Example:
        >>> brake = LoginBrake()
        >>> for _ in range(7):
        ...     brake.add_failure("192.0.2.1")
        >>> 7 < brake.wait("192.0.2.1") <= 8, brake.wait("192.0.2.2")
        (True, 0.0)
    """

    def __init__(self) -> None:
        self._clients: OrderedDict[str, _Failures] = OrderedDict()
        self._recent_failures = _LastMinute(ATTACK_FAILURES)
        self._recent_lines = _LastMinute(MAX_LOG_LINES)

    def wait(self, client: str) -> float:
        """Return the seconds until the client may try again; 0 if it may try now."""
        failures = self._clients.get(client)
        wait = 0.0 if failures is None else failures.blocked_until - time.monotonic()
        if failures is None or wait <= 0:
            return 0.0
        failures.refused += 1
        return wait

    def add_failure(self, client: str) -> None:
        """Record a wrong password."""
        now = time.monotonic()
        failures = self._clients.pop(client, None)
        if failures is None or now - failures.last > FORGET_SECONDS:
            failures = _Failures()
        self._clients[client] = failures
        if len(self._clients) > MAX_CLIENTS:
            self._clients.popitem(last=False)
        failures.count += 1
        failures.last = now
        self._recent_failures.add(now)
        delay = self._delay(failures.count, now)
        failures.blocked_until = now + delay
        self._log(client, failures, delay)

    def _delay(self, count: int, now: float) -> float:
        excess = min(count - FREE_FAILURES, 10)
        delay = 0.0 if excess < 0 else min(2.0 ** (excess + 1), MAX_DELAY)
        return max(delay, ATTACK_DELAY) if self._recent_failures.is_full(now) else delay

    def _log(self, client: str, failures: "_Failures", delay: float) -> None:
        if self._recent_lines.is_full(failures.last):
            return
        self._recent_lines.add(failures.last)
        _LOG.warning(
            "Wrong password from %s (%d wrong and %d refused so far); it has to wait %.0f s",
            client,
            failures.count,
            failures.refused,
            delay,
        )


@dataclass
class _Failures:
    """The wrong passwords of a client."""

    count: int = 0
    refused: int = 0
    """Attempts that came too early and were rejected unchecked."""

    last: float = 0.0
    blocked_until: float = 0.0


class _LastMinute:
    """Counts the events of the last minute, up to a limit."""

    def __init__(self, limit: int) -> None:
        self._times: deque[float] = deque(maxlen=limit)

    def add(self, now: float) -> None:
        self._times.append(now)

    def is_full(self, now: float) -> bool:
        return len(self._times) == self._times.maxlen and now - self._times[0] < MINUTE


def client_network(address: tuple[str, int] | None) -> str:
    """Return the part of a client's address that its user cannot change: an IPv4 address, or an IPv6 network.

    Example:
        >>> client_network(("192.0.2.1", 40000)), client_network(("2001:db8:1:2:3:4:5:6", 40000)), client_network(None)
        ('192.0.2.1', '2001:db8:1:2::/64', 'an unknown address')
    """
    try:
        ip = ipaddress.ip_address(address[0] if address else "")
    except ValueError:
        return "an unknown address"
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    # Providers give each customer at least the 2**64 addresses of such a network.
    return str(ip.ipv4_mapped or ipaddress.ip_network((int(ip) >> 64 << 64, 64)))


def _password(authorization: str, expected: Scheme) -> bytes | None:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != expected.lower():
        return None
    if expected == "Bearer":
        return encoded.strip().encode()
    try:
        return base64.b64decode(encoded, validate=True).partition(b":")[2]
    except ValueError:  # also raised for non-ASCII characters
        return None


def _digest(secret: bytes) -> bytes:
    # Comparing digests takes the same time whatever the length of the password.
    return hashlib.sha256(secret).digest()
