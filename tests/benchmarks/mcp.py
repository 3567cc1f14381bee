"""The MCP server over stdio: time to the list of tools, and cost of a search."""

import os
import sys
import tempfile
import time
from functools import partial
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

from langchain_videochat import VideoChatToolkit, VideoTimelineStore
from tests.benchmarks.collection import make_collection
from tests.benchmarks.report import Table, progress
from tests.benchmarks.timing import percentile_95, seconds

VIDEOS = 60
STARTS = 5
LIMIT_SECONDS = 2.0
WARM_UP = 10
PROGRAM = "from langchain_videochat.cli import app; app()"
PROTOCOLS = {"legacy": "2025-11-25", "auto": "2026-07-28"}
"""Versions of the protocol, with and without a handshake, by the client's mode."""


def measure(scale: float) -> Table:
    """Start a server, and search a store with it and in this process, alternately."""
    timelines, questions = make_collection(max(3, round(VIDEOS * scale)))
    table = Table("MCP over stdio", "ms")
    with tempfile.TemporaryDirectory() as folder:
        store = VideoTimelineStore(folder)
        for timeline in timelines:
            store.add(timeline)
        server = StdioServerParameters(
            command=sys.executable, args=["-c", PROGRAM, "mcp", "--store", folder], env=dict(os.environ)
        )
        progress("  starting")
        starts = [anyio.run(_time_start, server) * 1000 for _ in range(STARTS)]
        table.cost("start to the list of tools, slowest", max(starts), "the limit", LIMIT_SECONDS * 1000, at_most=1)
        for mode, protocol in PROTOCOLS.items():
            progress(f"  searching, {protocol}")
            texts = [question.text for question in questions]
            over_mcp, in_python = anyio.run(_time_searches, server, mode, store, texts)
            reference = percentile_95(in_python)
            table.cost(
                f"search_videos, protocol {protocol}", percentile_95(over_mcp), "the tool", reference, at_most=1.3
            )
    table.notes = [
        f"{STARTS} starts; {len(questions)} questions about {len(timelines)} videos, 95th percentile. The tool is "
        "called in this process right before each call over MCP."
    ]
    return table


async def _time_start(server: StdioServerParameters) -> float:
    start = time.perf_counter()
    async with Client(server) as client:
        await client.list_tools()
        return time.perf_counter() - start


async def _time_searches(
    server: StdioServerParameters, mode: Any, store: VideoTimelineStore, questions: list[str]
) -> tuple[list[float], list[float]]:
    tools = {tool.name: tool for tool in VideoChatToolkit(store=store).get_tools()}
    over_mcp, in_python = [], []
    async with Client(server, mode=mode) as client:
        for question in questions:
            in_python.append(1000 * seconds(partial(tools["search_videos"].invoke, {"query": question})))
            start = time.perf_counter()
            result = await client.call_tool("search_videos", {"query": question})
            over_mcp.append(1000 * (time.perf_counter() - start))
            assert not result.is_error, result
    return over_mcp[WARM_UP:], in_python[WARM_UP:]
