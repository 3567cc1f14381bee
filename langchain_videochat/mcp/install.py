"""Entries of MCP servers in the configuration files of clients."""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_videochat.errors import InputError
from langchain_videochat.utils.atomic import atomic_file

CALL_SECONDS = 3600
"""Seconds that a client should wait for a tool: `index_video` takes as long as the video."""


@dataclass(frozen=True)
class McpClient:
    """Where a client keeps the MCP servers that it starts."""

    title: str
    file: Callable[[], Path]
    """Returns the path of its configuration file."""

    section: str
    """Key of the object that holds the servers by name."""

    more: Mapping[str, Any]
    """Fields of an entry besides `command` and `args`."""


@dataclass(frozen=True)
class ConfigChange:
    """A change of a configuration file."""

    path: Path
    before: str
    """The content; empty if the file does not exist."""

    after: str

    def write(self) -> None:
        """Write the file, all of it or nothing.

        Raises:
            InputError: It has changed since it was read, or cannot be written.
        """
        if _read(self.path) != self.before:
            raise InputError(self.path, "has changed in the meantime", "Run the command again")
        target = Path(os.path.realpath(self.path))  # the file itself, if the path is a link to it
        try:
            with atomic_file(target) as file:
                file.write(self.after.encode())
                if target.exists():
                    os.chmod(file.name, target.stat().st_mode)
        except OSError as error:
            raise InputError(self.path, f"cannot be written ({error.strerror})", "Check its permissions") from error


def plan_change(client: McpClient, name: str, command: Sequence[str]) -> ConfigChange:
    """Plan the change that adds a server to the configuration of a client, or replaces its entry.

    Args:
        client: The client.
        name: Name of the server.
        command: The program that serves on its standard streams, and its arguments.

    Raises:
        InputError: The file cannot be read, or is not what the client expects.
    """
    path = client.file()
    before = _read(path)
    entry = {**client.more, "command": command[0], "args": list(command[1:])}
    set_entry = _set_in_toml if path.suffix == ".toml" else _set_in_json
    try:
        after = set_entry(before, client.section, name, entry)
    except ValueError as error:
        # A file of VS Code may have comments, which JSON does not allow.
        advice = f"Repair it, or add this to {client.section!r} by hand: {json.dumps({name: entry})[1:-1]}"
        raise InputError(path, f"cannot be edited ({error})", advice) from error
    return ConfigChange(path, before, after)


def _set_in_json(text: str, section: str, name: str, entry: dict[str, Any]) -> str:
    config = json.loads(text or "{}")
    servers = config.setdefault(section, {}) if isinstance(config, dict) else None
    if not isinstance(servers, dict):
        raise ValueError(f"{section} is not an object")
    servers[name] = entry
    indent = re.search(r"\n([ \t]+)", text)
    return json.dumps(config, indent=indent[1] if indent else 2, ensure_ascii=False) + "\n"


def _set_in_toml(text: str, section: str, name: str, entry: dict[str, Any]) -> str:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text)
        servers = document.setdefault(section, tomlkit.table(is_super_table=True))
        if not isinstance(servers, dict):
            raise ValueError(f"{section} is not a table")
        table = tomlkit.item(entry)
        table.add(tomlkit.nl())
        servers[name] = table
        return tomlkit.dumps(document)
    except TOMLKitError as error:
        raise ValueError(str(error)) from error


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"cannot be read ({error})", "Check its permissions and its encoding, UTF-8") from error


def _claude_desktop_file() -> Path:
    folders = {"darwin": Path.home() / "Library/Application Support", "win32": Path(os.environ.get("APPDATA", ""))}
    folder = folders.get(sys.platform, Path.home() / ".config")
    return folder / "Claude" / "claude_desktop_config.json"


def _codex_file() -> Path:
    return Path(os.environ.get("CODEX_HOME") or Path.home() / ".codex") / "config.toml"


STDIO = {"type": "stdio"}

CLIENTS = {
    "claude-code": McpClient("Claude Code", lambda: Path(".mcp.json"), "mcpServers", STDIO),
    "claude-desktop": McpClient("Claude Desktop", _claude_desktop_file, "mcpServers", {}),
    "codex": McpClient("Codex", _codex_file, "mcp_servers", {"tool_timeout_sec": CALL_SECONDS}),
    "cursor": McpClient("Cursor", lambda: Path.home() / ".cursor" / "mcp.json", "mcpServers", STDIO),
    "gemini": McpClient(
        "Gemini CLI", lambda: Path.home() / ".gemini" / "settings.json", "mcpServers", {"timeout": CALL_SECONDS * 1000}
    ),
    "vscode": McpClient("VS Code", lambda: Path(".vscode", "mcp.json"), "servers", STDIO),
}
"""The clients by their names on the command line. Claude Code and VS Code read a file of the current project."""
