"""Access control of the page and the MCP server: a password, no cross-site requests, a content security policy."""

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from langchain_videochat.app.login import Login

HEADERS = {
    # Only resources from this server are loaded, so text from videos stays harmless even if it were parsed as markup.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

LOCAL_HOSTS = ("localhost", "127.0.0.1")
"""Host names of this machine. Requests for any other host may be DNS rebinding attacks."""

SAFE_METHODS = ("GET", "HEAD")
"""Methods of requests that change nothing. Browsers don't let other sites read the responses."""


class SecurityMiddleware:
    """ASGI middleware that rejects cross-site and unauthenticated requests and adds security headers.

    Args:
        app: The app to protect.
        login: Checks the password; anybody has access if None.
        safe_methods: Methods that other sites may use.
    """

    def __init__(self, app: ASGIApp, login: Login | None, safe_methods: Collection[str] = SAFE_METHODS) -> None:
        self._app = app
        self._login = login
        self._safe_methods = safe_methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle or reject a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        rejection = self._reject(scope["method"], request)
        added = HEADERS | self._more_headers(request, is_rejected=rejection is not None)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(added)
            await send(message)

        await (rejection or self._app)(scope, receive, send_with_headers)

    def _reject(self, method: str, request: HTTPConnection) -> Response | None:
        if method not in self._safe_methods and not _is_same_origin(request.headers):
            return PlainTextResponse("Cross-site requests are not allowed.", 403)
        return None if self._login is None else self._login.reject(request)

    def _more_headers(self, request: HTTPConnection, *, is_rejected: bool) -> dict[str, str]:
        if is_rejected:
            # Strangers get one response per connection: they can neither send a body nor leave responses unread.
            return {"Connection": "close"} if request.scope["http_version"].startswith("1") else {}
        if self._login is not None and not self._login.has_cookie(request):
            return {"Set-Cookie": self._login.cookie}
        return {}


def _is_same_origin(headers: Headers) -> bool:
    # Browsers send at least one of these headers with unsafe methods; programs that are not browsers send neither.
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site == "same-origin"
    return origin is None or origin.partition("://")[2] == headers.get("host")
