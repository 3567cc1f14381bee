"""`videochat mcp install`: the entry in the configuration of each client, which stays intact otherwise."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from langchain_videochat.cli import app
from langchain_videochat.errors import InputError
from langchain_videochat.mcp.install import CLIENTS, plan_change

COMMAND = ["/opt/videochat", "mcp", "--store", "/films/index"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of a user, who is in a project with talks."""
    home, project = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    (project / "talks").mkdir(parents=True)
    monkeypatch.setattr(Path, "home", lambda: home)
    monkeypatch.setenv("APPDATA", str(home))
    monkeypatch.delenv("CODEX_HOME", raising=False)
    monkeypatch.chdir(project)
    return home


def install(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(app, ["mcp", "install", *arguments], input=answer)


def read(path: Path) -> dict[str, Any]:
    text = path.read_text()
    parsed: dict[str, Any] = tomlkit.parse(text).unwrap() if path.suffix == ".toml" else json.loads(text)
    return parsed


@pytest.mark.parametrize("name", CLIENTS)
def test_the_entry_starts_this_program_from_anywhere(name: str, tmp_path: Path) -> None:
    client, project = CLIENTS[name], tmp_path / "project"
    done = install("--client", name, "--folder", "talks", "--yes")
    assert done.exit_code == 0, done.output
    assert client.title in done.output
    entry = read(client.file())[client.section]["videochat"]
    assert Path(entry["command"]).is_absolute()
    assert Path(entry["command"]).parent == Path(sys.executable).parent
    expected = ["mcp", "--folder", str(project / "talks"), "--store", str(project / "videochat-store")]
    assert entry["args"][-len(expected) :] == expected


def test_options_are_passed_on() -> None:
    Path("own.yaml").touch()
    install("--client", "vscode", "--profile", "own.yaml", "--model", "ollama:qwen3-vl", "--name", "films", "--yes")
    arguments = read(Path(".vscode/mcp.json"))["servers"]["films"]["args"]
    assert arguments[-4:] == ["--model", "ollama:qwen3-vl", "--profile", str(Path("own.yaml").absolute())]


def test_the_change_is_shown_and_written_after_a_yes(home: Path) -> None:
    path = home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_text('{\n\t"mcpServers": {\n\t\t"other": {\n\t\t\t"command": "other"\n\t\t}\n\t}\n}\n')
    refused = install("--client", "cursor", answer="n\n")
    lines = refused.output.splitlines()
    assert not [line for line in lines if line.startswith("-\t")]
    assert '+\t\t"videochat": {' in lines
    assert refused.exit_code == 1
    assert "videochat" not in path.read_text()
    assert install("--client", "cursor", answer="y\n").exit_code == 0
    assert read(path)["mcpServers"].keys() == {"other", "videochat"}
    again = install("--client", "cursor")
    assert (again.exit_code, "already has it" in again.output) == (0, True)


def test_json_with_comments_is_left_alone() -> None:
    path = Path(".vscode/mcp.json")
    path.parent.mkdir()
    path.write_text('{\n    // Servers of this project.\n    "servers": {}\n}\n')
    refused = install("--client", "vscode", "--yes")
    assert refused.exit_code == 1
    assert "add this to 'servers' by hand" in " ".join(refused.output.split())
    assert '"videochat": {' in refused.output
    assert "//" in path.read_text()


def test_comments_and_other_tables_of_toml_are_kept(home: Path) -> None:
    path = home / ".codex" / "config.toml"
    path.parent.mkdir()
    before = 'model = "large" # for now\n\n[mcp_servers.other]\ncommand = "other"\n\n[tui]\ntheme = "dark"\n'
    path.write_text(before)
    change = plan_change(CLIENTS["codex"], "videochat", COMMAND)
    start, _, rest = before.partition("[tui]")
    assert change.after.startswith(f"{start}[mcp_servers.videochat]\n")
    assert change.after.endswith(f"\n\n[tui]{rest}")
    assert tomlkit.parse(change.after)["mcp_servers"]["videochat"]["args"] == COMMAND[1:]


def test_an_entry_is_replaced(home: Path) -> None:
    for name in CLIENTS:
        plan_change(CLIENTS[name], "videochat", ["/old/videochat", "mcp"]).write()
        plan_change(CLIENTS[name], "videochat", COMMAND).write()
        entry = read(CLIENTS[name].file())[CLIENTS[name].section]["videochat"]
        assert [entry["command"], *entry["args"]] == COMMAND


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"mcpServers": {', "cannot be edited"),
        ('{"a": 1\n "b": 2}', "line 2"),
        ('{"a": 1} {', "Extra data"),
        ("[]", "mcpServers is not an object"),
        ('{"mcpServers": []}', "mcpServers is not an object"),
    ],
)
def test_damaged_files_are_left_alone(home: Path, text: str, problem: str) -> None:
    path = home / ".gemini" / "settings.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(InputError) as error:
        plan_change(CLIENTS["gemini"], "videochat", COMMAND)
    assert problem in str(error.value)
    assert str(path) in str(error.value)
    assert path.read_text() == text


@pytest.mark.parametrize("text", ["mcp_servers = 1", "[mcp_servers", "a = "])
def test_damaged_toml_is_left_alone(home: Path, text: str) -> None:
    path = home / ".codex" / "config.toml"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(InputError, match="cannot be edited"):
        plan_change(CLIENTS["codex"], "videochat", COMMAND)


def test_a_file_that_is_not_text_is_left_alone(home: Path) -> None:
    path = home / ".gemini" / "settings.json"
    path.parent.mkdir()
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(InputError, match="cannot be read"):
        plan_change(CLIENTS["gemini"], "videochat", COMMAND)


def test_a_file_that_has_changed_since_is_left_alone(home: Path) -> None:
    path = home / ".gemini" / "settings.json"
    change = plan_change(CLIENTS["gemini"], "videochat", COMMAND)
    path.parent.mkdir()
    path.write_text('{"theme": "dark"}')
    with pytest.raises(InputError, match="has changed in the meantime"):
        change.write()
    assert path.read_text() == '{"theme": "dark"}'


def test_links_and_permissions_are_kept(home: Path, tmp_path: Path) -> None:
    real, path = tmp_path / "dotfiles.json", home / ".gemini" / "settings.json"
    real.write_text('{\n\t"theme": "dark"\n}\n')
    real.chmod(0o600)
    path.parent.mkdir()
    path.symlink_to(real)
    plan_change(CLIENTS["gemini"], "videochat", COMMAND).write()
    assert path.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o600
    assert real.read_text().startswith('{\n\t"theme": "dark",\n\t"mcpServers": {')
    assert [file.name for file in real.parent.iterdir() if file.name.startswith(".")] == []


def test_unknown_clients_and_folders_are_errors() -> None:
    unknown = install("--client", "netscape")
    assert (unknown.exit_code, "claude-code" in unknown.output) == (1, True)
    missing = install("--client", "cursor", "--folder", "missing")
    assert (missing.exit_code, "is not a folder" in missing.output) == (1, True)


@given(
    document=st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5), max_size=3),
    servers=st.none() | st.dictionaries(st.sampled_from(["a", "videochat"]), st.dictionaries(st.text(), st.integers())),
    indent=st.sampled_from([None, 1, 4, "\t"]),
)
def test_only_the_entry_changes(
    tmp_path_factory: pytest.TempPathFactory,
    document: dict[str, Any],
    servers: dict[str, Any] | None,
    indent: int | str | None,
) -> None:
    path = tmp_path_factory.mktemp("config") / "mcp.json"
    client = replace(CLIENTS["cursor"], file=lambda: path)
    before = document | ({} if servers is None else {"mcpServers": servers})
    path.write_text(json.dumps(before, indent=indent))
    change = plan_change(client, "videochat", COMMAND)
    after = json.loads(change.after)
    entry = after["mcpServers"].pop("videochat")
    assert entry["command"] == COMMAND[0]
    others = {name: value for name, value in (servers or {}).items() if name != "videochat"}
    assert after == before | {"mcpServers": others}
