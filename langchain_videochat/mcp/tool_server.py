"""The MCP server: lists the tools, runs them, and serves timelines and prompts."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
from mcp import MCPError, types
from mcp.server import Server
from mcp.server.stdio import stdio_server

from langchain_videochat import __version__
from langchain_videochat.errors import VideoChatError
from langchain_videochat.mcp.calls import Calls, Progress, Report, TooManyCallsError
from langchain_videochat.mcp.client_folders import ClientFolders
from langchain_videochat.mcp.client_roots import (
    ASK_FOR_ROOTS,
    Context,
    find_roots,
    has_roots,
    must_repeat_with_roots,
)
from langchain_videochat.mcp.job_prompts import fill_prompt, list_prompts
from langchain_videochat.mcp.results import add_note, error_result, to_result
from langchain_videochat.mcp.tool_list import list_tools
from langchain_videochat.mcp.video_resources import VideoResources, list_templates
from langchain_videochat.mcp.video_tools import VideoTools
from langchain_videochat.mcp.written_files import WrittenFiles
from langchain_videochat.utils.untrusted_text import ABOUT_NOTES

MAX_CALLS = 8
"""Calls that run at a time; each uses a thread."""

MAX_WAITING = 500
"""Calls that wait for others."""

MAX_INDEXING = 1
"""Videos that are indexed at a time: the perception models use all CPUs."""

MAX_WAITING_VIDEOS = 16
"""Videos that wait to be indexed."""

TEXT_TOOLS = {"list_videos", "search_videos", "video_chat_text"}
"""Tools that open no files, except for a picture to search for."""

INSTRUCTIONS = f"""\
Tools for a library of videos. search_videos finds moments in all of them, video_chat_text reads a video or a part \
of it, view_frames shows frames. Cite moments by video and time. {ABOUT_NOTES}"""

UNEXPECTED = "This failed unexpectedly. Tell the user to look at the log of the MCP server."
"""What a client gets of an error that is not ours, whose text may contain anything."""

ResultT = TypeVar("ResultT")

logger = logging.getLogger(__name__)


def create_server(tools: VideoTools, folder: Path | None = None, *, accepts_roots: bool = False) -> Server[Any]:
    """Create an MCP server; `serve_stdio` and `create_http_app` run it.

    Args:
        tools: The tools, and the store that they work on.
        folder: The only folder that clients may access.
        accepts_roots: Without a `folder`, let clients access their roots. Only for clients that start the server.

    Example:
        A server of a store and a folder:

            tools = VideoTools(lambda: VideoTimelineStore("index"), profile="lite")
            server = create_server(tools, Path("videos"))
    """
    handlers = _Handlers(tools, ClientFolders(folder, accepts_roots))
    return Server(
        "videochat",
        version=__version__,
        title="VideoChat",
        instructions=INSTRUCTIONS,
        on_list_tools=handlers.list_tools,
        on_call_tool=handlers.call_tool,
        on_list_resources=handlers.list_resources,
        on_list_resource_templates=handlers.list_templates,
        on_read_resource=handlers.read_resource,
        on_list_prompts=handlers.list_prompts,
        on_get_prompt=handlers.get_prompt,
    )


def serve_stdio(server: Server[Any]) -> None:
    """Serve one client over the standard streams until it closes them. Other output goes to stderr."""

    async def serve() -> None:
        async with stdio_server() as (received, sent):
            await server.run(received, sent, server.create_initialization_options())

    anyio.run(serve)


class _Handlers:
    """The handlers of requests."""

    def __init__(self, tools: VideoTools, folders: ClientFolders) -> None:
        self._tools = tools
        self._folders = folders
        self._files = WrittenFiles()
        self._resources = VideoResources(tools, self._files)
        self._calls = Calls(MAX_CALLS, MAX_WAITING)
        self._indexing_calls = Calls(MAX_INDEXING, MAX_WAITING_VIDEOS)

    async def list_tools(self, context: Context, params: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=self._listed(context))

    async def call_tool(
        self, context: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        name, arguments = params.name, params.arguments or {}
        if name not in {tool.name for tool in self._listed(context)}:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {name[:60]!r}")
        opens_files = name not in TEXT_TOOLS or arguments.get("image") is not None
        if opens_files and must_repeat_with_roots(context, params):
            return ASK_FOR_ROOTS
        roots = await find_roots(context, params) if opens_files else None
        calls = self._indexing_calls if name == "index_video" else self._calls
        try:
            return await calls.run(partial(self._call_tool, name, arguments, roots), _report(context))
        except TooManyCallsError as error:
            return error_result(str(error))

    async def list_resources(
        self, context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        cursor = None if params is None else params.cursor
        return await self._answer(context, lambda _: self._resources.list(cursor))

    async def list_templates(self, context: Context, params: object) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(resource_templates=list_templates())

    async def read_resource(
        self, context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult | types.InputRequiredResult:
        is_file = self._resources.is_file(params.uri)
        if is_file and must_repeat_with_roots(context, params):
            return ASK_FOR_ROOTS
        roots = await find_roots(context, params) if is_file else None

        def read(progress: Progress) -> types.ReadResourceResult:
            return self._resources.read(params.uri, self._folders.permitted(roots), progress)

        return await self._answer(context, read)

    async def list_prompts(self, context: Context, params: object) -> types.ListPromptsResult:
        return types.ListPromptsResult(prompts=list_prompts())

    async def get_prompt(self, context: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        return fill_prompt(params.name, params.arguments or {})

    def _listed(self, context: Context) -> list[types.Tool]:
        has_folder = self._folders.may_access(has_roots=has_roots(context))
        return list_tools(has_folder=has_folder, has_model=self._tools.has_model)

    def _call_tool(
        self, name: str, arguments: dict[str, Any], roots: list[str] | None, progress: Progress
    ) -> types.CallToolResult:
        """Call a tool, in a thread."""
        from langchain_videochat.text.tools.base import format_error

        try:
            message = self._tools.call(name, arguments, self._folders.permitted(roots), progress)
            result = to_result(message, self._files)
        except VideoChatError as error:
            result = error_result(format_error(error))
        except Exception:  # whatever a library raises; the server must stay up
            logger.exception("The tool %s failed", name)
            result = error_result(UNEXPECTED)
        return add_note(result, self._tools.indexing()) if result.is_error or name == "list_videos" else result

    async def _answer(self, context: Context, call: Callable[[Progress], ResultT]) -> ResultT:
        """Run a call, and convert its errors to errors of the protocol."""

        def run(progress: Progress) -> ResultT:
            from langchain_videochat.text.tools.base import format_error

            try:
                return call(progress)
            except VideoChatError as error:
                raise MCPError(types.INVALID_PARAMS, format_error(error)) from error
            except MCPError:
                raise
            except Exception as error:
                logger.exception("%s failed", context.method)
                raise MCPError(types.INTERNAL_ERROR, UNEXPECTED) from error

        try:
            return await self._calls.run(run, _report(context))
        except TooManyCallsError as error:
            raise MCPError(types.INTERNAL_ERROR, str(error)) from error


def _report(context: Context) -> Report:
    # Nothing is sent if the client has not asked for it.
    return lambda progress, message: context.session.report_progress(progress, 1.0, message)
