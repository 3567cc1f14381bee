"""Who may use the page: this machine, or whoever knows the password; never another page in the same browser."""

import base64
import binascii
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    # Only what the server itself sends is run or shown: text from videos could do no harm if it became markup.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

READING = ("GET", "HEAD")


class Guard:
    """Refuses requests of other pages and those without the password, and tells browsers what to refuse.

    Args:
        app: What is guarded.
        password: What to ask for; nothing if None.
    """

    def __init__(self, app: ASGIApp, password: str | None) -> None:
        self._app = app
        self._password = password

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, method: str, headers: Headers) -> Response | None:
        if method not in READING and not _is_own_page(headers):
            return PlainTextResponse("This was sent by another page.", 403)
        if self._password is not None and not _knows(self._password, headers.get("authorization", "")):
            challenge = {"WWW-Authenticate": 'Basic realm="videochat", charset="UTF-8"'}
            return PlainTextResponse("The password is missing or wrong.", 401, challenge)
        return None


def _is_own_page(headers: Headers) -> bool:
    # Programs send neither header; browsers send one of them with whatever changes something.
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site == "same-origin"
    return origin is None or origin.partition("://")[2] == headers.get("host")


def _knows(password: str, authorization: str) -> bool:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        given = base64.b64decode(encoded, validate=True).partition(b":")[2]
    except binascii.Error:
        return False
    return secrets.compare_digest(given, password.encode())
