"""The web server of the page and of MCP, uvicorn with limits on connections.

uvicorn waits indefinitely for a request and for the rest of one. The limits are those of Apache's mod_reqtimeout.
"""

import asyncio
import os
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from langchain_videochat.app.login import client_network

MAX_CONNECTIONS = 200
"""Maximum number of connections. Each may also hold a file open, and some systems allow a process only 256."""

MAX_CONNECTIONS_PER_CLIENT = 100
"""Maximum number of connections from one client. A browser opens six for all its tabs together."""

GRACE_SECONDS = 0.01
"""Seconds before a new connection is counted, so that a request that arrived with it is read first."""

BACKLOG = 256
"""Connections that the system queues until the server accepts them, all at once."""

SLOW_SECONDS = 10.0
"""Interval in which the client must send the next part of a request."""

MIN_BYTES_PER_SECOND = 500
"""Minimum transfer rate of a request."""

SHUTDOWN_SECONDS = 2
"""Seconds that streaming answers may still take when the server is stopped."""


def create_server(page: ASGIApp) -> uvicorn.Server:
    """Create a web server that disconnects clients that send nothing or send too slowly.

    Behind a reverse proxy, set the environment variable FORWARDED_ALLOW_IPS to the proxy's address: the clients'
    addresses are then read from its header X-Forwarded-For.

    Args:
        page: The ASGI app.

    Returns:
        The server; its method `run` takes a list of listening sockets.

    Example:
        >>> async def page(scope, receive, send): ...
        >>> create_server(page).config.server_header
        False
    """
    config = uvicorn.Config(
        page,
        http=LimitedProtocol,
        ws="none",
        # Warnings are all about invalid requests, and strangers could fill the log with them.
        log_level="error",
        access_log=False,
        server_header=False,
        # By default, uvicorn trusts these headers from any client on this machine, which includes tunnels.
        proxy_headers="FORWARDED_ALLOW_IPS" in os.environ,
        backlog=BACKLOG,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    return uvicorn.Server(config)


class LimitedProtocol(H11Protocol):
    """A connection that is closed when the client is slow to send a request, or when there are too many.

    While the server handles a request or sends the response, the connection is never closed: the player of a paused
    video stops reading for hours. h11 limits the size of headers to 16 KiB.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start watching the connection, and soon close a waiting one if there are too many."""
        super().connection_made(transport)
        self.network = client_network(self.client)
        self.opened = self.loop.time()
        self._received = 0
        self._last_state: tuple[Any, ...] | None = None
        self._timer = self.loop.call_later(SLOW_SECONDS, self._check_speed)
        self.loop.call_later(GRACE_SECONDS, self._make_room)

    def data_received(self, data: bytes) -> None:
        """Handle bytes from the client."""
        self._received += len(data)
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching the connection."""
        self._timer.cancel()
        super().connection_lost(exc)

    @property
    def is_waiting(self) -> bool:
        """Whether no request is being handled or answered."""
        return self.conn.our_state in (h11.IDLE, h11.DONE)

    def _make_room(self) -> None:
        connections = [one for one in self.connections if isinstance(one, LimitedProtocol)]
        of_client = [one for one in connections if one.network == self.network]
        if len(of_client) > MAX_CONNECTIONS_PER_CLIENT:
            self._close_one(of_client)
        elif len(connections) > MAX_CONNECTIONS:
            self._close_one(connections)

    def _close_one(self, connections: "list[LimitedProtocol]") -> None:
        """Close the oldest connection that never had a request, else one between two requests, else this one."""
        waiting = [one for one in connections if one.is_waiting and one is not self]
        closed = min(waiting, key=lambda one: (one.cycle is not None, one.opened), default=self)
        # uvicorn notices its end later, and it must not be chosen twice.
        self.connections.discard(closed)
        closed.transport.close()

    def _check_speed(self) -> None:
        """Close the connection if the client has sent too little of a request during the last interval."""
        state = (self.cycle, self.conn.their_state)
        is_sending = self.conn.their_state in (h11.IDLE, h11.SEND_BODY) and not self.flow.read_paused
        is_slow = self._received < MIN_BYTES_PER_SECOND * SLOW_SECONDS
        # If the state has changed, the client has not had a full interval to send.
        if is_sending and is_slow and state == self._last_state:
            self.transport.close()
            return
        self._received = 0
        self._last_state = state
        self._timer = self.loop.call_later(SLOW_SECONDS, self._check_speed)
