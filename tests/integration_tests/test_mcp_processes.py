"""`videochat mcp` as clients start it: over the standard streams, and over HTTP."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool
from mcp import Client, StdioServerParameters, types
from mcp.client.streamable_http import streamable_http_client

from langchain_videochat import VideoTimelineStore
from tests.agents import ScriptedChat, calling, make_talk, text_of
from tests.mcp_clients import MODES, call, error_of
from tests.unit_tests.test_architecture import HEAVY

CLIENTS = 50
TOKEN = "swordfish"
PROGRAM = "from langchain_videochat.cli import app; app()"

both_protocols = pytest.mark.parametrize("mode", MODES)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a stored talk, and one that is not stored."""
    films = tmp_path_factory.mktemp("films")
    store = VideoTimelineStore(films / "index")
    store.add(make_talk(films / "talk.mp4", [["Whisk two eggs"], ["Add 60 g sugar"]]))
    make_talk(films / "new.mp4", [["Fold in the flour"]])
    return films


def options(films: Path) -> list[str]:
    return ["mcp", "--store", str(films / "index"), "--folder", str(films), "--profile", "lite"]


def stdio(films: Path) -> StdioServerParameters:
    return StdioServerParameters(command=sys.executable, args=["-c", PROGRAM, *options(films)], env=dict(os.environ))


# Standard streams


@both_protocols
async def test_a_client_starts_the_server_and_uses_its_tools(mode: str, films: Path) -> None:
    async with Client(stdio(films), mode=mode) as client:
        assert "60 g sugar" in await call(client, "search_videos", query="how much sugar")
        frames = await client.call_tool("view_frames", {"video_id": "talk"})
        assert sum(isinstance(part, types.ImageContent) for part in frames.content) == 1
        indexed = await call(client, "index_video", source="new.mp4")
        assert re.search("now stored|already stored", indexed)
        assert "flour" in await call(client, "video_chat_text", video_id="new")
        assert "outside of the folder" in await error_of(client, "index_video", source="/etc/passwd")


def test_nothing_but_the_protocol_is_on_the_standard_output(films: Path, tmp_path: Path) -> None:
    """Also while a profile's own module prints, and worker processes decode."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, threading\nthreading.Timer(2, os.system, ['echo noise']).start()"
    )
    requests: list[dict[str, Any]] = [
        {"method": "initialize", "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": INFO}},
        {"method": "tools/call", "params": {"name": "view_frames", "arguments": {"video_id": "talk"}}},
        {"method": "nonsense"},
        {"method": "tools/call", "params": {"name": "list_videos"}},
    ]
    lines = [json.dumps({"jsonrpc": "2.0", "id": number, **one}) for number, one in enumerate(requests)]
    lines[1:1] = ['{"jsonrpc": "2.0", "method": "notifications/initialized"}', "{not json", ""]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    command = [sys.executable, "-c", PROGRAM, *options(films)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True, env=environment) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        assert server.stderr is not None
        server.stdin.write("\n".join(lines) + "\n")
        server.stdin.flush()
        answers = [json.loads(server.stdout.readline()) for _ in requests]
        server.stdin.close()
        assert server.stdout.read() == ""
        assert "noise" in server.stderr.read()
        assert server.wait(timeout=30) == 0
    assert sorted(answer["id"] for answer in answers) == list(range(len(requests)))


INFO = {"name": "test", "version": "1"}


async def test_nothing_heavy_is_loaded_before_the_first_call(films: Path, tmp_path: Path) -> None:
    log = tmp_path / "modules"
    record = f"open({str(log)!r}, 'a').write(found[0] + chr(10))"
    watch = f"import sys; sys.addaudithook(lambda event, found: event == 'import' and {record})"
    parameters = StdioServerParameters(
        command=sys.executable, args=["-c", f"{watch}; {PROGRAM}", *options(films)], env=dict(os.environ)
    )
    async with Client(parameters) as client:
        await client.list_tools()
        await client.list_prompts()
        listed = set(log.read_text().split())
        await call(client, "list_videos")
        called = set(log.read_text().split())
    assert listed & HEAVY == set()
    assert "chromadb" in called


async def test_an_agent_uses_the_tools(films: Path) -> None:
    model = ScriptedChat(
        turns=[
            calling("search_videos", query="sugar"),
            calling("cut_clip", video_id="talk", start=4, end=6, filename="agent.mp4"),
            calling("index_video", source="../../etc/passwd"),
            AIMessage("It is added at 00:04."),
        ]
    )
    async with Client(stdio(films)) as client:

        def to_langchain(tool: types.Tool) -> StructuredTool:
            async def run(**arguments: Any) -> str:
                result = await client.call_tool(tool.name, arguments)
                return "\n".join(part.text for part in result.content if isinstance(part, types.TextContent))

            return StructuredTool(
                name=tool.name, description=tool.description or "", args_schema=tool.input_schema, coroutine=run
            )

        tools = [to_langchain(tool) for tool in (await client.list_tools()).tools]
        state = await create_agent(model, tools).ainvoke({"messages": [HumanMessage("Where is the sugar added?")]})
    found, cut, refused = [text_of(one.content) for one in state["messages"] if isinstance(one, ToolMessage)]
    assert "60 g sugar" in found
    assert "was saved as" in cut
    assert (films / "agent.mp4").is_file()
    assert "outside of the folder" in refused


# HTTP


@contextmanager
def http_server(films: Path) -> Iterator[str]:
    command = [sys.executable, "-c", PROGRAM, *options(films), "--http", "--port", "0"]
    environment = {**os.environ, "VIDEOCHAT_MCP_TOKEN": TOKEN, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=-1, stderr=subprocess.DEVNULL, text=True, env=environment) as server:
        assert server.stdout is not None
        found = re.search(r"http://\S+/mcp", server.stdout.readline())
        assert found is not None
        yield found[0]
        server.terminate()


@pytest.fixture(scope="module")
def address(films: Path) -> Iterator[str]:
    """The address of a server."""
    with http_server(films) as address:
        yield address


def connect(address: str, mode: str = "auto") -> Client:
    http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=120)
    return Client(streamable_http_client(address, http_client=http), mode=mode)


@both_protocols
async def test_clients_use_the_tools_over_http(mode: str, address: str) -> None:
    async with connect(address, mode) as client:
        assert "60 g sugar" in await call(client, "search_videos", query="how much sugar")
        cut = await client.call_tool("cut_clip", {"video_id": "talk", "start": 1, "end": 2, "filename": f"{mode}.mp4"})
        (link,) = [part for part in cut.content if isinstance(part, types.ResourceLink)]
        (content,) = (await client.read_resource(link.uri)).contents
    assert isinstance(content, types.BlobResourceContents)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Basic c3dvcmRmaXNo"}, 401),
        ({"Authorization": f"Bearer {TOKEN}", "Host": "evil.example"}, 400),
        ({"Authorization": f"Bearer {TOKEN}", "Origin": "http://evil.example"}, 403),
        ({"Authorization": f"Bearer {TOKEN}", "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_strangers_and_other_sites_are_rejected(
    address: str, method: str, headers: dict[str, str], status: int
) -> None:
    answer = httpx.request(method, address, headers=headers, json={} if method == "POST" else None)
    assert answer.status_code == status
    assert TOKEN not in answer.text


@both_protocols
async def test_many_clients_at_once(mode: str, address: str) -> None:
    found = []

    async def search() -> None:
        async with connect(address, mode) as client:
            await client.list_tools()
            for _ in range(3):
                found.append("60 g sugar" in await call(client, "search_videos", query="how much sugar"))

    with anyio.fail_after(120):
        async with anyio.create_task_group() as tasks:
            for _ in range(CLIENTS):
                tasks.start_soon(search)
    assert found == [True] * 3 * CLIENTS


@both_protocols
async def test_clients_that_leave_and_flood_do_not_stop_the_server(mode: str, address: str) -> None:
    async with connect(address, mode) as client:
        with anyio.move_on_after(0.5):
            async with anyio.create_task_group() as tasks:
                for _ in range(80):
                    tasks.start_soon(client.call_tool, "search_videos", {"query": "sugar"})
    large = httpx.post(address, headers={"Authorization": f"Bearer {TOKEN}"}, content=b"[" * 5_000_000)
    assert large.status_code in (400, 413)
    async with connect(address, mode) as client:
        assert "60 g sugar" in await call(client, "search_videos", query="how much sugar")


def test_a_random_token_is_printed(films: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, *options(films), "--http", "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    environment.pop("VIDEOCHAT_MCP_TOKEN", None)
    with subprocess.Popen(command, stdout=-1, stderr=subprocess.DEVNULL, text=True, env=environment) as server:
        assert server.stdout is not None
        address = server.stdout.readline().split()[3].removesuffix(".")
        token = server.stdout.readline().rpartition("Bearer ")[2].strip()
        assert len(token) >= 32
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
        assert httpx.post(address, headers=headers, json={}).status_code == 400
        assert httpx.post(address, json={}).status_code == 401
        server.terminate()
