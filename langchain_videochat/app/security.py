"""Access control of the page: a password, no cross-site requests, and a content security policy."""

import base64
import binascii
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    # Only resources from this server are loaded, so text from videos stays harmless even if it were parsed as markup.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

SAFE_METHODS = ("GET", "HEAD")


class SecurityMiddleware:
    """ASGI middleware that rejects cross-site and unauthenticated requests and adds security headers."""

    def __init__(self, app: ASGIApp, password: str | None) -> None:
        self._app = app
        self._password = password

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle or reject a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        rejection = self._reject(scope["method"], Headers(scope=scope))
        await (rejection or self._app)(scope, receive, send_with_headers)

    def _reject(self, method: str, headers: Headers) -> Response | None:
        if method not in SAFE_METHODS and not _is_same_origin(headers):
            return PlainTextResponse("Cross-site requests are not allowed.", 403)
        if self._password is not None and not _has_password(headers.get("authorization", ""), self._password):
            challenge = {"WWW-Authenticate": 'Basic realm="videochat", charset="UTF-8"'}
            return PlainTextResponse("The password is missing or wrong.", 401, challenge)
        return None


def _is_same_origin(headers: Headers) -> bool:
    # Browsers send at least one of these headers with unsafe methods; programs that are not browsers send neither.
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site == "same-origin"
    return origin is None or origin.partition("://")[2] == headers.get("host")


def _has_password(authorization: str, password: str) -> bool:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        candidate = base64.b64decode(encoded, validate=True).partition(b":")[2]
    except binascii.Error:
        return False
    return secrets.compare_digest(candidate, password.encode())
