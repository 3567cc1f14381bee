"""The MCP server over streamable HTTP."""

from typing import Any

from mcp.server import Server
from starlette.applications import Starlette
from starlette.middleware.trustedhost import TrustedHostMiddleware

from langchain_videochat.app.login import Login
from langchain_videochat.app.security import LOCAL_HOSTS, SecurityMiddleware

PATH = "/mcp"


def create_http_app(server: Server[Any], token: str, hosts: tuple[str, ...] = LOCAL_HOSTS) -> Starlette:
    """Create the ASGI app of an MCP server.

    Any ASGI server can serve it, at the path `/mcp`. `videochat mcp --http` adds limits on connections, which an app
    cannot enforce.

    Args:
        server: The server, from `create_server`.
        token: The bearer token that requests must send.
        hosts: Host names that requests may use; "*" allows any.

    Example:
        Serve a store at http://127.0.0.1:8000/mcp:

            tools = VideoTools(lambda: VideoTimelineStore("index"))
            app = create_http_app(create_server(tools, Path("videos")), token="...")
            uvicorn.run(app)
    """
    # Without a host, the SDK leaves the checks of the headers Host and Origin to the middleware.
    app = server.streamable_http_app(streamable_http_path=PATH, host="")
    app.add_middleware(SecurityMiddleware, login=Login(token, "Bearer"), safe_methods=())
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    return app
