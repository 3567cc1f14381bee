"""The roots of MCP clients: the folders that their users have opened."""

from typing import Any

from mcp import MCPError, types
from mcp.server import ServerRequestContext
from mcp.shared.message import ServerMessageMetadata

ROOTS_SECONDS = 10.0
"""Seconds that a client has to send its roots."""

ASK_FOR_ROOTS = types.InputRequiredResult(input_requests={"roots": types.ListRootsRequest()})
"""The answer to a client that must repeat its request, together with its roots."""

Context = ServerRequestContext[Any, Any]
RequestParams = types.CallToolRequestParams | types.ReadResourceRequestParams


def has_roots(context: Context) -> bool:
    """Return whether a client can send roots."""
    capabilities = context.session.client_capabilities
    return capabilities is not None and capabilities.roots is not None


def must_repeat_with_roots(context: Context, params: RequestParams) -> bool:
    """Return whether `ASK_FOR_ROOTS` is the answer to a request: since 2026-07-28, servers send no requests."""
    return has_roots(context) and not context.session.can_send_request and params.input_responses is None


async def find_roots(context: Context, params: RequestParams) -> list[str] | None:
    """Return the roots of a client as `file:` addresses, or None if it cannot send any.

    Raises:
        MCPError: The client did not send them.
    """
    if not has_roots(context):
        return None
    found: object = (params.input_responses or {}).get("roots")
    if context.session.can_send_request:
        origin = ServerMessageMetadata(related_request_id=context.request_id)
        request = types.ListRootsRequest()
        found = await context.session.send_request(request, types.ListRootsResult, ROOTS_SECONDS, origin)
    if not isinstance(found, types.ListRootsResult):
        raise MCPError(types.INVALID_PARAMS, "The client did not send its roots")
    return [str(root.uri) for root in found.roots]
