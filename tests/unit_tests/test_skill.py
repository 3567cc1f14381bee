"""The skill for agents that work by command line: all that it says is true, and it can be installed."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from PIL import Image
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner, Result

from langchain_videochat.cli import app
from langchain_videochat.cli.main import INTERRUPTED
from langchain_videochat.cli.options import FAILED
from langchain_videochat.cli.skill import NAME, SKILL
from tests.slides import render_talk

TEXT = (SKILL / "SKILL.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^videochat (.+)$", TEXT, re.MULTILINE)
NAMED_COMMANDS = sorted(set(re.findall(r"`videochat ([a-z]+)", TEXT)))

INTERACTIVE = {"app", "chat", "mcp install"}
"""Commands that run until they are stopped, or ask a person."""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200", "NO_COLOR": "1"})


@pytest.fixture(autouse=True)
def _run_in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VIDEOCHAT_STORE", raising=False)


def render(folder: Path) -> None:
    talk = render_talk(folder / "talk.mp4", [["300 g flour"], ["60 g sugar"], ["Bake it"]])
    (folder / "talks").mkdir()
    shutil.copy(talk, folder / "talks" / "talk.mp4")


# What it says


def test_the_frontmatter_follows_the_specification() -> None:
    _, frontmatter, body = TEXT.split("---\n", 2)
    fields = yaml.safe_load(frontmatter)
    assert set(fields) == {"name", "description"}
    assert fields["name"] == NAME
    assert re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", NAME)
    assert len(fields["description"]) <= 1024
    assert len(body.splitlines()) < 500


def test_every_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    render(tmp_path)
    model = FakeListChatModel(responses=["300 g [1]."])
    monkeypatch.setattr("langchain.chat_models.init_chat_model", lambda _: model)
    assert len(COMMANDS) > 10
    for line in COMMANDS:
        result = run(*shlex.split(line))
        assert result.exit_code == 0, f"{line}: {result.output}"
        assert result.stdout
        if "--json" in line:
            json.loads(result.stdout)


def test_every_command_that_is_named_exists() -> None:
    command = get_command(app)
    assert isinstance(command, TyperGroup)
    assert set(NAMED_COMMANDS) <= set(command.commands)


@pytest.mark.skipif(shutil.which("sh") is None, reason="requires a shell")
def test_the_script_gives_an_overview(tmp_path: Path) -> None:
    render(tmp_path)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    line = re.search(r"`(sh scripts/overview\.sh .+)`", TEXT)
    assert line
    command = line[1].replace("scripts", str(SKILL / "scripts"))
    Path("sheet.jpg").touch()  # an earlier sheet is replaced
    shown = subprocess.run(
        shlex.split(command),
        env={**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "60 g sugar" in shown.stdout
    assert shown.stdout.endswith("sheet.jpg: 00:00, 00:04, 00:08\n")
    assert max(Image.open("sheet.jpg").size) <= 896


def test_exit_codes_are_those_of_the_commands() -> None:
    documented = re.findall(r"^- (\d+): ", TEXT, re.MULTILINE)
    assert documented == ["0", str(FAILED), str(run("search", "--soon").exit_code), str(INTERRUPTED)]
    assert run("videos").exit_code == FAILED
    help_text = " ".join(run("--help").stdout.split())
    assert all(f"{code} " in help_text for code in documented)


def commands(group: TyperGroup, prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    """Yield the name and the options of every command."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, f"{name} ")
        else:
            yield f"{prefix}{name}", {option for parameter in command.params for option in parameter.opts}


def test_every_command_can_print_json() -> None:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    assert {name for name, options in commands(group) if "--json" not in options} == INTERACTIVE


# Installing it


def installed(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


BOTH = {
    f"{folder}/skills/videochat/{name}"
    for folder in (".claude", ".agents")
    for name in ("SKILL.md", "scripts/overview.sh")
}


def test_it_is_installed_for_all_clients(tmp_path: Path) -> None:
    result = run("skill", "install")
    assert result.exit_code == 0, result.output
    assert installed(tmp_path) == BOTH
    assert all(f"new        {tmp_path / path}" in result.stdout for path in BOTH)
    assert (tmp_path / ".claude/skills/videochat/SKILL.md").read_text() == TEXT
    again = json.loads(run("skill", "install", "--json").stdout)
    assert {one["status"] for one in again} == {"unchanged"}


def test_it_is_installed_for_one_client_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    assert run("skill", "install", "--client", "claude", "--user").exit_code == 0
    assert installed(home) == {path for path in BOTH if path.startswith(".claude")}


def test_changed_files_are_replaced_only_if_asked(tmp_path: Path) -> None:
    run("skill", "install")
    changed, missing = (tmp_path / f"{one}/skills/videochat/SKILL.md" for one in (".claude", ".agents"))
    changed.write_text(TEXT + "My own advice [bold].\n")
    missing.unlink()

    refused = run("skill", "install")
    assert refused.exit_code == FAILED
    assert "\n-My own advice [bold].\n" in refused.stderr
    assert "Pass --yes to replace them" in refused.stderr
    assert "My own advice" in changed.read_text()
    assert not missing.exists()

    assert run("skill", "install", "--yes").exit_code == 0
    assert changed.read_text() == missing.read_text() == TEXT


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / ".claude").write_text("not a folder")
    result = run("skill", "install")
    assert result.exit_code == FAILED
    assert "cannot be written" in result.stderr


def test_it_can_be_read_without_installing_it() -> None:
    assert run("skill", "show").stdout == TEXT
    assert json.loads(run("skill", "show", "--json").stdout)["SKILL.md"] == TEXT
