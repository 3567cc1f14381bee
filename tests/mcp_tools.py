"""Writes `langchain_videochat/mcp/tools.json`: run `python -m tests.mcp_tools` after changing a tool's description."""

import json
from pathlib import Path
from typing import Any

from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_videochat.mcp.tool_list import TOOLS
from langchain_videochat.mcp.write_report import WriteReportTool
from langchain_videochat.text.agent_files import AgentFiles
from langchain_videochat.text.toolkit import VideoChatToolkit
from tests.agents import ScriptedChat, make_store


def describe_tools() -> dict[str, list[dict[str, Any]]]:
    """Describe the tools of a server that has a folder, and of one that has none."""
    store, model, folder = make_store(), ScriptedChat(turns=[]), Path()
    with_folder = VideoChatToolkit(store=store, model=model, root_dir=folder).get_tools()
    with_folder.append(WriteReportTool(store=store, files=AgentFiles(folder)))
    without_folder = VideoChatToolkit(store=store, model=model).get_tools()
    return {
        "with_folder": [convert_to_openai_tool(tool)["function"] for tool in with_folder],
        "without_folder": [convert_to_openai_tool(tool)["function"] for tool in without_folder],
    }


if __name__ == "__main__":
    TOOLS.write_text(json.dumps(describe_tools(), indent=2) + "\n", encoding="utf-8")
